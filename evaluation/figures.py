"""How folds and seeds become one figure.

Of each seed, the held-out rows of all folds are pooled, and the metric is computed over the pool (Forman & Scholz
2010, "Apples-to-Apples in Cross-Validation Studies", SIGKDD Explorations 12: a mean of folds' F1 is biased, most of
all where a class is rare). Metrics that set rows against one another by their outputs (`Metric.pooled` is False) are
the mean of folds instead. The figure is the mean over seeds, and its spread their standard deviation. Its interval
draws whole clusters of the pool, the same for all seeds.
"""

from collections.abc import Callable
from functools import partial
from typing import NotRequired, TypedDict

import numpy as np

from .answers import Answers
from .bootstrap import Draws, Each, interval
from .metrics import Metric
from .pools import Pool

RESAMPLES = 2000


class ParticipantFigure(TypedDict):
    """Of one person."""

    value: float
    rows: int


class Figures(TypedDict):
    """One metric of a model, by the rule of this module; what is not defined is absent."""

    model: str
    value: NotRequired[float]
    interval: NotRequired[list[float]]
    """[low, high], 95 %, over whole clusters."""
    interval_by_row: NotRequired[list[float]]
    """As if rows were independent: too narrow; only beside clusters."""
    by_seed: dict[str, float]
    spread: NotRequired[float]
    """Standard deviation over seeds; only of several."""
    by_fold: dict[str, float]
    """Mean over seeds."""
    mean_of_folds: NotRequired[float]
    spread_of_folds: NotRequired[float]
    """Standard deviation over folds; only of several."""
    by_participant: dict[str, ParticipantFigure]
    """Mean over seeds."""
    clusters: dict[str, str | int]
    """by, number."""
    rows: int
    notes: list[str]


def by_rule(pool: Pool, metric: Metric, draw: Callable[[np.ndarray], Draws]) -> np.ndarray:
    """A metric over the pool, or the mean of its folds, of each draw (draws,).

    In a mean of folds a fold counts by how many of its rows were drawn; one in which the metric is not defined, as
    that of a single class, does not count.

    Args:
        pool: whose folds they are.
        metric: of the table.
        draw: draws of some rows, by their places.
    """
    if metric.pooled:
        return metric.of(draw(np.arange(len(pool))))
    folds = [np.flatnonzero(pool.folds == fold) for fold in np.unique(pool.folds)]
    parts = [draw(rows) for rows in folds]
    weights = np.stack([part.rows / len(rows) for part, rows in zip(parts, folds, strict=True)])
    values = np.stack([np.broadcast_to(metric.of(part), part.rows.shape) for part in parts])
    weights = np.where(np.isfinite(values), weights, 0)
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(values) * weights).sum(axis=0) / weights.sum(axis=0)


def by_seed(pool: Pool, metric: Metric) -> dict[int, float]:
    """Seed -> the figure."""
    return {
        seed: float(by_rule(pool, metric, lambda rows, given=answers: Draws(given.take(rows)))[0])
        for seed, answers in pool.answers.items()
    }


def resampled(
    pool: Pool, metric: Metric, *, seed: int, resamples: int = RESAMPLES, by_row: bool = False
) -> np.ndarray:
    """The figure, mean over seeds, of resamples of whole clusters (resamples,).

    The same rows and seed give the same resamples, whatever was answered: two models' are paired.

    Args:
        pool: the rows.
        metric: of the table.
        seed: of the resampling.
        resamples: how many.
        by_row: draw rows, and not clusters.
    """
    groups = np.arange(len(pool)) if by_row else pool.clusters.ids
    units = len(pool) if by_row else len(pool.clusters)

    def draw(answers: Answers) -> Callable[[np.ndarray], Draws]:
        return lambda rows: Draws(answers.take(rows), seed, resamples, groups[rows], units)

    return np.mean([by_rule(pool, metric, draw(answers)) for answers in pool.answers.values()], axis=0)


def figures(pool: Pool, metric: Metric, *, seed: int = 0, resamples: int = RESAMPLES) -> Figures:
    """One metric of a model.

    Args:
        pool: of the model.
        metric: of the table.
        seed: of the resampling.
        resamples: how many.
    """
    seeds, folds = by_seed(pool, metric), by_fold(pool, metric).mean(axis=1)
    value = float(np.mean(list(seeds.values())))
    found: Figures = {
        "model": pool.name,
        "by_seed": _finite({str(name): value for name, value in seeds.items()}),
        "by_fold": _finite(dict(zip(map(str, np.unique(pool.folds)), folds.tolist(), strict=True))),
        "by_participant": by_participant(pool, metric),
        "clusters": {"by": pool.clusters.by, "number": len(pool.clusters)},
        "rows": len(pool),
        "notes": list(pool.notes),
    }
    if np.isfinite(value):
        found["value"] = value
        if len(seeds) > 1:
            found["spread"] = float(np.std(list(seeds.values()), ddof=1))
    draws, number = partial(resampled, pool, metric, seed=seed, resamples=resamples), len(pool.clusters)
    rows_alone = pool.clusters.by == "row"
    if (rows_alone or number > 1) and (ends := interval(draws(), groups=None if rows_alone else number)):
        found["interval"] = ends
    if not rows_alone and (ends := interval(draws(by_row=True))):
        found["interval_by_row"] = ends
    defined = folds[np.isfinite(folds)]
    if len(folds) > 1 and len(defined):
        found["mean_of_folds"] = float(np.mean(defined))
    if len(defined) > 1:
        found["spread_of_folds"] = float(np.std(defined, ddof=1))
    if 0 < len(defined) < len(folds):
        undefined = np.unique(pool.folds)[~np.isfinite(folds)]
        found["notes"].append(f"{metric.name} is not defined in fold {', '.join(map(str, undefined))}")
    return found


def _finite(values: dict[str, float]) -> dict[str, float]:
    """Those that are defined."""
    return {name: value for name, value in values.items() if np.isfinite(value)}


def by_fold(pool: Pool, metric: Metric) -> np.ndarray:
    """(folds, seeds), NaN where the metric is not defined."""
    folds = [np.flatnonzero(pool.folds == fold) for fold in np.unique(pool.folds)]
    return np.array(
        [[float(metric.of(Draws(answers.take(rows)))[0]) for answers in pool.answers.values()] for rows in folds]
    )


def by_participant(pool: Pool, metric: Metric) -> dict[str, ParticipantFigure]:
    """Each person's own figure, mean over seeds; without those for whom it is not defined, or of whom no row says."""
    if pool.participants is None:
        return {}
    known = np.flatnonzero(pool.participants != None)  # noqa: E711 - by element
    own = pool.take(known)
    names, ids = np.unique(pool.participants[known].astype(str), return_inverse=True)

    def draw(answers: Answers) -> Callable[[np.ndarray], Draws]:
        return lambda rows: Each(answers.take(rows), groups=ids[rows], units=len(names))

    values = np.mean([by_rule(own, metric, draw(answers)) for answers in own.answers.values()], axis=0)
    rows = np.bincount(ids)
    return {
        str(name): {"value": float(value), "rows": int(count)}
        for name, value, count in zip(names, np.broadcast_to(values, len(names)), rows, strict=True)
        if np.isfinite(value)
    }
