"""Every metric against scikit-learn, scipy or a plain formula; MELD's published counts; intervals against scipy's."""

import json

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import bootstrap, entropy, pearsonr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    log_loss,
    matthews_corrcoef,
    mean_absolute_error,
    precision_recall_fscore_support,
    roc_auc_score,
    root_mean_squared_error,
)

from affecthub.datasets_scripts.synthetic.bayes import joint_probability
from affecthub.datasets_scripts.synthetic.plan import PRIOR, RELIABILITY
from affecthub.evaluation.answers import answers_of, from_outputs
from affecthub.evaluation.bootstrap import Draws, interval
from affecthub.evaluation.metrics import METRICS, Metric, metric_logged, metrics_of, of_rows
from affecthub.evaluation.scores import AffectMetric, baseline, headline, intervals, judged, report

MELD_LABELS = ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]
MELD_TEST_COUNTS = [1256, 281, 50, 208, 402, 68, 345]
ABC = ["a", "b", "c"]
TWO = ["low", "high"]


def report_of(kind, references, predictions, labels=("value",)):
    return report(answers_of(kind, references, predictions, labels))


def baseline_of(kind, train, references, labels=("value",)):
    """The baseline on these rows; what a model said of them does not matter."""
    references = np.asarray(references, dtype=float)
    said = references if kind == "single_label" else np.nan_to_num(references)
    return baseline(answers_of(kind, references, said, labels), train)


def intervals_of(kind, references, predictions, labels=("value",), **options):
    return intervals(answers_of(kind, references, predictions, labels), **{"seed": 0} | options)


def confidence(statistic, *samples):
    """scipy's percentile bootstrap of rows."""
    options = dict(paired=True, vectorized=False, n_resamples=300, method="percentile", rng=1)
    return list(bootstrap(samples, statistic, **options).confidence_interval)


@pytest.fixture
def skewed():
    """References and predictions of three labels, so lopsided that swapping them changes every F1 average."""
    rng = np.random.default_rng(3)
    references = rng.choice(3, 400, p=[0.7, 0.2, 0.1])
    predictions = np.where(rng.random(400) < 0.6, references, 2)
    return references, predictions


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


@pytest.fixture
def shared():
    """How five raters were divided over three labels, and shares that follow them a little."""
    rng = np.random.default_rng(7)
    shares = rng.multinomial(5, [0.5, 0.3, 0.2], size=300) / 5
    return shares.astype(np.float32), softmax(2 * shares + rng.normal(size=(300, 3)), axis=1)


@pytest.fixture
def own_metric(monkeypatch):
    """A metric that the table lacks, for the time of a test."""
    metric = Metric("Matthews correlation", of_rows(matthews_corrcoef), ("single_label",), "-1 to 1")
    monkeypatch.setitem(METRICS, "mcc", metric)
    return metric


def concordance(references, predictions):
    """Lin (1989), equation by equation."""
    covariance = np.cov(references, predictions, ddof=0)[0, 1]
    return 2 * covariance / (references.var() + predictions.var() + (references.mean() - predictions.mean()) ** 2)


def test_one_label_is_scikit_learns(skewed):
    references, predictions = skewed
    found = report_of("single_label", references, predictions, ABC)
    assert headline(found) == pytest.approx(
        {
            "accuracy": accuracy_score(references, predictions),
            "balanced_accuracy": balanced_accuracy_score(references, predictions),
            "f1_weighted": f1_score(references, predictions, average="weighted"),
            "f1_macro": f1_score(references, predictions, average="macro"),
            "kappa": cohen_kappa_score(references, predictions),
        },
        abs=1e-12,
    )
    assert found["confusion_matrix"] == confusion_matrix(references, predictions).tolist()
    expected = np.transpose(precision_recall_fscore_support(references, predictions, zero_division=0))
    kept = [[of[key] for key in ("precision", "recall", "f1", "support")] for of in found["per_class"].values()]
    assert kept == pytest.approx(expected)


