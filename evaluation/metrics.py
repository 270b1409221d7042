"""Figures of single-label classification.

`references` come first everywhere, as in scikit-learn, and rows of a confusion matrix are references. MELD results
with the two swapped have been published: accuracy cannot tell, the weighted F1 then weighs by the predictions.
"""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

import datasets
import evaluate
import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


class ClassScores(TypedDict):
    """One label's figures, 0..1; 0 where nothing was predicted or nothing occurs."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows of `references` with this label."""


class Report(TypedDict):
    """What `classification_report` gives. Fractions are 0..1; everything can go to JSON as it is."""

    rows: int
    labels: list[str]
    accuracy: float
    balanced_accuracy: float
    """Mean recall over the labels that occur in `references` (scikit-learn's definition)."""
    f1_weighted: float
    """Mean F1 weighted by the labels' counts in `references`; MELD's customary figure."""
    f1_macro: float
    """Mean F1 over ALL configured labels: one that never occurs counts as 0, and is named in `absent_labels`."""
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[int]]
    """(references, predictions), counts; every configured label has its row and column."""
    absent_labels: list[str]
    """Labels that occur in no reference: they pull `f1_macro` down without saying anything about the model."""
    majority_label: NotRequired[str]
    """Only in `majority_baseline`: the label that was predicted for every row."""


