"""What a model answered, beside what is true: checked, and without the rows of which nobody knows the truth.

`references` come first everywhere, as in scikit-learn. MELD results with the two swapped have been published: accuracy
cannot tell, the weighted F1 then weighs by the predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, softmax

from ..datasets_scripts.corpus import UNKNOWN, known_values

Kind = Literal["single_label", "binary", "multi_label", "regression", "soft"]
"""What is judged: one label of several; one of two, by a probability; any number of labels; a number; the shares of
raters, as their distribution and by its mode."""

THRESHOLD = 0.5
"""A label is said to be there where its probability exceeds this, unless one was fitted for it."""


class Calibration(TypedDict):
    """How raw outputs of a task become probabilities and labels, fitted on validation by `calibration.fit`."""

    temperature: float
    """What logits are divided by (Guo et al. 2017)."""
    thresholds: NotRequired[list[float]]
    """Of several labels, and of one that is there or not: the probability that a label has to exceed, one a label."""


@dataclass(frozen=True)
class Answers:
    """The rows whose truth is known, and what was answered to each."""

    kind: Kind
    labels: list[str]
    """In the order of the ids; of a number, its name."""
    references: np.ndarray
    """Ids (rows,); of several labels 0 or 1 (rows, labels), NaN where one is unknown; values (rows,); shares (rows,
    labels)."""
    predictions: np.ndarray
    """Ids (rows,); 0 or 1 (rows, labels); values (rows,); probabilities (rows, labels)."""
    unknown: int = 0
    """Rows that are left out, because nobody knows their truth."""
    probabilities: np.ndarray | None = None
    """Of one label a row and of shares, those of all labels (rows, labels); of several, that of each; of a binary
    target, that of the second class (rows,). None: ids are all that was given, or a number."""
    modes: tuple[np.ndarray, np.ndarray] | None = None
    """Of shares: ids of the raters' and of the model's most frequent label (rows,), without the rows where two labels
    are equally frequent among raters."""

    def __len__(self) -> int:
        return len(self.references)

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids of references and predictions (rows,), where a row has one label; of shares, the modes."""
        return self.modes or (self.references, self.predictions)

    @property
    def unknown_elements(self) -> int:
        """Of several labels: how many are unknown, of the rows that are not left out."""
        return int(np.isnan(self.references).sum()) if self.kind == "multi_label" else 0

    def take(self, rows: np.ndarray) -> "Answers":
        """Of some rows, by their places (rows,); none is counted as unknown."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        taken = replace(
            self,
            references=self.references[rows],
            predictions=self.predictions[rows],
            unknown=0,
            probabilities=probabilities,
        )
        if self.modes is None:
            return taken
        untied = modes_of(self.references) >= 0
        places, kept = np.cumsum(untied) - 1, rows[untied[rows]]
        return replace(taken, modes=tuple(ids[places[kept]] for ids in self.modes))

    @property
    def tied(self) -> int:
        """Of shares: rows without a mode, which the figures of a single label leave out."""
        return len(self) - len(self.modes[0]) if self.modes else 0


def joined(parts: Sequence[Answers]) -> Answers:
    """Answers of one kind as one, in their order."""
    first = parts[0]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("references", "predictions", "probabilities")
        if getattr(first, name) is not None
    }
    if first.modes is not None:
        arrays["modes"] = tuple(map(np.concatenate, zip(*(part.modes for part in parts), strict=True)))
    return replace(first, unknown=sum(part.unknown for part in parts), **arrays)


def kind_of(problem_type: str, num_labels: int, soft: bool = False) -> Kind:
    """How a model is judged; binary is multi-label with one label.

    Args:
        problem_type: `config.problem_type`.
        num_labels: `config.num_labels`, the columns of the logits.
        soft: whether it learned the shares of raters.

    Raises:
        ValueError: another problem type, or a regression of several values.
    """
    if problem_type == "single_label_classification":
        return "soft" if soft else "single_label"
    if problem_type == "multi_label_classification":
        return "binary" if num_labels == 1 else "multi_label"
    if problem_type == "regression" and num_labels == 1:
        return "regression"
    raise ValueError(
        f"problem_type={problem_type!r} with {num_labels} labels cannot be judged: use single_label_classification, "
        "multi_label_classification, or regression with one label; several numbers are several targets."
    )


def known_rows(kind: Kind, references: ArrayLike) -> np.ndarray:
    """Of which rows the truth is known, bool (rows,); of several labels, that of any of them.

    Args:
        kind: of the target.
        references: as for `answers_of`.
    """
    values = np.asarray(references, dtype=np.float64)
    return known_values(values, ids=kind == "single_label", shares=kind == "soft")


def from_outputs(
    kind: Kind,
    references: ArrayLike,
    outputs: ArrayLike,
    labels: Sequence[str],
    calibration: Calibration | None = None,
) -> Answers:
    """Answers of a model's raw outputs.

    Args:
        kind: of the target.
        references: as for `answers_of`.
        outputs: logits (rows, labels), or values (rows,) or (rows, 1).
        labels: names of the labels in the order of their ids; of a binary target, of both classes.
        calibration: temperature and thresholds of the task; None: 1 and 0.5.

    Raises:
        ValueError: as `answers_of`; a logit is NaN, which would be taken for the best.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    outputs = outputs[:, None] if outputs.ndim == 1 else outputs
    if (bad := np.isnan(outputs).any(axis=1)).any():
        row = int(np.argmax(bad))
        raise ValueError(f"outputs[{row}] = {outputs[row].tolist()}: the training probably diverged (lower its rate).")
    if kind == "regression":
        return answers_of(kind, references, outputs[:, 0], labels)
    calibration = calibration or {"temperature": 1.0}
    outputs = outputs / calibration["temperature"]
    if kind == "single_label":
        answers = answers_of(kind, references, outputs.argmax(axis=1), labels)
        return replace(answers, probabilities=softmax(outputs, axis=1)[known_rows(kind, references)])
    if kind == "soft":
        predictions = np.maximum(softmax(outputs, axis=1), np.finfo(np.float64).tiny)  # never 0, whose log is infinite
    else:
        predictions = expit(outputs) if kind == "multi_label" else expit(outputs[:, 0])
    return answers_of(kind, references, predictions, labels, calibration.get("thresholds", THRESHOLD))


