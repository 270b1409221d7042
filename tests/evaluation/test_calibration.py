"""Temperature and thresholds: against what was planted, and where there is too little to fit."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import f1_score

from affecthub.evaluation.answers import from_outputs
from affecthub.evaluation.calibration import LEAST_ROWS, TEMPERATURES, fit
from affecthub.evaluation.scores import AffectMetric, judged, score

ABC = ["a", "b", "c"]
RARE = ["often", "seldom", "rare", "rarest"]


def drawn(kind, rows, seed, temperature=2.0):
    """References, and logits that are too large by the temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (rows, 1 if kind == "binary" else 3))
    if kind in ("binary", "multi_label"):
        references = (rng.random(logits.shape) < expit(logits)).astype(float)
    else:
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        votes = np.stack([rng.multinomial(1 if kind == "single_label" else 5, of) for of in shares])
        references = votes.argmax(axis=1) if kind == "single_label" else votes / 5
    return references, temperature * logits, ["no", "yes"] if kind == "binary" else ABC


@pytest.fixture
def rare():
    """Validation and test rows of four labels, the rarer the less sure the model: planted as in the sample study."""
    rng, found = np.random.default_rng(0), []
    for rows in (600, 600):
        bases = logit([0.4, 0.15, 0.06, 0.002])
        logits = bases + rng.normal(0, 0.9, (rows, 4))
        found.append(((rng.random((rows, 4)) < expit(logits)).astype(float), logits))
    return found


@pytest.mark.parametrize("kind", ["single_label", "binary", "multi_label", "soft"])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_is_found_and_betters_other_rows(kind, temperature):
    references, logits, labels = drawn(kind, 2000, 0, temperature)
    found = fit(kind, references, logits, labels)
    assert found["temperature"] == pytest.approx(temperature, rel=0.12)
    others = drawn(kind, 2000, 1, temperature)
    before, after = judged(*others, kind), judged(*others, kind, found)
    assert after["nll"] < before["nll"] and after["ece"] < 0.5 * before["ece"]
    if kind in ("single_label", "soft"):
        assert after["accuracy"] == before["accuracy"] and "thresholds" not in found


def test_the_temperature_is_the_least_nll_of_all():
    references, logits, labels = drawn("single_label", 300, 0)
    found = fit("single_label", references, logits, labels)["temperature"]
    nll = [
        judged(references, logits, labels, "single_label", {"temperature": t})["nll"]
        for t in found * np.array([0.98, 1, 1.02])
    ]
    assert nll[1] == min(nll)


def test_what_is_answered_rightly_everywhere_has_a_bounded_temperature():
    references = np.arange(60) % 3
    found = fit("single_label", references, np.eye(3)[references], ABC)
    assert found["temperature"] == pytest.approx(TEMPERATURES[0], rel=0.01)


def test_fitted_thresholds_beat_a_half_where_labels_are_rare(rare):
    (validation, outputs), (references, others) = rare
    found = fit("multi_label", validation, outputs, RARE)
    scores = score(references, others, validation, RARE, "multi_label", seed=0, calibration=found)
    assert scores["calibration"]["before"]["f1_macro"] < scores["always_yes"]["f1_macro"] < scores["f1_macro"]
    assert scores["calibration"]["thresholds"][-1] == 0.5, "a label that hardly any row has keeps its threshold"
    said = expit(others / found["temperature"]) > found["thresholds"]
    assert scores["f1_macro"] == pytest.approx(f1_score(references, said, average="macro"))
    everything = f1_score(references, np.ones_like(references), average="macro")
    assert scores["always_yes"]["f1_macro"] == pytest.approx(everything)
    metric = AffectMetric("multi_label", RARE, found)
    assert metric.compute(references=references, predictions=others)["f1_macro"] == scores["f1_macro"]


def test_thresholds_are_nearly_the_best_of_all_on_the_rows_they_were_fitted_on(rare):
    references, outputs = rare[0]
    references[::7, 1] = np.nan
    found = fit("multi_label", references, outputs, RARE)
    said = expit(outputs / found["temperature"])
    for i, threshold in enumerate(found["thresholds"][:3]):
        known = ~np.isnan(references[:, i])
        true, of = references[known, i], said[known, i]
        quality = {cut: f1_score(true, of > cut) for cut in np.linspace(0.001, 0.9, 300)}
        best = max(quality.values())
        least = best - 0.5 * np.sqrt(best * (1 - best) / true.sum())
        assert f1_score(true, of > threshold) >= least - 1e-9
        nearer = [cut for cut in quality if abs(cut - 0.5) < abs(threshold - 0.5) - 0.01]
        assert all(quality[cut] < least for cut in nearer)


def test_thresholds_of_two_classes_regard_both():
    """Where most rows have it, its own F1 would be best by always saying so."""
    rng = np.random.default_rng(0)
    references = (rng.random((500, 1)) < 0.8).astype(float)
    outputs = 1.5 * references + rng.normal(0, 1.5, (500, 1)) + 1
    found = fit("binary", references, outputs, ["no", "yes"])
    fitted, half = (judged(references, outputs, ["no", "yes"], "binary", c) for c in (found, None))
    assert fitted["f1_macro"] > half["f1_macro"] and fitted["per_class"]["no"]["f1"] > 0.3


def test_too_few_rows_and_numbers_are_left_as_they_are():
    references, logits, labels = drawn("single_label", 100, 0)
    references[LEAST_ROWS - 1 :] = -100
    assert fit("single_label", references, logits, labels) is None
    assert fit("regression", np.arange(100.0), np.arange(100.0), ["valence"]) is None


def test_one_class_alone_keeps_a_half():
    outputs = np.random.default_rng(0).normal(size=(50, 1))
    assert fit("binary", np.ones((50, 1)), outputs, ["no", "yes"])["thresholds"] == [0.5]


def test_logits_that_are_nan_are_named():
    references, logits, labels = drawn("binary", 100, 0)
    logits[3] = np.nan
    with pytest.raises(ValueError, match=r"outputs\[3\] = \[nan\]"):
        fit("binary", references, logits, labels)


def test_probabilities_without_temperature_are_as_before():
    references, logits, labels = drawn("multi_label", 50, 0)
    assert judged(references, logits, labels, "multi_label", {"temperature": 1.0}) == judged(
        references, logits, labels, "multi_label"
    )
    answers = from_outputs("multi_label", references, logits, labels, {"temperature": 1.0, "thresholds": [0.9] * 3})
    assert (answers.predictions == (expit(logits) > 0.9)).all()
