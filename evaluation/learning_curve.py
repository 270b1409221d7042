"""How good a model gets by how many people it learns from: a family of models, which differ in `split.share` alone.

Every share is judged on the same rows. Whether more people would help is asked of the last step: the figure of all of
them less that of the next smaller share, with an interval of the same resamples.
"""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np

from .bootstrap import interval
from .figures import figures, resampled
from .metrics import METRICS
from .pools import difference, pooled
from .runs import Model, Run


class Learned(TypedDict):
    """How many learned, the mean of the runs."""

    participants: NotRequired[float]
    """Absent where nothing is known of them."""
    rows: float


class Step(Learned):
    """A share of those who learn."""

    share: float
    """0..1"""
    value: float
    """The figure, by the rule of `figures`."""
    interval: NotRequired[list[float]]
    spread: NotRequired[float]
    """Standard deviation over seeds."""


class Gain(TypedDict):
    """What the last step brought: the largest share's figure less that of the one before."""

    value: float
    interval: NotRequired[list[float]]
    """95 %, of whole clusters."""
    helps: bool
    """Whether the interval lies on the better side of 0: more people are likely to help further."""


class LearningCurve(TypedDict):
    """A family of models on one target."""

    model: str
    task: str
    split: str
    metric: str
    steps: list[Step]
    """From the smallest share to the largest; two or more."""
    gain: Gain


def families(models: Sequence[Model]) -> list[list[Model]]:
    """Models by family, from the smallest share to the largest, in the order in which families are first named."""
    found: dict[str, list[Model]] = {}
    for model in models:
        found.setdefault(model.family, []).append(model)
    return [sorted(family, key=lambda model: model.share) for family in found.values()]


def learning_curve(family: Sequence[Model], split: str, task: str | None, metric: str, seed: int = 0) -> LearningCurve:
    """The figure of each share.

    Args:
        family: as `families` gives it, of two models or more.
        split: that judges.
        task: name of the target; None: the main one.
        metric: a key of `METRICS`.
        seed: of the resampling.

    Raises:
        ValueError: as `pools.pooled`; shares that were judged on different rows.
    """
    pools = [pooled(model, split, task) for model in family]
    for model, pool in zip(family[:-1], pools[:-1], strict=True):
        if (where := difference(pools[-1], pool)) is not None:
            raise ValueError(f"{model.name} and {family[-1].name}: {where}; train all shares for the same folds.")
    steps = []
    for model, pool in zip(family, pools, strict=True):
        figure = figures(pool, METRICS[metric], seed=seed)
        if "value" not in figure:
            raise ValueError(f"{METRICS[metric].name} is not defined for {model.name}: choose another --metric.")
        step: Step = {"share": model.share, **_learned(model.runs), "value": figure["value"]}
        if "interval" in figure:
            step["interval"] = figure["interval"]
        if "spread" in figure:
            step["spread"] = figure["spread"]
        steps.append(step)
    larger, smaller = (resampled(pool, METRICS[metric], seed=seed) for pool in (pools[-1], pools[-2]))
    gain: Gain = {"value": steps[-1]["value"] - steps[-2]["value"], "helps": False}
    number = len(pools[-1].clusters)
    if number > 1 and (ends := interval(larger - smaller, groups=number)):
        gain["interval"] = ends
        gain["helps"] = ends[1] < 0 if METRICS[metric].lower_is_better else ends[0] > 0
    return {
        "model": family[-1].name,
        "task": pools[-1].task,
        "split": split,
        "metric": metric,
        "steps": steps,
        "gain": gain,
    }


def _learned(runs: Sequence[Run]) -> Learned:
    parts = [run.predictions.of("train") for run in runs if "train" in run.predictions.splits]
    if not parts:  # the training rows were not asked
        return {"rows": float(np.mean([run.results["data"]["splits"]["train"] for run in runs]))}
    people = [part.column("participant") for part in parts]
    rows = float(np.mean([len(part) for part in parts]))
    counts = [len(np.unique(column)) for column in people if column is not None and None not in column]
    if len(counts) < len(people):
        return {"rows": rows}
    return {"participants": float(np.mean(counts)), "rows": rows}
