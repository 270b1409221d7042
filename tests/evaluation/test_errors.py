"""Errors by row, pair and group, and overfitting: against scikit-learn and against what was planted."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from affecthub.evaluation.errors import by_group, confused_pairs, durations, row_losses, worst_group, worst_rows
from affecthub.evaluation.overfitting import overfitting
from affecthub.evaluation.predictions import list_column, predictions_of

LABELS = ["neutral", "joy", "anger"]


def made(references, logits, kind="single_label", labels=LABELS, **columns):
    """Predictions of a validation split alone; with `train`, a pair, of a training split too."""
    train = columns.pop("train", None)
    column = pa.array(references) if kind == "single_label" else list_column(references.astype(np.float32))
    parts = {"validation": {"reference.it": column, "logits.it": list_column(logits.astype(np.float32)), **columns}}
    if train:
        parts = {"train": {"reference.it": pa.array(train[0]), "logits.it": list_column(train[1])}} | parts
    for part in parts.values():
        part.setdefault("present", pa.array([["text"]] * len(part["reference.it"])))
    facts = {"data": "d", "synthetic": True, "unit": "clips", "protocol": "fixed", "architecture": "a", "subsets": []}
    return predictions_of(parts, {"it": {"kind": kind, "labels": labels}}, modalities=["text", "audio"], **facts)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    references, logits = rng.integers(3, size=300), rng.normal(size=(300, 3)).astype(np.float32)
    logits[np.arange(300), references] += 1
    return references, logits


def test_losses_of_rows_are_those_of_sklearn(drawn):
    references, logits = drawn
    assert row_losses("single_label", references, logits).mean() == pytest.approx(
        log_loss(references, softmax(logits.astype(float), axis=1)), rel=1e-9
    )
    marks = (np.random.default_rng(1).random((300, 3)) < 0.3).astype(float)
    expected = [
        log_loss(row, np.column_stack([1 - expit(x), expit(x)]), labels=[0, 1])
        for row, x in zip(marks, logits, strict=True)
    ]
    np.testing.assert_allclose(row_losses("multi_label", marks, logits), expected, rtol=1e-6)
    np.testing.assert_allclose(
        row_losses("binary", marks[:, :1], logits[:, :1]).mean(),
        log_loss(marks[:, 0], expit(logits[:, 0].astype(float))),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        row_losses("regression", marks[:, :1], logits[:, :1]), (marks[:, 0] - logits[:, 0]) ** 2
    )
    hard = np.eye(3)[references]
    np.testing.assert_allclose(
        row_losses("soft", hard, logits), row_losses("single_label", references, logits), rtol=1e-9
    )


def test_what_is_unknown_has_no_loss():
    logits = np.zeros((2, 2))
    assert np.isnan(row_losses("single_label", np.array([-100, 0]), logits)).tolist() == [True, False]
    partly = row_losses("multi_label", np.array([[np.nan, 1], [np.nan, np.nan]]), logits)
    assert partly[0] == pytest.approx(np.log(2)) and np.isnan(partly[1])
    assert np.isnan(row_losses("soft", np.array([[np.nan, np.nan], [1, 0]]), logits)).tolist() == [True, False]


def test_the_worst_rows_are_wrong_ones_and_come_in_order(drawn):
    references, logits = drawn
    logits[7] = [9, 0, 0] if references[7] else [0, 9, 0]
    keys = pa.array([f"row {i}" for i in range(300)])
    rows = worst_rows(made(references, logits, key=keys), "it", 10)
    assert rows[0]["key"] == "row 7" and len(rows) == 10
    assert all(row["truth"] != row["said"] for row in rows)
    assert [row["loss"] for row in rows] == sorted((row["loss"] for row in rows), reverse=True)
    right = made(references, np.eye(3, dtype=np.float32)[references] * 5)
    assert worst_rows(right, "it") == [] and confused_pairs(right, "it") == []


def test_confused_pairs_are_those_of_the_matrix(drawn):
    references, logits = drawn
    matrix = confusion_matrix(references, logits.argmax(1))
    pairs = confused_pairs(made(references, logits), "it")
    assert len(pairs) == 6 and sum(pair["rows"] for pair in pairs) == matrix.sum() - np.trace(matrix)
    for pair in pairs:
        true, said = LABELS.index(pair["truth"]), LABELS.index(pair["said"])
        assert pair["rows"] == matrix[true, said] and pair["share"] == matrix[true, said] / matrix[true].sum()


def test_groups_are_people_labels_durations_and_what_rows_held(drawn):
    references, logits = drawn
    people = np.array(["Ann", "Bo", "Çağrı"])[np.arange(300) % 3]
    logits[people == "Bo"] = -logits[people == "Bo"]
    seconds = np.linspace(1, 9, 300)
    held = [["text", "audio"] if i % 2 else ["audio"] for i in range(300)]
    columns = {"participant": people, "clip_start": np.full(300, 2.0), "clip_end": seconds + 2}
    told = made(references, logits, present=pa.array(held), **{name: pa.array(of) for name, of in columns.items()})
    np.testing.assert_allclose(durations(told), seconds)
    found = by_group(told, "it", "accuracy")
    assert [of["name"] for of in found if of["by"] == "participant"] == ["Ann", "Bo", "Çağrı"]
    assert [of["name"] for of in found if of["by"] == "held"] == ["audio", "text + audio"]
    spans = [of for of in found if of["by"] == "duration"]
    assert [of["rows"] for of in spans] == [75] * 4 and spans[0]["name"] == "1.0 to 3.0 s"
    for of in found:
        if of["by"] == "participant":
            mine = people == of["name"]
            assert of["figure"] == accuracy_score(references[mine], logits[mine].argmax(1))
    assert worst_group([of for of in found if of["by"] == "participant"], "accuracy")["name"] == "Bo"
    assert worst_group([], "accuracy") is None


def test_a_model_that_knows_its_training_rows_by_heart_is_called_so(drawn):
    references, logits = drawn
    heart = (references, np.eye(3, dtype=np.float32)[references] * 9)
    history = pd.DataFrame({"epoch": [1, 2, 3], "eval_accuracy": [0.5, 0.7, 0.6], "eval_loss": [1.0, 0.9, 0.95]})
    found = overfitting(made(references, logits, train=heart), "it", history, "accuracy")
    assert found["overfits"] and found["gap"] > 10
    assert (found["best_epoch"], found["last_epoch"], found["best_figure"]) == (2, 3, 0.7)
    assert overfitting(made(references, logits), "it", history, "loss")["best_epoch"] == 2
    fair = overfitting(made(references, logits, train=(references, logits)), "it")
    assert fair["gap"] == pytest.approx(0) and not fair["overfits"] and "best_epoch" not in fair
    assert fair["splits"]["train"]["figures"]["accuracy"] == accuracy_score(references, logits.argmax(1))
    assert "gap" not in overfitting(made(references, logits), "it")
