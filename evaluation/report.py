"""The results of a run: their schema, the file `metrics.json`, and the table that the terminal shows.

The whole interface for a run that has logits and references:

    names = HEADLINES[kind_of(problem_type, len(labels))]                # what can be logged and chosen by
    report = judged(references, outputs, labels, problem_type=...)       # point figures, fast: once an epoch
    headline(report)                                                     # {"accuracy": 0.62, ...}
    scores = score(references, outputs, train_references, labels, problem_type=..., seed=0)  # with baseline, intervals
    ablation_figures(references, outputs, labels, problem_type=...)      # of one subset of modalities

`outputs` are the model's raw outputs: LOGITS (rows, labels) for classification, values (rows,) or (rows, 1) for
regression. `references` are ids (rows,); 0/1 (rows,) or (rows, 1) for the one label of a binary task; 0/1
(rows, labels) for several; values (rows,) or (rows, 1) for regression. Rows without a reference are left out before.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from ..media.files import replacing
from .findings import Finding, findings_table
from .metrics import (
    HEADLINES,
    LOWER_IS_BETTER,
    AnyReport,
    Kind,
    MultiLabelReport,
    RegressionReport,
    Report,
    binary_baseline,
    binary_intervals,
    binary_report,
    bootstrap_interval,
    classification_report,
    headline,
    majority_baseline,
    multi_label_baseline,
    multi_label_intervals,
    multi_label_report,
    regression_baseline,
    regression_intervals,
    regression_report,
)

__all__ = [
    "HEADLINES",
    "LOWER_IS_BETTER",
    "AblationRow",
    "AuditRow",
    "DataFacts",
    "MetricRow",
    "Results",
    "Scores",
    "ablation_figures",
    "ablation_table",
    "baseline_name",
    "headline",
    "judged",
    "kind_of",
    "metric_rows",
    "percent",
    "results_table",
    "score",
    "shown",
    "write_results",
]

SYNTHETIC_NOTE = "SYNTHETIC DATA: rendered faces and voices; these figures say nothing about real people."

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_weighted": "weighted F1",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "auc": "AUC-ROC",
    "element_accuracy": "element accuracy",
    "exact_match": "exact match",
    "mae": "MAE",
    "rmse": "RMSE",
    "pearson": "Pearson r",
    "ccc": "CCC",
}
"""Every name of `HEADLINES` -> for a reader."""

PLAIN = HEADLINES["regression"]
"""Metrics that are no share of anything, and so are not shown in percent."""

ABLATION_FIGURES: dict[Kind, tuple[str, ...]] = {
    "single_label": ("accuracy", "f1_weighted"),
    "binary": ("accuracy", "f1_weighted"),
    "multi_label": ("element_accuracy", "f1_macro"),
    "regression": ("mae", "ccc"),
}
"""What an ablation compares, of each kind."""

POINTS = 300
"""Rows of a regression that are kept for its picture."""


class ClassificationScores(Report):
    """One split and task with one label a row: the model's report, the majority baseline's, and 95 % intervals."""

    baseline: Report
    intervals: dict[str, list[float]]
    """accuracy, f1_weighted and, of two classes, auc, each [low, high]."""


class MultiLabelScores(MultiLabelReport):
    """One split and task with several labels a row."""

    baseline: MultiLabelReport
    intervals: dict[str, list[float]]
    """Each of the headline, [low, high]."""


class RegressionScores(RegressionReport):
    """One split and task with a value a row."""

    baseline: RegressionReport
    intervals: dict[str, list[float]]
    """Each of the headline, [low, high]."""
    points: list[list[float]]
    """[reference, prediction] of at most 300 rows, evenly spread over the split."""


Scores = ClassificationScores | MultiLabelScores | RegressionScores


class AblationRow(TypedDict):
    """The model given a subset of its modalities."""

    modalities: list[str]
    rows: int
    """Rows that hold any of them."""
    figures: dict[str, float]
    """`ABLATION_FIGURES` of the task's kind."""
    bayes_accuracy: NotRequired[float]
    """What the best possible rule reaches on this subset, where that is known (the synthetic corpus)."""


