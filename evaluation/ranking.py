"""How well probabilities rank rows: the area under the ROC curve, and average precision."""

from collections.abc import Callable

import numpy as np

from .answers import Answers
from .bootstrap import Draws

Figure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of positives and negatives (draws, scores), at each score from the highest to the lowest, to (draws,)."""


def area_under_roc(draws: Draws) -> np.ndarray:
    """Share of the pairs, one row with a label and one without, that are ranked rightly (draws,).

    Ties count half (Mann & Whitney 1947). Of several labels, and of one of several (each against all others), it is
    the mean over those that a draw holds both with and without: one label that a draw lacks says nothing.
    """

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
        return tuple(np.add.reduceat(part, self.starts, axis=1) for part in both)
