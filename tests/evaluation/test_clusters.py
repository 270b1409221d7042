"""By what rows are drawn together, and intervals that draw them so."""

import time

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score, roc_auc_score

from affecthub.evaluation.answers import answers_of
from affecthub.evaluation.bootstrap import Draws, interval
from affecthub.evaluation.clusters import Clusters, clusters_of
from affecthub.evaluation.metrics import METRICS, metrics_of
from affecthub.evaluation.predictions import list_column, predictions_of
from affecthub.evaluation.results import interval_note
from affecthub.evaluation.scores import intervals, score

ABC = ["a", "b", "c"]


def rows_of(protocol="fixed", train=None, **columns):
    """Predictions of a test split with these columns, and of training rows with those."""
    tasks = {"emotion": {"kind": "single_label", "labels": ABC}}
    parts = {}
    for split, held in {"train": train, "test": columns}.items():
        if held is not None:
            count = len(next(iter(held.values())))
            found = {name: pa.array(values, pa.string()) for name, values in held.items()}
            logits = {"logits.emotion": list_column(np.zeros((count, 3), np.float32))}
            parts[split] = found | {"reference.emotion": pa.array(np.zeros(count, int))} | logits
    return predictions_of(parts, tasks, data="mine", protocol=protocol, modalities=["text"], subsets=[])