class AuditRow(TypedDict):
    """`dataclasses.asdict` of a `findings.Finding`, and whether the recipe accepted its check by name."""

    check: str
    severity: str
    count: int
    message: str
    examples: list[str]
    remedy: str
    accepted: bool


class DataFacts(TypedDict):
    """What was trained and judged on."""

    name: str
    synthetic: bool
    splits: dict[str, int]
    """Rows a split."""
    skipped: NotRequired[dict[str, int]]
    """Rows left out, by reason."""
    unit: NotRequired[str]
    """What a row is: "utterances" (where nothing is said) or "frames"."""
    protocol: NotRequired[str]
    """How the split was made, as "leave_one_participant_out, fold 0: LE 3299"."""


class Results(TypedDict):
    """What `metrics.json` holds; the card, the table and the pictures are made from it."""

    data: DataFacts
    task: dict[str, list[str]]
    """Task ("emotion", "sentiment", "attention", ...) -> its labels in the order of their ids."""
    results: dict[str, dict[str, Scores]]
    """Split -> task -> figures."""
    ablation: NotRequired[list[AblationRow]]
    """Of the first task, on the test split (where there is none, on validation)."""
    audit: NotRequired[list[AuditRow]]
    """What the leakage audit found; empty: every check ran and found nothing."""
    training: NotRequired[dict[str, float | int | str]]
    model: NotRequired[dict[str, float | int | str | dict[str, float]]]
    """Also modality_weights: what the model learned to weigh by, as {"video": 0.6, "physio": 0.4}."""


class MetricRow(NamedTuple):
    """One line of a table of results, as text."""

    name: str
    value: str
    baseline: str
    interval: str
    """ "59.1 to 63.8", or empty."""


def kind_of(problem_type: str, num_labels: int) -> Kind:
    """How a model is judged; binary is multi-label with one label.

    Args:
        problem_type: `config.problem_type`.
        num_labels: `config.num_labels`, the columns of the logits.

    Raises:
        ValueError: another problem type, or a regression of several values.
    """
    if problem_type == "single_label_classification":
        return "single_label"
    if problem_type == "multi_label_classification":
        return "binary" if num_labels == 1 else "multi_label"
    if problem_type == "regression" and num_labels == 1:
        return "regression"
    raise ValueError(
        f"problem_type={problem_type!r} with {num_labels} labels cannot be judged: use single_label_classification, "
        "multi_label_classification, or regression with one label."
    )


def judged(references: ArrayLike, outputs: ArrayLike, labels: Sequence[str], *, problem_type: str) -> AnyReport:
    """The figures of raw outputs, without baseline and intervals.

    Args:
        references: see the module.
        outputs: logits (rows, labels), or values (rows,) or (rows, 1).
        labels: names of the labels in the order of their ids; of a binary task, of both classes, "low" and "high".
        problem_type: `config.problem_type`.

    Raises:
        ValueError: shapes that do not fit, or values that are no references.
    """
    outputs = _two_dimensional(outputs)
    kind = kind_of(problem_type, outputs.shape[1])
    if kind == "single_label":
        return classification_report(references, _argmax(outputs), labels)
    if kind == "binary":
        return binary_report(_column(references), expit(outputs[:, 0]), labels)
    if kind == "multi_label":
        return multi_label_report(references, expit(outputs), labels)
    return regression_report(_column(references), outputs[:, 0])


