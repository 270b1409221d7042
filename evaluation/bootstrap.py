"""What figures are made of: sums over the rows that are judged, and the same sums over draws of a bootstrap."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import entr, rel_entr

from .answers import Answers

CELLS = 4_000_000
"""Counts that are held in memory at once."""

RESAMPLES = 1000


class Draws:
    """Draws of the rows that are judged: the rows as they are, or the resamples of a bootstrap.

    A resample draws as many rows as there are, with replacement (Efron & Tibshirani 1993). `scipy.stats.bootstrap`
    hands resampled rows to a statistic; here it gets how often each row was drawn, so that a figure that is made of
    sums over rows is one matrix product for all resamples. For figures of a confusion matrix, drawing rows is a
    multinomial draw over its cells, which takes no row at all.

    The draws are the first axis of whatever it gives, and nothing is drawn or summed before it is asked for.

    Args:
        answers: the rows.
        seed: of the resampling; None: the rows as they are, one draw.
        number: of resamples.
    """

    def __init__(self, answers: Answers, seed: int | None = None, number: int = RESAMPLES):
        self.answers, self.seed, self.number = answers, seed, number

    def by_rows(self, figure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """A figure of how often each row was drawn.

        Args:
            figure: from counts, float (some draws, rows), to (some draws, ...).
        """
        rows = len(self.answers)
        if self.seed is None:
            return figure(np.ones((1, rows)))
        rng, at_once = np.random.default_rng(self.seed), max(1, CELLS // rows)
        parts = [min(at_once, self.number - done) for done in range(0, self.number, at_once)]
        return np.concatenate([figure(_counts(rng, rows, part)) for part in parts])

    def total(self, name: str) -> np.ndarray:
        """A sum over the drawn rows, (draws,) or (draws, labels): `of_each_row` says of what."""
        return self._totals[name]

    def mean(self, name: str) -> np.ndarray:
        """`total` over the number of rows."""
        return self._totals[name] / len(self.answers)

    @cached_property
    def _totals(self) -> dict[str, np.ndarray]:
        """All sums of the kind, in one pass."""
        parts = of_each_row(self.answers)
        columns = {name: part if part.ndim == 2 else part[:, None] for name, part in parts.items()}
        table = np.concatenate(list(columns.values()), axis=1).astype(np.float64)
        sums = self.by_rows(lambda counts: counts @ table)
        ends = np.cumsum([part.shape[1] for part in columns.values()])
        split = dict(zip(columns, np.split(sums, ends[:-1], axis=1), strict=True))
        return {name: split[name] if part.ndim == 2 else split[name][:, 0] for name, part in parts.items()}

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """References and predictions (cells,) that occur together, and how often they do (draws, cells)."""
        (references, predictions), labels = self.answers.pairs, len(self.answers.labels)
        places, counts = np.unique(references * labels + predictions, return_counts=True)
        if self.seed is None or not len(references):
            draws = np.repeat(counts[None], 1 if self.seed is None else self.number, axis=0)
        else:
            # a last cell without rows: the seed's draws are then those of the whole matrix, however it is cut
            cut = max(references.max(), predictions.max())
            shares = counts / len(references) if places[-1] == cut * labels + cut else [*(counts / len(references)), 0]
            rng = np.random.default_rng(self.seed)
            draws = rng.multinomial(len(references), shares, size=self.number)[:, : len(counts)]
        return *np.divmod(places, labels), draws

    @cached_property
    def confusions(self) -> np.ndarray:
        """(draws, references, predictions), counts; of one label a row."""
        references, predictions, draws = self._cells
        matrices = np.zeros((len(draws), len(self.answers.labels), len(self.answers.labels)), dtype=np.int64)
        matrices[:, references, predictions] = draws
        return matrices

    @cached_property
    def hits(self) -> np.ndarray:
        """(draws, labels): how often a label is true and predicted."""
        if self.answers.kind == "multi_label":
            return self.total("hits")
        references, predictions, draws = self._cells
        return self._by_label(references, draws * (references == predictions))

    @cached_property
    def support(self) -> np.ndarray:
        """(draws, labels): how often a label is true."""
        if self.answers.kind == "multi_label":
            return self.total("support")
        references, _, draws = self._cells
        return self._by_label(references, draws)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(draws, labels): how often a label is predicted."""
        if self.answers.kind == "multi_label":
            return self.total("predicted")
        _, predictions, draws = self._cells
        return self._by_label(predictions, draws)

    def _by_label(self, ids: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Counts (draws, cells), summed over the cells of each label (draws, labels)."""
        return draws.astype(np.float64) @ np.eye(len(self.answers.labels))[ids]


def of_each_row(answers: Answers) -> dict[str, np.ndarray]:
    """What each row adds to the figures of its kind, by name: (rows,) or (rows, labels).

    Values are counted from the references' mean, so that a far offset costs no digits.
    """
    references, predictions = answers.references, answers.predictions
    if answers.kind == "multi_label":
        known = ~np.isnan(references)
        true, said = references == 1, (predictions == 1) & known
        right = (true == said) & known
        counts = {"known": known.sum(axis=1), "right": right.sum(axis=1), "exact": (right == known).all(axis=1)}
        losses = {name: np.where(known, of, 0).sum(axis=1) for name, of in _losses(answers).items()}
        return {**counts, **losses, "hits": true & said, "support": true, "predicted": said}
    if answers.kind == "regression":
        error, x, y = predictions - references, references - references.mean(), predictions - references.mean()
        moments = {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
        return {"absolute_error": abs(error), "squared_error": error**2, **moments}
    if answers.kind == "soft":
        distance = jensenshannon(references, predictions, base=2, axis=1)
        divergence, among = rel_entr(references, predictions).sum(axis=1), entr(references).sum(axis=1)
        losses = {"log_loss": divergence + among, "squared_error": ((references - predictions) ** 2).sum(axis=1)}
        return {"divergence": divergence, "distance": np.nan_to_num(distance), "among_raters": among, **losses}
    return _losses(answers)


def _losses(answers: Answers) -> dict[str, np.ndarray]:
    """-log of the probability of the truth, and the squared distance to it, each (rows,) or (rows, labels).

    Of ids and marks; none without probabilities. Logarithms are of what float64 can tell from 0, as in scikit-learn.
    """
    if answers.probabilities is None:
        return {}
    said, true = answers.probabilities, answers.references
    if answers.kind == "single_label":
        right = said[np.arange(len(said)), true]
        squares = (said**2).sum(axis=1) - 2 * right + 1
    else:
        right = np.where(true == 1, said, 1 - said)
        squares = (1 - right) ** 2
    return {"log_loss": -np.log(np.maximum(right, np.finfo(np.float64).eps)), "squared_error": squares}


def interval(values: np.ndarray, confidence: float = 0.95) -> list[float] | None:
    """Percentiles [low, high] of a figure's resamples (draws,), NaN where one has no such figure; None: none has."""
    if not np.isfinite(values).any():
        return None
    tail = (1 - confidence) / 2
    return np.nanquantile(values, [tail, 1 - tail]).tolist()


def _counts(rng: np.random.Generator, rows: int, resamples: int) -> np.ndarray:
    """(resamples, rows): how often each row was drawn, float."""
    draws = rng.integers(rows, size=(resamples, rows))
    return np.stack([np.bincount(draw, minlength=rows) for draw in draws]).astype(np.float64)
