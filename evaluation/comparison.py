"""Whether one model is better than another, by what both answered to the same rows.

A pair differs where the permutation test says so after Holm's correction: it exchanges the two models' answers by
whole participant (dialogue, recording) and asks how often the metric then differs as much as it did. All else stands
beside it: how large the difference is and how sure, and what the tests say that other papers report.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from scipy.stats import binomtest, rankdata, t

from .answers import Answers
from .bootstrap import Draws, Exchanges, interval
from .figures import RESAMPLES, Figures, by_fold, by_rule, by_seed, figures, resampled
from .metrics import Metric, main_metric, metrics_of
from .pools import Pool, difference, pooled
from .runs import open_models

EXCHANGES = 4999

LEVEL = 0.05
"""Of all pairs together, the probability to call any difference where there is none."""


class McNemar(TypedDict):
    """Rows that one of two models alone has right; exact binomial test (McNemar 1947), as if rows were independent."""

    first_alone: int
    second_alone: int
    p: float


class ResampledT(TypedDict):
    """Corrected resampled t-test over folds and seeds (Nadeau & Bengio 2003, Machine Learning 52): their training rows
    overlap, so that the variance is made larger by judged rows over rows that learned."""

    t: float
    degrees: int
    p: float


class Pair(TypedDict):
    """Two models. Differences are the first's figure less the second's."""

    first: str
    second: str
    difference: float
    interval: NotRequired[list[float]]
    """[low, high], 95 %, bootstrap of whole clusters, the same for both models; not of a single cluster."""
    p: float
    """Of the permutation test."""
    p_holm: float
    """The same after the correction of Holm 1979 for the number of pairs: below `LEVEL` there is a difference."""
    exact: bool
    """Whether all exchanges were made; else so many as `EXCHANGES`, drawn at random."""
    effect_size: NotRequired[float]
    """d_z: the difference over the standard deviation of the clusters' own differences (Cohen 1988; Lakens 2013,
    Frontiers in Psychology 4), which is taken from the bootstrap, so that it holds for any metric."""
    mcnemar: NotRequired[dict[str, McNemar]]
    """By seed; of one label a row."""
    resampled_t: NotRequired[ResampledT]
    """Where there are several folds or seeds."""
    better: str | None
    """The better model; None: no difference is shown."""


class Comparison(TypedDict):
    """Models on the same rows, by one metric."""

    metric: str
    task: str
    split: str
    models: list[Figures]
    pairs: list[Pair]
    notes: list[str]
    """What could not be said, and why."""
    synthetic: NotRequired[bool]
    """Of runs, whether people were rendered."""


def compare(
    pools: Sequence[Pool], metric: str, *, seed: int = 0, resamples: int = RESAMPLES, exchanges: int = EXCHANGES
) -> Comparison:
    """Figures of each model, and every pair of them.

    Args:
        pools: the models' rows, which have to be the same; one is allowed, of which there is no pair.
        metric: a key of `METRICS`.
        seed: of resampling and exchanges.
        resamples: of the bootstrap.
        exchanges: of the permutation test; where there are no more in all, every one is made.

    Raises:
        ValueError: rows, folds, labels, truths or seeds that differ; a metric of another kind, or that is not
            defined.
    """
    found = metric_for(pools[0], metric)
    for other in pools[1:]:
        check_comparable(pools[0], other)
    models = [figures(pool, found, seed=seed, resamples=resamples) for pool in pools]
    if undefined := [model["model"] for model in models if "value" not in model]:
        raise ValueError(f"{found.name} is not defined for {', '.join(undefined)}: choose another --metric.")
    draws = [resampled(pool, found, seed=seed, resamples=resamples) for pool in pools] if len(pools) > 1 else []
    places = list(itertools.combinations(range(len(pools)), 2))
    pairs = [_pair(pools[i], pools[j], found, draws[i] - draws[j], seed, exchanges) for i, j in places]
    for pair, corrected in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = corrected
        if corrected < LEVEL:
            first = (pair["difference"] > 0) != found.lower_is_better
            pair["better"] = pair["first"] if first else pair["second"]
    return {
        "metric": metric,
        "task": pools[0].task,
        "split": pools[0].split,
        "models": models,
        "pairs": pairs,
        "notes": _notes(pools, len(pairs)),
    }


def compare_runs(
    paths: Sequence[str | Path],
    *,
    metric: str | None = None,
    task: str | None = None,
    split: str | None = None,
    by: str | None = None,
    seeds: int | None = None,
    shared: bool = False,
) -> Comparison:
    """Compare the models of runs on disk.

    Args:
        paths: folders of runs, and folders of such, as for `runs.open_models`.
        metric: a key of `METRICS`; None: the first that curves show for the kind of the target.
        task: name of the target; None: the main one.
        split: its name; None: test, and where there is none validation.
        by: what is drawn and exchanged as a whole, one of `clusters.BY`; None: by the rule of `clusters`.
        seeds: use the first so many of each model; None: all.
        shared: compare the rows that all models judged, where they did not judge the same.

    Raises:
        FileNotFoundError, ValueError: as `runs.open_models`, `pools.pooled` and `compare`.
    """
    models = open_models(paths)
    if split is None:
        tested = all("test" in run.predictions.splits for model in models for run in model.runs)
        split = "test" if tested else "validation"
    pools = [pooled(model, split, task, by, seeds) for model in models]
    pools = shared_rows(pools) if shared else pools
    found = compare(pools, metric or main_metric(pools[0].first.kind))
    found["synthetic"] = any(run.predictions.facts["synthetic"] for model in models for run in model.runs)
    return found


def metric_for(pool: Pool, name: str) -> Metric:
    """A metric of the table; ValueError where it does not judge this kind of target."""
    known = metrics_of(pool.first.kind)
    if name not in known:
        raise ValueError(f"--metric {name}: {pool.task} is judged by {', '.join(known)}.")
    return known[name]


def check_comparable(one: Pool, other: Pool) -> None:
    """ValueError that says in what two models' rows, or their seeds, differ."""
    if one.split != other.split or one.clusters.by != other.clusters.by:
        said = [f"{pool.split} by {pool.clusters.by}" for pool in (one, other)]
        raise ValueError(f"{one.name} and {other.name}: {said[0]} and {said[1]}; give --split and --by.")
    if (where := difference(one, other)) is not None:
        raise ValueError(
            f"{one.name} and {other.name} cannot be compared: {where}. Train both on the same data, with the same "
            "split, folds and targets, or compare the rows that both have, by --shared-rows."
        )
    if len(one.answers) != len(other.answers):
        counts = len(one.answers), len(other.answers)
        raise ValueError(
            f"{one.name} has {counts[0]} seeds and {other.name} {counts[1]}: train the others, or compare the first "
            f"{min(counts)} of each, by --seeds {min(counts)}."
        )


