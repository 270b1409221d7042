"""Files are written whole or not at all, beside their place and then renamed; where caches lie, what they watch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