def answers_of(
    kind: Kind,
    references: ArrayLike,
    predictions: ArrayLike,
    labels: Sequence[str],
    thresholds: ArrayLike = THRESHOLD,
) -> Answers:
    """Answers that were given, checked.

    Args:
        kind: of the target.
        references: by the kind: ids, -100 = unknown (rows,); 0 or 1, NaN = unknown (rows,) or (rows, 1); likewise
            (rows, labels); values, NaN = unknown (rows,) or (rows, 1); shares that sum to 1, NaN = unknown (rows,
            labels).
        predictions: by the kind: ids (rows,); probabilities of the second class (rows,); likewise of each label (rows,
            labels); values (rows,); probabilities that sum to 1 (rows, labels).
        labels: names of all labels in the order of their ids; of a binary target, of both classes.
        thresholds: of several labels and of a binary target: the probability that has to be exceeded, one for all or
            one a label.

    Raises:
        ValueError: no rows, or none that is known; shapes that do not fit; values that are no references; names that
            occur twice.
    """
    labels = _unique(labels)
    references = check_references(kind, "references", references, labels)
    known = known_rows(kind, references)
    if not known.any():
        raise ValueError(f"references: of {len(known)} rows none is known, and so there is nothing to judge.")
    if kind == "single_label":
        predictions = _ids("predictions", predictions, len(labels))
        if len(references) != len(predictions):
            raise ValueError(
                f"{len(references)} references and {len(predictions)} predictions: pass one of each a row."
            )
    else:
        name = "predictions" if kind == "regression" else "probabilities"
        predictions = _finite(name, predictions, references.shape)
    unknown, references, predictions = int((~known).sum()), references[known], predictions[known]
    return _as_kind(Answers(kind, labels, references, predictions, unknown), thresholds)


