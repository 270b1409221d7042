"""The encoder cache's folders: what is kept of which split, how much of it is there, and how old entries go."""

import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from affecthub.media.files import cache_root, write_file
from affecthub.training.encoder_cache.samples import EncodedSamples, read_shard, shard_path, shard_ranges

logger = logging.getLogger(__name__)

ABOUT = "about.json"
"""In an entry's folder: the facts that its key is the digest of. When it was touched is when the entry was used."""


def cache_folder() -> Path:
    """Where the entries lie."""
    return cache_root() / "encoders"


@dataclass(frozen=True)
class Entry:
    """What is kept of one split by one set of encoders."""

    folder: Path
    facts: dict
    """Of `ABOUT`; empty where that cannot be read."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits."""
        return self.folder.name

    @property
    def samples(self) -> int:
        """Rows of the split."""
        return self.facts.get("samples", 0)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    @property
    def days(self) -> float:
        """Since it was used."""
        return (time.time() - (self.folder / ABOUT).stat().st_mtime) / 86_400

    @property
    def complete(self) -> int:
        """Shards that are there."""
        return len(list(self.folder.glob("*.safetensors")))

    def describe(self) -> None:
        """Write down what the entry is.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_file(self.folder / ABOUT, (json.dumps(self.facts, indent=2) + "\n").encode())

    def missing(self) -> list[int]:
        """Numbers of the shards that are not there or cannot be used, of which a warning tells."""
        return [
            number for number, rows in enumerate(shard_ranges(self.samples)) if not self._usable(number, len(rows))
        ]

    def open(self, names: Sequence[str]) -> EncodedSamples:
        """The samples; every shard has to be there."""
        shards = enumerate(shard_ranges(self.samples))
        opened = [read_shard(shard_path(self.folder, number), self.key, len(rows)) for number, rows in shards]
        with suppress(OSError):  # a folder that others may read only
            os.utime(self.folder / ABOUT)
        return EncodedSamples(names, opened)

    def _usable(self, number: int, rows: int) -> bool:
        try:
            read_shard(shard_path(self.folder, number), self.key, rows)
        except FileNotFoundError:
            return False
        except ValueError as error:
            logger.warning("%s; it is encoded again.", error)
            return False
        return True


def entries() -> list[Entry]:
    """Every entry of the cache, the one that was used last first."""
    found = [Entry(path.parent, _facts(path)) for path in cache_folder().glob(f"*/{ABOUT}")]
    return sorted(found, key=lambda entry: entry.days)


def entries_table(found: Sequence[Entry]) -> str:
    """One line an entry, and the sum of all."""
    lines = ["key               split         samples  shards     MB  days unused  precision  modalities"]
    for entry in found:
        shards = f"{entry.complete}/{len(shard_ranges(entry.samples))}"
        split, precision, names = (entry.facts.get(name, "?") for name in ("split", "precision", "modalities"))
        lines.append(
            f"{entry.key:<16}  {split:<10} {entry.samples:>10,} {shards:>7} {entry.size / 1e6:>6.1f} "
            f"{entry.days:>12.1f}  {precision:<9}  {', '.join(names)}"
        )
    total = sum(entry.size for entry in found) / 1e6
    return "\n".join([*(lines if found else []), f"{len(found)} entries, {total:,.1f} MB in {cache_folder()}"])


def prune(keys: Sequence[str] = (), older_than: float | None = None, everything: bool = False) -> dict[str, int]:
    """Delete entries; returns the bytes of each that is gone, by its key.

    Args:
        keys: of entries, or how such keys begin.
        older_than: days since an entry was used.
        everything: all of them.

    Raises:
        ValueError: a key that no entry has; nothing is deleted then.
    """
    found = entries()
    for key in keys:
        if not key or not any(entry.key.startswith(key) for entry in found):
            raise ValueError(f"{key!r}: no entry of {cache_folder()} begins so; `affecthub cache list` shows them.")
    doomed = {
        entry.key: entry
        for entry in found
        if everything or entry.key.startswith(tuple(keys)) or (older_than is not None and entry.days > older_than)
    }
    sizes = {key: entry.size for key, entry in doomed.items()}
    for entry in doomed.values():
        shutil.rmtree(entry.folder)
    return sizes


def _facts(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
