"""What each modality adds to a model's answers: Shapley values over the subsets of its modalities."""

import itertools
from math import factorial
from typing import NotRequired, TypedDict

import numpy as np
from scipy.special import logit

from .answers import Kind, from_outputs, known_rows
from .bootstrap import RESAMPLES, Draws, interval
from .metrics import METRICS
from .predictions import Predictions


class ModalityShare(TypedDict):
    """What a modality adds to a metric, the mean over all orders in which they may be given (Shapley 1953)."""

    modality: str
    value: float
    """In the units of the metric; all modalities together add what all of them gain over none. Above 0: it helps,
    whichever way the metric goes."""
    interval: NotRequired[list[float]]
    """95 %, the rows or groups drawn anew and all subsets judged on the same draw."""


def modality_importance(
    predictions: Predictions,
    task: str,
    metric: str,
    train_references: np.ndarray,
    *,
    seed: int,
    groups: np.ndarray | None = None,
) -> list[ModalityShare]:
    """Divide what a model gains over knowing nothing among its modalities.

    A row that holds none of a subset, and every row where nothing is given, is answered by how frequent each answer is
    in the training rows.

    Args:
        predictions: of a split that the model was asked every subset on.
        task: which target.
        metric: a key of `metrics.METRICS`.
        train_references: of the training rows, as `answers.answers_of` takes them.
        seed: of the resampling.
        groups: int (rows,), from 0 on without a gap: rows that are drawn together; None: each by itself.
    """
    facts, of = predictions.facts, predictions.tasks[task]
    kind, labels, fitted = of["kind"], of["labels"], of.get("calibration")
    names, references = facts["modalities"], predictions.references(task)
    known, usual = known_rows(kind, references), prior_outputs(kind, train_references, len(labels))
    units = np.arange(int(known.sum())) if groups is None else np.unique(groups[known], return_inverse=True)[1]
    worth = {}
    for subset in [(), *map(tuple, facts["subsets"]), tuple(names)]:
        outputs = predictions.logits(task, subset) if subset else np.full_like(predictions.logits(task), np.nan)
        outputs = np.where(np.isnan(outputs), usual, outputs)
        answers = from_outputs(kind, references, outputs, labels, fitted)
        both = [Draws(answers), Draws(answers, seed, RESAMPLES, units)]
        worth[frozenset(subset)] = np.concatenate([METRICS[metric].of(draws) for draws in both])
    sign = -1 if METRICS[metric].lower_is_better else 1
    shares = []
    for name in names:
        values = sign * _shapley(name, names, worth)
        share: ModalityShare = {"modality": name, "value": float(values[0])}
        ends = interval(values[1:], groups=None if groups is None else int(units.max()) + 1)
        shares.append(share | ({"interval": ends} if ends else {}))
    return shares


def prior_outputs(kind: Kind, train_references: np.ndarray, labels: int) -> np.ndarray:
    """Raw outputs (outputs,) that say how frequent each answer is in the training rows, and nothing else.

    Shares of 0 and 1 are taken for half a row, so that their logits are finite.
    """
    known = train_references[known_rows(kind, train_references)].astype(np.float64)
    if kind == "regression":
        return known.reshape(-1, 1).mean(axis=0)
    if kind in ("single_label", "soft"):
        counts = np.bincount(known.astype(int), minlength=labels) if kind == "single_label" else known.sum(axis=0)
        return np.log(np.maximum(counts, 0.5) / len(known))
    known = known.reshape(len(known), -1)
    rows = (~np.isnan(known)).sum(axis=0)
    share = np.nansum(known, axis=0) / np.maximum(rows, 1)
    margin = 0.5 / np.maximum(rows, 1)
    return logit(np.clip(share, margin, 1 - margin))


def _shapley(name: str, names: list[str], worth: dict[frozenset[str], np.ndarray]) -> np.ndarray:
    """The value of one modality (draws,), of what each subset is worth (draws,)."""
    others, total = [other for other in names if other != name], np.zeros_like(worth[frozenset()])
    for size in range(len(names)):
        weight = factorial(size) * factorial(len(names) - size - 1) / factorial(len(names))
        for subset in map(frozenset, itertools.combinations(others, size)):
            total = total + weight * (worth[subset | {name}] - worth[subset])
    return total