def test_swapping_references_and_predictions_is_seen(skewed):
    right = report_of("single_label", *skewed, ABC)
    swapped = report_of("single_label", *skewed[::-1], ABC)
    assert right["accuracy"] == swapped["accuracy"]
    assert right["balanced_accuracy"] != pytest.approx(swapped["balanced_accuracy"])
    assert right["f1_weighted"] != pytest.approx(swapped["f1_weighted"])
    assert right["confusion_matrix"] == np.transpose(swapped["confusion_matrix"]).tolist()


def test_rows_are_references_by_hand():
    found = report_of("single_label", [0, 0, 0, 1], [1, 1, 0, 1], ["a", "b"])
    assert found["confusion_matrix"] == [[1, 2], [0, 1]]
    assert found["per_class"]["a"] == {"precision": 1.0, "recall": pytest.approx(1 / 3), "f1": 0.5, "support": 3}
    assert found["per_class"]["b"]["precision"] == pytest.approx(1 / 3)


def test_melds_published_majority_figures():
    found = baseline_of("single_label", [0, 0, 4], np.repeat(np.arange(7), MELD_TEST_COUNTS), MELD_LABELS)
    assert found["majority_label"] == "neutral"
    assert round(100 * found["accuracy"], 2) == 48.12
    assert round(100 * found["f1_weighted"], 2) == 31.27
    assert round(100 * found["f1_macro"], 2) == 9.28
    assert (found["absent_labels"], found["kappa"]) == ([], 0)


def test_baseline_takes_the_majority_of_the_training_labels():
    found = baseline_of("single_label", [1, 1, 0], [0, 0, 0, 1], ["a", "b"])
    assert found["majority_label"] == "b"
    assert found["accuracy"] == 0.25


