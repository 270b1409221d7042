"""Whether two models differ: each test against scipy or its formula, and what is said in words."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test, ttest_1samp, ttest_rel
from sklearn.metrics import f1_score

from affecthub.evaluation.answers import answers_of
from affecthub.evaluation.clusters import Clusters
from affecthub.evaluation.comparison import compare, compare_runs, holm, mcnemar, permutation, resampled_t
from affecthub.evaluation.comparison_table import comparison_table
from affecthub.evaluation.metrics import METRICS, metrics_of
from affecthub.evaluation.pools import Pool

from .studies import FOLDS, write_run, write_sweep

ABC = ["a", "b", "c"]


def pool_of(answers, people, name="one", by="participant", folds=None):
    """A pool of answers, of one or several seeds."""
    answers = answers if isinstance(answers, list) else [answers]
    rows = len(people)
    return Pool(
        *(name, "mine", "mood", "test", np.array([f"{i:06}" for i in range(rows)])),
        folds=np.zeros(rows, int) if folds is None else folds,
        clusters=Clusters(by, np.arange(rows) if by == "row" else people),
        answers=dict(enumerate(answers)),
        participants=np.array([f"p{i}" for i in people], dtype=object),
    )


def answered(truth, people, rng, skills):
    """Ids, right as often as each person's skill says."""
    right = rng.random(len(truth)) < skills[people]
    return answers_of("single_label", truth, np.where(right, truth, (truth + 1) % 3), ABC)


