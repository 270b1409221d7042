"""What is said of one split and target: every metric of its kind, the baseline's, and intervals.

    judged(references, outputs, labels, kind)               # a report of point figures, fast: once an epoch
    score(references, outputs, train_references, labels, kind, seed=0)       # beside the baseline, with intervals

Both take a `calibration`, temperature and thresholds; without one they are 1 and 0.5.

`outputs` are the model's raw outputs: LOGITS (rows, labels) of classifications, values (rows,) or (rows, 1) of a
number. `references` are ids, 0 or 1, values or shares, as `answers.answers_of` has them; rows without one are left
out, and counted.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import NotRequired, TypedDict, cast

import datasets
import evaluate
import numpy as np
from numpy.typing import ArrayLike

from .answers import Answers, Calibration, Kind, Usual, constant, from_outputs, known_rows
from .bootstrap import RESAMPLES, Draws, interval
from .clusters import Clusters
from .metrics import metrics_of
from .reliability import Bins, coverage_curve

POINTS = 300
"""Rows of a number that are kept for its picture."""


class ClassScores(TypedDict):
    """One label's figures, 0..1; 0 where nothing was predicted or nothing occurs."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows of the references with this label."""


class Report(TypedDict):
    """Every metric of the kind under its key in `METRICS` (absent where it is not defined), and what it was made of.

    Shares are 0..1; everything can go to JSON as it is.
    """

    kind: Kind
    rows: int
    """Those that were judged."""
    unknown: NotRequired[int]
    """Rows that were left out, because nobody knows their truth; absent: none."""
    unknown_elements: NotRequired[int]
    """Of several labels: how many are unknown in the rows that were judged, and not counted; absent: none."""
    tied: NotRequired[int]
    """Of shares: judged rows of which two labels are equally frequent, and which the figures of one label leave out;
    absent: none."""
    labels: NotRequired[list[str]]
    """Of classifications."""
    per_class: NotRequired[dict[str, ClassScores]]
    confusion_matrix: NotRequired[list[list[int]]]
    """(references, predictions), counts; every label has its row and column. Of shares: of their modes."""
    absent_labels: NotRequired[list[str]]
    """Labels that occur in no reference: they pull the macro F1 down without saying anything about the model."""


class Baseline(Report, Usual):
    """The report of the same rows, each answered by what is usual in the training rows."""


class ClusterFacts(TypedDict):
    """What intervals are by."""

    by: str
    """ "participant", "dialogue", "recording" or "row"."""
    number: int
    """How many of them were judged; of 1 there is no interval."""


class Calibrated(Calibration):
    """What was fitted, and what it changed."""

    before: dict[str, float]
    """Metric -> its figure with temperature 1 and thresholds of 0.5, of those that are another one now."""


class Agreement(TypedDict):
    """Bland & Altman 1986 of the differences, predicted less true; with 95 % intervals: [value, low, high]."""

    mean_difference: list[float]
    lower_limit: list[float]
    """Mean - 1.96 standard deviations."""
    upper_limit: list[float]


class Uncertainty(TypedDict):
    """How sure figures are."""

    clusters: NotRequired[ClusterFacts]
    """Absent: rows."""
    intervals: dict[str, list[float]]
    """Metric -> [low, high]: 95 % percentile bootstrap over whole clusters. It covers the draw of people (dialogues,
    recordings), and not what another seed or other training rows would change."""
    intervals_by_row: NotRequired[dict[str, list[float]]]
    """The same over rows, as if they were independent, which is too narrow; only beside clusters."""


class Scores(Report, Uncertainty):
    """The model's report, and what to read it by."""

    baseline: Baseline
    always_yes: NotRequired[Report]
    """Of several labels: the report of the same rows, each answered with all of them."""
    calibration: NotRequired[Calibrated]
    """Where outputs were calibrated."""
    reliability: NotRequired[dict[str, list[list[float]]]]
    """Of classifications, as `Bins.diagram` has it: of the "model", and "uncalibrated" as it was before."""
    coverage: NotRequired[list[list[float]]]
    """Of one label a row, as `reliability.coverage_curve` has it."""
    among_raters: NotRequired[float]
    """Of shares, nats: mean divergence of a rater's own answer from the shares of all raters of the row; less than
    this no model's NLL can be."""
    agreement: NotRequired[Agreement]
    """Of a number."""
    points: NotRequired[list[list[float]]]
    """Of a number: [reference, prediction] of at most 300 rows, evenly spread over the split."""


