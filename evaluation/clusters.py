"""Which rows come and go together: those of one person, one conversation or one recording.

Rows of one person resemble one another, and so 5,000 rows of 10 people tell little more of a new person than 10
figures do. Whatever says how sure a figure is draws, leaves out or exchanges whole clusters.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .predictions import Predictions

BY = ("participant", "dialogue", "recording", "row")
"""What a cluster may be."""

PEOPLE_APART = ("leave_one_participant_out", "grouped_k_fold")
"""Protocols by which a person stands on one side."""


@dataclass(frozen=True)
class Clusters:
    """To which cluster each row belongs."""

    by: str
    """One of `BY`."""
    ids: np.ndarray
    """int (rows,), from 0 on without a gap."""

    def __len__(self) -> int:
        """How many clusters there are."""
        return int(self.ids.max()) + 1

    def take(self, rows: np.ndarray) -> "Clusters":
        """Of some rows, by their places or by a mask; clusters without any of them are gone."""
        return Clusters(self.by, np.unique(self.ids[rows], return_inverse=True)[1])

    def __str__(self) -> str:
        """ "10 participants"."""
        return f"{len(self):,} {self.by}{'s' if len(self) != 1 else ''}"


def clusters_of(predictions: Predictions, split: str, by: str | None = None) -> Clusters:
    """The clusters of a split's rows.

    Args:
        predictions: of a run, all of its splits.
        split: its name.
        by: one of `BY`; None: as `usual_clusters` has it.

    Raises:
        ValueError: no such split, no such clusters, or nothing is known of them.
    """
    rows = predictions.of(split)
    return clustered(rows, by or usual_clusters(rows, people_apart(predictions, split)))


def usual_clusters(rows: Predictions, apart: bool) -> str:
    """What the rows of a split are drawn by.

    Participants where people are kept apart: the figure is then one of new people. Else the model knows the people,
    and is judged on new conversations or recordings of theirs: dialogues, else recordings, where these are known.
    Else participants, where they are known, and else rows.

    Args:
        rows: of the split.
        apart: whether the people of these rows are in no row that learned.
    """
    order = ("participant", "dialogue", "recording") if apart else ("dialogue", "recording", "participant")
    return next((by for by in order if _known(rows, by)), "row")


def people_apart(predictions: Predictions, split: str) -> bool:
    """Whether nobody of a split's rows is in a row that learned: by the protocol, or by the rows themselves."""
    if predictions.facts["protocol"].startswith(PEOPLE_APART):
        return True
    if "train" not in predictions.splits or "participant" not in predictions.table.column_names:
        return False
    columns = (predictions.of(name).table["participant"] for name in (split, "train"))
    judged, learned = (set(column.unique().drop_null().to_pylist()) for column in columns)
    return bool(judged and learned) and judged.isdisjoint(learned)


def clustered(rows: Predictions, by: str) -> Clusters:
    """Rows by a column; one of which that is not known is a cluster of its own.

    Raises:
        ValueError: no such clusters, or nothing is known of them.
    """
    if by not in BY:
        raise ValueError(f"clusters by {by!r}: choose one of {', '.join(BY)}.")
    if by == "row":
        return Clusters(by, np.arange(len(rows)))
    if not _known(rows, by):
        known = [name for name in BY if name == "row" or _known(rows, name)]
        raise ValueError(f"clusters by {by}: these rows have no column {by!r}; choose one of {', '.join(known)}.")
    ids, names = pd.factorize(rows.column(by))
    alone = ids < 0
    ids[alone] = len(names) + np.arange(alone.sum())
    return Clusters(by, ids)


def _known(rows: Predictions, by: str) -> bool:
    """Whether any row has a value in a column."""
    return by in rows.table.column_names and rows.table[by].null_count < len(rows)