def score(
    references: ArrayLike,
    outputs: ArrayLike,
    train_references: ArrayLike,
    labels: Sequence[str],
    *,
    problem_type: str,
    seed: int,
) -> Scores:
    """Everything that `Results` holds of one split and task: `judged`, the baseline and the intervals.

    Args:
        references, outputs, labels, problem_type: as for `judged`.
        train_references: as the references, of the training rows: for the baseline (majority, or mean).
        seed: of the bootstrap.
    """
    report = judged(references, outputs, labels, problem_type=problem_type)
    outputs = _two_dimensional(outputs)
    kind = kind_of(problem_type, outputs.shape[1])
    if kind == "single_label":
        baseline = majority_baseline(train_references, references, labels)
        intervals = {
            metric: list(bootstrap_interval(references, _argmax(outputs), metric, seed=seed))
            for metric in ("accuracy", "f1_weighted")
        }
    elif kind == "binary":
        references = _column(references)
        baseline = binary_baseline(_column(train_references), references, labels)
        intervals = binary_intervals(references, expit(outputs[:, 0]), seed=seed)
    elif kind == "multi_label":
        baseline = multi_label_baseline(train_references, references, labels)
        intervals = multi_label_intervals(references, expit(outputs), labels, seed=seed)
    else:
        pairs = np.column_stack([_column(references), outputs[:, 0]]).astype(np.float64)
        baseline = regression_baseline(_column(train_references), pairs[:, 0])
        intervals = regression_intervals(*pairs.T, seed=seed)
        kept = np.linspace(0, len(pairs) - 1, min(POINTS, len(pairs))).astype(int)
        report = report | {"points": pairs[kept].round(4).tolist()}
    return {**report, "baseline": baseline, "intervals": intervals}


def ablation_figures(
    references: ArrayLike, outputs: ArrayLike, labels: Sequence[str], *, problem_type: str
) -> dict[str, float]:
    """`ABLATION_FIGURES` of raw outputs; arguments as for `judged`."""
    report = judged(references, outputs, labels, problem_type=problem_type)
    return {name: report[name] for name in ABLATION_FIGURES[report["kind"]]}


def metric_rows(scores: Scores) -> list[MetricRow]:
    """The headline and, of classifications, F1 per class with its support, each beside the baseline."""
    baseline, intervals = scores["baseline"], scores["intervals"]
    rows = [
        MetricRow(
            METRIC_NAMES[name],
            shown(name, value),
            shown(name, baseline[name]),
            " to ".join(shown(name, end) for end in intervals.get(name, [])),
        )
        for name, value in headline(scores).items()
    ]
    return rows + [
        MetricRow(
            f"F1 {label} ({of['support']:,})", percent(of["f1"]), percent(baseline["per_class"][label]["f1"]), ""
        )
        for label, of in scores.get("per_class", {}).items()
    ]


def baseline_name(scores: Scores) -> str:
    """What the model is compared with: "majority (neutral)", "majority of each label", "training mean (0.52)"."""
    baseline = scores["baseline"]
    if scores["kind"] == "regression":
        return f"training mean ({baseline['training_mean']:.2f})"
    return "majority of each label" if scores["kind"] == "multi_label" else f"majority ({baseline['majority_label']})"


def results_table(results: Results) -> str:
    """Plain text for the terminal: each split and task, the ablation, and what the audit found."""
    head = [SYNTHETIC_NOTE] if results["data"]["synthetic"] else []
    tables = [
        _scores_table(f"{results['data']['name']}, {split}, {task}", scores)
        for split, tasks in results["results"].items()
        for task, scores in tasks.items()
    ]
    if results.get("ablation"):
        tables.append(_ablation_table(results["ablation"]))
    if "audit" in results:
        tables.append(_audit_table(results["data"].get("protocol"), results["audit"]))
    return "\n\n".join(head + tables)


def _scores_table(title: str, scores: Scores) -> str:
    """One split and task."""
    unit = "" if scores["kind"] == "regression" else "%"
    rows = metric_rows(scores)
    width = max(24, *(len(row.name) + 1 for row in rows))
    lines = [
        f"{title}: {scores['rows']:,} rows",
        f"{unit:<{width}}{'model':>8}  {'95 % interval':<16}{baseline_name(scores):>24}",
    ]
    lines += [f"{row.name:<{width}}{row.value:>8}  {row.interval:<16}{row.baseline:>24}" for row in rows]
    if scores.get("absent_labels"):
        lines.append(f"In no row, yet in macro F1 as 0: {', '.join(scores['absent_labels'])}")
    return "\n".join(lines)