def test_absent_label_stays_in_the_matrix_and_is_named():
    found = report_of("single_label", [0, 0, 1], [0, 1, 1], ["a", "b", "never"])
    assert np.shape(found["confusion_matrix"]) == (3, 3)
    assert found["absent_labels"] == ["never"]
    assert found["f1_macro"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    alone = report_of("single_label", [0, 0], [0, 0], ABC)
    assert "kappa" not in alone and "kappa" not in intervals_of("single_label", [0, 0], [0, 0], ABC)


@pytest.mark.parametrize(
    ("name", "statistic"),
    [
        ("accuracy", accuracy_score),
        ("balanced_accuracy", balanced_accuracy_score),
        ("f1_weighted", lambda true, said: f1_score(true, said, average="weighted")),
        ("f1_macro", lambda true, said: f1_score(true, said, average="macro")),
        ("kappa", cohen_kappa_score),
    ],
)
def test_intervals_of_one_label_are_scipys(skewed, name, statistic):
    low, high = intervals_of("single_label", *skewed, ABC, resamples=4000)[name]
    assert low < statistic(*skewed) < high
    assert [low, high] == pytest.approx(confidence(statistic, *skewed), abs=0.017)


def test_intervals_are_seeded_and_follow_confidence(skewed):
    wide = intervals_of("single_label", *skewed, ABC, seed=1, confidence=0.99)
    narrow = intervals_of("single_label", *skewed, ABC, seed=1, confidence=0.5)["accuracy"]
    assert wide == intervals_of("single_label", *skewed, ABC, seed=1, confidence=0.99)
    assert wide != intervals_of("single_label", *skewed, ABC, seed=2, confidence=0.99)
    assert wide["accuracy"][0] < narrow[0] < narrow[1] < wide["accuracy"][1]


def test_labels_that_no_row_has_change_no_draw(skewed):
    many = intervals_of("single_label", *skewed, [*ABC, "d", "e"])
    few = intervals_of("single_label", *skewed, ABC)
    assert {name: many[name] for name in ("accuracy", "f1_weighted", "kappa")} == {
        name: few[name] for name in ("accuracy", "f1_weighted", "kappa")
    }


def test_binary_is_a_classification_with_the_area_under_the_curve(ranked):
    references, probabilities = ranked
    found = report_of("binary", references, probabilities, TWO)
    expected = report_of("single_label", references, probabilities > 0.5, TWO)
    del expected["kappa"]
    assert {name: found.get(name) for name in expected} == {**expected, "kind": "binary"}
    two = np.column_stack([1 - probabilities, probabilities])
    assert {name: found[name] for name in ("auc", "average_precision", "nll", "brier")} == pytest.approx(
        {
            "auc": roc_auc_score(references, probabilities),
            "average_precision": average_precision_score(references, probabilities),
            "nll": log_loss(references, two),
            "brier": brier_score_loss(references, probabilities),
        }
    )
    assert baseline_of("binary", [0, 1, 1], references, TWO)["auc"] == 0.5


def test_area_under_the_curve_of_one_class_is_left_out():
    assert "auc" not in report_of("binary", [1, 1], [0.2, 0.9], TWO)
    assert "auc" not in baseline_of("binary", [0, 1], [1, 1], TWO)
    assert "auc" not in intervals_of("binary", [1, 1], [0.2, 0.9], TWO)


def test_interval_of_the_area_under_the_curve_is_scipys(ranked):
    found = intervals_of("binary", *ranked, TWO)
    assert found["auc"] == pytest.approx(confidence(roc_auc_score, *ranked), abs=0.012)
    assert found["accuracy"] == intervals_of("single_label", ranked[0], ranked[1] > 0.5, TWO)["accuracy"]


def test_several_labels_are_scikit_learns(marked):
    references, probabilities = marked
    predictions = probabilities > 0.5
    found = report_of("multi_label", references, probabilities, ["rare", "usual", "never", "often"])
    held = [0, 1, 3]  # the third never occurs
    assert headline(found) == pytest.approx(
        {
            "element_accuracy": accuracy_score(references.ravel(), predictions.ravel()),
            "exact_match": accuracy_score(references, predictions),
            "f1_macro": f1_score(references, predictions, average="macro", zero_division=0),
            "f1_micro": f1_score(references, predictions, average="micro", zero_division=0),
            "auc": roc_auc_score(references[:, held], probabilities[:, held]),
            "average_precision": average_precision_score(references[:, held], probabilities[:, held]),
            "nll": log_loss(references.ravel(), probabilities.ravel()),
            "brier": brier_score_loss(references.ravel(), probabilities.ravel()),
            "ece": found["ece"],
        },
        abs=1e-12,
    )
    expected = np.transpose(precision_recall_fscore_support(references, predictions, zero_division=0))
    kept = [[of[key] for key in ("precision", "recall", "f1", "support")] for of in found["per_class"].values()]
    assert kept == pytest.approx(expected)
    assert found["absent_labels"] == ["never"]
    assert json.loads(json.dumps(found)) == found


def test_rare_labels_make_the_baseline_look_good():
    references = np.zeros((100, 10))
    references[:30, 0] = 1
    found = baseline_of("multi_label", references, references, list("abcdefghij"))
    assert found["element_accuracy"] == pytest.approx(0.97)
    assert (found["f1_macro"], found["majority_labels"]) == (0, [])


def test_baseline_answers_each_label_with_its_training_majority():
    found = baseline_of("multi_label", [[1, 0], [1, 1]], [[1, 1], [0, 0]], ["a", "b"])
    assert found["majority_labels"] == ["a"]
    assert found["element_accuracy"] == 0.5
    assert found["per_class"]["a"]["recall"] == 1


def test_intervals_of_several_labels_are_scipys(marked):
    references, probabilities = marked
    found = intervals_of("multi_label", references, probabilities, list("abcd"))
    assert list(found) == list(metrics_of("multi_label"))
    rows = np.arange(len(references))

    def macro(chosen):
        return f1_score(references[chosen], probabilities[chosen] > 0.5, average="macro", zero_division=0)

    def elements(chosen):
        return (references[chosen] == (probabilities[chosen] > 0.5)).mean()

    assert found["f1_macro"] == pytest.approx(confidence(macro, rows), abs=0.012)
    assert found["element_accuracy"] == pytest.approx(confidence(elements, rows), abs=0.012)


def test_values_are_scikit_learns_scipys_and_lins(measured):
    assert headline(report_of("regression", *measured)) == pytest.approx(
        {
            "mae": mean_absolute_error(*measured),
            "rmse": root_mean_squared_error(*measured),
            "pearson": pearsonr(*measured).statistic,
            "ccc": concordance(*measured),
        },
        abs=1e-12,
    )
    assert concordance(*measured) < pearsonr(*measured).statistic - 0.1


@pytest.mark.parametrize(("references", "predictions"), [([0.1, 0.7], [0.3, 0.3]), ([0.5] * 3, [0.1, 0.2, 0.3])])
def test_what_does_not_vary_follows_nothing(references, predictions):
    found = report_of("regression", references, predictions)
    assert (found["pearson"], found["ccc"]) == (0, 0)


def test_a_far_offset_costs_no_precision():
    references = np.random.default_rng(0).random(50)
    assert report_of("regression", references + 1000, 2 * references + 1000)["pearson"] == pytest.approx(1)


def test_baseline_of_values_is_the_training_mean():
    found = baseline_of("regression", [0.0, 0.5, 1.0], [0.5, 1.0])
    assert (found["training_mean"], found["mae"], found["ccc"]) == (0.5, 0.25, 0)


def test_intervals_of_values_are_scipys(measured):
    found = intervals_of("regression", *measured)
    assert list(found) == list(metrics_of("regression"))
    assert found["ccc"] == pytest.approx(confidence(concordance, *measured), abs=0.012)
    assert found["mae"] == pytest.approx(confidence(mean_absolute_error, *measured), abs=0.004)
    assert found != intervals_of("regression", *measured, seed=1)


def test_shares_are_scipys_and_their_mode_scikit_learns(shared):
    shares, given = shared
    found = report_of("soft", shares, given, ABC)
    ordered = np.sort(shares, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 0.1
    modes, said = shares[clear].argmax(axis=1), given[clear].argmax(axis=1)
    assert headline(found) == pytest.approx(
        {
            "kl_divergence": entropy(shares.astype(float), given, axis=1).mean(),
            "js_distance": np.mean([jensenshannon(p, q, base=2) for p, q in zip(shares, given, strict=True)]),
            "accuracy": accuracy_score(modes, said),
            "balanced_accuracy": balanced_accuracy_score(modes, said),
            "f1_weighted": f1_score(modes, said, average="weighted"),
            "f1_macro": f1_score(modes, said, average="macro"),
            "nll": -(shares * np.log(given)).sum(axis=1).mean(),
            "brier": ((shares - given) ** 2).sum(axis=1).mean(),
            "ece": found["ece"],
        },
        abs=1e-7,
    )
    assert (found["rows"], found["tied"]) == (300, int((~clear).sum())) and found["tied"] > 20
    assert np.sum(found["confusion_matrix"]) == clear.sum()


def test_baseline_of_shares_is_their_mean_and_the_most_frequent_mode():
    train = [[0.4, 0.6, 0.0], [0.4, 0.6, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    found = baseline_of("soft", train, [[0.5, 0.5, 0.0], [0.2, 0.8, 0.0]], ABC)
    assert found["training_shares"] == pytest.approx({"a": 0.575, "b": 0.425, "c": 0})
    assert (found["majority_label"], found["accuracy"], found["tied"]) == ("b", 1, 1)
    expected = entropy([[0.5, 0.5, 0], [0.2, 0.8, 0]], [[0.575, 0.425, 0]] * 2, axis=1).mean()
    assert found["kl_divergence"] == pytest.approx(expected)
    unseen = baseline_of("soft", train, [[0.0, 0.5, 0.5]], ABC)
    assert "kl_divergence" not in unseen and unseen["js_distance"] > 0.5  # infinite: no rater of the training said c


def test_intervals_of_shares_are_scipys(shared):
    shares, given = shared
    found = intervals_of("soft", shares, given, ABC)
    assert list(found) == list(metrics_of("soft"))

    def divergence(chosen):
        return entropy(shares[chosen].astype(float), given[chosen], axis=1).mean()

    assert found["kl_divergence"] == pytest.approx(confidence(divergence, np.arange(300)), abs=0.012)


def test_shares_without_any_mode_are_judged_as_shares_alone():
    found = report_of("soft", [[0.5, 0.5]], [[0.25, 0.75]], ["a", "b"])
    expected = ["kl_divergence", "js_distance", "nll", "brier", "ece"]
    assert list(headline(found)) == expected and found["tied"] == 1
    assert list(intervals_of("soft", [[0.5, 0.5]], [[0.25, 0.75]], ["a", "b"])) == expected


@pytest.fixture
def outputs():
    """References of three labels, and logits that know something of them, rounded so that some are equal."""
    rng = np.random.default_rng(8)
    references = rng.choice(3, 400, p=[0.6, 0.3, 0.1])
    return references, np.round(np.eye(3)[references] + rng.normal(size=(400, 3)), 1)


def of_outputs(name, outputs, *labels):
    """A metric of the rows as they are, and its interval."""
    answers = from_outputs("single_label", *outputs, ABC)
    metric = METRICS[name].of
    return metric(Draws(answers))[0], interval(metric(Draws(answers, seed=0)))


def test_probabilities_of_one_label_are_scikit_learns(outputs):
    references, probabilities = outputs[0], softmax(outputs[1], axis=1)
    found = headline(judged(*outputs, ABC, "single_label"))
    assert {name: found[name] for name in ("auc", "nll", "brier")} == pytest.approx(
        {
            "auc": roc_auc_score(references, probabilities, multi_class="ovr"),
            "nll": log_loss(references, probabilities),
            "brier": brier_score_loss(references, probabilities, scale_by_half=False),
        },
        abs=1e-12,
    )


def test_intervals_of_probabilities_are_scipys(outputs, marked):
    references, probabilities = outputs[0], softmax(outputs[1], axis=1)
    rows, labels = np.arange(400), [0, 1, 3]
    losses = lambda chosen: log_loss(references[chosen], probabilities[chosen])  # noqa: E731
    areas = lambda chosen: roc_auc_score(references[chosen], probabilities[chosen], multi_class="ovr")  # noqa: E731
    assert of_outputs("nll", outputs)[1] == pytest.approx(confidence(losses, rows), abs=0.02)
    assert of_outputs("auc", outputs)[1] == pytest.approx(confidence(areas, rows), abs=0.012)
    found = intervals_of("multi_label", *marked, list("abcd"))["average_precision"]
    precision = lambda chosen: average_precision_score(*(part[np.ix_(chosen, labels)] for part in marked))  # noqa: E731
    assert found == pytest.approx(confidence(precision, rows), abs=0.012)


def test_unknown_labels_are_ranked_and_lost_by_nobody(marked):
    references, probabilities = marked[0].astype(float), marked[1]
    references[::3, 1] = np.nan
    known = ~np.isnan(references)
    found = report_of("multi_label", references, probabilities, list("abcd"))
    assert found["nll"] == pytest.approx(log_loss(references[known], probabilities[known]))
    areas = [roc_auc_score(references[known[:, i], i], probabilities[known[:, i], i]) for i in (0, 1, 3)]
    assert found["auc"] == pytest.approx(np.mean(areas))


def test_area_under_risk_and_coverage_is_the_plain_sum(outputs):
    untied = outputs[1] + np.random.default_rng(0).normal(0, 1e-3, (400, 3))
    references, probabilities = outputs[0], softmax(untied, axis=1)
    order = np.argsort(-probabilities.max(axis=1))
    wrong = (probabilities.argmax(axis=1) != references)[order]
    found = judged(references, np.log(probabilities), ABC, "single_label")
    assert found["aurc"] == pytest.approx((wrong.cumsum() / np.arange(1, 401)).mean())
    assert found["aurc"] < 1 - found["accuracy"]
    usual = baseline(from_outputs("single_label", *outputs, ABC), outputs[0])
    assert usual["aurc"] == pytest.approx(1 - usual["accuracy"])  # it is as sure of every row


def calibrated_rows(rows, seed):
    """Labels of the sample corpus, drawn as its plan draws them, and the log posterior of the Bayes-optimal rule."""
    rng, classes = np.random.default_rng(seed), len(PRIOR)
    labels = rng.choice(classes, rows, p=PRIOR)
    values = list(RELIABILITY.values())
    hit = rng.random((rows, len(values))) < values
    cues = np.where(hit, labels[:, None], (labels[:, None] + rng.integers(1, classes, hit.shape)) % classes)
    return labels, np.log(joint_probability(PRIOR, values, cues))


def test_the_best_rule_of_the_sample_corpus_has_no_calibration_error():
    names, ece = MELD_LABELS, METRICS["ece"].of
    found = [from_outputs("single_label", *calibrated_rows(500, seed), names) for seed in range(40)]
    ends = [interval(ece(Draws(answers, seed, 200))) for seed, answers in enumerate(found)]
    assert sum(low == 0 for low, _ in ends) >= 38 and min(high for _, high in ends) > 0
    labels, logits = calibrated_rows(500, 0)
    assert interval(ece(Draws(from_outputs("single_label", labels, logits / 2, names), 0, 200)))[0] > 0.02


def test_calibration_error_is_not_raised_by_chance():
    """The mean of squares over many samples is that of one large sample; the usual estimate is far above."""

    def sharpened(rows, seed, scale=1.5):
        labels, logits = calibrated_rows(rows, seed)
        return from_outputs("single_label", labels, scale * logits, MELD_LABELS)

    def plug_in(answers):
        said, true = answers.probabilities.max(axis=1), answers.predictions == answers.references
        parts = np.array_split(np.argsort(said), 15)
        return sum(len(part) * (said[part] - true[part]).mean() ** 2 for part in parts) / len(said)

    ece, samples = METRICS["ece"].of, [sharpened(300, seed) for seed in range(1, 101)]
    truth = ece(Draws(sharpened(100_000, 0)))[0] ** 2
    assert np.mean([ece(Draws(answers))[0] ** 2 for answers in samples]) == pytest.approx(truth, rel=0.2)
    assert np.mean([plug_in(answers) for answers in samples]) > 1.3 * truth


def test_a_metric_of_ones_own_is_a_row_of_the_table(skewed, own_metric):
    assert headline(report_of("single_label", *skewed, ABC))["mcc"] == pytest.approx(matthews_corrcoef(*skewed))
    found = intervals_of("single_label", *skewed, ABC, resamples=100)["mcc"]
    assert found == pytest.approx(confidence(matthews_corrcoef, *skewed), abs=0.03)
    assert (own_metric.title, own_metric.shown(-0.25)) == ("Matthews correlation (-1 to 1)", "-0.250")
    assert metric_logged("eval_mcc") is metric_logged("eval_sentiment_mcc") is own_metric


def test_the_log_names_metrics():
    assert metric_logged("eval_balanced_accuracy") is METRICS["balanced_accuracy"]
    assert metric_logged("valence_mae") is METRICS["mae"]
    assert metric_logged("loss") is metric_logged("eval_f1_joy") is metric_logged("eval_runtime") is None


def test_module_adds_up_batches_of_raw_outputs(skewed):
    references, predictions = skewed
    logits = np.eye(3)[predictions]
    metric = AffectMetric("single_label", ABC)
    for part in np.array_split(np.arange(400), 3):
        metric.add_batch(references=references[part], predictions=logits[part])
    expected = report_of("single_label", references, predictions, ABC)
    found = metric.compute()
    assert found == judged(references, logits, ABC, "single_label") and found | expected == found
    with pytest.raises(ValueError, match=r"references\[0\] = 1.7"):
        metric.compute(predictions=[[0.0, 0.0, 1.0]], references=[1.7])
