"""MELD's archives become folders: only where these are absent, safely, and whole or not at all."""

import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

from tqdm.auto import tqdm

from affecthub.datasets_scripts.files import named_below, the_one
from affecthub.datasets_scripts.meld.files import CLIP_FOLDERS, OUTER_ARCHIVE


def unpack_archives(root: Path, clips: bool = True) -> list[Path]:
    """Extract those archives below `root` of which the content is needed and absent.

    Needed is each split's folder of clips, or, for `clips=False`, its table. `X.tar.gz` becomes the folder `X` beside
    it; the archive itself stays.

    Returns:
        The folders made, in order; empty where nothing was needed.

    Raises:
        OSError: the disk lacks the space, or the folder to make is there already without the content.
        ValueError: an archive is damaged, or holds a path or link that leads out of its folder.
    """
    inner = {split: f"{split}.tar.gz" for split in CLIP_FOLDERS}
    needed = {split: CLIP_FOLDERS[split] if clips else f"{split}_sent_emo.csv" for split in CLIP_FOLDERS}
    found = named_below(root, {OUTER_ARCHIVE, *inner.values(), *needed.values()})
    absent = [split for split in CLIP_FOLDERS if not found[needed[split]]]
    made = []
    if absent and found[OUTER_ARCHIVE] and not any(found[name] for name in inner.values()):
        made.append(unpack(the_one(found[OUTER_ARCHIVE])))
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
    try:
        with (
            archive.open("rb") as raw,
            tqdm.wrapattr(raw, "read", total=archive.stat().st_size, desc=f"extracting {archive.name}") as counted,
            tarfile.open(fileobj=counted, mode="r|gz") as tar,
        ):
            for member in tar:
                tar.extract(member, folder, filter="data")
    except tarfile.FilterError as error:
        raise ValueError(f"{archive}: {error}; this is not MELD's archive: fetch it from the authors again") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive}: damaged or cut off ({error}); fetch it again") from error
