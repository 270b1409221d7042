"""The two sides of a split that the audit compares: what was learned from, or chosen by, and what judges."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from affecthub.datasets_scripts.corpus import AuditColumns

from .findings import Severity

NEGLIGIBLE = 0.001
"""Share of the held-out rows up to which copies are a warning: they move no figure by more than a tenth of a point."""


@dataclass(frozen=True)
class Sides:
    """The two sides, and what is asked of them."""

    train: pd.DataFrame
    held_out: pd.DataFrame
    columns: AuditColumns
    synthetic: bool = False
    """Whether people were drawn, and voices computed: what is alike is no copy there."""
    known: str = "training"
    """What the first side is called."""
    judged: str = "held-out"
    """What the second one is called."""

    def holding(self, column: str) -> list[tuple[np.ndarray, list]]:
        """Of each side, the places of the rows that hold something in a column, and what that is."""
        sides = (self.train[column], self.held_out[column])
        return [(np.flatnonzero(values.notna()), values.dropna().tolist()) for values in sides]

    def share(self, count: int, of: int, what: str) -> str:
        """So many of so many rows of the second side, in words."""
        return f"{count:,} of {of:,} {self.judged} {what} ({100 * count / of:.1f} %)"

    def severity(self, count: int, alike: bool = True) -> Severity:
        """Of so many copies; `alike`: not equal byte for byte, but alike."""
        severe = count > NEGLIGIBLE * len(self.held_out) and not (alike and self.synthetic)
        return "severe" if severe else "warning"

    def pair(self, held_out: int, train: int) -> str:
        """Two rows by name."""
        key = self.columns.key
        sides = (self.held_out, held_out), (self.train, train)
        return " = ".join(str(side.index[row] if key is None else side[key].iloc[row]) for side, row in sides)

    def agree(self, column: str | None, held_out: np.ndarray, train: np.ndarray) -> np.ndarray:
        """Whether pairs of rows have the same value, bool (pairs,); none has where there is no such column."""
        if column is None:
            return np.zeros(len(held_out), dtype=bool)
        known, asked = self.train[column].iloc[train], self.held_out[column].iloc[held_out]
        return (asked.notna().to_numpy()) & (asked.to_numpy() == known.to_numpy())
