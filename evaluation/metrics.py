"""Figures of each kind of task (single-label, binary, multi-label, regression) and the baseline that each must beat.

`references` come first everywhere, as in scikit-learn, and rows of a confusion matrix are references. MELD results
with the two swapped have been published: accuracy cannot tell, the weighted F1 then weighs by the predictions.
"""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

import datasets
import evaluate
import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from .bootstrap import row_bootstrap

Kind = Literal["single_label", "binary", "multi_label", "regression"]

HEADLINES: dict[Kind, tuple[str, ...]] = {
    "single_label": ("accuracy", "balanced_accuracy", "f1_weighted", "f1_macro"),
    "binary": ("accuracy", "balanced_accuracy", "f1_weighted", "f1_macro", "auc"),
    "multi_label": ("element_accuracy", "exact_match", "f1_macro", "f1_micro"),
    "regression": ("mae", "rmse", "pearson", "ccc"),
}
"""The single numbers of each kind's report, the one to name first at the front."""

LOWER_IS_BETTER = ("mae", "rmse")
"""Those of `HEADLINES` that are errors."""


class ClassScores(TypedDict):
    """One label's figures, 0..1; 0 where nothing was predicted or nothing occurs."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows of `references` with this label."""


class Report(TypedDict):
    """What `classification_report` gives. Fractions are 0..1; everything can go to JSON as it is."""

    kind: Literal["single_label", "binary"]
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
    auc: NotRequired[float]
    """Only in `binary_report`: area under the ROC curve; absent where all references are of one class."""


class MultiLabelReport(TypedDict):
    """What `multi_label_report` gives; an element is one label of one row."""

    kind: Literal["multi_label"]
    rows: int
    labels: list[str]
    element_accuracy: float
    """Share of the elements that are right. With rare labels, answering "none" comes near 1: look at the baseline."""
    exact_match: float
    """Share of the rows whose labels are all right."""
    f1_macro: float
    """Mean F1 over ALL labels: one that never occurs counts as 0, and is named in `absent_labels`."""
    f1_micro: float
    """F1 over all elements at once."""
    per_class: dict[str, ClassScores]
    absent_labels: list[str]
    """Labels that occur in no reference."""
    majority_labels: NotRequired[list[str]]
    """Only in `multi_label_baseline`: the labels that were predicted for every row; often none."""


class RegressionReport(TypedDict):
    """What `regression_report` gives, in the unit of the references."""

    kind: Literal["regression"]
    rows: int
    mae: float
    """Mean absolute error."""
    rmse: float
    """Root of the mean squared error."""
    pearson: float
    """Pearson's r, -1..1; 0 where the references or the predictions do not vary."""
    ccc: float
    """Concordance correlation coefficient (Lin 1989, Biometrics 45), -1..1; unlike r it sees a wrong offset."""
    training_mean: NotRequired[float]
    """Only in `regression_baseline`: what was predicted for every row."""


AnyReport = Report | MultiLabelReport | RegressionReport


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
        "kind": "single_label",
        "rows": len(references),
        "labels": labels,
        "accuracy": float((references == predictions).mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "f1_weighted": float(np.average(f1, weights=support)),
        "f1_macro": float(f1.mean()),
        "per_class": _per_class(labels, per_class),
        "confusion_matrix": confusion_matrix(references, predictions, labels=ids).tolist(),
        "absent_labels": [label for label, count in zip(labels, support, strict=True) if count == 0],
    }


