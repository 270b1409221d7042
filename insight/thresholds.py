"""From which quality on a model is judged to be better: its errors by quality, and a threshold where they support one.

```
 validation rows -> quality, errors -> parts by quality (the curve) -> does it err more below some cut? -> threshold
```
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import TypedDict

import numpy as np

from affecthub.evaluation.bootstrap import interval, mean_draws
from affecthub.evaluation.clusters import Clusters, clusters_of
from affecthub.evaluation.errors import Measured, in_words, row_losses
from affecthub.evaluation.predictions import PREDICTIONS_FILE, Predictions, read_predictions
from affecthub.insight.opened import OpenedRun
from affecthub.insight.quality import measure
from affecthub.media.quality import Quality

PARTS = 10
"""Parts of about equal numbers of rows, of which a curve is made."""

CUTS = 3
"""Of the edges between them, the lowest so many may be thresholds: at most three rows in ten are left out."""

FEWEST = 5
"""Rows of a part; a figure of fewer says nothing."""

FEWEST_CLUSTERS = 10
"""Of fewer people, or whatever the rows are drawn by, no threshold is said to be supported."""

CONFIDENCE = 0.95
"""Of all thresholds of a model together, by Bonferroni's correction."""


class Part(TypedDict):
    """Rows of about the same quality."""

    low: float
    high: float
    rows: int
    error: float
    """Mean of `errors_of`."""


class Curve(TypedDict):
    """Errors by one measure of quality."""

    unit: str
    parts: list[Part]
    """From the poorest on."""
    threshold: float | None
    """Below it the model errs more; None: these rows do not support that."""
    difference: list[float] | None
    """By how much, the interval of the mean error below the threshold less that above it."""


class Suggested(TypedDict):
    """What a card says of quality."""

    split: str
    error: str
    """What is meant by an error."""
    clusters: str
    """How many of what the rows are drawn by, as "12 participants"."""
    curves: dict[str, Curve]
    """By the names that `Quality` has."""


def suggest(run: OpenedRun, most: int = 1000) -> Suggested:
    """Errors by quality of the rows of a run's split, and the thresholds that they support.

    Args:
        run: opened, on validation: a threshold is a choice.
        most: rows that are read, evenly spread.

    Raises:
        FileNotFoundError: the run has kept no predictions.
    """
    if not (run.folder / PREDICTIONS_FILE).is_file():
        raise FileNotFoundError(f"{run.folder / PREDICTIONS_FILE}: it is not there; evaluate the run again.")
    all_splits = read_predictions(run.folder)
    predictions, clusters = all_splits.of(run.split), clusters_of(all_splits, run.split)
    task = next(iter(predictions.tasks))
    what, errors = errors_of(predictions, task)
    found = curves_of(measure(run, most), errors, predictions.keys, clusters)
    return Suggested(split=run.split, error=f"{what}, {task}", clusters=str(clusters), curves=found)


def errors_of(predictions: Predictions, task: str) -> tuple[str, np.ndarray]:
    """What is meant by an error, and that of each row (rows,), NaN where nobody knows its truth.

    0 or 1 of labels, the absolute error of a number, the loss of shares.
    """
    kind = predictions.tasks[task]["kind"]
    losses = row_losses(kind, predictions.references(task), predictions.logits(task))
    if kind == "soft":
        return "mean cross-entropy", losses
    if kind == "regression":
        return "mean absolute error", np.sqrt(losses)
    known, answers = np.flatnonzero(np.isfinite(losses)), predictions.answers(task)
    wrong = np.full(len(losses), np.nan)
    wrong[known] = [len(set(in_words(answers, row))) > 1 for row in range(len(known))]
    return "share of wrong answers", wrong


def curves_of(
    measures: Mapping[str, Measured], errors: np.ndarray, keys: list[str], clusters: Clusters
) -> dict[str, Curve]:
    """The curve of each measure that can be a threshold, by its name in `Quality`.

    Args:
        measures: of some rows or all.
        errors: (rows,), NaN where it is not known.
        keys: of the rows.
        clusters: of the rows.
    """
    names = {each.name for each in fields(Quality)}
    measures = {name.replace(" ", "_"): of for name, of in measures.items()}
    measures = {name: of for name, of in measures.items() if name in names}
    confidence = 1 - (1 - CONFIDENCE) / (CUTS * max(len(measures), 1))
    found = {}
    for name, of in measures.items():
        values = np.array([of["rows"].get(key, np.nan) for key in keys])
        known = np.isfinite(values) & np.isfinite(errors)
        if known.any():
            found[name] = _curve(of["unit"], values[known], errors[known], clusters.take(known), confidence)
    return found


def _curve(unit: str, values: np.ndarray, errors: np.ndarray, clusters: Clusters, confidence: float) -> Curve:
    parts = max(min(PARTS, len(values) // FEWEST), 1)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, parts + 1)))
    place = np.clip(np.searchsorted(edges, values, "right") - 1, 0, max(len(edges) - 2, 0))
    curve: list[Part] = [
        {
            "low": float(values[place == part].min()),
            "high": float(values[place == part].max()),
            "rows": int((place == part).sum()),
            "error": float(errors[place == part].mean()),
        }
        for part in np.unique(place)
    ]
    best = None
    for edge in edges[1:-1] if len(clusters) >= FEWEST_CLUSTERS else ():
        below = values < edge
        if below.mean() > CUTS / PARTS or below.sum() < FEWEST:
            continue
        parted = np.column_stack([errors * below, below, errors * ~below, ~below])
        sums = mean_draws(parted, clusters.ids, seed=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            differences = sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]
        ends = interval(differences, confidence, len(clusters))
        if ends is not None and ends[0] > 0 and (best is None or ends[0] > best[1][0]):
            best = float(edge), ends
    threshold, difference = best or (None, None)
    return Curve(unit=unit, parts=curve, threshold=threshold, difference=difference)
