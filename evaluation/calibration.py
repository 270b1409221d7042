"""Temperature and thresholds, fitted on rows that no weights were fitted on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from .answers import THRESHOLD, Answers, Calibration, Kind, from_outputs, known_rows

LEAST_ROWS = 20
"""With fewer known rows nothing is fitted."""

LEAST_OF_LABEL = 5
"""Rows with a label, and rows without it, below which its threshold stays 0.5."""

SLACK = 0.5
"""Standard errors of an F1, roughly that of a share of so many rows, by which a threshold may be worse than the best:
after the rule of one standard error for pruned trees (Breiman et al. 1984)."""

TEMPERATURES = (0.05, 20.0)
"""Bounds: where every row is answered rightly, the likelihood alone would have 0."""


def fit(kind: Kind, references: ArrayLike, outputs: ArrayLike, labels: Sequence[str]) -> Calibration | None:
    """Temperature, and of several labels and of a binary target thresholds; None: a number, or too few known rows.

    The temperature is the one of least NLL (Guo et al. 2017, "On Calibration of Modern Neural Networks"); one for all
    labels. A threshold is, at that temperature, the one of highest F1 of its label, of a binary target of highest
    macro F1 of its two classes, halfway between two probabilities that occur. Of those within half a standard error
    of the best, it is the nearest to 0.5, as the best of few rows is so by chance; and a label that fewer than 5 rows
    have, or lack, keeps 0.5.

    Args:
        kind, references, outputs, labels: as for `answers.from_outputs`.

    Raises:
        ValueError: as `answers.from_outputs`.
    """
    known = known_rows(kind, references)
    if kind == "regression" or known.sum() < LEAST_ROWS:
        return None
    answers = from_outputs(kind, references, outputs, labels)
    found: Calibration = {"temperature": _temperature(answers, np.asarray(outputs, dtype=np.float64)[known])}
    if kind in ("binary", "multi_label"):
        found["thresholds"] = _thresholds(from_outputs(kind, references, outputs, labels, found))
    return found


def _temperature(answers: Answers, logits: np.ndarray) -> float:
    """That of logits (rows, outputs) of the same rows."""
    true = answers.references

    def likelihood(scale: float) -> float:
        """Mean log probability of the truth; of the logits, as probabilities would be rounded to 0 and 1."""
        if answers.kind in ("binary", "multi_label"):
            scaled = scale * logits.reshape(true.shape)
            return log_expit(np.where(true == 1, scaled, -scaled)[~np.isnan(true)]).mean()
        shares = np.eye(len(answers.labels))[true] if answers.kind == "single_label" else true
        return (shares * log_softmax(scale * logits, axis=1)).sum(axis=1).mean()

    found = minimize_scalar(
        lambda log: -likelihood(np.exp(-log)), bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-4}
    )
    return round(float(np.exp(found.x)), 4)


def _thresholds(answers: Answers) -> list[float]:
    assert answers.probabilities is not None
    said, true = (np.atleast_2d(part.T).T for part in (answers.probabilities, answers.references))
    return [_threshold(*pair, both=answers.kind == "binary") for pair in zip(said.T, true.T, strict=True)]


def _threshold(said: np.ndarray, true: np.ndarray, both: bool) -> float:
    """That of one label, of probabilities and marks (rows,), NaN unknown; `both`: by the F1 of its absence too."""
    positives, negatives = np.sort(said[true == 1]), np.sort(said[true == 0])
    if min(len(positives), len(negatives)) < LEAST_OF_LABEL:
        return THRESHOLD
    values = np.unique(np.concatenate([[0], positives, negatives, [1]]))
    cuts = (values[1:] + values[:-1]) / 2
    missed, rejected = (np.searchsorted(part, cuts, side="right") for part in (positives, negatives))
    hits, wrong = len(positives) - missed, len(negatives) - rejected
    quality = 2 * hits / (2 * hits + missed + wrong)
    if both:
        quality = (quality + 2 * rejected / (2 * rejected + missed + wrong)) / 2
    best = quality.max()
    slack = SLACK * np.sqrt(best * (1 - best) / (min(len(positives), len(negatives)) if both else len(positives)))
    good = cuts[quality >= best - slack - 1e-12]
    return round(float(good[np.argmin(abs(good - THRESHOLD))]), 6)
