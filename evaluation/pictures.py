"""Training curves, scores of each kind and the ablation as PNG files, without pyplot and its global state."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ..media.files import replacing
from .answers import Kind
from .charts import STROKES
from .emotion_colours import colours_of
from .metrics import PERCENT, Metric, metric_logged, percent
from .results import AblationRow, ablation_metrics
from .scores import Scores

TIMELINE_LABELS = 8
"""Lines in a timeline at most; more cannot be told apart."""

SCORES_PICTURE: dict[Kind, tuple[str, str]] = {
    "single_label": ("confusion", "Confusion matrix"),
    "binary": ("confusion", "Confusion matrix"),
    "multi_label": ("label_f1", "F1 of each label"),
    "regression": ("agreement", "Predictions over references"),
    "soft": ("confusion", "Confusion matrix of the most frequent labels"),
}
"""What `plot_scores` draws of each kind: for a file's name, for its caption."""

LogHistory = list[dict[str, float]]


def plot_curves(
    log_history: LogHistory, path: str | Path, title: str = "Training", *, synthetic: bool = False
) -> Path:
    """Draw losses, validation metrics and learning rates over the epochs; a panel without data is left out.

    Args:
        log_history: `Trainer.state.log_history`: entries with epoch and loss, learning_rate or lr_<group>, eval_loss,
            eval_<metric>.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.

    Raises:
        ValueError: nothing was logged.
    """
    panels = panels_of(log_history)
    if not panels:
        raise ValueError(
            f"{path}: log_history has {len(log_history)} entries and none with loss, eval_ metrics or learning rates; "
            "draw the curves after training, with logging_strategy and eval_strategy on."
        )
    figure = Figure(figsize=(4.6 * len(panels), 3.8), layout="constrained")
    for axes, (name, lines) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True):
        for label, (epochs, values) in lines.items():
            axes.plot(epochs, values, label=label, marker="o" if len(epochs) < 40 else None, markersize=3)
        axes.set(xlabel="epoch", ylabel=name)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return _save(figure, path, title, synthetic)


def panels_of(log_history: LogHistory) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """What is drawn over the epochs: panel -> line -> (epochs, values).

    Shares have a panel of their own, for other metrics have other scales.
    """
    keys = sorted({key for entry in log_history for key in entry})
    wanted = {
        "loss": {"train": "loss", "validation": "eval_loss"},
        "validation metric": {},
        "validation metric, as it is": {},
        "learning rate": {key: key for key in keys if key.startswith(("learning_rate", "lr_"))},
    }
    for key in keys:
        metric = metric_logged(key) if key.startswith("eval_") else None
        if metric and metric.curve:
            panel = "validation metric" if metric.unit == PERCENT else "validation metric, as it is"
            wanted[panel][key.removeprefix("eval_")] = key
    drawn = {
        panel: {label: _series(log_history, key) for label, key in lines.items() if key in keys}
        for panel, lines in wanted.items()
    }
    return {panel: lines for panel, lines in drawn.items() if lines}


def _series(log_history: LogHistory, key: str) -> tuple[list[float], list[float]]:
    """Epochs and values of the entries that hold `key`."""
    entries = [entry for entry in log_history if key in entry]
    return [entry["epoch"] for entry in entries], [entry[key] for entry in entries]


