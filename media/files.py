"""Files are written whole or not at all, beside their place and then renamed; where caches lie, what they watch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"
"""In a folder in which something is made: held as long as that takes."""


def cache_root() -> Path:
    """Where this package keeps what it makes: $AFFECTHUB_CACHE, or else ~/.cache/affecthub."""
    return Path(os.environ.get("AFFECTHUB_CACHE") or Path.home() / ".cache" / "affecthub").expanduser()


def file_state(path: str | Path) -> tuple[int, int] | None:
    """Size and time of a file, by which a cache sees that it has changed; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@contextmanager
def alone(folder: Path, doing: str) -> Iterator[None]:
    """Make a folder, and keep other processes that ask for it so out of it; the system lets go when the process dies.

    Args:
        folder: where something is made.
        doing: what another process may be at there, such as "is training".

    Raises:
        OSError: another one is at work there, or the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise OSError(f"{folder}: another launch {doing} there; wait for it, or stop it.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it takes `path`'s place at the end, and is gone when anything fails.

    Raises:
        OSError: a full disk and the like, naming `path` and the remedy.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"{path} was not written ({reason}); free space there, or choose a folder you may write to."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write bytes, as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