class AffectMetric(evaluate.Metric):
    """`report` as a module of `evaluate`: what the Trainer measures by, and what adds up batches of your own.

    It takes raw outputs, all as float64, and needs no network.

    Args:
        kind: of the target.
        labels: names of its labels in the order of their ids; of a binary target, of both classes.
        calibration: temperature and thresholds, such as a model's `config.calibration[task]`.
        kwargs: of `evaluate.Metric`.

    Example:

    ```python
    >>> from affecthub.evaluation.scores import AffectMetric
    >>> metric = AffectMetric("single_label", ["neutral", "joy"])
    >>> metric.compute(predictions=[[2, 0], [0, 2], [0, 2]], references=[0, 1, -100])["accuracy"]
    1.0

    ```
    """

    def __init__(self, kind: Kind, labels: Sequence[str], calibration: Calibration | None = None, **kwargs):
        self.kind: Kind = kind
        self.labels, self.calibration = list(labels), calibration
        # it makes a folder even where all is kept in memory, and a home may be read-only
        super().__init__(**{"keep_in_memory": True, "cache_dir": tempfile.gettempdir()} | kwargs)

    def _info(self) -> evaluate.MetricInfo:
        """References are floats too, because `evaluate` would cast 1.7 to 1 without a word."""
        numbers, number = datasets.Sequence(datasets.Value("float64")), datasets.Value("float64")
        references = number if self.kind == "single_label" else numbers
        return evaluate.MetricInfo(
            description=f"{', '.join(metrics_of(self.kind))}, and what they are made of.",
            citation="",
            inputs_description="predictions: raw outputs (rows, outputs). references: as answers.answers_of has them.",
            features=datasets.Features({"predictions": numbers, "references": references}),
        )

    def _compute(self, predictions: Sequence, references: Sequence) -> Report:
        """Called by `compute`, which takes its inputs by name only."""
        return report(from_outputs(self.kind, references, predictions, self.labels, self.calibration))


def judged(
    references: ArrayLike,
    outputs: ArrayLike,
    labels: Sequence[str],
    kind: Kind,
    calibration: Calibration | None = None,
) -> Report:
    """The report of raw outputs, without baseline and intervals; arguments and errors as `answers.from_outputs`."""
    given = {"predictions": outputs, "references": references}
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in given.items()}
    flat = () if kind == "single_label" else ("references",)
    for name in ("predictions", *flat):
        columns[name] = columns[name].reshape(len(columns[name]), -1)
    return cast("Report", AffectMetric(kind, labels, calibration).compute(**columns))


def score(
    references: ArrayLike,
    outputs: ArrayLike,
    train_references: ArrayLike,
    labels: Sequence[str],
    kind: Kind,
    *,
    seed: int,
    clusters: Clusters | None = None,
    calibration: Calibration | None = None,
) -> Scores:
    """Everything that results hold of one split and target.

    Args:
        references, outputs, labels, kind, calibration: as for `answers.from_outputs`.
        train_references: as the references, of the training rows: for the baseline.
        seed: of the bootstrap.
        clusters: of the rows; None: each is its own.
    """
    answers = from_outputs(kind, references, outputs, labels, calibration)
    judged_clusters = clusters and clusters.take(known_rows(kind, references))
    scores: Scores = {
        **report(answers),
        "baseline": baseline(answers, train_references),
        **_intervals(answers, judged_clusters, seed),
    }
    if kind != "regression":
        scores["reliability"] = {"model": Bins(answers).diagram()}
    if kind in ("single_label", "binary"):
        scores["coverage"] = coverage_curve(answers)
    if calibration and "reliability" in scores:
        raw = from_outputs(kind, references, outputs, labels)
        scores["reliability"]["uncalibrated"] = Bins(raw).diagram()
        before = {name: value for name, value in headline(report(raw)).items() if value != scores.get(name)}
        scores["calibration"] = {**calibration, "before": before}
    if kind == "multi_label":
        everything = np.where(np.isnan(answers.references), 0.0, 1.0)
        scores["always_yes"] = report(replace(answers, predictions=everything, probabilities=None, unknown=0))
    if kind == "soft":
        scores["among_raters"] = float(Draws(answers).mean("among_raters")[0])
    if kind == "regression":
        scores["agreement"] = agreement(answers, seed=seed)
        kept = np.linspace(0, len(answers) - 1, min(POINTS, len(answers))).astype(int)
        pairs = np.column_stack([answers.references[kept], answers.predictions[kept]])
        scores["points"] = pairs.round(4).tolist()
    return scores


