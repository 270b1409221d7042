"""The results of a run: their schema, the file `metrics.json`, and the table that the terminal shows."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

from numpy.typing import ArrayLike

from .metrics import Report, bootstrap_interval, classification_report, majority_baseline

SYNTHETIC_NOTE = "SYNTHETIC DATA: rendered faces and voices; these figures say nothing about real people."


class Scores(Report):
    """One split and task: the model's report, the majority baseline's, and 95 % intervals over utterances."""

    majority: Report
    intervals: dict[str, list[float]]
    """accuracy and f1_weighted, each [low, high]."""


class AblationRow(TypedDict):
    """The model given a subset of its modalities."""

    modalities: list[str]
    accuracy: float
    f1_weighted: float
    bayes_accuracy: NotRequired[float]
    """What the best possible rule reaches on this subset, where that is known (the synthetic corpus)."""


class DataFacts(TypedDict):
    """What was trained and judged on."""

    name: str
    synthetic: bool
    splits: dict[str, int]
    """Rows a split."""
    skipped: NotRequired[dict[str, int]]
    """Rows left out, by reason."""


class Results(TypedDict):
    """What `metrics.json` holds; the card, the table and the pictures are made from it."""

    data: DataFacts
    task: dict[str, list[str]]
    """Task ("emotion", "sentiment") -> its labels in the order of their ids."""
    results: dict[str, dict[str, Scores]]
    """Split -> task -> figures."""
    ablation: NotRequired[list[AblationRow]]
    """Emotion, on the test split (where there is none, on validation)."""
    training: NotRequired[dict[str, float | int | str]]
    model: NotRequired[dict[str, float | int | str]]


class MetricRow(NamedTuple):
    """One line of a table of results; fractions 0..1."""

    name: str
    value: float
    majority: float
    interval: list[float] | None = None


def score(
    references: ArrayLike, predictions: ArrayLike, train_labels: ArrayLike, labels: list[str], *, seed: int
) -> Scores:
    """Everything that `Results` holds of one split and task.

    Args:
        references, predictions: (rows,) class ids.
        train_labels: (training rows,) class ids, for the majority baseline.
        labels: names of all label ids.
        seed: of the bootstrap.
    """
    return {
        **classification_report(references, predictions, labels),
        "majority": majority_baseline(train_labels, references, labels),
        "intervals": {
            metric: list(bootstrap_interval(references, predictions, metric, seed=seed))
            for metric in ("accuracy", "f1_weighted")
        },
    }


def metric_rows(scores: Scores) -> list[MetricRow]:
    """Accuracy, balanced accuracy, F1 (weighted, macro, per class with its support) beside the majority baseline."""
    names = {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced accuracy",
        "f1_weighted": "weighted F1",
        "f1_macro": "macro F1",
    }
    rows = [
        MetricRow(name, scores[key], scores["majority"][key], scores["intervals"].get(key))
        for key, name in names.items()
    ]
    return rows + [
        MetricRow(f"F1 {label} ({of['support']:,})", of["f1"], scores["majority"]["per_class"][label]["f1"])
        for label, of in scores["per_class"].items()
    ]


def results_table(results: Results) -> str:
    """Plain text for the terminal, in percent: each split and task, then the ablation."""
    head = [SYNTHETIC_NOTE] if results["data"]["synthetic"] else []
    tables = [
        _scores_table(f"{results['data']['name']}, {split}, {task}", scores)
        for split, tasks in results["results"].items()
        for task, scores in tasks.items()
    ]
    if results.get("ablation"):
        tables.append(_ablation_table(results["ablation"]))
    return "\n\n".join(head + tables)


def _scores_table(title: str, scores: Scores) -> str:
    """One split and task."""
    majority = f"majority ({scores['majority']['majority_label']})"
    lines = [f"{title}: {scores['rows']:,} rows", f"{'%':<24}{'model':>8}  {'95 % interval':<16}{majority:>20}"]
    for row in metric_rows(scores):
        interval = "{} to {}".format(*map(percent, row.interval)) if row.interval else ""
        lines.append(f"{row.name:<24}{percent(row.value):>8}  {interval:<16}{percent(row.majority):>20}")
    if scores["absent_labels"]:
        lines.append(f"In no row, yet in macro F1 as 0: {', '.join(scores['absent_labels'])}")
    return "\n".join(lines)


def _ablation_table(rows: list[AblationRow]) -> str:
    """One line a subset of the modalities."""
    known = any("bayes_accuracy" in row for row in rows)
    lines = [
        "The same model given only some modalities",
        f"{'%':<24}{'accuracy':>8}  {'weighted F1':>11}" + (f"  {'Bayes-optimal accuracy':>22}" if known else ""),
    ]
    for row in rows:
        best = f"  {percent(row['bayes_accuracy']):>22}" if "bayes_accuracy" in row else ""
        subset = " + ".join(row["modalities"])
        lines.append(f"{subset:<24}{percent(row['accuracy']):>8}  {percent(row['f1_weighted']):>11}{best}")
    return "\n".join([*lines, _gain_of_fusion(rows)])


def _gain_of_fusion(rows: list[AblationRow]) -> str:
    """What all modalities together give over the best of them, and how near they come to the optimum."""
    together = max(rows, key=lambda row: len(row["modalities"]))
    single = max((row for row in rows if len(row["modalities"]) == 1), key=lambda row: row["accuracy"])
    gain = 100 * (together["accuracy"] - single["accuracy"])
    line = f"Together {gain:+.1f} points of accuracy against the best alone ({single['modalities'][0]})"
    if "bayes_accuracy" in together:
        line += f"; {percent(together['accuracy'] / together['bayes_accuracy'])} % of the Bayes-optimal accuracy"
    return line


def percent(fraction: float) -> str:
    """0.48123 -> "48.1"."""
    return f"{100 * fraction:.1f}"


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it takes `path`'s place at the end, and is gone when anything fails.

    Raises:
        OSError: a full disk and the like, naming `path` and the remedy.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"{path} was not written ({reason}); free space there, or choose a folder you may write to."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
