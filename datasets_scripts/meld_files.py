"""Where MELD lies on a disk: the tables, the folders of clips and the archives, found by name below a root."""

import filecmp
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

CLIP_FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
"""The authors' split -> the folder that its archive extracts to."""

OUTER_ARCHIVE = "MELD.Raw.tar.gz"
"""The published file; holds one archive per split."""


@dataclass(frozen=True)
class SplitFiles:
    """What was found of one split; `annotations` and `clips` are not both None."""

    split: str
    """The authors' name: "train", "dev" or "test"."""
    annotations: Path | None
    """`{split}_sent_emo.csv`."""
    clips: Path | None
    """One of `CLIP_FOLDERS`."""


def existing_folder(root: str | Path) -> Path:
    """The absolute path of a folder that must be there, with `~` expanded.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: it is a file.
    """
    folder = Path(root).expanduser().resolve()
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder; give the one that holds MELD's tables, clips or archives")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: a file; give the folder that it lies in")
    return folder


def find_splits(root: Path) -> list[SplitFiles]:
    """Every split of which a table or a folder of clips lies below `root`, in the order train, dev, test.

    Raises:
        FileNotFoundError: no annotation table lies below `root`.
        ValueError: two different tables, or two folders of clips, bear the same name.
    """
    tables = {split: f"{split}_sent_emo.csv" for split in CLIP_FOLDERS}
    found = named_below(root, {*tables.values(), *CLIP_FOLDERS.values()})
    if not any(found[name] for name in tables.values()):
        raise FileNotFoundError(
            f"{root}: none of {', '.join(tables.values())} lies in this folder or below it (links to folders are not "
            "followed); copy the tables of MELD's repository there"
        )
    splits = [SplitFiles(s, the_one(found[tables[s]]), the_one(found[CLIP_FOLDERS[s]])) for s in CLIP_FOLDERS]
    return [files for files in splits if files.annotations or files.clips]


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


def fingerprint(root: Path, code: list[Path]) -> str:
    """16 hexadecimal digits that change with the tables' bytes, with any clip's name, size or time, and with `code`.

    `datasets` keys its cache by neither data nor code: without this, an edited table would give the old rows.
    """
    digest = hashlib.sha256()
    for path in sorted(code):
        digest.update(path.read_bytes())
    for files in find_splits(root):
        if files.annotations:
            digest.update(f"{files.annotations.relative_to(root)}\0".encode())
            digest.update(files.annotations.read_bytes())
        for clip in files_in(files.clips):
            state = clip.stat()
            digest.update(f"{clip.relative_to(root)}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]


def files_in(folder: Path | None) -> list[Path]:
    """All files of a folder and its subfolders, hidden ones too; those nearest to the top come first."""
    if folder is None:
        return []
    files = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return sorted(files, key=lambda path: (len(path.parts), path))
