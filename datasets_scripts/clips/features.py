"""Numeric features of rows: a vector in the columns of a table, or a file with a line a step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np

from affecthub.datasets_scripts.clips.tables import SUFFIXES, open_table
from affecthub.datasets_scripts.clips.targets import is_unknown, number

MOST_VALUES = 10_000_000
"""Of one file."""


FAULTS = (ArithmeticError, AttributeError, BadZipFile, EOFError, LookupError, MemoryError, OSError, SyntaxError)
FAULTS += (TokenError, TypeError, ValueError)
"""What NumPy raises of a file that is no array: it reads the header as Python."""


def read_vector(cells: Mapping[str, object], columns: Sequence[str], where: str) -> list[float] | None:
    """The features of a row, NaN where a cell is empty; None where all are.

    Raises:
        ValueError: a cell is no number.
    """
    values = [_value(cells[name], f"{where}: column {name!r}") for name in columns]
    return None if all(np.isnan(values)) else values


def read_sequence(path: Path) -> tuple[np.ndarray, list[str]]:
    """The features of a file, float32 (steps, features), NaN where a cell is empty, and their names.

    Args:
        path: .npy of (steps, features) or (features,); or a table whose columns are the features.

    Raises:
        ValueError: it is none of these, empty, too large, or holds what is no number.
    """
    if path.suffix.lower() == ".npy":
        values = _array(path)
        return values, [f"feature {i}" for i in range(values.shape[1])]
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: a file of features ends in .npy, {', '.join(SUFFIXES)}.")
    table = open_table(path)
    steps = [[_value(row[c], f"{path}, row {i}: column {c!r}") for c in table.columns] for i, row in table.rows()]
    if not steps:
        raise ValueError(f"{path}: it holds no step; leave the cell that names it empty.")
    return np.asarray(steps, dtype=np.float32), table.columns


def _array(path: Path) -> np.ndarray:
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        mapped.dtype, mapped.shape  # noqa: B018 - an archive of arrays has neither
    except FAULTS as error:
        raise ValueError(
            f"{path}: no array of numbers that can be read ({error!r}); save it by `numpy.save`."
        ) from error
    if mapped.dtype.kind not in "fiu" or mapped.ndim not in (1, 2) or not 0 < mapped.size <= MOST_VALUES:
        raise ValueError(
            f"{path}: {mapped.dtype} of shape {mapped.shape}; numbers of (steps, features) or (features,) are needed, "
            f"{MOST_VALUES:,} at most."
        )
    values = np.atleast_2d(np.asarray(mapped, dtype=np.float32))
    if np.isinf(values).any():
        raise ValueError(f"{path}: it holds infinite values; put NaN where nothing was measured.")
    return values


def _value(cell: object, what: str) -> float:
    return np.nan if is_unknown(cell) else number(cell, what)