def study(seed, people=8, rows=12, gain=0.0, seeds=1):
    """Two models on the same people, whose skills vary from person to person, and from model to model."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), rows)
    truth = rng.integers(3, size=len(who))
    pools = []
    for name, more in (("one", 0), ("other", gain)):
        skills = np.clip(rng.normal(0.5 + more, 0.15, people), 0.05, 0.99)
        pools.append(pool_of([answered(truth, who, rng, skills) for _ in range(seeds)], who, name))
    return pools


def test_the_permutation_test_is_scipys_where_people_have_equally_many_rows():
    one, other = study(2, gain=0.1)
    rows = [np.flatnonzero(one.clusters.ids == person) for person in range(8)]
    own = [[np.mean(p.first.predictions[at] == p.first.references[at]) for at in rows] for p in (one, other)]
    exact = permutation_test(
        own, lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert permutation(one, other, METRICS["accuracy"], seed=0, exchanges=4999) == (pytest.approx(exact.pvalue), True)
    p, is_exact = permutation(one, other, METRICS["accuracy"], seed=0, exchanges=200)
    assert not is_exact and p == pytest.approx(exact.pvalue, abs=0.08)


def test_an_exchange_of_people_is_that_of_their_rows():
    one, other = study(1, people=5, gain=0.2, seeds=2)
    observed, extreme = None, 0
    for taken in itertools.product([False, True], repeat=5):
        swapped = np.array(taken)[one.clusters.ids]
        sides = ([], [])
        for mine, theirs in zip(one.answers.values(), other.answers.values(), strict=True):
            for side, flip in zip(sides, (swapped, ~swapped), strict=True):
                said = np.where(flip, theirs.predictions, mine.predictions)
                side.append(f1_score(mine.references, said, average="macro"))
        found = abs(np.mean(sides[0]) - np.mean(sides[1]))
        observed = found if observed is None else observed
        extreme += found >= observed - 1e-12
    p, exact = permutation(one, other, METRICS["f1_macro"], seed=0, exchanges=4999)
    assert exact and p == pytest.approx(extreme / 32)


@pytest.mark.parametrize("kind", ["binary", "multi_label", "regression", "soft"])
def test_every_kind_of_target_is_compared(kind, tmp_path):
    for name, noise in (("sharp", 0.2), ("blurred", 3.0)):
        write_sweep(tmp_path / name, kind=kind, noise=noise, name=name, seeds=1)
    for metric in metrics_of(kind).keys() - {"ece"}:  # who knows less is not less calibrated
        found = compare_runs([tmp_path / "sharp", tmp_path / "blurred"], metric=metric)
        (pair,) = found["pairs"]
        assert pair["better"] == "sharp" and pair["p"] < 0.05, metric
        assert pair["interval"][0] < pair["difference"] < pair["interval"][1]
        assert ("mcnemar" in pair) == (kind == "binary") == ("no McNemar" not in str(found["notes"]))
        assert "resampled_t" in pair and comparison_table(found)


def test_scales_of_outputs_do_not_matter_to_what_ranks_rows():
    rng = np.random.default_rng(0)
    people, truth = np.repeat(np.arange(12), 10), np.tile([0, 1], 60)
    said = np.clip(0.5 + 0.1 * (truth - 0.5) + rng.normal(0, 0.1, 120), 0, 1)
    one, other = (
        pool_of(answers_of("binary", truth, values, ["low", "high"]), people)
        for values in (said, np.clip(0.9 + 0.1 * (said + rng.normal(0, 0.02, 120)), 0, 1))
    )
    assert permutation(one, other, METRICS["auc"], seed=0, exchanges=4999)[0] > 0.05


def test_mcnemar_is_the_exact_binomial_test():
    truth = np.array([0] * 30)
    one, other = (answers_of("single_label", truth, np.array([0] * n + [1] * (30 - n)), ABC) for n in (22, 12))
    assert mcnemar(one, other) == {"first_alone": 10, "second_alone": 0, "p": binomtest(10, 10).pvalue}
    assert mcnemar(one, one) == {"first_alone": 0, "second_alone": 0, "p": 1.0}


def test_the_resampled_t_test_is_scipys_but_for_its_correction():
    values = np.random.default_rng(0).normal(0.3, 1, 15)
    plain = resampled_t(values, 0)
    assert (plain["t"], plain["p"]) == pytest.approx(tuple(ttest_1samp(values, 0)))
    corrected = resampled_t(values, 1 / 4)
    # Nadeau & Bengio 2003: the variance of the mean is (1/n + test/train) s^2 instead of s^2/n
    assert corrected["t"] == pytest.approx(plain["t"] / np.sqrt((1 / 15 + 1 / 4) * 15))
    assert corrected["degrees"] == 14 and corrected["p"] > plain["p"]
    assert resampled_t(np.ones(5), 0.25) is None and resampled_t(np.ones(1), 0.25) is None


def test_holms_correction_by_its_steps():
    # as p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R has it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1] and holm([0.04]) == [0.04] and holm([]) == []


def test_effect_size_and_interval_of_a_mean_are_those_of_the_clusters_differences():
    one, other = study(3, people=40, gain=0.1)
    (pair,) = compare([one, other], "accuracy", resamples=4000)["pairs"]
    own = np.array(
        [
            [np.mean((p.first.predictions == p.first.references)[one.clusters.ids == person]) for person in range(40)]
            for p in (one, other)
        ]
    )
    apart = own[0] - own[1]
    assert pair["difference"] == pytest.approx(apart.mean())
    assert pair["effect_size"] == pytest.approx(apart.mean() / apart.std(ddof=1), rel=0.05)
    assert pair["interval"] == pytest.approx(ttest_rel(*own).confidence_interval(), abs=0.015)


def test_a_model_is_no_better_than_itself():
    one, _ = study(0, people=10)
    found = compare([one, replace(one, name="same")], "accuracy")
    (pair,) = found["pairs"]
    assert (pair["difference"], pair["p"], pair["p_holm"], pair["better"]) == (0, 1, 1, None)
    assert pair["interval"] == [0, 0] and "effect_size" not in pair
    assert "one and same: no difference shown (p 1.0000)" in comparison_table(found)


def test_what_is_better_is_said_in_words_whichever_way_the_metric_goes(tmp_path):
    for name, noise in (("sharp", 0.2), ("blurred", 3.0), ("vague", 3.2)):
        write_sweep(tmp_path / name, kind="regression", noise=noise, name=name, people=12)
    found = compare_runs([tmp_path / name for name in ("blurred", "sharp", "vague")])
    assert found["metric"] == "mae" and [pair["better"] for pair in found["pairs"]] == ["sharp", None, "sharp"]
    said = comparison_table(found)
    assert "MAE of mood, test: less is better" in said and "sharp is better than blurred, by " in said
    assert "blurred and vague: no difference shown" in said
    assert "by participant: 12 of them" in said and "Note: no McNemar's test, which takes one label a row." in said
    assert found["pairs"][0]["p_holm"] == pytest.approx(min(1, 3 * found["pairs"][0]["p"]), abs=2e-3)


def test_too_few_people_show_nothing_and_that_is_said(tmp_path):
    for name, noise in (("sharp", 0.1), ("blurred", 3.0)):
        write_sweep(tmp_path / name, noise=noise, name=name, people=4, seeds=1)
    found = compare_runs([tmp_path / "sharp", tmp_path / "blurred"])
    assert found["pairs"][0]["p"] == 1 / 8 and found["pairs"][0]["better"] is None
    assert "4 participants are too few: no p below 0.12 is possible" in comparison_table(found)
    by_recording = compare_runs([tmp_path / "sharp", tmp_path / "blurred"], by="recording")
    assert by_recording["pairs"][0]["better"] == "sharp"
    assert by_recording["models"][0]["clusters"] == {"by": "recording", "number": 12}


def test_one_participant_and_one_run_say_what_cannot_be_said(tmp_path):
    for name, noise in (("sharp", 0.1), ("blurred", 3.0)):
        write_run(tmp_path / name, noise=noise, name=name, people=3, folds=3)
    found = compare_runs([tmp_path / "sharp", tmp_path / "blurred"])
    (pair,) = found["pairs"]
    assert "interval" not in pair and pair["p"] == 1 and pair["mcnemar"]["0"]["p"] <= 1
    said = comparison_table(found)
    assert "1 participant are too few" not in said and "1 participant is too few" in said
    assert "no resampled t-test, which takes several folds or seeds" in said
    alone = compare_runs([tmp_path / "sharp"])
    assert alone["pairs"] == [] and "one model, and so nothing to compare" in comparison_table(alone)


def test_runs_that_cannot_be_compared_are_refused_with_what_to_do(tmp_path):
    one = write_sweep(tmp_path / "one")
    for options, why in (
        ({"data": "yours"}, "cannot be compared: one is of mood in 'mine', the other"),
        ({"drop": 3}, "3 rows are in the first alone .* by --shared-rows"),
        ({"seeds": 1}, "one has 2 seeds and other 1: train the others, .* by --seeds 1"),
        ({"kind": "binary"}, "their labels are"),
    ):
        other = write_sweep(tmp_path / str(len(str(options))) / "other", name="other", noise=2, **options)
        with pytest.raises(ValueError, match=why):
            compare_runs([one, other])
    with pytest.raises(ValueError, match="--metric ccc: mood is judged by accuracy, balanced_accuracy"):
        compare_runs([one], metric="ccc")
    with pytest.raises(ValueError, match="have no column 'dialogue'; choose one of participant, recording, row"):
        compare_runs([one], by="dialogue")


def test_rows_that_all_models_judged_are_compared_where_that_is_asked_for(tmp_path):
    one = write_sweep(tmp_path / "one", seeds=1)
    other = write_sweep(tmp_path / "other", name="other", noise=2, drop=3, seeds=1)
    found = compare_runs([one, other], shared=True)
    assert [model["rows"] for model in found["models"]] == [45, 45]
    assert found["models"][0]["notes"] == ["3 rows are left out, which another model lacks"]
    assert found["models"][1]["notes"] == []


def test_fewer_seeds_are_compared_where_that_is_asked_for(tmp_path):
    paths = [write_sweep(tmp_path / str(n), name=str(n), noise=n, seeds=n) for n in (1, 3)]
    found = compare_runs(paths, seeds=1)
    assert [list(model["by_seed"]) for model in found["models"]] == [["0"], ["0"]]
    assert len(found["models"][0]["by_fold"]) == FOLDS


def test_many_rows_take_little_time():
    rng = np.random.default_rng(0)
    people, truth = np.arange(20_000) % 200, rng.integers(7, size=20_000)
    pools = [
        pool_of(answers_of("single_label", truth, rng.integers(7, size=20_000), list("abcdefg")), people, name)
        for name in ("one", "other")
    ]
    begin = time.process_time()
    compare(pools, "f1_macro")
    assert time.process_time() - begin < 20