def _as_kind(answers: Answers, thresholds: ArrayLike) -> Answers:
    """Probabilities become what they say."""
    said = answers.predictions
    if answers.kind in ("binary", "multi_label"):
        ids = np.int64 if answers.kind == "binary" else np.float64
        decided = (said > thresholds).astype(ids)
        return replace(answers, references=answers.references.astype(ids), predictions=decided, probabilities=said)
    if answers.kind == "soft":
        modes = modes_of(answers.references)
        pairs = (modes[modes >= 0], said.argmax(axis=1)[modes >= 0])
        return replace(answers, modes=pairs, probabilities=said)
    return answers


class Usual(TypedDict, total=False):
    """What is usual in the training rows, by the kind."""

    majority_label: str
    """Of one label, and of shares."""
    majority_labels: list[str]
    """Of several labels; often none."""
    training_mean: float
    """Of a number."""
    training_shares: dict[str, float]
    """Of shares, by label."""


def constant(answers: Answers, train_references: ArrayLike) -> tuple[Answers, Usual]:
    """The same rows, each answered by what is usual in the TRAINING rows, and what that is.

    It is the most frequent label (of equals, the one with the lowest id), those that more than half of the rows have,
    the mean of the values, or the mean shares and the most frequent mode; its probabilities are how often each label
    occurs.

    Args:
        answers: to the rows that are judged.
        train_references: of the training rows, as the references of `answers_of`.

    Raises:
        ValueError: none of the training rows is known; values that are no references.
    """
    kind, labels, rows = answers.kind, answers.labels, len(answers)
    train = check_references(kind, "train_references", train_references, labels)
    train = train[known_rows(kind, train)]
    if not len(train):
        raise ValueError("train_references: no training row is known, and so there is no baseline.")
    if kind in ("single_label", "binary"):
        share = np.bincount(train.astype(np.int64), minlength=len(labels)) / len(train)
        usual = int(share.argmax())
        probabilities = np.full(rows, share[1]) if kind == "binary" else np.broadcast_to(share, (rows, len(labels)))
        given = {"predictions": np.full(rows, usual), "probabilities": probabilities}
        return replace(answers, **given), {"majority_label": labels[usual]}
    if kind == "regression":
        mean = float(train.mean())
        return replace(answers, predictions=np.full(rows, mean)), {"training_mean": mean}
    known = ~np.isnan(train)
    share = np.nansum(train, axis=0) / np.maximum(known.sum(axis=0), 1)
    if kind == "multi_label":
        usual = [label for label, of in zip(labels, share, strict=True) if of > 0.5]
        marks = np.broadcast_to((share > 0.5).astype(np.float64), answers.references.shape)
        probabilities = np.broadcast_to(share, answers.references.shape)
        return replace(answers, predictions=marks, probabilities=probabilities), {"majority_labels": usual}
    modes = modes_of(train)
    usual = int(np.bincount(modes[modes >= 0]).argmax()) if (modes >= 0).any() else int(share.argmax())
    given = {
        "predictions": np.broadcast_to(share, answers.references.shape),
        "probabilities": np.broadcast_to(share, answers.references.shape),
        "modes": (answers.pairs[0], np.full(len(answers.pairs[0]), usual)),
    }
    named = {label: float(of) for label, of in zip(labels, share, strict=True)}
    return replace(answers, **given), {"majority_label": labels[usual], "training_shares": named}


def modes_of(shares: np.ndarray) -> np.ndarray:
    """Ids of the most frequent label (rows,), -1 where two are; of shares (rows, labels).

    Shares are votes over their number in single precision, so that equal ones may differ in their last digits.
    """
    highest = shares.max(axis=1, keepdims=True)
    return np.where(np.isclose(shares, highest, rtol=1e-5).sum(axis=1) == 1, shares.argmax(axis=1), -1)


def check_references(kind: Kind, name: str, values: ArrayLike, labels: Sequence[str]) -> np.ndarray:
    """References as an array: ids int64 (rows,), all else float64 with NaN = unknown; ValueError for what is none."""
    if kind == "single_label":
        return _ids(name, values, len(labels), UNKNOWN)
    if kind == "multi_label":
        return _marks(name, values, labels)
    if kind == "soft":
        return _shares(name, values, labels)
    values = np.asarray(values, dtype=np.float64)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if kind == "regression":
        return _finite(name, values, may_be_nan=True)
    if len(labels) != 2:
        raise ValueError(f"labels={list(labels)}: name both classes of a binary target, as 'low' and 'high'.")
    return _ids(name, values, 2, np.nan)


