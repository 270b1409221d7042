"""Where a model errs: row by row, pair by pair of labels, and for whom, how long and with what.

Everything is made of `predictions.Predictions` of one split, and of one target.
"""

from collections.abc import Iterator, Mapping
from typing import TypedDict

import numpy as np
from scipy.special import log_softmax

from .answers import Answers, Kind, known_rows
from .metrics import METRICS
from .predictions import Predictions
from .scores import headline
from .scores import report as scores_of

QUANTILES = 4
"""Parts of about equal numbers of rows, into which durations are cut."""

FEWEST = 5
"""Rows of a group that is named the worst; a figure of fewer says nothing."""


class WorstRow(TypedDict):
    """A row that a model was sure about, and wrong."""

    key: str
    participant: str | None
    truth: str
    """Label; of several labels those that are true; a number, or shares as "joy 0.67, anger 0.33"."""
    said: str
    """Likewise."""
    loss: float
    """`row_losses` of the row."""


class ConfusedPair(TypedDict):
    """A label that is taken for another."""

    truth: str
    said: str
    rows: int
    share: float
    """Of the rows with this truth, 0..1."""


class GroupFigure(TypedDict):
    """What a metric is for some of the rows."""

    by: str
    """"participant", "label", "duration", "held", or what was measured of the rows."""
    name: str
    rows: int
    figure: float


