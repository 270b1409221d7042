"""What is refused as an answer, and what is left out because nobody knows it."""

import numpy as np
import pytest

from affecthub.evaluation.answers import answers_of, from_outputs, kind_of, known_rows, modes_of
from affecthub.evaluation.scores import baseline, intervals, report, score

NAN = float("nan")
CASES = {
    "single_label": ([0, 1, 2, 0, 1], -100, ["a", "b", "c"]),
    "binary": ([[0], [1], [1], [0], [1]], NAN, ["low", "high"]),
    "multi_label": ([[0, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]], [NAN] * 3, ["a", "b", "c"]),
    "regression": ([[0.5], [0.25], [1.0], [0.75], [0.0]], NAN, ["valence"]),
    "soft": ([[1.0, 0, 0], [0.2, 0.8, 0], [0.5, 0.5, 0], [0, 0.4, 0.6], [0.2, 0, 0.8]], [NAN, 0, 1], ["a", "b", "c"]),
}
"""Kind -> references, one that is unknown, labels."""


def with_unknown(kind):
    """References of which rows 1 and 3 are unknown, outputs, labels, and which rows are known."""
    references, unknown, labels = CASES[kind]
    references = np.array(references, dtype=float)
    references[[1, 3]] = unknown
    width = 1 if kind in ("binary", "regression") else len(labels)
    return references, np.random.default_rng(0).normal(size=(5, width)), labels, [0, 2, 4]


@pytest.mark.parametrize("kind", CASES)
def test_rows_that_nobody_knows_are_left_out_of_everything_and_counted(kind):
    references, outputs, labels, known = with_unknown(kind)
    found = score(references, outputs, references, labels, kind, seed=0)
    expected = score(references[known], outputs[known], references[known], labels, kind, seed=0)
    assert (found.pop("unknown"), found["baseline"].pop("unknown"), found["rows"]) == (2, 2, 3)
    assert found == expected
    assert np.flatnonzero(known_rows(kind, references)).tolist() == known
    with pytest.raises(ValueError, match="of 2 rows none is known, and so there is nothing to judge"):
        from_outputs(kind, references[[1, 1]], outputs[:2], labels)
    with pytest.raises(ValueError, match="no training row is known, and so there is no baseline"):
        baseline(from_outputs(kind, references, outputs, labels), references[[1, 1]])