def drawn_of(kind):
    """Answers of six groups of different sizes, and the groups."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(6), [3, 9, 4, 12, 7, 5])
    rows = len(groups)
    if kind == "single_label":
        references, predictions, labels = rng.integers(3, size=rows), rng.integers(3, size=rows), ABC
    elif kind == "binary":
        references, predictions, labels = np.arange(rows) % 2, rng.random(rows).round(1), ["low", "high"]
    elif kind == "multi_label":
        references, predictions, labels = rng.integers(2, size=(rows, 3)), rng.random((rows, 3)), ABC
    elif kind == "soft":
        references, predictions, labels = rng.multinomial(4, [1 / 3] * 3, rows) / 4, rng.dirichlet([1] * 3, rows), ABC
    else:
        references, predictions, labels = rng.random(rows), rng.random(rows), ["valence"]
    return answers_of(kind, references, predictions, labels), groups


@pytest.mark.parametrize(
    ("protocol", "train", "columns", "by"),
    [
        ("leave_one_participant_out, fold 0", None, {"participant": ["x"], "dialogue": ["d"]}, "participant"),
        ("grouped_k_fold, fold 1, seed 2", None, {"participant": ["x"], "recording": ["r"]}, "participant"),
        ("fixed", {"participant": ["x"]}, {"participant": ["x"], "dialogue": ["d"], "recording": ["r"]}, "dialogue"),
        ("fixed", {"participant": ["y"]}, {"participant": ["x"], "dialogue": ["d"]}, "participant"),
        ("by_recording, fold 0", {"participant": ["x"]}, {"participant": ["x"], "recording": ["r"]}, "recording"),
        ("by_row, fold 0", {"participant": ["x"]}, {"participant": ["x"], "recording": [None]}, "participant"),
        ("fixed", {"key": ["k"]}, {"key": ["l"]}, "row"),
        ("fixed", {"participant": [None]}, {"participant": [None]}, "row"),
    ],
)
def test_what_rows_are_drawn_by_follows_from_what_is_kept_apart(protocol, train, columns, by):
    assert clusters_of(rows_of(protocol, train, **columns), "test").by == by


def test_a_row_of_nobody_is_a_cluster_of_its_own():
    found = clusters_of(rows_of(participant=["<b>Zoë</b>", None, "<b>Zoë</b>", None, "../Bo"]), "test")
    assert found.ids.tolist() == [0, 2, 0, 3, 1] and str(found) == "4 participants"
    assert found.take(np.array([3, 4])).ids.tolist() == [1, 0]
    assert str(found.take(np.array([0, 0, 0, 0, 1], bool))) == "1 participant"


def test_clusters_that_there_are_not_are_refused():
    rows = rows_of(participant=["x", "y"])
    with pytest.raises(ValueError, match="have no column 'dialogue'; choose one of participant, row"):
        clusters_of(rows, "test", "dialogue")
    with pytest.raises(ValueError, match="'people': choose one of participant, dialogue, recording, row"):
        clusters_of(rows, "test", "people")


@pytest.mark.parametrize("kind", ["single_label", "binary", "multi_label", "regression", "soft"])
def test_a_draw_of_groups_is_the_metric_of_their_rows(kind):
    answers, groups = drawn_of(kind)
    draws = Draws(answers, seed=3, number=20, groups=groups)
    counts = np.concatenate(list(draws.counts()))
    assert counts.shape == (20, 6) and (counts.sum(axis=1) == 6).all()
    for draw, times in enumerate(counts):
        rows = np.concatenate([np.flatnonzero(groups == group).repeat(int(n)) for group, n in enumerate(times)])
        chosen = answers.take(rows)
        for name, metric in metrics_of(kind).items():
            if name == "ece":  # where a row that was drawn twice is no pair
                continue
            figures = np.broadcast_to(metric.of(draws), 20)  # one NaN where ids are all that is known
            assert figures[draw] == pytest.approx(metric.of(Draws(chosen))[0], nan_ok=True), name


@pytest.mark.parametrize("kind", ["single_label", "binary", "multi_label", "regression", "soft"])
def test_groups_as_they_are_change_no_figure(kind):
    answers, groups = drawn_of(kind)
    for metric in metrics_of(kind).values():
        figure = metric.of(Draws(answers, groups=groups))[0]
        assert figure == pytest.approx(metric.of(Draws(answers))[0], nan_ok=True)


def test_intervals_by_group_are_scipys():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(4, 30, 40))
    skill = rng.uniform(0.3, 0.9, 40)[groups]
    references = rng.integers(2, size=len(groups))
    scored = (
        np.where(rng.random(len(groups)) < skill, references, 1 - references) * 0.4 + rng.random(len(groups)) * 0.6
    )
    answers = answers_of("binary", references, scored, ["low", "high"])
    rows = [np.flatnonzero(groups == group) for group in range(40)]
    figures = {
        "f1_macro": lambda at: f1_score(references[at], scored[at] > 0.5, average="macro"),
        "auc": lambda at: roc_auc_score(references[at], scored[at]),
    }
    for name, figure in figures.items():
        found = METRICS[name].of(Draws(answers, 0, 2000, groups))
        theirs = bootstrap(
            [np.arange(40)],
            lambda drawn, figure=figure: figure(np.concatenate([rows[group] for group in drawn])),
            **dict(vectorized=False, n_resamples=1000, method="percentile", rng=1),
        )
        assert np.std(found) == pytest.approx(theirs.standard_error, rel=0.08)
        assert interval(found) == pytest.approx(theirs.confidence_interval, abs=0.01)


def test_few_groups_have_farther_percentiles():
    values = np.random.default_rng(0).normal(size=200_000)
    # normal probability below -sqrt(n / (n - 1)) times the t quantile, as Hesterberg 2015 defines it
    for number, tail in ((10, 0.0086), (20, 0.0159), (40, 0.0202)):
        low, high = interval(values, groups=number)
        assert (np.mean(values < low), np.mean(values > high)) == pytest.approx((tail, tail), abs=1e-4)


def test_scores_say_what_their_intervals_are_by():
    rng = np.random.default_rng(0)
    skill, ids = rng.uniform(0.2, 1, 12), np.repeat(np.arange(12), 30)
    references = rng.integers(3, size=360)
    logits = np.eye(3)[np.where(rng.random(360) < skill[ids], references, (references + 1) % 3)]
    references[-30:] = -100  # the last person is in no row that is judged
    scores = score(references, logits, [0, 0, 1], ABC, "single_label", seed=0, clusters=Clusters("participant", ids))
    assert scores["clusters"] == {"by": "participant", "number": 11}
    wide, narrow = scores["intervals"]["accuracy"], scores["intervals_by_row"]["accuracy"]
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])
    assert "by participant: 11 of them" in interval_note(scores)
    plain = score(references, logits, [0, 0, 1], ABC, "single_label", seed=0)
    assert plain["intervals"] == scores["intervals_by_row"] and "clusters" not in plain


def test_one_person_gives_no_interval():
    clusters = Clusters("participant", np.zeros(4, int))
    scores = score([0, 1, 2, 1], np.eye(3)[[0, 1, 1, 1]], [0], ABC, "single_label", seed=0, clusters=clusters)
    assert scores["intervals"] == {} and "accuracy" in scores["intervals_by_row"]
    assert interval_note(scores) == "No interval: all rows are of one participant, which says nothing of another"


def test_rows_of_which_nothing_is_known_are_drawn_alone():
    clusters = Clusters("row", np.arange(4))
    scores = score([0, 1, 2, 1], np.eye(3)[[0, 1, 1, 1]], [0], ABC, "single_label", seed=0, clusters=clusters)
    assert scores["clusters"] == {"by": "row", "number": 4} and "intervals_by_row" not in scores
    assert interval_note(scores).startswith("Intervals are by row")


def test_many_rows_take_little_time():
    rng = np.random.default_rng(0)
    answers = answers_of("single_label", rng.integers(7, size=5000), rng.integers(7, size=5000), list("abcdefg"))
    begin = time.process_time()
    intervals(answers, seed=0, groups=np.arange(5000) % 300)
    assert time.process_time() - begin < 2