def ablation_table(rows: list[AblationRow]) -> list[list[str]]:
    """Head and lines of the ablation as text: given, each figure and, where known, the Bayes-optimal accuracy."""
    known = any("bayes_accuracy" in row for row in rows)
    head = ["given", *(METRIC_NAMES[name] for name in rows[0]["figures"])]
    lines = [[" + ".join(row["modalities"]), *(shown(*figure) for figure in row["figures"].items())] for row in rows]
    if known:
        head.append("Bayes-optimal accuracy")
        for line, row in zip(lines, rows, strict=True):
            line.append(percent(row["bayes_accuracy"]) if "bayes_accuracy" in row else "")
    return [head, *lines]


def _ablation_table(rows: list[AblationRow]) -> str:
    """One line a subset of the modalities."""
    cells = ablation_table(rows)
    widths = [max(24, *(len(line[0]) + 1 for line in cells)), *(max(8, len(name)) + 2 for name in cells[0][1:])]
    lines = [
        f"{line[0]:<{widths[0]}}"
        + "".join(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in cells
    ]
    return "\n".join(["The same model given only some modalities", *(line.rstrip() for line in lines), _gain(rows)])


def _gain(rows: list[AblationRow]) -> str:
    """What all modalities together give over the best of them, and how near they come to the optimum."""
    name = next(iter(rows[0]["figures"]))
    sign = -1 if name in LOWER_IS_BETTER else 1
    together = max(rows, key=lambda row: len(row["modalities"]))
    single = max((row for row in rows if len(row["modalities"]) == 1), key=lambda row: sign * row["figures"][name])
    gain = together["figures"][name] - single["figures"][name]
    size = f"{gain:+.3f}" if name in PLAIN else f"{100 * gain:+.1f} points"
    line = f"Together {size} of {METRIC_NAMES[name]} against the best alone ({single['modalities'][0]})"
    if "bayes_accuracy" in together:
        line += f"; {percent(together['figures'][name] / together['bayes_accuracy'])} % of the Bayes-optimal accuracy"
    return line


def _audit_table(protocol: str | None, rows: list[AuditRow]) -> str:
    """The protocol, the findings, and which of them the recipe accepted."""
    names = [entry.name for entry in fields(Finding)]
    lines = [f"Protocol: {protocol}"] if protocol else []
    lines.append(findings_table([Finding(**{name: row[name] for name in names}) for row in rows]))
    if accepted := list(dict.fromkeys(row["check"] for row in rows if row["accepted"])):
        lines.append(f"Accepted by the recipe: {', '.join(accepted)}")
    return "\n".join(lines)


def shown(metric: str, value: float) -> str:
    """A metric's value for a reader: in percent, "48.1", or in the unit of a regression, "0.481"."""
    return f"{value:z.3f}" if metric in PLAIN else percent(value)


def percent(fraction: float) -> str:
    """0.48123 -> "48.1"."""
    return f"{100 * fraction:.1f}"


def _two_dimensional(outputs: ArrayLike) -> np.ndarray:
    """(rows, labels) of outputs that may lack the second axis."""
    outputs = np.asarray(outputs)
    return outputs[:, None] if outputs.ndim == 1 else outputs


def _argmax(logits: np.ndarray) -> np.ndarray:
    """Class ids (rows,); ValueError where a logit is NaN, which argmax would take for the best."""
    if np.isnan(logits).any():
        row = int(np.argmax(np.isnan(logits).any(axis=1)))
        raise ValueError(f"outputs[{row}] = {logits[row].tolist()}: the training probably diverged (lower its rate).")
    return logits.argmax(axis=1)


def _column(values: ArrayLike) -> np.ndarray:
    """(rows,) of (rows,) or (rows, 1)."""
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def write_results(results: Results, path: str | Path) -> Path:
    """Write `metrics.json`, whole or not at all.

    Raises:
        ValueError: a figure is NaN or infinite, which JSON cannot hold; named by its key.
        OSError: the file cannot be written; named, with the remedy.
    """
    _check_finite(results, "results")
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Path(path)


def _check_finite(value: object, key: str) -> None:
    """ValueError that names the key of the first number that is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} = {value}: a result must be finite; the training probably diverged (lower its rate).")
    if isinstance(value, dict | list):
        for name, entry in value.items() if isinstance(value, dict) else enumerate(value):
            _check_finite(entry, f"{key}.{name}")
