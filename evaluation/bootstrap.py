"""What figures are made of: sums over the rows that are judged, and the same sums over draws of a bootstrap."""

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.distance import jensenshannon
from scipy.special import entr, rel_entr
from scipy.stats import norm, t

from .answers import Answers, joined, modes_of

CELLS = 4_000_000
"""Counts that are held in memory at once."""

RESAMPLES = 1000


class Draws:
    """Draws of the rows that are judged: the rows as they are, or the resamples of a bootstrap.

    A resample draws as many units as there are, with replacement (Efron & Tibshirani 1993). A unit is a row, or a
    group of rows that come and go together, such as those of one person. `scipy.stats.bootstrap` hands resampled rows
    to a statistic; here it gets how often each unit was drawn, so that a figure that is made of sums over rows is one
    matrix product for all resamples. For figures of a confusion matrix, drawing rows is a multinomial draw over its
    cells, which takes no row at all.

    The draws are the first axis of whatever it gives, and nothing is drawn or summed before it is asked for.

    Args:
        answers: the rows.
        seed: of the resampling; None: the rows as they are, one draw.
        number: of resamples.
        groups: int (rows,), from 0 on: to which group each row belongs; None: each is its own.
        units: how many units are drawn, some of which may have none of these rows; None: those that have.
    """

    def __init__(
        self,
        answers: Answers,
        seed: int | None = None,
        number: int = RESAMPLES,
        groups: np.ndarray | None = None,
        units: int | None = None,
    ):
        self.answers, self.seed, self.number, self.groups = answers, seed, number, groups
        self.units = units or (len(answers) if groups is None else int(groups.max()) + 1)

    def counts(self) -> Iterator[np.ndarray]:
        """How often each unit was drawn, float (some draws, units), until there are all draws."""
        if self.seed is None:
            yield np.ones((1, self.units))
            return
        rng = np.random.default_rng(self.seed)
        for done in range(0, self.number, at_once := self._at_once):
            yield _counts(rng, self.units, min(at_once, self.number - done))

    @property
    def _at_once(self) -> int:
        """How many draws are made at once."""
        return max(1, CELLS // max(len(self.answers), self.units))

    def by_rows(self, figure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """A figure of how often each row was drawn.

        Args:
            figure: from counts, float (some draws, rows), to (some draws, ...).
        """
        groups = slice(None) if self.groups is None else self.groups
        return np.concatenate([figure(counts[:, groups]) for counts in self.counts()])

    @cached_property
    def rows(self) -> np.ndarray:
        """How many rows were drawn (draws,)."""
        groups = np.arange(len(self.answers)) if self.groups is None else self.groups
        sizes = np.bincount(groups, minlength=self.units).astype(np.float64)
        return np.concatenate([counts @ sizes for counts in self.counts()])

    def total(self, name: str) -> np.ndarray:
        """A sum over the drawn rows, (draws,) or (draws, labels): `of_each_row` says of what."""
        return self._totals[name]

    def mean(self, name: str) -> np.ndarray:
        """`total` over the number of rows that were drawn; NaN where none was."""
        with np.errstate(invalid="ignore"):
            return (self._totals[name].T / self._totals["rows"]).T

    @cached_property
    def _totals(self) -> dict[str, np.ndarray]:
        """All sums of the kind, in one pass."""
        parts: dict[str, np.ndarray] = {"rows": np.ones(len(self.answers))} | of_each_row(self.answers)
        columns = {name: part if part.ndim == 2 else part[:, None] for name, part in parts.items()}
        table = np.concatenate(list(columns.values()), axis=1).astype(np.float64)
        if self.groups is not None:
            table = _grouping(self.groups, np.arange(len(table)), (self.units, len(table))) @ table
        sums = np.concatenate([counts @ table for counts in self.counts()])
        ends = np.cumsum([part.shape[1] for part in columns.values()])
        split = dict(zip(columns, np.split(sums, ends[:-1], axis=1), strict=True))
        return {name: split[name] if part.ndim == 2 else split[name][:, 0] for name, part in parts.items()}

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """References and predictions (cells,) that occur together, and how often they do (draws, cells)."""
        (references, predictions), labels = self.answers.pairs, len(self.answers.labels)
        places, cells, counts = np.unique(references * labels + predictions, return_inverse=True, return_counts=True)
        if self.groups is not None:
            groups = self.groups if self.answers.modes is None else self.groups[modes_of(self.answers.references) >= 0]
            table = _grouping(groups, cells, (self.units, len(places)))
            draws = np.concatenate([counts @ table for counts in self.counts()])
        elif self.seed is None or not len(references):
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


class Each(Draws):
    """Each group by itself: a draw is one of them."""

    def counts(self) -> Iterator[np.ndarray]:
        """1 for the group whose draw it is, else 0: float (some draws, units)."""
        for start in range(0, self.units, at_once := self._at_once):
            yield np.eye(min(at_once, self.units - start), self.units, start)


class Exchanges(Draws):
    """Two models' answers to the same rows, exchanged by whole group: what the first has then, or the second.

    Under the hypothesis that the two are alike, each exchange is as probable as what was observed (approximate
    randomisation: Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses"; Yeh 2000, COLING).

    Args:
        first, second: answers to the same rows.
        seed: of the exchanges.
        number: how many; where there are no more than so many in all, all are made (`exact`).
        groups: int (rows,), as for `Draws`.
        units: how many groups there are.
        of_second: give what the second model has after the exchange.
    """

    def __init__(
        self,
        first: Answers,
        second: Answers,
        seed: int,
        number: int,
        groups: np.ndarray,
        units: int,
        *,
        of_second: bool = False,
    ):
        super().__init__(joined([first, second]), seed, number, np.concatenate([groups, groups + units]), 2 * units)
        self.of_second = of_second

    @property
    def exact(self) -> bool:
        """Whether every exchange is made, the first of them none."""
        return 2 ** (self.units // 2) <= self.number

    def counts(self) -> Iterator[np.ndarray]:
        """Which groups of the first model and then of the second are taken, 0 or 1: float (some draws, units)."""
        groups, start = self.units // 2, 0
        rng = np.random.default_rng(self.seed)
        total = 2**groups if self.exact else self.number
        while start < total:
            some = min(self._at_once, total - start)
            if self.exact:
                taken = np.arange(start, start + some)[:, None] >> np.arange(groups) & 1
            else:
                taken = rng.integers(2, size=(some, groups), dtype=np.int8)
            start += some
            yield np.concatenate([taken, 1 - taken] if self.of_second else [1 - taken, taken], axis=1).astype(float)


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
        distance = jensenshannon(references, predictions, base=2, axis=1)  # pyright: ignore[reportCallIssue]
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


def mean_draws(values: np.ndarray, groups: np.ndarray, seed: int, number: int = RESAMPLES) -> np.ndarray:
    """Means of columns over resamples of groups of rows, (draws, columns).

    Args:
        values: float (rows, columns).
        groups: int (rows,), from 0 on: rows that are drawn together, with replacement.
        seed: of the resampling.
        number: of resamples.
    """
    table = np.column_stack([values, np.ones(len(values))])
    units = int(groups.max()) + 1
    sums = _counts(np.random.default_rng(seed), units, number) @ (
        _grouping(groups, np.arange(len(table)), (units, len(table))) @ table
    )
    return sums[:, :-1] / sums[:, -1:]


def interval(values: np.ndarray, confidence: float = 0.95, groups: int | None = None) -> list[float] | None:
    """Percentiles [low, high] of a figure's resamples (draws,), NaN where one has no such figure; None: none has.

    Of few groups the percentiles are too near to each other, and so farther ones are taken: the expanded percentile
    interval of Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69.

    Args:
        values: the figure of each resample.
        confidence: 0..1.
        groups: how many groups were drawn from, at least 2; None: rows were drawn.
    """
    if not np.isfinite(values).any():
        return None
    tail = (1 - confidence) / 2
    if groups is not None:
        tail = float(norm.cdf(np.sqrt(groups / (groups - 1)) * t.ppf(tail, groups - 1)))
    return np.nanquantile(values, [tail, 1 - tail]).tolist()


def _grouping(groups: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """How many rows of each group stand in each column, sparse (groups, columns)."""
    return csr_array((np.ones(len(groups)), (groups, columns)), shape=shape)


def _counts(rng: np.random.Generator, units: int, resamples: int) -> np.ndarray:
    """(resamples, units): how often each unit was drawn, float."""
    draws = rng.integers(units, size=(resamples, units))
    return np.stack([np.bincount(draw, minlength=units) for draw in draws]).astype(np.float64)