def _intervals(answers: Answers, clusters: Clusters | None, seed: int) -> Uncertainty:
    """What a split's results say of the uncertainty of its figures."""
    by_row = intervals(answers, seed=seed)
    if clusters is None:
        return {"intervals": by_row}
    facts: ClusterFacts = {"by": clusters.by, "number": len(clusters)}
    if clusters.by == "row":
        return {"clusters": facts, "intervals": by_row}
    by_cluster = intervals(answers, seed=seed, groups=clusters.ids) if len(clusters) > 1 else {}
    return {"clusters": facts, "intervals": by_cluster, "intervals_by_row": by_row}


def report(answers: Answers) -> Report:
    """The metrics of the kind, and what they were made of."""
    draws = Draws(answers)
    figures = {name: float(metric.of(draws)[0]) for name, metric in metrics_of(answers.kind).items()}
    counts = {name: getattr(answers, name) for name in ("unknown", "unknown_elements", "tied")}
    facts = {
        "kind": answers.kind,
        "rows": len(answers),
        **{name: count for name, count in counts.items() if count},
        **{name: value for name, value in figures.items() if np.isfinite(value)},
    }
    found = cast("Report", facts)  # which has a key for every metric of the table
    if answers.kind == "regression":
        return found
    found["labels"] = answers.labels
    found["per_class"] = _per_class(draws)
    found["absent_labels"] = [label for label, of in found["per_class"].items() if not of["support"]]
    if answers.kind != "multi_label":
        found["confusion_matrix"] = draws.confusions[0].tolist()
    return found


def _per_class(draws: Draws) -> dict[str, ClassScores]:
    """Of the rows as they are."""
    hits, support, predicted = draws.hits[0], draws.support[0], draws.predicted[0]
    wholes = (predicted, support, (support + predicted) / 2)
    columns = [(hits / np.where(whole, whole, 1)).tolist() for whole in wholes]
    return {
        label: {"precision": precision, "recall": recall, "f1": f1, "support": int(rows)}
        for label, precision, recall, f1, rows in zip(draws.answers.labels, *columns, support, strict=True)
    }


def baseline(answers: Answers, train_references: ArrayLike) -> Baseline:
    """The report of the same rows, each answered by what is usual in the training rows; see `answers.constant`."""
    usual, named = constant(answers, train_references)
    return {**report(usual), **named}


def intervals(
    answers: Answers,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    groups: np.ndarray | None = None,
) -> dict[str, list[float]]:
    """Bootstrap intervals [low, high] of the metrics of the kind, those that are defined.

    Args:
        answers: the rows.
        seed: of the resampling.
        resamples: how many.
        confidence: 0..1.
        groups: int (rows,): which rows are drawn together, as for `Draws`; at least two groups.
    """
    draws = Draws(answers, seed, resamples, groups)
    number = None if groups is None else draws.units
    found = {name: interval(metric.of(draws), confidence, number) for name, metric in metrics_of(answers.kind).items()}
    return {name: ends for name, ends in found.items() if ends}


def agreement(answers: Answers, *, seed: int) -> Agreement:
    """Mean difference and limits of agreement of a number, with intervals; see `Agreement`.

    Args:
        answers: of a regression.
        seed: of the resampling.
    """
    rows = len(answers)

    def figures(draws: Draws) -> np.ndarray:
        mean = draws.mean("y") - draws.mean("x")
        square = draws.mean("xx") + draws.mean("yy") - 2 * draws.mean("xy")
        deviation = np.sqrt(np.maximum(square - mean**2, 0) * rows / max(rows - 1, 1))
        return np.stack([mean, mean - 1.96 * deviation, mean + 1.96 * deviation])

    found, drawn = figures(Draws(answers)), figures(Draws(answers, seed))
    mean, lower, upper = ([float(of[0]), *(interval(ends) or ())] for of, ends in zip(found, drawn, strict=True))
    return {"mean_difference": mean, "lower_limit": lower, "upper_limit": upper}


def headline(report: Report) -> dict[str, float]:
    """The report's metrics, in the table's order: what a Trainer logs and chooses by."""
    return {name: report[name] for name in metrics_of(report["kind"]) if name in report}


def ablation_figures(report: Report) -> dict[str, float]:
    """Those of the report's metrics that are compared between subsets of the modalities."""
    compared = [name for name, metric in metrics_of(report["kind"]).items() if report["kind"] in metric.ablation]
    return {name: report[name] for name in compared if name in report}