def _per_class(labels: list[str], figures: tuple[np.ndarray, ...]) -> dict[str, ClassScores]:
    """From scikit-learn's precision, recall, F1 and support, each (labels,)."""
    return {
        label: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for label, p, r, f, s in zip(labels, *figures, strict=True)
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


def binary_report(references: ArrayLike, probabilities: ArrayLike, labels: Sequence[str]) -> Report:
    """The report of two classes told apart by one probability, the second class from above 0.5 on, with AUC-ROC.

    Args:
        references: (rows,) 0 or 1.
        probabilities: (rows,) of the second class, 0..1.
        labels: names of the two classes.

    Raises:
        ValueError: other than two names, or as `classification_report`.
    """
    if len(labels) != 2:
        raise ValueError(f"labels={list(labels)}: name both classes of a binary task, as 'low' and 'high'.")
    probabilities = _check_finite("probabilities", probabilities)
    report = classification_report(references, probabilities > 0.5, labels)
    both = not report["absent_labels"]
    return {**report, "kind": "binary"} | ({"auc": float(roc_auc_score(references, probabilities))} if both else {})


def binary_baseline(train_labels: ArrayLike, references: ArrayLike, labels: Sequence[str]) -> Report:
    """`majority_baseline` of two classes; a constant answer ranks nothing, and so its AUC-ROC is 0.5.

    Args:
        train_labels: (training rows,) 0 or 1.
        references: (rows,) 0 or 1.
        labels: names of the two classes.
    """
    report = majority_baseline(train_labels, references, labels)
    return {**report, "kind": "binary"} | ({} if report["absent_labels"] else {"auc": 0.5})


def multi_label_report(
    references: ArrayLike, probabilities: ArrayLike, labels: Sequence[str], threshold: float = 0.5
) -> MultiLabelReport:
    """All figures of rows that may have several labels or none, by scikit-learn.

    Args:
        references: (rows, labels) 0 or 1.
        probabilities: (rows, labels) 0..1; a label is predicted above the threshold.
        labels: names of all labels, in the order of the columns.
        threshold: 0..1.

    Raises:
        ValueError: no rows, different shapes, references other than 0 and 1, probabilities that are not finite.
    """
    labels = _unique(labels)
    references = _check_marks("references", references, labels)
    predictions = _check_finite("probabilities", probabilities, references.shape) > threshold
    per_class = precision_recall_fscore_support(references, predictions, average=None, zero_division=0)
    micro = precision_recall_fscore_support(references, predictions, average="micro", zero_division=0)
    right = references == predictions
    return {
        "kind": "multi_label",
        "rows": len(references),
        "labels": labels,
        "element_accuracy": float(right.mean()),
        "exact_match": float(right.all(axis=1).mean()),
        "f1_macro": float(per_class[2].mean()),
        "f1_micro": float(micro[2]),
        "per_class": _per_class(labels, per_class),
        "absent_labels": [label for label, count in zip(labels, per_class[3], strict=True) if count == 0],
    }


def multi_label_baseline(train_labels: ArrayLike, references: ArrayLike, labels: Sequence[str]) -> MultiLabelReport:
    """The report of always answering with the labels that more than half of the TRAINING rows have.

    Args:
        train_labels: (training rows, labels) 0 or 1.
        references: (rows, labels) 0 or 1.
        labels: names of all labels.
    """
    share = _check_marks("train_labels", train_labels, _unique(labels)).mean(axis=0)
    report = multi_label_report(references, np.broadcast_to(share, np.shape(references)), labels)
    return {**report, "majority_labels": [label for label, of in zip(labels, share, strict=True) if of > 0.5]}


def regression_report(references: ArrayLike, predictions: ArrayLike) -> RegressionReport:
    """All figures of predicted values.

    Args:
        references: (rows,) true values.
        predictions: (rows,) predicted values, in the same unit.

    Raises:
        ValueError: no rows, different lengths, values that are not finite.
    """
    moments = _moments(references, predictions)
    figures = _of_moments(moments.mean(axis=0, keepdims=True))
    return {"kind": "regression", "rows": len(moments)} | {name: float(value[0]) for name, value in figures.items()}


def regression_baseline(train_values: ArrayLike, references: ArrayLike) -> RegressionReport:
    """The report of always predicting the mean of the TRAINING values.

    Args:
        train_values: (training rows,) values.
        references: (rows,) true values.
    """
    mean = float(_check_finite("train_values", train_values).mean())
    return {**regression_report(references, np.full(np.shape(references), mean)), "training_mean": mean}


def headline(report: AnyReport) -> dict[str, float]:
    """The report's single numbers that a Trainer logs and chooses by: `HEADLINES` of its kind, in that order."""
    return {name: report[name] for name in HEADLINES[report["kind"]] if name in report}


def scalars(report: AnyReport) -> dict[str, float]:
    """The headline, then f1_<label> of each label, flat."""
    per_class = report.get("per_class", {})
    return headline(report) | {f"f1_{label}": scores["f1"] for label, scores in per_class.items()}


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


def binary_intervals(references: ArrayLike, probabilities: ArrayLike, *, seed: int) -> dict[str, list[float]]:
    """95 % percentile bootstrap intervals of accuracy, weighted F1 and, where both classes occur, AUC-ROC.

    Args:
        references: (rows,) 0 or 1.
        probabilities: (rows,) of the second class, 0..1.
        seed: of the resampling.
    """
    probabilities = _check_finite("probabilities", probabilities)
    references = _check_ids("references", references, 2)
    intervals = {
        metric: list(bootstrap_interval(references, probabilities > 0.5, metric, seed=seed))
        for metric in ("accuracy", "f1_weighted")
    }
    if len(set(references.tolist())) < 2:
        return intervals
    order = np.argsort(probabilities)
    marks, starts = references[order], np.unique(probabilities[order], return_index=True)[1]

    def auc(counts: np.ndarray) -> dict[str, np.ndarray]:
        """Share of the pairs, one row of each class, that are ranked rightly; ties count half (Mann & Whitney)."""
        positives = np.add.reduceat(counts[:, order] * marks, starts, axis=1)
        negatives = np.add.reduceat(counts[:, order] * (1 - marks), starts, axis=1)
        right = (positives * (negatives.cumsum(axis=1) - negatives / 2)).sum(axis=1)
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        return {"auc": np.divide(right, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)}

    return intervals | row_bootstrap(auc, len(references), seed=seed)


def multi_label_intervals(
    references: ArrayLike, probabilities: ArrayLike, labels: Sequence[str], *, seed: int, threshold: float = 0.5
) -> dict[str, list[float]]:
    """95 % percentile bootstrap intervals of all of the headline.

    Args:
        references, probabilities, labels, threshold: as for `multi_label_report`.
        seed: of the resampling.
    """
    references = _check_marks("references", references, _unique(labels))
    predictions = _check_finite("probabilities", probabilities, references.shape) > threshold
    right = references == predictions
    shares = np.column_stack([right.mean(axis=1), right.all(axis=1)])
    sums = np.concatenate([references & predictions, references.astype(int) + predictions], axis=1).astype(float)

    def figures(counts: np.ndarray) -> dict[str, np.ndarray]:
        hits, either = np.split(counts @ sums, 2, axis=1)  # each (resamples, labels); F1 = 2 hits / (true + predicted)
        accuracy, exact = (counts @ shares).T / len(references)
        return {
            "element_accuracy": accuracy,
            "exact_match": exact,
            "f1_macro": (2 * hits / np.maximum(either, 1)).mean(axis=1),
            "f1_micro": 2 * hits.sum(axis=1) / np.maximum(either.sum(axis=1), 1),
        }

    return row_bootstrap(figures, len(references), seed=seed)


def regression_intervals(references: ArrayLike, predictions: ArrayLike, *, seed: int) -> dict[str, list[float]]:
    """95 % percentile bootstrap intervals of all of the headline.

    Args:
        references, predictions: (rows,) values.
        seed: of the resampling.
    """
    moments = _moments(references, predictions)
    return row_bootstrap(lambda counts: _of_moments(counts @ moments / len(moments)), len(moments), seed=seed)


def _moments(references: ArrayLike, predictions: ArrayLike) -> np.ndarray:
    """(rows, 7): what each row adds to the figures of a regression, values counted from the references' mean."""
    references = _check_finite("references", references)
    predictions = _check_finite("predictions", predictions, references.shape)
    error = predictions - references
    x, y = references - references.mean(), predictions - references.mean()
    return np.column_stack([abs(error), error**2, x, y, x * x, y * y, x * y])


def _of_moments(means: np.ndarray) -> dict[str, np.ndarray]:
    """Figures, each (resamples,), from the rows' mean moments (resamples, 7)."""
    mae, mse, x, y, xx, yy, xy = means.T
    spread = [np.where(square - mean**2 > 1e-12 * square, square - mean**2, 0) for mean, square in ((x, xx), (y, yy))]
    covariance = xy - x * y
    scale, all_of_it = np.sqrt(spread[0] * spread[1]), spread[0] + spread[1] + (x - y) ** 2
    varies = scale > 0
    return {
        "mae": mae,
        "rmse": np.sqrt(mse),
        "pearson": np.divide(covariance, scale, out=np.zeros_like(scale), where=varies),
        "ccc": np.divide(2 * covariance, all_of_it, out=np.zeros_like(scale), where=varies),
    }


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


def _check_marks(name: str, values: ArrayLike, labels: list[str]) -> np.ndarray:
    """bool (rows, labels), or ValueError with the first value that is neither 0 nor 1."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not len(values) or values.shape[1] != len(labels):
        raise ValueError(
            f"{name} has shape {values.shape}: pass at least one row of {len(labels)} labels, each 0 or 1."
        )
    if (bad := np.argwhere((values != 0) & (values != 1))).size:
        row, column = bad[0]
        raise ValueError(
            f"{name}[{row}] has {labels[column]} = {values[row, column]:g} ({len(bad)} such values): a label is 0 or "
            "1; leave unlabelled rows out."
        )
    return values.astype(bool)


def _check_finite(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """float64 of this shape (None: one dimension, any length), or ValueError with the first that is no number."""
    values = np.asarray(values, dtype=np.float64)
    if not values.size or (values.ndim != 1 if shape is None else values.shape != shape):
        wanted = (
            "at least one value, in one dimension (rows,)" if shape is None else f"one for each reference, {shape}"
        )
        raise ValueError(f"{name} has shape {values.shape}: pass {wanted}.")
    if (bad := np.argwhere(~np.isfinite(values))).size:
        where = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"{name}[{where}] = {values[tuple(bad[0])]} ({len(bad)} such values): leave unlabelled rows out."
        )
    return values
