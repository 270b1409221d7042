"""Whether a model's confidence means what it says: how often it is right where it says 0.8, and whether what it is
surer of is righter."""

import numpy as np

from .answers import Answers
from .bootstrap import Draws

BINS = 15
"""Of a reliability diagram, each with as many answers (Nixon et al. 2019, "Measuring Calibration in Deep Learning");
equal confidences stay together."""

STEPS = 50
"""Points of a curve of accuracy over coverage."""


def confidences(answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was said with a probability, and whether it holds: each (answers,).

    Of one label and of shares it is the likeliest label of each row; of several, and of one that is there or not,
    each label of each row whose truth is known.

    Args:
        answers: with probabilities.

    Returns:
        The probabilities; 1 where it is true, 0 where not (of shares, how many raters said so); ids of the rows.
    """
    said, references = answers.probabilities, answers.references
    assert said is not None
    rows = np.arange(len(answers))
    if answers.kind in ("binary", "multi_label"):
        known = ~np.isnan(references)
        places = rows if references.ndim == 1 else np.broadcast_to(rows[:, None], references.shape)
        return said[known], references[known].astype(np.float64), places[known]
    top = said.argmax(axis=1)
    true = references[rows, top] if answers.kind == "soft" else (references == top).astype(np.float64)
    return said[rows, top], true, rows


class Bins:
    """Answers in order of their confidence, parted into bins of equal size.

    Args:
        answers: with probabilities.
        number: of bins, at most.
    """

    def __init__(self, answers: Answers, number: int = BINS):
        said, true, rows = confidences(answers)
        edges = np.unique(np.quantile(said, np.linspace(0, 1, number + 1)[1:-1], method="inverted_cdf"))
        self.shape = (len(answers), len(edges) + 1)
        self._cells = rows * self.shape[1] + np.searchsorted(edges, said)
        self._said, self._true = said, true

    def by_row(self, values: np.ndarray | None = None) -> np.ndarray:
        """Sums of values of the answers, or their number, (rows, bins)."""
        return np.bincount(self._cells, values, minlength=np.prod(self.shape)).reshape(self.shape).astype(np.float64)

    @property
    def number(self) -> np.ndarray:
        """How many answers, (rows, bins)."""
        return self.by_row()

    @property
    def excess(self) -> np.ndarray:
        """By how much the confidence exceeds the truth, summed, (rows, bins)."""
        return self.by_row(self._said - self._true)

    def diagram(self) -> list[list[float]]:
        """Mean confidence, share that is true, and number of answers of each bin that holds some."""
        number, said, true = (self.by_row(v).sum(axis=0) for v in (None, self._said, self._true))
        held = number > 0
        rounded = np.column_stack([said[held] / number[held], true[held] / number[held]]).round(4)
        return [[*pair, int(count)] for pair, count in zip(rounded.tolist(), number[held], strict=True)]


def calibration_error(draws: Draws) -> np.ndarray:
    """Root of the mean squared difference between confidence and truth over bins of equal size (draws,), 0..1.

    The usual estimate is too high: where a model is perfectly calibrated, chance alone parts the two in every bin
    (Roelofs et al. 2022, "Mitigating Bias in Calibration Error Estimation"). A squared mean is the mean product of
    all pairs; without the pairs of a row with itself it has no such bias, which is the debiased estimator of Kumar et
    al. 2019, "Verified Uncertainty Calibration". In a resample a row that was drawn twice is no pair either, so that
    its draws lie around the estimate. Below 0, as chance has it, the figure is 0.
    """
    if draws.answers.probabilities is None:
        return np.full(1, np.nan)
    bins = Bins(draws.answers)
    number, excess = bins.number, bins.excess

    def figure(counts: np.ndarray) -> np.ndarray:
        itself = counts**2
        drawn = counts @ number
        pairs = drawn**2 - itself @ number**2
        products = (counts @ excess) ** 2 - itself @ excess**2
        squared = np.divide(products, pairs, out=np.zeros_like(products), where=pairs > 0)
        return np.sqrt(np.maximum(_share((squared * drawn).sum(axis=1), drawn.sum(axis=1)), 0))

    return draws.by_rows(figure)


class _BySureness:
    """The rows from the surest answer to the least sure, those of one confidence together."""

    def __init__(self, answers: Answers):
        said = answers.probabilities
        assert said is not None
        of_label = np.column_stack([1 - said, said]) if answers.kind == "binary" else said
        sure = of_label[np.arange(len(answers)), answers.predictions]
        self.order = np.argsort(-sure, kind="stable")
        self.wrong = (answers.predictions != answers.references)[self.order]
        self.starts = np.unique(-sure[self.order], return_index=True)[1]

    def risks(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Down to each confidence: answers that were drawn, and the share of wrong ones among them, (draws, ...)."""
        counts = counts.take(self.order, axis=1)
        drawn, wrong = (
            np.add.reduceat(part, self.starts, axis=1).cumsum(axis=1) for part in (counts, counts * self.wrong)
        )
        return drawn, np.divide(wrong, drawn, out=np.zeros_like(wrong), where=drawn > 0)


def area_under_risk(draws: Draws) -> np.ndarray:
    """Mean share of wrong answers among the surest ones, over every coverage (draws,), 0..1.

    The area under the risk-coverage curve of Geifman & El-Yaniv 2017, "Selective Classification for Deep Neural
    Networks"; the confidence of an answer is the probability of what was answered.
    """
    if draws.answers.probabilities is None:
        return np.full(1, np.nan)
    rows = _BySureness(draws.answers)

    def figure(counts: np.ndarray) -> np.ndarray:
        drawn, risks = rows.risks(counts)
        return _share((np.diff(drawn, axis=1, prepend=0) * risks).sum(axis=1), drawn[:, -1])

    return draws.by_rows(figure)


def coverage_curve(answers: Answers) -> list[list[float]]:
    """[share that is answered, accuracy among those] of some shares, the surest answers first."""
    drawn, risks = (part[0] for part in _BySureness(answers).risks(np.ones((1, len(answers)))))
    steps = np.unique(np.searchsorted(drawn, np.linspace(0, len(answers), STEPS + 1)[1:]))
    return np.column_stack([drawn[steps] / len(answers), 1 - risks[steps]]).round(4).tolist()


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where no row was drawn."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