def plot_scores(scores: Scores, path: str | Path, title: str, *, synthetic: bool = False) -> Path:
    """Draw one split and task: a confusion matrix, the labels' F1, or predictions over references.

    Args:
        scores: of any kind.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    if scores["kind"] == "regression":
        return plot_agreement(scores, path, title, synthetic=synthetic)
    if "confusion_matrix" in scores and "labels" in scores:
        return plot_confusion(scores["confusion_matrix"], scores["labels"], path, title, synthetic=synthetic)
    return plot_labels(scores, path, title, synthetic=synthetic)


def plot_labels(scores: Scores, path: str | Path, title: str, *, synthetic: bool = False) -> Path:
    """Draw each label's F1 as a bar, with a stroke at the baseline's; beside its name how often it occurs.

    Args:
        scores: of several labels a row.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    assert "per_class" in scores and "per_class" in scores["baseline"]
    per_class, baseline = scores["per_class"], scores["baseline"]["per_class"]
    figure = Figure(figsize=(8.5, 1.6 + 0.3 * len(per_class)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(per_class))
    axes.barh(places, [100 * of["f1"] for of in per_class.values()], height=0.7, label="F1 of the model")
    for place, of in enumerate(per_class.values()):
        axes.text(101, place, percent(of["f1"]), va="center", fontsize=8)
    strokes = [100 * of["f1"] for of in baseline.values()]
    axes.vlines(strokes, places - 0.42, places + 0.42, colors="black", linewidth=2, label="F1 of its majority")
    axes.set_yticks(places, [f"{label} ({of['support']:,})" for label, of in per_class.items()])
    _finish_bars(axes, "%", (0, 107))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return _save(figure, path, title, synthetic)


def plot_agreement(scores: Scores, path: str | Path, title: str, *, synthetic: bool = False) -> Path:
    """Draw predictions over references, one point a row, with the line on which both are equal.

    Args:
        scores: of a regression; its `points` are drawn.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    assert "points" in scores and "training_mean" in scores["baseline"]
    points = np.array(scores["points"])
    ends = [points.min(), points.max()]
    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(ends, ends, color="black", linewidth=1, label="equal")
    mean = scores["baseline"]["training_mean"]
    axes.axhline(mean, color="grey", linestyle="--", linewidth=1, label="training mean")
    axes.scatter(*points.T, s=10, alpha=0.4, label=f"{len(points):,} of {scores['rows']:,} rows")
    axes.set(xlabel="reference", ylabel="predicted", aspect="equal")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return _save(figure, path, title, synthetic)


def plot_reliability(scores: Scores, path: str | Path, title: str, *, synthetic: bool = False) -> Path:
    """Draw how often answers are true over how sure the model is of them; where a row has one label, also the
    accuracy over the share of rows that are answered, the surest first.

    Args:
        scores: of a classification.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    assert "reliability" in scores
    curve = scores.get("coverage", [])
    figure = Figure(figsize=(9.6 if curve else 5.2, 4.8), layout="constrained")
    axes, *beside = np.ravel(figure.subplots(1, 2 if curve else 1))
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, label="calibrated")
    named = {"model": "model", "uncalibrated": "before its calibration"}
    for (name, label), style in zip(named.items(), ("o-", "s--"), strict=True):
        if points := scores["reliability"].get(name):
            said, true, _ = zip(*points, strict=True)
            axes.plot(said, true, style, markersize=4, linewidth=1, label=label)
    axes.set(
        xlabel="probability that was given", ylabel="share that is true", xlim=(0, 1), ylim=(0, 1), aspect="equal"
    )
    for other in beside:
        other.plot(*zip(*curve, strict=True), label="accuracy")
        other.axhline(curve[-1][1], color="grey", linestyle="--", linewidth=1, label="of all rows")
        other.set(xlabel="share of rows that are answered", ylabel="accuracy", xlim=(0, 1), ylim=(None, 1.01))
    for each in (axes, *beside):
        each.grid(alpha=0.3)
        each.legend(fontsize=8)
    return _save(figure, path, title, synthetic)


def plot_confusion(
    matrix: ArrayLike, labels: Sequence[str], path: str | Path, title: str, *, synthetic: bool = False
) -> Path:
    """Draw counts, coloured by their share of the row.

    Args:
        matrix: (references, predictions), counts.
        labels: names of the rows and columns.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.62 * len(labels)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="reference")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.55 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=colour)
    return _save(figure, path, title, synthetic)


def plot_ablation(
    rows: Sequence[AblationRow], path: str | Path, title: str = "What each modality gives", *, synthetic: bool = False
) -> Path:
    """Draw the figures of each subset of modalities, with the Bayes-optimal accuracy where it is known.

    Args:
        rows: one a subset, drawn from top to bottom.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    metrics = ablation_metrics(rows)
    scales = [
        {name: metric for name, metric in metrics.items() if (metric.unit == PERCENT) == shares}
        for shares in (True, False)
    ]
    scales = [scale for scale in scales if scale]
    bars = len(rows) * (len(scales) + len(metrics))
    figure = Figure(figsize=(8.5, 1 + len(scales) + 0.2 * bars), layout="constrained")
    colours = {name: f"C{i}" for i, name in enumerate(name for scale in scales for name in scale)}
    for axes, scale in zip(np.ravel(figure.subplots(len(scales), 1)), scales, strict=True):
        _draw_subsets(axes, rows, scale, colours)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return _save(figure, path, title, synthetic)


