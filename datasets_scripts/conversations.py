"""Which rows were said before and after a row, in its conversation.

Rows know their place by the columns `dialogue` and `turn`, and by `recording` where each has dialogues of its own.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from datasets import Dataset

NOBODY = -1
"""In the place of a row: there is no such turn."""


@dataclass(frozen=True)
class Turns:
    """The turns around each of some rows."""

    places: np.ndarray
    """int (rows, before + 1 + after): which row each turn is, in order of time, `NOBODY` where there is none; column
    `before` is the row itself."""
    before: int
    """Turns before each."""

    def take(self, indices: np.ndarray) -> "Turns":
        """Of some of the rows; the turns are named as before."""
        return Turns(self.places[indices], self.before)

    def history(self, index: int) -> list[int]:
        """The rows before one, oldest first."""
        return [place for place in self.places[index, : self.before].tolist() if place != NOBODY]

    def following(self, index: int) -> list[int]:
        """The rows after one, in order of time."""
        return [place for place in self.places[index, self.before + 1 :].tolist() if place != NOBODY]

    def total(self, values: np.ndarray) -> np.ndarray:
        """A value of each row, added up over the turns around it and itself (rows,)."""
        return np.where(self.places == NOBODY, 0, values[self.places]).sum(axis=1)

    def shuffled(self, seed: int) -> "Turns":
        """As many turns around each row, but of other rows, drawn at random: what context is worth is seen by it."""
        rng, around = np.random.default_rng(seed), self.places != NOBODY
        around[:, self.before] = False
        drawn = rng.integers(len(self.places), size=self.places.shape)
        return Turns(np.where(around, drawn, self.places), self.before)


def turns_around(rows: Dataset, before: int, after: int = 0) -> Turns:
    """The turns around each row of one split.

    A row whose conversation or place in it is not known has no turns around it. Gaps in the numbers of turns are
    nothing: the next row that there is counts as the next turn.

    Args:
        rows: with the columns `dialogue` and `turn`.
        before, after: how many turns, at most.

    Raises:
        ValueError: the rows lack these columns, or two rows are the same turn of the same conversation.
    """
    if missing := [name for name in ("dialogue", "turn") if name not in rows.column_names]:
        raise ValueError(
            f"turns around a row are asked for (inputs.turns_before, turns_after), but the rows have no column "
            f"{' and no '.join(missing)}: name it (--data.columns.{missing[0]}=COLUMN), or set both to 0."
        )
    names = [name for name in ("recording", "dialogue") if name in rows.column_names]
    table = pd.DataFrame({name: rows[name] for name in [*names, "turn"]})
    known = table.loc[table[["dialogue", "turn"]].notna().all(axis=1)].sort_values("turn", kind="stable")
    if (twice := known.duplicated([*names, "turn"], keep=False)).any():
        pair = known.loc[twice].sort_values([*names, "turn"]).index[:2]
        first, second = (rows["key"][int(i)] for i in pair) if "key" in rows.column_names else pair
        place = known.loc[pair[0]]
        raise ValueError(
            f"the rows {first} and {second} are both turn {place['turn']:g} of the dialogue {place['dialogue']}: "
            "number the turns of each dialogue from first to last."
        )
    places = np.full((len(rows), before + 1 + after), NOBODY)
    places[:, before] = np.arange(len(rows))
    for _, turns in known.groupby(names, dropna=False, sort=False):
        order = turns.index.to_numpy()
        for step in range(1, min(max(before, after), len(order) - 1) + 1):
            if step <= before:
                places[order[step:], before - step] = order[:-step]
            if step <= after:
                places[order[:-step], before + step] = order[step:]
    return Turns(places, before)
