"""Figures against scikit-learn, MELD's published counts and scipy's bootstrap."""

import json

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from affecthub.evaluation.metrics import (
    EmotionMetrics,
    bootstrap_interval,
    classification_report,
    majority_baseline,
    scalars,
)

MELD_LABELS = ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]
MELD_TEST_COUNTS = [1256, 281, 50, 208, 402, 68, 345]


@pytest.fixture
def skewed():
    """References and predictions of three labels, so lopsided that swapping them changes every F1 average."""
    rng = np.random.default_rng(3)
    references = rng.choice(3, 400, p=[0.7, 0.2, 0.1])
    predictions = np.where(rng.random(400) < 0.6, references, 2)
    return references, predictions


def test_asymmetric_case_is_scikit_learns(skewed):
    references, predictions = skewed
    report = classification_report(references, predictions, ["a", "b", "c"])
    assert report["accuracy"] == pytest.approx(accuracy_score(references, predictions))
    assert report["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(references, predictions))
    assert report["f1_weighted"] == pytest.approx(f1_score(references, predictions, average="weighted"))
    assert report["f1_macro"] == pytest.approx(f1_score(references, predictions, average="macro"))
    assert report["confusion_matrix"] == confusion_matrix(references, predictions).tolist()
    f1 = [report["per_class"][label]["f1"] for label in "abc"]
    assert f1 == pytest.approx(f1_score(references, predictions, average=None).tolist())


def test_swapping_references_and_predictions_is_seen(skewed):
    references, predictions = skewed
    right = EmotionMetrics(["a", "b", "c"]).compute(references=references, predictions=predictions)
    swapped = EmotionMetrics(["a", "b", "c"]).compute(references=predictions, predictions=references)
    assert right == classification_report(references, predictions, ["a", "b", "c"])
    assert right["accuracy"] == swapped["accuracy"]
    assert right["balanced_accuracy"] != pytest.approx(swapped["balanced_accuracy"])
    assert right["f1_weighted"] == pytest.approx(f1_score(references, predictions, average="weighted"))
    assert right["f1_weighted"] != pytest.approx(swapped["f1_weighted"])
    assert right["confusion_matrix"] == np.transpose(swapped["confusion_matrix"]).tolist()


def test_rows_are_references_by_hand():
    report = classification_report([0, 0, 0, 1], [1, 1, 0, 1], ["a", "b"])
    assert report["confusion_matrix"] == [[1, 2], [0, 1]]
    assert report["per_class"]["a"] == {"precision": 1.0, "recall": pytest.approx(1 / 3), "f1": 0.5, "support": 3}
    assert report["per_class"]["b"]["precision"] == pytest.approx(1 / 3)


def test_melds_published_majority_figures():
    references = np.repeat(np.arange(7), MELD_TEST_COUNTS)
    report = majority_baseline([0, 0, 4], references, MELD_LABELS)
    assert report["majority_label"] == "neutral"
    assert round(100 * report["accuracy"], 2) == 48.12
    assert round(100 * report["f1_weighted"], 2) == 31.27
    assert round(100 * report["f1_macro"], 2) == 9.28
    assert report["absent_labels"] == []


def test_baseline_takes_the_majority_of_the_training_labels():
    report = majority_baseline([1, 1, 0], [0, 0, 0, 1], ["a", "b"])
    assert report["majority_label"] == "b"
    assert report["accuracy"] == 0.25


def test_absent_label_stays_in_the_matrix_and_is_named():
    report = classification_report([0, 0, 1], [0, 1, 1], ["a", "b", "never"])
    assert np.shape(report["confusion_matrix"]) == (3, 3)
    assert report["absent_labels"] == ["never"]
    assert report["f1_macro"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert report["balanced_accuracy"] == pytest.approx(0.75)


def test_report_goes_to_json_and_to_the_trainer():
    report = classification_report(np.array([0, 1]), np.array([0, 0]), ["a", "b"])
    assert json.loads(json.dumps(report)) == report
    names = ["accuracy", "balanced_accuracy", "f1_weighted", "f1_macro", "f1_a", "f1_b"]
    assert list(scalars(report)) == names
    assert scalars(report)["f1_a"] == pytest.approx(2 / 3)


def test_module_adds_up_batches(skewed):
    references, predictions = skewed
    metric = EmotionMetrics(["a", "b", "c"])
    for part in np.array_split(np.arange(400), 3):
        metric.add_batch(references=references[part], predictions=predictions[part])
    assert metric.compute() == classification_report(references, predictions, ["a", "b", "c"])


@pytest.mark.parametrize("metric", ["accuracy", "f1_weighted"])
def test_interval_is_scipys(skewed, metric):
    references, predictions = skewed

    def statistic(true, guess):
        return accuracy_score(true, guess) if metric == "accuracy" else f1_score(true, guess, average="weighted")

    reference = bootstrap(
        (references, predictions),
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=700,
        method="percentile",
        rng=1,
    )
    low, high = bootstrap_interval(references, predictions, metric, seed=0, resamples=4000)
    assert low < statistic(references, predictions) < high
    assert (low, high) == pytest.approx(tuple(reference.confidence_interval), abs=0.008)


def test_interval_is_seeded_and_follows_confidence(skewed):
    wide = bootstrap_interval(*skewed, "accuracy", seed=1, confidence=0.99)
    narrow = bootstrap_interval(*skewed, "accuracy", seed=1, confidence=0.5)
    assert wide == bootstrap_interval(*skewed, "accuracy", seed=1, confidence=0.99)
    assert wide != bootstrap_interval(*skewed, "accuracy", seed=2, confidence=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize(
    ("references", "predictions", "message"),
    [
        ([0, 1], [0], "2 references and 1 predictions"),
        ([], [], r"references has shape \(0,\)"),
        ([0, 2], [0, 1], r"references\[1\] = 2 .* from 0 to 1"),
        ([0, 1], [0, -1], r"predictions\[1\] = -1 "),
        ([0, 1], [0.5, np.nan], r"predictions\[0\] = 0.5 .*2 such rows"),
        ([0, 1], [0, np.nan], r"predictions\[1\] = nan"),
        ([0, 1], [[0, 1], [1, 0]], r"predictions has shape \(2, 2\).*in one dimension"),
    ],
)
def test_bad_input_is_named(references, predictions, message):
    with pytest.raises(ValueError, match=message):
        classification_report(references, predictions, ["a", "b"])


def test_module_and_interval_refuse_what_is_no_class_id():
    with pytest.raises(ValueError, match=r"predictions\[0\] = 1.7"):
        EmotionMetrics(["a", "b"]).compute(predictions=[1.7, 0], references=[0, 1])
    with pytest.raises(ValueError, match=r"references\[1\] = nan"):
        bootstrap_interval([0, np.nan], [0, 1], "accuracy", seed=0)


def test_repeated_label_names_are_refused():
    with pytest.raises(ValueError, match=r"\['joy'\] repeated"):
        classification_report([0], [0], ["joy", "fear", "joy"])