def _draw_subsets(
    axes: Axes, rows: Sequence[AblationRow], metrics: dict[str, Metric], colours: Mapping[str, str]
) -> None:
    """A bar a subset and metric; all of the metrics are shares, or none is."""
    unit = 100 if next(iter(metrics.values())).unit == PERCENT else 1
    drawn = [row["figures"][name] for row in rows for name in metrics if name in row["figures"]]
    start, end = min(0, unit * min(drawn)), max(unit, unit * max(drawn))
    height = 0.76 / len(metrics)
    for offset, (name, metric) in enumerate(metrics.items()):
        held = [(place, row["figures"][name]) for place, row in enumerate(rows) if name in row["figures"]]
        places, values = np.array(held).T
        places = places - 0.38 + (offset + 0.5) * height
        axes.barh(places, unit * values, height=0.95 * height, color=colours[name], label=metric.title)
        for place, value in zip(places, values, strict=True):
            axes.text(end + 0.01 * (end - start), place, metric.shown(value), va="center", fontsize=8)
        if name == "accuracy":
            _mark_optimum(axes, rows, height)
    axes.set_yticks(range(len(rows)), [" + ".join(row["modalities"]) for row in rows])
    _finish_bars(axes, "%" if unit == 100 else "", (start, end + 0.08 * (end - start)))


def _finish_bars(axes: Axes, unit: str, ends: tuple[float, float] | None = None) -> None:
    """Axis and grid of horizontal bars that are read from top to bottom."""
    axes.invert_yaxis()
    axes.set(xlim=ends, xlabel=unit)
    if unit == "%":
        axes.set_xticks(range(0, 101, 20))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _mark_optimum(axes: Axes, rows: Sequence[AblationRow], height: float) -> None:
    """A vertical stroke across each accuracy bar, the first of its subset, at what no model can beat."""
    known = [(place, 100 * row["bayes_accuracy"]) for place, row in enumerate(rows) if "bayes_accuracy" in row]
    if known:
        places, values = np.array(known).T
        ends = places - 0.42, places - 0.34 + height
        axes.vlines(values, *ends, colors="black", linewidth=2, label="Bayes-optimal accuracy")


def plot_timeline(
    answers: Sequence[Mapping[str, Any]], path: str | Path, title: str, *, synthetic: bool = False
) -> Path:
    """Draw the scores of a recording over time, and below them which modalities were found when.

    Of many labels the `TIMELINE_LABELS` with the highest mean are drawn. One answer alone is drawn as bars.

    Args:
        answers: of the pipeline "affect-recognition", in order of time: scores, modalities and missing, and start and
            end in s where there are several.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    names = list(answers[0]["scores"])
    means = {name: float(np.mean([answer["scores"][name] for answer in answers])) for name in names}
    highest = sorted(names, key=lambda name: means[name], reverse=True)[:TIMELINE_LABELS]
    drawn = [name for name in names if name in highest]
    colours, strokes = colours_of(names), dict(zip(names, itertools.cycle(STROKES), strict=False))
    note = f"the {len(drawn)} highest of {len(names)} labels" if len(drawn) < len(names) else ""
    if len(answers) == 1:
        figure = Figure(figsize=(7, 1.4 + 0.36 * len(drawn)), layout="constrained")
        axes = figure.subplots()
        axes.barh(drawn, [means[name] for name in drawn], height=0.7, color=[colours[name] for name in drawn])
        axes.set_title(note)
        _finish_bars(axes, "score")
        return _save(figure, path, title, synthetic)
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    scores, found = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
    middles = [(answer["start"] + answer["end"]) / 2 for answer in answers]
    for name in drawn:
        values = [answer["scores"][name] for answer in answers]
        scores.plot(middles, values, label=name, color=colours[name], linestyle=strokes[name], linewidth=1.8)
    if all(0 <= value <= 1 for answer in answers for value in answer["scores"].values()):
        scores.set_ylim(0, 1)  # else differences that mean nothing would fill the picture
    scores.set(ylabel="score", title=note or None)
    scores.grid(alpha=0.3)
    scores.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _mark_found(found, answers)
    return _save(figure, path, title, synthetic)


def _mark_found(axes: Axes, answers: Sequence[Mapping[str, Any]]) -> None:
    """A bar a modality over the windows in which it was found."""
    names = [*answers[0]["modalities"], *answers[0]["missing"]]
    for place, name in enumerate(names):
        held = [answer for answer in answers if name in answer["modalities"]]
        spans = [(answer["start"], answer["end"] - answer["start"]) for answer in held]
        axes.broken_barh(spans, (place - 0.35, 0.7), color="tab:grey")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="s", ylabel="found", ylim=(len(names) - 0.5, -0.5))


def _save(figure: Figure, path: str | Path, title: str, synthetic: bool) -> Path:
    """Write the PNG, whole or not at all."""
    figure.suptitle(f"{title}\nsynthetic data, not real people" if synthetic else title, fontsize=11)
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return Path(path)
