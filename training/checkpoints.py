"""Checkpoints that are whole: what a full disk or a kill leaves behind is never gone on from."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from affecthub.media.files import write_file

CHECKPOINTS = "checkpoints"
"""In a run's folder: where they lie until it is complete."""

COMPLETE = "complete"
"""In a checkpoint's folder, written last."""

OF_WRITING = ("PytorchStreamWriter", "No space left", "File too large", "iostream")
"""What errors of torch say that are of writing."""


def checkpoints_of(folder: Path) -> list[Path]:
    """The checkpoints in a folder, whole or not, by their steps."""
    found = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.name.rpartition("-")[2].isdecimal()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder; None: there is none."""
    return next((path for path in reversed(checkpoints_of(folder)) if (path / COMPLETE).is_file()), None)


def remove_broken(folder: Path) -> None:
    """Remove what is left of checkpoints that were not written to their end."""
    for path in checkpoints_of(folder):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(path, ignore_errors=True)


def clear_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run that is complete: its best model has been saved. What trackers wrote stays."""
    for checkpoint in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def mark_complete(folder: Path) -> None:
    """Say of a checkpoint that it is whole."""
    write_file(folder / COMPLETE, b"")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A checkpoint that cannot be written is removed.

    Args:
        folder: of the checkpoint.

    Raises:
        OSError: a full disk and the like, naming the folder, the checkpoint that is still good, and the remedy.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in OF_WRITING):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        good = newest_checkpoint(folder.parent)
        kept = f"{good.name} is good: free space there and continue with --resume" if good else "free space there"
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
        raise OSError(
            getattr(error, "errno", None),
            f"{folder} was not written ({reason}); {kept}, or choose another --output_dir.",
        ) from error


__all__ = [
    "CHECKPOINTS",
    "checkpoints_of",
    "clear_checkpoints",
    "mark_complete",
    "newest_checkpoint",
    "remove_broken",
    "writing",
]