def row_losses(kind: Kind, references: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """What a model lost by each row (rows,), NaN where nobody knows its truth.

    Args:
        kind: of the target.
        references: as `answers.answers_of` takes them.
        logits: raw outputs (rows, outputs).

    Returns:
        Cross-entropy in nats of one label and of shares (against them), the mean binary cross-entropy of the labels
        that are known, the squared error of a number.
    """
    logits, references = logits.astype(np.float64), references.astype(np.float64)
    known = known_rows(kind, references)
    if kind == "single_label":
        ids = np.where(known, references, 0).astype(int)
        return np.where(known, -log_softmax(logits, axis=1)[np.arange(len(ids)), ids], np.nan)
    if kind == "soft":
        return np.where(known, -(references * log_softmax(logits, axis=1)).sum(axis=1), np.nan)
    if kind == "regression":
        return (references.reshape(len(logits)) - logits[:, 0]) ** 2
    losses = np.logaddexp(0, logits) - references.reshape(logits.shape) * logits
    held = ~np.isnan(losses)
    total = np.where(held, losses, 0).sum(axis=1)
    return np.divide(total, held.sum(axis=1), out=np.full(len(total), np.nan), where=held.any(axis=1))


def worst_rows(predictions: Predictions, task: str, count: int = 20) -> list[WorstRow]:
    """The rows that a model lost most by, the worst first; those that it judged rightly are none of them.

    Args:
        predictions: of one split.
        task: which target.
        count: at most so many.
    """
    references, kind = predictions.references(task), predictions.tasks[task]["kind"]
    places = np.flatnonzero(known_rows(kind, references))
    if not len(places):
        return []
    answers = predictions.answers(task)
    losses = row_losses(kind, references, predictions.logits(task))[places]
    keys, people = predictions.column("key"), predictions.column("participant")
    rows: list[WorstRow] = []
    for known in np.argsort(-losses, kind="stable").tolist():
        truth, said = in_words(answers, known)
        if truth != said:
            row = int(places[known])
            whom = None if people is None else people[row]
            key = str(row if keys is None else keys[row])
            rows.append({"key": key, "participant": whom, "truth": truth, "said": said, "loss": float(losses[known])})
        if len(rows) == count:
            break
    return rows


def in_words(answers: Answers, row: int) -> tuple[str, str]:
    """Truth and answer of one row, so that they are equal where it was judged rightly."""
    kind, labels, true, said = answers.kind, answers.labels, answers.references[row], answers.predictions[row]
    if kind in ("single_label", "binary"):
        return labels[int(true)], labels[int(said)]
    if kind == "regression":
        return f"{true:.3g}", f"{said:.3g}"
    if kind == "multi_label":
        known = ~np.isnan(true)
        return _named(labels, (true == 1) & known), _named(labels, (said == 1) & known)
    return _shares(labels, true), _shares(labels, said)


def confused_pairs(predictions: Predictions, task: str, count: int = 10) -> list[ConfusedPair]:
    """Pairs of labels that a model takes for each other, the most frequent first; of one label a row.

    Args:
        predictions: of one split.
        task: which target; of several labels and of numbers there are no pairs.
        count: at most so many.
    """
    report = scores_of(predictions.answers(task))
    if "confusion_matrix" not in report:
        return []
    matrix, labels = np.array(report["confusion_matrix"]), predictions.tasks[task]["labels"]
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[: min(count, int((wrong > 0).sum()))]
    return [
        {
            "truth": labels[true],
            "said": labels[said],
            "rows": int(wrong[true, said]),
            "share": float(wrong[true, said] / matrix[true].sum()),
        }
        for true, said in zip(*np.unravel_index(order, wrong.shape), strict=True)
    ]


class Measured(TypedDict):
    """Something that was measured of rows, such as how loud they are."""

    unit: str
    rows: dict[str, float]
    """Key -> value, of some rows or all."""


def by_group(
    predictions: Predictions, task: str, metric: str, measures: Mapping[str, Measured] | None = None
) -> list[GroupFigure]:
    """A metric of each participant, label, span of durations and of other measures, and of what the rows held.

    Args:
        predictions: of one split.
        task: which target.
        metric: a key of `metrics.METRICS`.
        measures: by name; None: there are none.
    """
    found = []
    for by, name, rows in [*_groups(predictions, task), *_by_measure(predictions, measures or {})]:
        part = predictions.take(rows)
        if known_rows(predictions.tasks[task]["kind"], part.references(task)).any():
            report = scores_of(part.answers(task))
            if metric in (figures := headline(report)):
                found.append(GroupFigure(by=by, name=name, rows=report["rows"], figure=figures[metric]))
    return found


def worst_group(figures: list[GroupFigure], metric: str) -> GroupFigure | None:
    """The group of `FEWEST` rows or more with the worst figure; None: there is none.

    Args:
        figures: of groups of one sort.
        metric: of which they are.
    """
    large = [of for of in figures if of["rows"] >= FEWEST]
    sign = 1 if METRICS[metric].lower_is_better else -1
    return max(large, key=lambda of: sign * of["figure"], default=None)


def durations(predictions: Predictions) -> np.ndarray | None:
    """How long each row's clip is, s (rows,), NaN where that is not known; None: of no row."""
    ends = predictions.column("clip_end")
    if ends is None or all(end is None for end in ends):
        return None
    starts = predictions.column("clip_start")
    begun = np.zeros(len(ends)) if starts is None else np.array([start or 0.0 for start in starts])
    return np.array([np.nan if end is None else end for end in ends], dtype=float) - begun


def _groups(predictions: Predictions, task: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """What is grouped by, the group's name, and its rows, bool (rows,)."""
    people = predictions.column("participant")
    if people is not None:
        for name in sorted({name for name in people if name is not None}):
            yield "participant", str(name), people == name
    kind, labels = predictions.tasks[task]["kind"], predictions.tasks[task]["labels"]
    references = predictions.references(task)
    if kind == "single_label":
        for i, label in enumerate(labels):
            yield "label", label, references == i
    seconds = durations(predictions)
    if seconds is not None:
        yield from _spans("duration", seconds, "s")
    if len(predictions.facts["modalities"]) > 1:
        held = np.array([" + ".join(present) or "nothing" for present in predictions.table["present"].to_pylist()])
        for name in sorted(set(held.tolist())):
            yield "held", name, held == name


def _by_measure(predictions: Predictions, measures: Mapping[str, Measured]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Likewise, by what was measured of the rows."""
    keys = predictions.column("key") if measures else None
    if keys is None:
        return
    for name, measure in measures.items():
        values = np.array([measure["rows"].get(str(key), np.nan) for key in keys])
        yield from _spans(name, values, measure["unit"])


def _spans(by: str, values: np.ndarray, unit: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """Parts of about equal numbers of rows, by a value (rows,), NaN where it is not known."""
    if np.isfinite(values).sum() < QUANTILES:
        return
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, QUANTILES + 1)))
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        yield by, f"{low:.1f} to {high:.1f} {unit}", (values >= low) & ((values < high) | (high == edges[-1]))


def _named(labels: list[str], marked: np.ndarray) -> str:
    return ", ".join(label for label, mark in zip(labels, marked, strict=True) if mark) or "none"


def _shares(labels: list[str], shares: np.ndarray) -> str:
    """The shares above one in twenty, the largest first."""
    order = np.argsort(-shares, kind="stable")
    return ", ".join(f"{labels[i]} {shares[i]:.2f}" for i in order if shares[i] > 0.05)
