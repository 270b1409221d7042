"""The first pass over a data set: what its targets are, and which of its rows are there twice."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from affecthub.datasets_scripts.clips.plan import Opened, batches, text_of
from affecthub.datasets_scripts.clips.recordings import Found, find
from affecthub.datasets_scripts.clips.tables import Row
from affecthub.datasets_scripts.clips.targets import TargetReader

PACKED = 100_000
"""Entries that are held as they are, before they are packed."""


class Twins:
    """Finds what comes again, in sixteen bytes an entry."""

    def __init__(self):
        self._packed: list[np.ndarray] = [np.empty((0, 2), np.uint64)]
        self._loose: list[tuple[int, int]] = []
        self.again: set[int] = set()
        """Digests of what came more than once, after `settle`."""
        self.differing: set[int] = set()
        """Those of them that came with something else said about them."""
        self._first: dict[int, str] = {}

    def see(self, identity: tuple, said: tuple = ()) -> None:
        """Take note of an entry, and of what is said about it."""
        self._loose.append((digest(identity), digest(said)))
        if len(self._loose) >= PACKED:
            self._pack()

    def settle(self) -> None:
        """Called after all were seen."""
        self._pack()
        pairs = np.concatenate(self._packed)
        self._packed = []
        order = np.argsort(pairs[:, 0], kind="stable")
        same = np.flatnonzero(np.diff(pairs[order, 0]) == 0)
        self.again = set(pairs[order[same], 0].tolist())
        other = pairs[order[same], 1] != pairs[order[same + 1], 1]
        self.differing = set(pairs[order[same[other]], 0].tolist())

    def earlier(self, identity: tuple, where: str) -> str | None:
        """Where an entry was first, asked in order of the rows; None at the first, and of one that comes once."""
        code = digest(identity)
        if code not in self.again:
            return None
        first = self._first.setdefault(code, where)
        return None if first == where else first

    def contradicted(self, identity: tuple) -> bool:
        """Whether other things are said of the same."""
        return digest(identity) in self.differing

    def _pack(self) -> None:
        self._packed.append(np.array(self._loose, dtype=np.uint64).reshape(-1, 2))
        self._loose = []


@dataclass(frozen=True)
class Survey:
    """What the first pass found."""

    readers: list[TargetReader]
    rows: Twins
    """Rows of one file and time."""
    keys: Twins


def survey(tables: Sequence[Opened], readers: Sequence[TargetReader], media: bool) -> Survey:
    """Read all rows once.

    Args:
        tables: of the data set.
        readers: of its targets; they are settled then.
        media: whether files are looked at.

    Raises:
        ValueError: what no row can hold, by file, row and value.
    """
    found = Survey(list(readers), Twins(), Twins())
    for opened, rows in batches(tables, "looking through the table"):
        for number, row in rows:
            where, cells = opened.where(number), opened.cells(row)
            for reader in readers:
                reader.see(row, where)
            if media and (named := find(cells, opened.files, where)[0]).paths:
                found.rows.see(identity(named, opened.split(cells, number)), said(readers, row, cells))
            if key := text_of(cells.get("key")):
                found.keys.see((key,))
    for part in (*readers, found.rows, found.keys):
        part.settle()
    return found


def identity(found: Found, split: str | None) -> tuple:
    """What no two rows of a split should have in common: files and time. The audit compares splits with each other."""
    return (split, *found.paths, found.start, found.end)


def said(readers: Sequence[TargetReader], row: Row, cells: Row) -> tuple:
    """What a row says of its file."""
    return (text_of(cells.get("text")), *(row[column] for reader in readers for column in reader.columns))


def digest(value: tuple) -> int:
    """64 bits of a tuple's content."""
    return int.from_bytes(hashlib.blake2b(repr(value).encode(), digest_size=8).digest(), "little")
