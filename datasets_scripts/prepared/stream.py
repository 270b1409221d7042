"""Prepared shards as a stream: which rows a process reads in an epoch, in which order, and out of which files.

`datasets` streams Parquet too, but gives whole shards to processes and workers: processes with unequal shards would
take unequal numbers of steps, and wait for each other for ever, and the order would change with the number of workers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class ShardStream:
    """The rows of a split that are used, and where they lie."""

    files: Sequence[Path]
    """The shards of the split."""
    sizes: Sequence[int]
    """Rows of each shard."""
    places: np.ndarray
    """int (rows,), ascending: the place of each used row among the rows of all shards."""
    buffer: int
    """How far a row moves back at most in its shuffled shards; so many rows, and a shard, are held in memory."""

    def __post_init__(self):
        if self.buffer < 1:
            raise ValueError(
                f"inputs.shuffle_buffer={self.buffer}: it has to be above 0; 1 keeps the order of a shard."
            )

    def order(self, seed: int, epoch: int, process: int = 0, processes: int = 1) -> np.ndarray:
        """What a process reads: the shuffled shards are laid in a line, which is cut into equal parts.

        A shard on a cut is read by two processes. The last part is filled up from the beginning of the line, by fewer
        rows than there are processes; all others are read once.

        Returns:
            Indices of used rows, int (rows / processes, rounded up,).
        """
        rng = np.random.default_rng([seed, epoch])
        shards = np.split(np.arange(len(self.places)), np.searchsorted(self.places, np.cumsum(self.sizes)[:-1]))
        line = np.concatenate([shards[number] for number in rng.permutation(len(shards))])
        size = -(-len(line) // processes)
        part = line.take(np.arange(process * size, (process + 1) * size), mode="wrap")
        return part[np.argsort(np.arange(size) + rng.uniform(0, self.buffer, size))]

    def read(self, indices: np.ndarray, columns: Sequence[str]) -> Iterator[tuple[int, dict]]:
        """Each row's index and columns; a shard is read once, when its first row is due, and then held as needed.

        Args:
            indices: of used rows, int (rows,), each once.
            columns: at least one that the shards have; those that they have not are left out.
        """
        ends = np.cumsum(self.sizes)
        shards, held = np.searchsorted(ends, self.places[indices], side="right"), {}
        for index, shard in zip(indices.tolist(), shards, strict=True):
            if index not in held:
                due = indices[shards == shard]
                rows = self.places[due] - (ends[shard] - self.sizes[shard])
                table = pq.ParquetFile(self.files[shard]).read(list(columns)).take(rows)
                held |= zip(due.tolist(), table.to_pylist(), strict=True)
            yield index, held.pop(index)
