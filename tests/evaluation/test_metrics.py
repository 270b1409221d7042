"""Figures against scikit-learn, MELD's published counts and scipy's bootstrap."""

import json

import numpy as np
import pytest
from scipy.stats import bootstrap, pearsonr
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    roc_auc_score,
    root_mean_squared_error,
)

from affecthub.evaluation.metrics import (
    HEADLINES,
    EmotionMetrics,
    binary_baseline,
    binary_intervals,
    binary_report,
    bootstrap_interval,
    classification_report,
    headline,
    majority_baseline,
    multi_label_baseline,
    multi_label_intervals,
    multi_label_report,
    regression_baseline,
    regression_intervals,
    regression_report,
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


def confidence(statistic, *samples):
    """scipy's percentile bootstrap of rows."""
    options = dict(paired=True, vectorized=False, n_resamples=300, method="percentile", rng=1)
    return tuple(bootstrap(samples, statistic, **options).confidence_interval)


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

    low, high = bootstrap_interval(references, predictions, metric, seed=0, resamples=4000)
    assert low < statistic(references, predictions) < high
    assert (low, high) == pytest.approx(confidence(statistic, references, predictions), abs=0.012)


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


@pytest.fixture
def ranked():
    """References of two classes and probabilities with many ties."""
    rng = np.random.default_rng(4)
    references = (rng.random(300) < 0.3).astype(int)
    return references, np.round((references + rng.random(300)) / 2, 1)


@pytest.fixture
def marked():
    """References and probabilities of four labels: rare, usual, never, often."""
    rng = np.random.default_rng(5)
    references = (rng.random((400, 4)) < [0.1, 0.4, 0, 0.7]).astype(int)
    return references, np.clip(references * 0.3 + rng.random((400, 4)) * 0.6, 0, 1)


@pytest.fixture
def measured():
    """Values, and predictions of them with a wrong scale and offset."""
    rng = np.random.default_rng(6)
    references = rng.random(300)
    return references, 0.4 * references + 0.4 + rng.normal(0, 0.1, 300)


def concordance(references, predictions):
    """Lin (1989), equation by equation."""
    covariance = np.cov(references, predictions, ddof=0)[0, 1]
    return 2 * covariance / (references.var() + predictions.var() + (references.mean() - predictions.mean()) ** 2)


def test_binary_is_a_classification_with_the_area_under_the_curve(ranked):
    references, probabilities = ranked
    report = binary_report(references, probabilities, ["low", "high"])
    expected = classification_report(references, probabilities > 0.5, ["low", "high"])
    assert report == {**expected, "kind": "binary", "auc": pytest.approx(roc_auc_score(references, probabilities))}
    assert tuple(headline(report)) == HEADLINES["binary"]
    assert binary_baseline([0, 1, 1], references, ["low", "high"])["auc"] == 0.5


def test_area_under_the_curve_of_one_class_is_left_out():
    assert "auc" not in binary_report([1, 1], [0.2, 0.9], ["low", "high"])
    assert "auc" not in binary_baseline([0, 1], [1, 1], ["low", "high"])
    assert binary_intervals([1, 1], [0.2, 0.9], seed=0).keys() == {"accuracy", "f1_weighted"}


def test_interval_of_the_area_under_the_curve_is_scipys(ranked):
    intervals = binary_intervals(*ranked, seed=0)
    assert tuple(intervals["auc"]) == pytest.approx(confidence(roc_auc_score, *ranked), abs=0.012)
    assert intervals["accuracy"] == list(bootstrap_interval(ranked[0], ranked[1] > 0.5, "accuracy", seed=0))


def test_several_labels_are_scikit_learns(marked):
    references, probabilities = marked
    predictions = probabilities > 0.5
    report = multi_label_report(references, probabilities, ["rare", "usual", "never", "often"])
    assert report["element_accuracy"] == pytest.approx(accuracy_score(references.ravel(), predictions.ravel()))
    assert report["exact_match"] == pytest.approx(accuracy_score(references, predictions))
    for average in ("macro", "micro"):
        expected = f1_score(references, predictions, average=average, zero_division=0)
        assert report[f"f1_{average}"] == pytest.approx(expected)
    expected = np.transpose(precision_recall_fscore_support(references, predictions, zero_division=0))
    kept = [[of[key] for key in ("precision", "recall", "f1", "support")] for of in report["per_class"].values()]
    assert kept == pytest.approx(expected)
    assert report["absent_labels"] == ["never"]
    assert json.loads(json.dumps(report)) == report
    assert list(scalars(report))[-4:] == ["f1_rare", "f1_usual", "f1_never", "f1_often"]


def test_threshold_moves_what_is_predicted():
    labels = ["a", "b"]
    assert multi_label_report([[1, 0]], [[0.4, 0.3]], labels)["exact_match"] == 0
    assert multi_label_report([[1, 0]], [[0.4, 0.3]], labels, threshold=0.35)["exact_match"] == 1


def test_rare_labels_make_the_baseline_look_good():
    references = np.zeros((100, 10))
    references[:30, 0] = 1
    report = multi_label_baseline(references, references, list("abcdefghij"))
    assert report["element_accuracy"] == pytest.approx(0.97)
    assert (report["f1_macro"], report["majority_labels"]) == (0, [])


def test_baseline_answers_each_label_with_its_training_majority():
    report = multi_label_baseline([[1, 0], [1, 1]], [[1, 1], [0, 0]], ["a", "b"])
    assert report["majority_labels"] == ["a"]
    assert report["element_accuracy"] == 0.5
    assert report["per_class"]["a"]["recall"] == 1


def test_intervals_of_several_labels_are_scipys(marked):
    references, probabilities = marked
    intervals = multi_label_intervals(references, probabilities, list("abcd"), seed=0)
    assert intervals.keys() == set(HEADLINES["multi_label"])
    rows = np.arange(len(references))

    def macro(chosen):
        return f1_score(references[chosen], probabilities[chosen] > 0.5, average="macro", zero_division=0)

    def elements(chosen):
        return (references[chosen] == (probabilities[chosen] > 0.5)).mean()

    assert tuple(intervals["f1_macro"]) == pytest.approx(confidence(macro, rows), abs=0.012)
    assert tuple(intervals["element_accuracy"]) == pytest.approx(confidence(elements, rows), abs=0.012)


def test_values_are_scikit_learns_scipys_and_lins(measured):
    report = regression_report(*measured)
    assert report["mae"] == pytest.approx(mean_absolute_error(*measured))
    assert report["rmse"] == pytest.approx(root_mean_squared_error(*measured))
    assert report["pearson"] == pytest.approx(pearsonr(*measured).statistic)
    assert report["ccc"] == pytest.approx(concordance(*measured))
    assert report["ccc"] < report["pearson"] - 0.1
    assert tuple(headline(report)) == HEADLINES["regression"]


@pytest.mark.parametrize(("references", "predictions"), [([0.1, 0.7], [0.3, 0.3]), ([0.5] * 3, [0.1, 0.2, 0.3])])
def test_what_does_not_vary_follows_nothing(references, predictions):
    report = regression_report(references, predictions)
    assert (report["pearson"], report["ccc"]) == (0, 0)


def test_a_far_offset_costs_no_precision():
    references = np.random.default_rng(0).random(50)
    assert regression_report(references + 1000, 2 * references + 1000)["pearson"] == pytest.approx(1)


def test_baseline_of_values_is_the_training_mean():
    report = regression_baseline([0.0, 0.5, 1.0], [0.5, 1.0])
    assert (report["training_mean"], report["mae"], report["ccc"]) == (0.5, 0.25, 0)


def test_intervals_of_values_are_scipys(measured):
    intervals = regression_intervals(*measured, seed=0)
    assert intervals.keys() == set(HEADLINES["regression"])
    assert tuple(intervals["ccc"]) == pytest.approx(confidence(concordance, *measured), abs=0.012)
    assert tuple(intervals["mae"]) == pytest.approx(confidence(mean_absolute_error, *measured), abs=0.004)
    assert intervals == regression_intervals(*measured, seed=0) != regression_intervals(*measured, seed=1)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (lambda: binary_report([0, 1], [0.1, np.nan], ["a", "b"]), r"probabilities\[1\] = nan \(1 such values\)"),
        (lambda: binary_report([0, 1], [0.1, 0.2], ["a"]), r"labels=\['a'\]: name both classes"),
        (lambda: multi_label_report([[0, np.nan]], [[0, 0]], ["a", "b"]), r"references\[0\] has b = nan"),
        (lambda: multi_label_report([[0, 1]], [[0]], ["a", "b"]), r"probabilities has shape \(1, 1\).*\(1, 2\)"),
        (lambda: multi_label_report([0, 1], [0, 1], ["a", "b"]), r"references has shape \(2,\).*row of 2 labels"),
        (lambda: regression_report([], []), r"references has shape \(0,\)"),
        (lambda: regression_report([1, 2], [1]), r"predictions has shape \(1,\).*\(2,\)"),
        (lambda: regression_baseline([np.inf], [1]), r"train_values\[0\] = inf"),
    ],
)
def test_bad_input_of_the_other_kinds_is_named(report, message):
    with pytest.raises(ValueError, match=message):
        report()
