"""MELD's archives become folders: only where these are absent, safely, and whole or not at all."""

import errno
import gzip
import io
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tqdm.auto import tqdm

from affecthub.datasets_scripts.files import named_below, the_one
from affecthub.datasets_scripts.meld.files import CLIP_FOLDERS, OUTER_ARCHIVE
from affecthub.datasets_scripts.text_files import FREE_EXPANSION, limits, open_file, too_large

NO_FOLDER = {errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR}
"""What the system says of a file within or in place of another, a link to nothing, and a name of no characters."""

LONGEST_NAME = 255
"""Bytes of a file's name, without its folder, as file systems have it."""


def unpack_archives(root: Path, clips: bool = True) -> list[Path]:
    """Extract those archives below `root` of which the content is needed and absent.

    Needed is each split's folder of clips, or, for `clips=False`, its table. `X.tar.gz` becomes the folder `X` beside
    it; the archive itself stays.

    Returns:
        The folders made, in order; empty where nothing was needed.

    Raises:
        OSError: the disk lacks the space, or the folder to make is there already without the content.
        ValueError: an archive is damaged, by the check sum of all its bytes too; holds a path or link that leads
            out of its folder; or expands beyond `text_files.Limits`.
    """
    inner = {split: f"{split}.tar.gz" for split in CLIP_FOLDERS}
    needed = {split: CLIP_FOLDERS[split] if clips else f"{split}_sent_emo.csv" for split in CLIP_FOLDERS}
    found = named_below(root, {OUTER_ARCHIVE, *inner.values(), *needed.values()})
    absent = [split for split in CLIP_FOLDERS if not found[needed[split]]]
    made = []
    whole = found[OUTER_ARCHIVE] if absent and not any(found[name] for name in inner.values()) else []
    if outer := the_one(whole):
        made.append(unpack(outer))
        found = named_below(root, {*inner.values(), *needed.values()})
    for split in absent:
        archive = the_one(found[inner[split]])
        if archive and not found[needed[split]]:
            made.append(unpack(archive))
    return made


def unpack(archive: Path) -> Path:
    """Extract `X.tar.gz` into the folder `X` beside it, by way of a hidden folder that is renamed when complete.

    Raises: see `unpack_archives`.
    """
    target = archive.with_name(archive.name.removesuffix(".tar.gz"))
    if target.exists():
        raise FileExistsError(
            f"{target} is there, but not all that {archive.name} holds; move it away, then try again"
        )
    _check_space(archive)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-partial-", dir=archive.parent))
    try:
        _extract(archive, partial)
        partial.chmod(0o755)  # mkdtemp's is for one user alone; a shared data folder is not
        os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _check_space(archive: Path) -> None:
    """Clips hardly compress: the archive's own size is what extracting takes, nearly."""
    size, free = archive.stat().st_size, shutil.disk_usage(archive.parent).free
    if free < size * 1.05:
        raise OSError(
            f"{archive}: extracting takes about {size * 1.05 / 1e9:.1f} GB and {archive.parent} has {free / 1e9:.1f} "
            "GB left; free some space, or extract it elsewhere and give that folder"
        )


def _extract(archive: Path, folder: Path) -> None:
    """Extract all that an archive holds; ValueError where it is damaged anywhere, hostile, or expands too far."""
    try:
        with (
            open_file(archive) as raw,
            tqdm.wrapattr(raw, "read", total=archive.stat().st_size, desc=f"extracting {archive.name}") as counted,
            gzip.open(cast(BinaryIO, counted)) as plain,
        ):
            bounded = _Bounded(archive, plain)
            with tarfile.open(fileobj=bounded, mode="r|") as tar, _impossible_told():
                for number, member in enumerate(tar):
                    if number >= limits().archive_members:
                        raise too_large(archive, "archive_members", f"it holds over {number:,} files and folders")
                    if max(map(len, member.name.encode(errors="surrogateescape").split(b"/"))) > LONGEST_NAME:
                        raise tarfile.ReadError(f"the name {member.name[:20]!r}... is too long for a file")
                    tar.extract(member, folder, filter="data")
            while bounded.read(2**20):  # the check sums stand at the end, behind what tar reads
                pass
    except (tarfile.FilterError, LookupError, UnicodeError) as error:
        raise ValueError(f"{archive}: {error}; this is not MELD's archive: fetch it from the authors again") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{archive}: damaged or cut off ({error}); fetch it again") from error


@contextmanager
def _impossible_told() -> Iterator[None]:
    """LookupError for names and links that no folder can hold, in the place of what tarfile or the system says."""
    try:
        yield
    except RecursionError:  # tarfile follows such a link for ever
        raise LookupError("a link leads to itself") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise LookupError("a link leads to itself") from None
        if error.errno in NO_FOLDER:
            raise LookupError(f"a name or link that no folder can hold ({error.strerror})") from None
        raise


class _Bounded(io.BufferedIOBase):
    """Reads what comes out of an archive; ValueError where that is more than its limits."""

    def __init__(self, archive: Path, plain: gzip.GzipFile):
        self._archive, self._plain, self._bytes = archive, plain, 0
        self._size = archive.stat().st_size

    def read(self, size: int) -> bytes:
        """So many bytes, or what is left."""
        content = self._plain.read(size)
        self._bytes += len(content)
        if self._bytes > limits().archive_bytes:
            raise too_large(self._archive, "archive_bytes", f"over {self._bytes:,} bytes come out of it")
        if self._bytes > FREE_EXPANSION + limits().archive_ratio * self._size:
            found = f"its {self._size:,} bytes expand to over {self._bytes:,}"
            raise too_large(self._archive, "archive_ratio", found)
        return content