class EmotionMetrics(evaluate.Metric):
    """`classification_report` as a module of `evaluate`; works offline because it is used directly, not by name.

    Args:
        labels: names of all label ids, in the order of the ids.
        kwargs: of `evaluate.Metric`.

    Example:

    ```python
    >>> from affecthub.evaluation.metrics import EmotionMetrics
    >>> metric = EmotionMetrics(["neutral", "joy"])
    >>> metric.compute(predictions=[0, 1, 1, 1], references=[0, 0, 1, 1])["per_class"]["neutral"]["recall"]
    0.5

    ```
    """

    def __init__(self, labels: Sequence[str], *, keep_in_memory: bool = True, **kwargs):
        self.labels = list(labels)
        super().__init__(keep_in_memory=keep_in_memory, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        """Describe the inputs: class ids, taken as floats because `evaluate` would cast 1.7 to 1 without a word."""
        return evaluate.MetricInfo(
            description="Accuracy, balanced accuracy, F1 (weighted, macro, per class) and the confusion matrix.",
            citation="Pedregosa et al. (2011), Scikit-learn: Machine Learning in Python, JMLR 12.",
            inputs_description="predictions, references: class ids, whole numbers from 0 to len(labels) - 1.",
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> Report:
        """Called by `compute`, which takes its inputs by name only."""
        return classification_report(references, predictions, self.labels)


def classification_report(references: ArrayLike, predictions: ArrayLike, labels: Sequence[str]) -> Report:
    """All figures of one set of predictions, by scikit-learn.

    Args:
        references: (rows,) true class ids.
        predictions: (rows,) predicted class ids.
        labels: names of all label ids, in the order of the ids; those that do not occur stay in the figures.

    Raises:
        ValueError: no rows, different lengths, ids that are no whole numbers or outside of `labels`, repeated labels.
    """
    labels = _unique(labels)
    references, predictions = _check_pair(references, predictions, len(labels))
    ids = np.arange(len(labels))
    per_class = precision_recall_fscore_support(references, predictions, labels=ids, zero_division=0)
    precision, recall, f1, support = per_class
    return {
        "rows": len(references),
        "labels": labels,
        "accuracy": float((references == predictions).mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "f1_weighted": float(np.average(f1, weights=support)),
        "f1_macro": float(f1.mean()),
        "per_class": {
            label: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for label, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        },
        "confusion_matrix": confusion_matrix(references, predictions, labels=ids).tolist(),
        "absent_labels": [label for label, count in zip(labels, support, strict=True) if count == 0],
    }


def majority_baseline(train_labels: ArrayLike, references: ArrayLike, labels: Sequence[str]) -> Report:
    """The report of always predicting the most frequent TRAINING label (of equals, the lowest id).

    Args:
        train_labels: (training rows,) class ids.
        references: (rows,) true class ids of the split to be judged.
        labels: names of all label ids.
    """
    labels = _unique(labels)
    majority = int(np.bincount(_check_ids("train_labels", train_labels, len(labels))).argmax())
    report = classification_report(references, np.full(np.shape(references), majority), labels)
    return {**report, "majority_label": labels[majority]}


def scalars(report: Report) -> dict[str, float]:
    """The report's single numbers, flat, as `Trainer` wants them: accuracy, ..., f1_macro, then f1_<label>."""
    names = ("accuracy", "balanced_accuracy", "f1_weighted", "f1_macro")
    per_class = {f"f1_{label}": scores["f1"] for label, scores in report["per_class"].items()}
    return {name: report[name] for name in names} | per_class


def bootstrap_interval(
    references: ArrayLike,
    predictions: ArrayLike,
    metric: Literal["accuracy", "f1_weighted"],
    *,
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric, resampling utterances with replacement (Efron & Tibshirani 1993).

    It covers the draw of utterances only, not of speakers, dialogues or training seeds, which vary more: read it as a
    lower bound of the uncertainty. Drawing rows with replacement is a multinomial draw over the cells of the confusion
    matrix, so all resamples are made at once; `scipy.stats.bootstrap` with scikit-learn inside takes seconds for the
    same numbers.

    Args:
        references, predictions: (rows,) class ids.
        metric: "accuracy" or "f1_weighted".
        seed: of the resampling.
        resamples: how many.
        confidence: 0..1.

    Returns:
        (low, high), each 0..1.
    """
    references, predictions = _check_pair(references, predictions)
    size = int(max(references.max(), predictions.max())) + 1
    cells = np.bincount(references * size + predictions, minlength=size * size)
    draws = np.random.default_rng(seed).multinomial(len(references), cells / len(references), size=resamples)
    values = _OF_CONFUSIONS[metric](draws.reshape(resamples, size, size))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _accuracy(confusions: np.ndarray) -> np.ndarray:
    """(resamples,) from confusion matrices (resamples, references, predictions)."""
    return np.trace(confusions, axis1=1, axis2=2) / confusions.sum(axis=(1, 2))


def _f1_weighted(confusions: np.ndarray) -> np.ndarray:
    """(resamples,) from confusion matrices (resamples, references, predictions)."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    support, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    return (f1 * support).sum(axis=1) / support.sum(axis=1)


_OF_CONFUSIONS = {"accuracy": _accuracy, "f1_weighted": _f1_weighted}


def _unique(labels: Sequence[str]) -> list[str]:
    """`labels` as a list; ValueError when a name occurs twice, because figures are kept by name."""
    if repeated := sorted({label for label in labels if list(labels).count(label) > 1}):
        raise ValueError(f"labels={list(labels)}: {repeated} repeated; give every label id its own name.")
    return list(labels)


def _check_pair(
    references: ArrayLike, predictions: ArrayLike, num_labels: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Both as int64 (rows,), or ValueError."""
    references = _check_ids("references", references, num_labels)
    predictions = _check_ids("predictions", predictions, num_labels)
    if len(references) != len(predictions):
        raise ValueError(f"{len(references)} references and {len(predictions)} predictions: pass one of each a row.")
    return references, predictions


def _check_ids(name: str, values: ArrayLike, num_labels: int | None = None) -> np.ndarray:
    """int64 (rows,), or ValueError with the first value that is no id of `num_labels` labels (None: of any number)."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} has shape {values.shape}: pass at least one class id, in one dimension (rows,).")
    last = np.inf if num_labels is None else num_labels - 1
    good = (values >= 0) & (values <= last) & np.isfinite(values) & (values == np.floor(values))
    if not good.all():
        row = int(np.argmin(good))
        upper = "" if num_labels is None else f" to {num_labels - 1}"
        raise ValueError(
            f"{name}[{row}] = {values[row]:g} is no class id ({int((~good).sum())} such rows): ids are whole numbers "
            f"from 0{upper}; pass argmax(logits), and leave unlabelled rows out."
        )
    return values.astype(np.int64)