def _unique(labels: Sequence[str]) -> list[str]:
    """`labels` as a list; ValueError when a name occurs twice, because figures are kept by name."""
    if repeated := sorted({label for label in labels if list(labels).count(label) > 1}):
        raise ValueError(f"labels={list(labels)}: {repeated} repeated; give every label id its own name.")
    return list(labels)


def _ids(name: str, values: ArrayLike, num_labels: int, unknown: float | None = None) -> np.ndarray:
    """Ids (rows,), int64 where none is NaN; ValueError with the first value that is neither an id nor `unknown`."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} has shape {values.shape}: pass at least one class id, in one dimension (rows,).")
    good = (values >= 0) & (values < num_labels) & (values == np.floor(values))
    if unknown is not None:
        good |= np.isnan(values) if np.isnan(unknown) else values == unknown
    if not good.all():
        row = int(np.argmin(good))
        mask = "" if unknown is None else f", and an unknown one is {unknown}"
        raise ValueError(
            f"{name}[{row}] = {values[row]:g} is no class id ({int((~good).sum())} such rows): ids are whole numbers "
            f"from 0 to {num_labels - 1}{mask}; pass argmax(logits)."
        )
    return values if np.isnan(values).any() else values.astype(np.int64)


def _marks(name: str, values: ArrayLike, labels: Sequence[str]) -> np.ndarray:
    """float64 (rows, labels), or ValueError with the first value that is not 0, 1 or NaN."""
    values = _table(name, values, labels, "each 0 or 1")
    if (bad := np.argwhere(~np.isnan(values) & (values != 0) & (values != 1))).size:
        row, column = bad[0]
        raise ValueError(
            f"{name}[{row}] has {labels[column]} = {values[row, column]:g} ({len(bad)} such values): a label is 0 or "
            "1, and an unknown one NaN."
        )
    return values


def _shares(name: str, values: ArrayLike, labels: Sequence[str]) -> np.ndarray:
    """float64 (rows, labels), all NaN where any is; ValueError with the first row that does not sum to 1."""
    values = _table(name, values, labels, "which sum to 1")
    known = known_rows("soft", values)
    bad = known & ~(np.isclose(values.sum(axis=1), 1, atol=1e-3) & (values >= 0).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{name}[{row}] = {values[row].tolist()} ({int(bad.sum())} such rows): shares are not below 0 and sum to "
            "1, and unknown ones are NaN."
        )
    values = values / np.where(known, values.sum(axis=1), 1)[:, None]
    return np.where(known[:, None], values, np.nan)


def _table(name: str, values: ArrayLike, labels: Sequence[str], each: str) -> np.ndarray:
    """float64 (rows, labels), or ValueError."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not len(values) or values.shape[1] != len(labels):
        raise ValueError(f"{name} has shape {values.shape}: pass at least one row of {len(labels)} labels, {each}.")
    return values


def _finite(
    name: str, values: ArrayLike, shape: tuple[int, ...] | None = None, *, may_be_nan: bool = False
) -> np.ndarray:
    """float64 of this shape (None: one dimension, any length), or ValueError with the first that is no number."""
    values = np.asarray(values, dtype=np.float64)
    if not values.size or (values.ndim != 1 if shape is None else values.shape != shape):
        wanted = (
            "at least one value, in one dimension (rows,)" if shape is None else f"one for each reference, {shape}"
        )
        raise ValueError(f"{name} has shape {values.shape}: pass {wanted}.")
    if (bad := np.argwhere(np.isinf(values) if may_be_nan else ~np.isfinite(values))).size:
        where = ", ".join(map(str, bad[0]))
        raise ValueError(f"{name}[{where}] = {values[tuple(bad[0])]} ({len(bad)} such values): pass finite numbers.")
    return values
