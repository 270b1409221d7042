"""The results of a run: their schema, the file `metrics.json`, and the tables that the terminal and the card show."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

from ..media.files import write_file
from ..media.forms import VERSION
from .answers import Kind
from .findings import Finding, findings_table
from .metrics import METRICS, PERCENT, Metric, percent
from .scores import Agreement, Scores, headline

SYNTHETIC_NOTE = "SYNTHETIC DATA: rendered faces and voices; these figures say nothing about real people."

USUAL: dict[Kind, str] = {
    "single_label": "the most frequent training label",
    "binary": "the most frequent training label",
    "multi_label": "the labels that more than half of the training rows have",
    "regression": "the mean of the training values",
    "soft": "the mean shares of the training rows, and their most frequent mode",
}
"""What the baseline of each kind always answers with."""


class AblationRow(TypedDict):
    """The model given a subset of its modalities."""

    modalities: list[str]
    rows: int
    """Rows that hold any of them and were judged."""
    figures: dict[str, float]
    """`scores.ablation_figures` of the target."""
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
    """Split -> task -> figures; without a task of which the split holds no known row."""
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
    always_yes: str
    """Of several labels: the figure where every label is given to every row; else empty."""


def metric_rows(scores: Scores) -> list[MetricRow]:
    """The metrics and, of classifications, F1 per class with its support, each beside the baseline."""
    intervals, others = scores["intervals"], (scores["baseline"], scores.get("always_yes", {}))
    rows = []
    for name, value in headline(scores).items():
        metric = METRICS[name]
        usual, yes = (metric.shown(of[name]) if name in of else "" for of in others)
        ends = " to ".join(metric.shown(end) for end in intervals.get(name, []))
        rows.append(MetricRow(metric.title, metric.shown(value), usual, ends, yes))
    by_label = [other.get("per_class", {}) for other in others]
    for label, of in scores.get("per_class", {}).items():
        usual, yes = (percent(known[label]["f1"]) if known else "" for known in by_label)
        rows.append(MetricRow(f"F1 {label} ({of['support']:,})", percent(of["f1"]), usual, "", yes))
    return rows


def figures_table(
    figures: Mapping[str, Mapping[str, Any]], baseline: Mapping[str, Any]
) -> tuple[list[str], list[list[str]]]:
    """Head and lines of a model's figures over its folds and seeds, as text.

    Args:
        figures: metric -> `figures.Figures`; those that are not defined are left out.
        baseline: its figures, and in words what is usual.
    """
    head = ["metric", "model", "95 % interval", "over rows", "sd of seeds", "mean of folds (sd)"]
    head.append(f"baseline ({baseline['usual']})" if baseline["usual"] else "baseline")
    rows = [_figure_row(name, figure, baseline) for name, figure in figures.items() if "value" in figure]
    return said_columns(head, rows)


def _figure_row(name: str, figure: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """A metric by the rule of `figures`."""
    metric = METRICS[name]
    ends = [" to ".join(map(metric.shown, figure.get(kind, []))) for kind in ("interval", "interval_by_row")]
    spread = metric.shown(figure["spread"]) if "spread" in figure else ""
    folds = metric.shown(figure["mean_of_folds"]) if "mean_of_folds" in figure else ""
    folds += f" ({metric.shown(figure['spread_of_folds'])})" if "spread_of_folds" in figure else ""
    usual = metric.shown(baseline["figures"][name]) if name in baseline["figures"] else ""
    return [metric.title, metric.shown(figure["value"]), *ends, spread, folds, usual]


def said_columns(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows without the columns in which nothing is said."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    return [head[i] for i in kept], [[row[i] for i in kept] for row in rows]


def baseline_name(scores: Scores) -> str:
    """What the model is compared with: "majority (neutral)", "majority of each label", "training mean (0.52)"."""
    baseline = scores["baseline"]
    if "training_mean" in baseline:
        return f"training mean ({baseline['training_mean']:.2f})"
    if "majority_label" in baseline:
        return f"{'mean shares' if scores['kind'] == 'soft' else 'majority'} ({baseline['majority_label']})"
    return "majority of each label"


def remarks(scores: Scores) -> list[str]:
    """What the table does not say, a sentence each: calibration, raters, agreement."""
    said = []
    if fitted := scores.get("calibration"):
        thresholds = fitted.get("thresholds", [])
        ends = [f"{end:.2f}" for end in sorted({min(thresholds), max(thresholds)})] if thresholds else []
        before = ", ".join(f"{METRICS[name].name} {METRICS[name].shown(v)}" for name, v in fitted["before"].items())
        said.append(
            f"Calibrated on validation: temperature {fitted['temperature']:.2f}"
            + (f", thresholds {' to '.join(ends)}" if ends else "")
            + (f"; before, {before}" if before else "")
        )
    if "among_raters" in scores:
        said.append(
            f"The divergence of a rater's own answer from all raters of its row is {scores['among_raters']:.3f} nats: "
            "no model's NLL can be less"
        )
    if found := scores.get("agreement"):
        mean, low, high = ("{:z.3f} ({:z.3f} to {:z.3f})".format(*found[name]) for name in Agreement.__annotations__)
        said.append(f"Predicted less true is {mean} on average; 95 % limits of agreement: {low} and {high}")
    return said


def rows_left_out(scores: Scores) -> str:
    """What was not judged, as a sentence; empty: nothing."""
    said = {
        "unknown": "{:,} rows more are not judged, as nobody knows their truth",
        "unknown_elements": "{:,} labels of the judged rows are unknown and not counted",
        "tied": "{:,} rows have two labels that are equally frequent among raters, and are judged by shares alone",
    }
    return "; ".join(words.format(scores[name]) for name, words in said.items() if name in scores)


def interval_note(scores: Scores) -> str:
    """What the intervals are by, as a sentence."""
    by, number = scores.get("clusters", {"by": "row", "number": scores["rows"]}).values()
    if by == "row":
        return "Intervals are by row, as if no two rows were of one person, dialogue or recording"
    if number == 1:
        return f"No interval: all rows are of one {by}, which says nothing of another"
    return f"Intervals are by {by}: {number:,} of them, each drawn with all of its rows"


def units_of(names: Iterable[str]) -> str:
    """How figures are to be read: "in percent", "in percent, except MAE and CCC"; empty: as they are."""
    metrics = [METRICS[name] for name in dict.fromkeys(names)]
    plain = [metric.name for metric in metrics if metric.unit != PERCENT]
    if len(plain) == len(metrics):
        return ""
    return f"in percent, except {_and(plain)}" if plain else "in percent"


def _and(names: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def results_table(results: Results) -> str:
    """Plain text for the terminal: each split and task, the ablation, and what the audit found."""
    head = [SYNTHETIC_NOTE] if results["data"]["synthetic"] else []
    tables = [
        _scores_table(f"{results['data']['name']}, {split}, {task}", scores)
        for split, tasks in results["results"].items()
        for task, scores in tasks.items()
    ]
    if rows := results.get("ablation"):
        tables.append(_ablation_table(rows))
    if "audit" in results:
        tables.append(_audit_table(results["data"].get("protocol"), results["audit"]))
    return "\n\n".join(head + tables)


def _scores_table(title: str, scores: Scores) -> str:
    """One split and task."""
    units = units_of(headline(scores))
    rows = metric_rows(scores)
    width = max(24, *(len(row.name) + 1 for row in rows))
    lines = [
        f"{title}: {scores['rows']:,} rows",
        f"{'%' if units else '':<{width}}{'model':>8}  {'95 % interval':<16}{baseline_name(scores):>24}"
        + ("  always yes" if "always_yes" in scores else ""),
    ]
    lines += [
        f"{row.name:<{width}}{row.value:>8}  {row.interval:<16}{row.baseline:>24}{row.always_yes:>12}".rstrip()
        for row in rows
    ]
    lines += [f"Figures are {units}"] if "except" in units else []
    if absent := scores.get("absent_labels"):
        lines.append(f"In no row, yet in macro F1 as 0: {', '.join(absent)}")
    return "\n".join([*lines, *remarks(scores), *filter(None, [interval_note(scores), rows_left_out(scores)])])


def ablation_metrics(rows: Sequence[AblationRow]) -> dict[str, Metric]:
    """What an ablation compares, in order; a subset without any row may lack some."""
    named = dict.fromkeys(name for row in rows for name in row["figures"])
    return {name: METRICS[name] for name in named if name in METRICS}


def ablation_table(rows: Sequence[AblationRow]) -> list[list[str]]:
    """Head and lines of the ablation as text: given, each figure and, where known, the Bayes-optimal accuracy."""
    metrics = ablation_metrics(rows)
    known = any("bayes_accuracy" in row for row in rows)
    head = ["given", *(metric.title for metric in metrics.values())]
    lines = [
        [" + ".join(row["modalities"])]
        + [metric.shown(row["figures"][name]) if name in row["figures"] else "" for name, metric in metrics.items()]
        for row in rows
    ]
    if known:
        head.append("Bayes-optimal accuracy")
        for line, row in zip(lines, rows, strict=True):
            line.append(percent(row["bayes_accuracy"]) if "bayes_accuracy" in row else "")
    return [head, *lines]


def _ablation_table(rows: Sequence[AblationRow]) -> str:
    """One line a subset of the modalities."""
    cells = ablation_table(rows)
    widths = [max(24, *(len(line[0]) + 1 for line in cells)), *(max(8, len(name)) + 2 for name in cells[0][1:])]
    lines = [
        f"{line[0]:<{widths[0]}}"
        + "".join(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in cells
    ]
    said = ["The same model given only some modalities", *(line.rstrip() for line in lines), _gain(rows)]
    return "\n".join(filter(None, said))


def _gain(rows: Sequence[AblationRow]) -> str:
    """What all modalities together give over the best of them, and how near they come to the optimum; empty: unknown,
    as no row that is judged holds one alone."""
    name, metric = next(iter(ablation_metrics(rows).items()))
    sign = -1 if metric.lower_is_better else 1
    held = [row for row in rows if name in row["figures"]]
    together = max(held, key=lambda row: len(row["modalities"]))
    alone = [row for row in held if len(row["modalities"]) == 1]
    if not alone:
        return ""
    single = max(alone, key=lambda row: sign * row["figures"][name])
    gain = together["figures"][name] - single["figures"][name]
    size = f"{100 * gain:+.1f} points" if metric.unit == PERCENT else f"{gain:+.3f}"
    line = f"Together {size} of {metric.name} against the best alone ({single['modalities'][0]})"
    if "bayes_accuracy" in together and "accuracy" in together["figures"]:
        share = together["figures"]["accuracy"] / together["bayes_accuracy"]
        line += f"; {percent(share)} % of the Bayes-optimal accuracy"
    return line


def _audit_table(protocol: str | None, rows: list[AuditRow]) -> str:
    """The protocol, the findings, and which of them the recipe accepted."""
    names = [entry.name for entry in fields(Finding)]
    lines = [f"Protocol: {protocol}"] if protocol else []
    lines.append(findings_table([Finding(**{name: row[name] for name in names}) for row in rows]))
    if accepted := list(dict.fromkeys(row["check"] for row in rows if row["accepted"])):
        lines.append(f"Accepted by the recipe: {', '.join(accepted)}")
    return "\n".join(lines)


def write_results(results: Results, path: str | Path) -> Path:
    """Write `metrics.json`, whole or not at all.

    Raises:
        ValueError: a figure is NaN or infinite, which JSON cannot hold; named by its key.
        OSError: the file cannot be written; named, with the remedy.
    """
    _check_finite(results, "results")
    stated = {"version": VERSION, **results}
    write_file(Path(path), (json.dumps(stated, indent=2, ensure_ascii=False) + "\n").encode())
    return Path(path)


def _check_finite(value: object, key: str) -> None:
    """ValueError that names the key of the first number that is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} = {value}: a result must be finite; the training probably diverged (lower its rate).")
    if isinstance(value, dict | list):
        for name, entry in value.items() if isinstance(value, dict) else enumerate(value):
            _check_finite(entry, f"{key}.{name}")