def test_single_labels_that_nobody_knows_are_not_counted():
    references = np.array([[1, NAN], [0, 1], [NAN, NAN], [1, 1]])
    said = np.array([[0.9, 0.9], [0.9, 0.9], [0.9, 0.9], [0.9, 0.1]])
    answers = answers_of("multi_label", references, said, ["a", "b"])
    found = report(answers)
    assert (found["rows"], found["unknown"], found["unknown_elements"]) == (3, 1, 1)
    assert found["element_accuracy"] == pytest.approx(3 / 5)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["per_class"]["b"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert found["f1_micro"] == pytest.approx(2 * 3 / (4 + 4))
    assert intervals(answers, seed=0)["element_accuracy"][0] < found["element_accuracy"]
    usual = baseline(answers, [[1, NAN], [1, NAN], [0, NAN]])
    assert usual["majority_labels"] == ["a"]


def test_a_value_of_minus_a_hundred_is_a_value():
    answers = answers_of("regression", [-100.0, 0.0], [-50.0, 0.0], ["valence"])
    assert (len(answers), report(answers)["mae"]) == (2, 25)


def test_modes_of_votes_and_their_ties():
    votes = np.array([[2, 2, 1], [1, 3, 1], [1, 1, 1], [0, 1, 1]])
    shares = (votes / votes.sum(axis=1, keepdims=True)).astype(np.float32)
    assert modes_of(shares.astype(float)).tolist() == [-1, 1, -1, -1]


def test_kinds():
    assert kind_of("single_label_classification", 3) == "single_label"
    assert kind_of("single_label_classification", 3, soft=True) == "soft"
    assert [kind_of("multi_label_classification", count) for count in (1, 3)] == ["binary", "multi_label"]
    assert kind_of("regression", 1) == "regression"
    with pytest.raises(ValueError, match="problem_type='ranking' with 3 labels"):
        kind_of("ranking", 3)
    with pytest.raises(ValueError, match="problem_type='regression' with 2 labels.*several numbers are several"):
        kind_of("regression", 2)


def test_logits_become_answers():
    references, outputs, labels, known = with_unknown("soft")
    answers = from_outputs("soft", references, 400 * outputs, labels)
    assert answers.predictions.sum(axis=1) == pytest.approx(np.ones(3)) and (answers.predictions > 0).all()
    references, outputs, labels, known = with_unknown("binary")
    answers = from_outputs("binary", references, outputs, labels)
    assert answers.predictions.tolist() == (outputs[known, 0] > 0).astype(int).tolist()
    references, outputs, labels, known = with_unknown("multi_label")
    answers = from_outputs("multi_label", references, outputs, labels)
    assert answers.predictions.tolist() == (outputs[known] > 0).astype(int).tolist()
    references, outputs, labels, _ = with_unknown("regression")
    one_axis = from_outputs("regression", references[:, 0], outputs[:, 0], labels)
    assert report(one_axis) == report(from_outputs("regression", references, outputs, labels))


AB = ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "references", "predictions", "labels", "message"),
    [
        ("single_label", [0, 1], [0], AB, "2 references and 1 predictions"),
        ("single_label", [], [], AB, r"references has shape \(0,\)"),
        ("single_label", [0, 2], [0, 1], AB, r"references\[1\] = 2 .* from 0 to 1, and an unknown one is -100"),
        ("single_label", [0, -1], [0, 1], AB, r"references\[1\] = -1 is no class id"),
        ("single_label", [0, np.nan], [0, 1], AB, r"references\[1\] = nan"),
        ("single_label", [0, 1], [0, -100], AB, r"predictions\[1\] = -100 "),
        ("single_label", [0, 1], [0.5, np.nan], AB, r"predictions\[0\] = 0.5 .*2 such rows"),
        ("single_label", [0, 1], [[0, 1], [1, 0]], AB, r"predictions has shape \(2, 2\).*in one dimension"),
        ("single_label", [0], [0], ["joy", "fear", "joy"], r"\['joy'\] repeated"),
        ("binary", [0, 1], [0.1, np.nan], AB, r"probabilities\[1\] = nan \(1 such values\)"),
        ("binary", [0, 2], [0.1, 0.2], AB, r"references\[1\] = 2 is no class id"),
        ("binary", [0, 1], [0.1, 0.2], ["a"], r"labels=\['a'\]: name both classes"),
        ("multi_label", [[0, 2]], [[0, 0]], AB, r"references\[0\] has b = 2"),
        ("multi_label", [[0, 1]], [[0]], AB, r"probabilities has shape \(1, 1\).*\(1, 2\)"),
        ("multi_label", [0, 1], [0, 1], AB, r"references has shape \(2,\).*row of 2 labels"),
        ("regression", [], [], ["x"], r"references has shape \(0,\)"),
        ("regression", [1, 2], [1], ["x"], r"predictions has shape \(1,\).*\(2,\)"),
        ("regression", [np.inf], [1], ["x"], r"references\[0\] = inf"),
        (
            "soft",
            [[0.5, 0.6]],
            [[0.5, 0.5]],
            AB,
            r"references\[0\] = \[0.5, 0.6\] .*sum to 1",
        ),
        ("soft", [[-0.5, 1.5]], [[0.5, 0.5]], AB, r"references\[0\] = \[-0.5, 1.5\]"),
        ("soft", [0, 1], [0, 1], AB, r"references has shape \(2,\)"),
    ],
)
def test_what_is_no_answer_is_named(kind, references, predictions, labels, message):
    with pytest.raises(ValueError, match=message):
        answers_of(kind, references, predictions, labels)


def test_outputs_of_a_diverged_training_are_named():
    with pytest.raises(ValueError, match=r"outputs\[1\] = \[nan, 0.0\].*diverged"):
        from_outputs("single_label", [0, 1], [[0.0, 1.0], [np.nan, 0.0]], AB)
