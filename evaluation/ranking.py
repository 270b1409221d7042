"""How well probabilities rank rows: the area under the ROC curve, and average precision."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from .answers import Answers
from .bootstrap import CELLS, Draws

FEW_GROUPS = 1000
"""Up to so many, a table of each two of them is smaller and faster than the rows of each draw."""

Figure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of positives and negatives (draws, scores), at each score from the highest to the lowest, to (draws,)."""


def area_under_roc(draws: Draws) -> np.ndarray:
    """Share of the pairs, one row with a label and one without, that are ranked rightly (draws,).

    Ties count half (Mann & Whitney 1947). Of several labels, and of one of several (each against all others), it is
    the mean over those that a draw holds both with and without: one label that a draw lacks says nothing. Of a draw of
    groups the pairs of each two groups are counted once, whatever is drawn.
    """
    if draws.groups is not None and draws.units <= FEW_GROUPS:
        return _area_by_groups(draws, draws.groups)

    def ranked(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        below = negatives.sum(axis=1, keepdims=True) - negatives.cumsum(axis=1)
        return (positives * (below + negatives / 2)).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1))

    return _mean_over_labels(draws, ranked)


def average_precision(draws: Draws) -> np.ndarray:
    """Precision at each score, weighted by how much recall grows there (draws,); over labels as `area_under_roc`.

    The area under the curve of precision over recall, as scikit-learn has it: without interpolation.
    """

    def ranked(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        found = positives.cumsum(axis=1)
        precision = found / np.maximum(found + negatives.cumsum(axis=1), 1)
        return (positives * precision).sum(axis=1) / found[:, -1]

    return _mean_over_labels(draws, ranked)


def _area_by_groups(draws: Draws, groups: np.ndarray) -> np.ndarray:
    """`area_under_roc` of draws of groups (draws,)."""
    tables = [_pairs(*label, groups, draws.units) for label in _labels(draws.answers)]
    if not tables:
        return np.full(1, np.nan)
    found = [[] for _ in tables]
    for counts in draws.counts():
        for areas, (right, positives, negatives) in zip(found, tables, strict=True):
            pairs = (counts @ positives) * (counts @ negatives)
            ranked = ((counts @ right) * counts).sum(axis=1)
            areas.append(np.divide(ranked, pairs, out=np.full(len(counts), np.nan), where=pairs > 0))
    areas = np.array([np.concatenate(of) for of in found])  # (labels, draws)
    defined = np.isfinite(areas).sum(axis=0)
    return np.divide(np.nansum(areas, axis=0), defined, out=np.full(len(defined), np.nan), where=defined > 0)


def _pairs(
    scores: np.ndarray, positive: np.ndarray, negative: np.ndarray, groups: np.ndarray, units: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many pairs of each two groups are ranked rightly, and the groups' rows with and without a label.

    Returns:
        (units, units): a row with the label in the first, one without in the second, ties as half; twice (units,).
    """
    ranks = np.unique(scores, return_inverse=True)[1]
    order = np.argsort(ranks, kind="stable")
    with_it, without = (np.bincount(groups[rows], minlength=units).astype(float) for rows in (positive, negative))
    right, below = np.zeros((units, units)), np.zeros(units)
    ends = np.searchsorted(ranks[order], np.arange(ranks.max() + 2)) if len(ranks) else np.zeros(1, dtype=int)
    step = max(1, CELLS // units)
    start = 0
    while start < len(order):  # whole scores at once
        stop = ends[min(np.searchsorted(ends, start + step, side="right"), len(ends) - 1)]
        rows = order[start:stop]
        levels = ranks[rows] - ranks[rows[0]]
        shape = (int(levels[-1]) + 1, units)
        there = [
            csr_array((chosen[rows].astype(float), (levels, groups[rows])), shape) for chosen in (positive, negative)
        ]
        lower = there[1].toarray()
        right += there[0].T @ (below + lower.cumsum(axis=0) - lower / 2)
        below += lower.sum(axis=0)
        start = stop
    return right, with_it, without


def _mean_over_labels(draws: Draws, figure: Figure) -> np.ndarray:
    """The mean of a figure over the labels that a draw holds both with and without (draws,), NaN where there is none.

    Each label is ranked once, whatever is drawn.
    """
    ranked = [_Ranking(*label) for label in _labels(draws.answers)]
    ranked = [ranking for ranking in ranked if ranking.positive.any() and ranking.negative.any()]
    if not ranked:
        return np.full(1, np.nan)

    def each(counts: np.ndarray) -> np.ndarray:
        total, defined = np.zeros(len(counts)), np.zeros(len(counts))
        for ranking in ranked:
            positives, negatives = ranking.drawn(counts)
            held = positives.any(axis=1) & negatives.any(axis=1)
            total[held] += figure(positives[held], negatives[held])
            defined += held
        return np.divide(total, defined, out=np.full(len(counts), np.nan), where=defined > 0)

    return draws.by_rows(each)


def _labels(answers: Answers) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each label its probabilities, and which rows have it and which do not, bool; each (rows,)."""
    scores, references = answers.probabilities, answers.references
    if scores is None:
        return []
    if answers.kind == "single_label":
        return [(scores[:, i], references == i, references != i) for i in range(len(answers.labels))]
    scores, references = scores.reshape(len(scores), -1), references.reshape(len(references), -1)
    return [(scores[:, i], references[:, i] == 1, references[:, i] == 0) for i in range(scores.shape[1])]


class _Ranking:
    """The rows by falling score, those of one score together."""

    def __init__(self, scores: np.ndarray, positive: np.ndarray, negative: np.ndarray):
        self.order = np.argsort(-scores, kind="stable")
        self.positive, self.negative = positive[self.order], negative[self.order]
        self.starts = np.unique(-scores[self.order], return_index=True)[1]

    def drawn(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How often rows with the label, and without, were drawn at each score, each (draws, scores)."""
        counts = counts.take(self.order, axis=1)
        both = counts * self.positive, counts * self.negative
        if len(self.starts) == len(self.order):
            return both
        positives, negatives = (np.add.reduceat(part, self.starts, axis=1) for part in both)
        return positives, negatives
