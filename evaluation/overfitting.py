"""Whether a model learned its training rows by heart: the gap between what it lost there and elsewhere, epoch by epoch
and in the end."""

from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd

from .answers import known_rows
from .errors import row_losses
from .metrics import direction_of
from .predictions import Predictions
from .scores import headline
from .scores import report as scores_of

LARGE_GAP = 0.2
"""Of the training loss: a validation loss that is higher by more is called overfitting."""


class SplitFigures(TypedDict):
    """Of one split and target, the rows as evaluation sees them."""

    rows: int
    loss: float
    """Mean of `errors.row_losses`."""
    figures: dict[str, float]
    """Its metrics."""


class Overfitting(TypedDict):
    """What there is to say of a run."""

    splits: dict[str, SplitFigures]
    gap: NotRequired[float]
    """(validation loss - training loss) / training loss; absent where the training rows were not asked."""
    overfits: NotRequired[bool]
    """Whether the gap is above `LARGE_GAP`."""
    best_epoch: NotRequired[int]
    """In which the metric that chooses was best on validation, from 1."""
    last_epoch: NotRequired[int]
    best_figure: NotRequired[float]
    last_figure: NotRequired[float]


def overfitting(
    predictions: Predictions, task: str, history: pd.DataFrame | None = None, metric: str | None = None
) -> Overfitting:
    """Compare the splits of a run, and its best epoch with its last.

    Args:
        predictions: of all its splits.
        task: which target.
        history: `history.parquet`; None: there is none.
        metric: by which the best epoch was chosen, as `training.best_metric` names it; "loss" is the lowest.
    """
    found: Overfitting = {"splits": {}}
    of = predictions.tasks[task]
    for split in predictions.splits:
        part = predictions.of(split)
        references, logits = part.references(task), part.logits(task)
        if known_rows(of["kind"], references).any():
            report = scores_of(part.answers(task))
            loss = float(np.nanmean(row_losses(of["kind"], references, logits)))
            found["splits"][split] = {"rows": report["rows"], "loss": loss, "figures": headline(report)}
    splits = found["splits"]
    if {"train", "validation"} <= set(splits) and splits["train"]["loss"] > 0:
        found["gap"] = splits["validation"]["loss"] / splits["train"]["loss"] - 1
        found["overfits"] = found["gap"] > LARGE_GAP
    column = f"eval_{metric}"
    if history is None or metric is None or column not in history:
        return found
    values = history.set_index("epoch").loc[:, column].dropna()
    if len(values):
        best = values.argmax() if direction_of(metric) == "max" else values.argmin()
        found.update(best_epoch=int(values.index[best]), last_epoch=int(values.index[-1]))
        found.update(best_figure=float(values.iloc[best]), last_figure=float(values.iloc[-1]))
    return found
