"""Folders that people pass, and what lies below them."""

import filecmp
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from affecthub.datasets_scripts.text_files import open_file
from affecthub.media.faults import FAULTS
from affecthub.media.files import file_state


@contextmanager
def rows_cached() -> Iterator[None]:
    """What goes wrong while `datasets` writes rows into its cache, told by its cause.

    Raises:
        OSError: the cache cannot be written, as on a full disk, naming it and the remedy.
        ValueError: else; what was raised by a builder of ours for bad input passes as it is.
    """
    from datasets import config
    from datasets.exceptions import DatasetsError

    try:
        yield
    except DatasetsError as error:
        cause: BaseException = error
        while (inner := cause.__cause__ or cause.__context__) is not None:
            cause = inner
        if isinstance(cause, OSError) and cause.filename is None:
            raise OSError(
                f"{config.HF_DATASETS_CACHE}: rows cannot be kept there ({cause}); free space, or let "
                "HF_DATASETS_CACHE name a folder on another disk"
            ) from error
        if isinstance(cause, FAULTS):
            raise cause from error
        said = " ".join(str(cause).split())
        raise ValueError(f"the rows cannot be read by `datasets` ({type(cause).__name__}: {said})") from error


def existing_folder(root: str | Path) -> Path:
    """The absolute path of a folder that must be there, with `~` expanded.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: it is a file.
    """
    folder = Path(root).expanduser().resolve()
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder that holds the data set")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: a file; give the folder that it lies in")
    return folder


def named_below(root: Path, names: set[str]) -> dict[str, list[Path]]:
    """Name -> all files and folders of that name below `root`, sorted; a folder inside its namesake does not count.

    Hidden folders and the `__MACOSX` shadow of a zip archive are not searched.
    """
    found: dict[str, list[Path]] = {name: [] for name in names}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        for name in names.intersection([*folders, *files]):
            if name not in Path(folder).relative_to(root).parts:
                found[name].append(Path(folder, name))
    return {name: sorted(paths) for name, paths in found.items()}


def the_one(paths: list[Path]) -> Path | None:
    """The path to use of several namesakes: the first where all are files of the same bytes, None of none.

    Raises:
        ValueError: they differ, or are folders.
    """
    for other in paths[1:]:
        if other.is_dir() or paths[0].is_dir() or not filecmp.cmp(paths[0], other, shallow=False):
            raise ValueError(
                f"{paths[0]} and {other} bear the same name and are not the same file; keep one of them below the root"
            )
    return paths[0] if paths else None


def files_in(folder: Path | None) -> list[Path]:
    """All files of a folder and its subfolders, hidden ones too; those nearest to the top come first."""
    if folder is None:
        return []
    files = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return sorted(files, key=lambda path: (len(path.parts), path))


def visible_files(root: Path, suffixes: Collection[str]) -> list[Path]:
    """Files at any depth that end in one of the suffixes, sorted; hidden ones, such as `._*` of macOS, left out."""
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]


class Gathered:
    """Tables that are written many rows at a time: each part of a file costs memory for as long as it is open.

    Args:
        write: takes a table.
        rows: so many are gathered.
    """

    def __init__(self, write: Callable[[pa.Table], None], rows: int = 50_000):
        self._write, self._rows = write, rows
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        """Take a table, and write what waits when it is enough."""
        self._waiting.append(table)
        if sum(map(len, self._waiting)) >= self._rows:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._write(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting = []


def file_digest(path: Path) -> str:
    """SHA-256 of a regular file, 64 hexadecimal digits, read a part at a time."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(root: Path, tables: Iterable[Path], media: Iterable[Path], code: str) -> str:
    """16 hexadecimal digits that change with any table's bytes, any medium's name, size or time, and with `code`.

    `datasets` keys its cache by neither data nor code: without this, an edited table would give the old rows.

    Args:
        root: what the names are relative to.
        tables: read whole.
        media: known by name, size and time.
        code: of `media.source_code.code_digest`.
    """
    digest = hashlib.sha256(code.encode())
    for path in tables:
        digest.update(f"{path.relative_to(root)}\0{file_digest(path)}\0".encode(errors="surrogateescape"))
    for path in media:
        digest.update(f"{path.relative_to(root)}\0{file_state(path)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