def shared_rows(pools: Sequence[Pool]) -> list[Pool]:
    """The rows that all models judged; how many are left out is noted.

    Raises:
        ValueError: there is none.
    """
    keys = pools[0].keys
    for pool in pools[1:]:
        keys = np.intersect1d(keys, pool.keys)
    if not len(keys):
        raise ValueError(
            f"{' and '.join(pool.name for pool in pools)} judged no row in common: train on the same data."
        )
    kept = [pool.take(np.flatnonzero(np.isin(pool.keys, keys))) for pool in pools]
    return [
        part.noting(f"{len(pool) - len(part):,} rows are left out, which another model lacks")
        if len(part) < len(pool)
        else part
        for part, pool in zip(kept, pools, strict=True)
    ]


def permutation(one: Pool, other: Pool, metric: Metric, *, seed: int, exchanges: int) -> tuple[float, bool]:
    """p of the difference of two models, two-sided, and whether it is exact.

    Of random exchanges, what was observed counts as one of them (Phipson & Smyth 2010), so that p is never 0. Seeds
    are exchanged together, in their order.

    Args:
        one, other: on the same rows.
        metric: of the table.
        seed: of the exchanges.
        exchanges: how many.
    """
    clusters, units = one.clusters.ids, len(one.clusters)

    def drawing(pair: tuple[Answers, Answers], of_second: bool) -> Callable[[np.ndarray], Draws]:
        def draw(rows: np.ndarray) -> Draws:
            first, second = (_ranked(part.take(rows)) if metric.ranks else part.take(rows) for part in pair)
            return Exchanges(first, second, seed, exchanges, clusters[rows], units, of_second=of_second)

        return draw

    def figure(of_second: bool) -> np.ndarray:
        answers = zip(one.answers.values(), other.answers.values(), strict=True)
        return np.mean([by_rule(one, metric, drawing(both, of_second)) for both in answers], axis=0)

    exchanged = np.abs(figure(False) - figure(True))
    observed = abs(_mean(by_seed(one, metric)) - _mean(by_seed(other, metric)))
    extreme = int((~(exchanged < observed - 1e-12)).sum())  # also where the metric is not defined
    exact = 2**units <= exchanges
    return (extreme / len(exchanged) if exact else (1 + extreme) / (1 + len(exchanged))), exact


