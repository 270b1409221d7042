"""Training curves, confusion matrix and ablation as PNG files, without pyplot and its global state."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .report import AblationRow, percent, replacing

EVAL_METRICS = ("accuracy", "f1_weighted", "f1_macro")
"""Metrics drawn over time; per-class figures would hide them."""

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
    panels = {name: lines for name, lines in _panels(log_history).items() if lines}
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


def _panels(log_history: LogHistory) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Panel -> line -> (epochs, values)."""
    keys = sorted({key for entry in log_history for key in entry})
    metrics = [key for key in keys if key.startswith("eval_") and key.endswith(EVAL_METRICS)]
    rates = [key for key in keys if key.startswith(("learning_rate", "lr_"))]
    wanted = {
        "loss": {"train": "loss", "validation": "eval_loss"},
        "validation metric": {key.removeprefix("eval_"): key for key in metrics if "balanced" not in key},
        "learning rate": {key: key for key in rates},
    }
    return {
        panel: {label: _series(log_history, key) for label, key in lines.items() if key in keys}
        for panel, lines in wanted.items()
    }


def _series(log_history: LogHistory, key: str) -> tuple[list[float], list[float]]:
    """Epochs and values of the entries that hold `key`."""
    entries = [entry for entry in log_history if key in entry]
    return [entry["epoch"] for entry in entries], [entry[key] for entry in entries]


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
    """Draw accuracy and weighted F1 for each subset of modalities, with the Bayes-optimal accuracy where it is known.

    Args:
        rows: one a subset, drawn from top to bottom.
        path: the PNG file to write.
        title: of the picture.
        synthetic: say in the title that the data are.
    """
    figure = Figure(figsize=(8.5, 1.8 + 0.6 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    for offset, key, label in ((-0.19, "accuracy", "accuracy"), (0.19, "f1_weighted", "weighted F1")):
        axes.barh(places + offset, [100 * row[key] for row in rows], height=0.36, label=label)
        for place, row in zip(places + offset, rows, strict=True):
            axes.text(101, place, percent(row[key]), va="center", fontsize=8)
    _mark_optimum(axes, rows)
    axes.set_yticks(places, [" + ".join(row["modalities"]) for row in rows])
    axes.invert_yaxis()
    axes.set(xlim=(0, 107), xticks=range(0, 101, 20), xlabel="%")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return _save(figure, path, title, synthetic)


def _mark_optimum(axes: Axes, rows: Sequence[AblationRow]) -> None:
    """A vertical stroke across each accuracy bar at what no model can beat."""
    known = [(place, 100 * row["bayes_accuracy"]) for place, row in enumerate(rows) if "bayes_accuracy" in row]
    if known:
        places, values = np.array(known).T
        axes.vlines(values, places - 0.42, places + 0.04, colors="black", linewidth=2, label="Bayes-optimal accuracy")


def _save(figure: Figure, path: str | Path, title: str, synthetic: bool) -> Path:
    """Write the PNG, whole or not at all."""
    figure.suptitle(f"{title}\nsynthetic data, not real people" if synthetic else title, fontsize=11)
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return Path(path)