def mcnemar(one: Answers, other: Answers) -> McNemar:
    """Of two models' ids to the same rows."""
    right = [answers.predictions == answers.references for answers in (one, other)]
    first, second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    p = binomtest(first, first + second).pvalue if first + second else 1.0
    return {"first_alone": first, "second_alone": second, "p": float(p)}


def resampled_t(differences: np.ndarray, test_to_train: float) -> ResampledT | None:
    """Of the differences of each fold and seed; None: there is but one, or they do not vary.

    Args:
        differences: (number,).
        test_to_train: judged rows over rows that learned.
    """
    number = len(differences)
    if number < 2 or (variance := differences.var(ddof=1)) <= 1e-24:
        return None
    value = differences.mean() / np.sqrt((1 / number + test_to_train) * variance)
    return {"t": float(value), "degrees": number - 1, "p": float(2 * t.sf(abs(value), number - 1))}


def holm(p: Sequence[float]) -> list[float]:
    """p of several tests, corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def _pair(one: Pool, other: Pool, metric: Metric, draws: np.ndarray, seed: int, exchanges: int) -> Pair:
    """All but the correction. `draws` are resamples of the difference."""
    number, observed = len(one.clusters), _mean(by_seed(one, metric)) - _mean(by_seed(other, metric))
    p, exact = permutation(one, other, metric, seed=seed, exchanges=exchanges)
    pair: Pair = {
        "first": one.name,
        "second": other.name,
        "difference": observed,
        "p": p,
        "p_holm": p,
        "exact": exact,
        "better": None,
    }
    if number > 1 and (ends := interval(draws, groups=None if one.clusters.by == "row" else number)):
        pair["interval"] = ends
        spread = np.nanstd(draws) * number / np.sqrt(number - 1)
        if spread > 1e-12:
            pair["effect_size"] = float(observed / spread)
    if one.first.kind in ("single_label", "binary"):
        both = zip(one.answers.items(), other.answers.values(), strict=True)
        pair["mcnemar"] = {str(seed): mcnemar(answers, others) for (seed, answers), others in both}
    differences = (by_fold(one, metric) - by_fold(other, metric)).ravel()
    if one.test_to_train and (tested := resampled_t(differences[np.isfinite(differences)], one.test_to_train)):
        pair["resampled_t"] = tested
    return pair


def _ranked(answers: Answers) -> Answers:
    """Probabilities as ranks: what orders rows has no scale, and answers of two models are set beside each other."""
    return replace(answers, probabilities=rankdata(answers.probabilities, axis=0))


def _mean(values: dict[int, float]) -> float:
    return float(np.mean(list(values.values())))


def _notes(pools: Sequence[Pool], pairs: int) -> list[str]:
    """What a reader of the pairs has to know."""
    if not pairs:
        return ["one model, and so nothing to compare it with"]
    clusters, kind = pools[0].clusters, pools[0].first.kind
    notes, least = [], pairs * 2.0 ** (1 - len(clusters))
    if least >= LEVEL:
        notes.append(
            f"{clusters} {'is' if len(clusters) == 1 else 'are'} too few: no p below {min(1, least):.2g} is "
            "possible, so no difference can be shown"
        )
    if kind not in ("single_label", "binary"):
        notes.append("no McNemar's test, which takes one label a row")
    if len(np.unique(pools[0].folds)) * len(pools[0].answers) == 1:
        notes.append("no resampled t-test, which takes several folds or seeds")
    elif any(pool.test_to_train is None for pool in pools):
        notes.append("no resampled t-test, as it is not known how many rows learned")
    return notes
