"""Runs on disk become models, models pools, and pools one figure by the stated rule."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from affecthub.evaluation.figures import by_fold, figures, resampled
from affecthub.evaluation.findings import Finding
from affecthub.evaluation.learning_curve import families, learning_curve
from affecthub.evaluation.metrics import METRICS
from affecthub.evaluation.pools import difference, pooled
from affecthub.evaluation.predictions import METADATA, list_column
from affecthub.evaluation.report import report_of
from affecthub.evaluation.runs import open_models

from .studies import FOLDS, PEOPLE, ROWS, write_run, write_sweep


@pytest.fixture
def sweep(tmp_path):
    return write_sweep(tmp_path / "audio")


def only(path, **options):
    """The pool of the one model in a folder."""
    (model,) = open_models([path])
    return pooled(model, "test", **options)


def tamper(run, **columns):
    """Other columns in a run's file of predictions."""
    path = run / "predictions.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values(table))
    pq.write_table(table, path)


def test_folds_and_seeds_of_a_recipe_are_one_model(sweep, tmp_path):
    write_run(tmp_path / "single", noise=2, model={"architecture": "other"})
    audio, single = open_models([sweep, tmp_path / "single"])
    assert (audio.name, single.name) == ("audio", "single")
    assert [(run.seed, run.fold) for run in audio.runs] == [(s, f) for s in range(2) for f in range(FOLDS)]
    assert audio.by_seed()[1][2].predictions.splits == ["train", "validation", "test"]
    assert [(model.name, len(model.runs)) for model in open_models([tmp_path])] == [
        ("study architecture=None", 8),
        ("study architecture=other", 1),
    ]
    assert open_models(sorted(sweep.iterdir()))[0].name == "study"


def test_who_stands_on_the_card_makes_no_other_model(sweep):
    path = sweep / "fold1-seed0" / "recipe.yaml"
    path.write_text(path.read_text() + "card: {authors: Ann}\n")
    assert len(open_models([sweep])) == 1


def test_shares_of_the_people_are_models_of_one_family(tmp_path):
    for share in (0.5, 1.0, 0.25):
        for fold in range(FOLDS):
            write_run(tmp_path / "s" / f"{share}-{fold}", fold=fold, share=share, noise=1 / share)
    write_run(tmp_path / "other", model={"architecture": "other"})
    models = open_models([tmp_path / "s", tmp_path / "other"])
    assert [model.name for model in models] == [
        "s",
        "s, 50 % of those who learn",
        "s, 25 % of those who learn",
        "other",
    ]
    family, alone = families(models)
    assert [model.share for model in family] == [0.25, 0.5, 1] and [model.name for model in alone] == ["other"]
    curve = learning_curve(family, "test", None, "accuracy")
    assert [(step["participants"], step["rows"]) for step in curve["steps"]] == [(1, 6), (2, 12), (4, 24)]
    for step, model in zip(curve["steps"], family, strict=True):
        pool = pooled(model, "test").first
        assert step["value"] == pytest.approx((pool.predictions == pool.references).mean())
    assert curve["gain"]["value"] == curve["steps"][2]["value"] - curve["steps"][1]["value"]
    assert curve["gain"]["helps"] == (curve["gain"]["interval"][0] > 0)
    with pytest.raises(ValueError, match="train all shares for the same folds"):
        short = replace(family[0], runs=family[0].runs[:2])
        learning_curve([short, family[2]], "test", None, "accuracy")


def test_a_metric_that_is_not_defined_is_said(tmp_path):
    for share in (0.5, 1.0):
        run = write_run(tmp_path / str(share), kind="binary", share=share)
        tamper(run, **{"reference.mood": lambda table: list_column(np.ones((len(table), 1), np.float32))})
    with pytest.raises(ValueError, match="AUC-ROC is not defined for .*: choose another --metric"):
        learning_curve(families(open_models([tmp_path]))[0], "test", None, "auc")
    with pytest.raises(ValueError, match="nothing to judge: .*AUC-ROC is not defined .*: choose another --metric"):
        report_of([tmp_path], metric="auc")


def test_runs_are_found_by_their_model_folder_and_named_by_what_differs(tmp_path):
    for name, rate in (("a", 0.1), ("b", 0.2)):
        write_run(tmp_path / "sweep" / name / "fold0", model={"rate": rate})
    (tmp_path / "sweep" / "a" / "fold0" / "model").mkdir()
    assert len(open_models([tmp_path / "sweep" / "a" / "fold0" / "model"])) == 1
    assert [model.name for model in open_models([tmp_path / "sweep"])] == ["study rate=0.1", "study rate=0.2"]


def test_what_is_no_run_is_named(sweep, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        open_models([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: no run in it, as no folder there has a recipe\.yaml"):
        open_models([tmp_path / "empty"])
    (sweep / "fold0-seed0" / "recipe.yaml").write_text("name: [")
    with pytest.raises(ValueError, match=r"recipe\.yaml is no recipe of a run .*cut off"):
        open_models([sweep])


def test_the_same_run_twice_is_refused_and_passed_twice_is_not(sweep, tmp_path):
    assert len(open_models([sweep, sweep / "fold0-seed0"])[0].runs) == 8
    shutil.copytree(sweep / "fold0-seed0", tmp_path / "copy")
    with pytest.raises(ValueError, match="are runs of the same recipe, fold 0 and seed 0: pass one of them"):
        open_models([sweep, tmp_path / "copy"])


def test_each_row_is_judged_once_by_the_model_that_never_saw_it(sweep):
    pool = only(sweep)
    assert len(pool) == PEOPLE * ROWS and list(pool.answers) == [0, 1]
    assert str(pool.clusters) == "8 participants" and pool.test_to_train == pytest.approx(0.5)
    assert pool.notes == ()
    (model,) = open_models([sweep])
    for run in model.runs:
        test = run.predictions.of("test")
        places = np.searchsorted(pool.keys, test.column("key").astype(str))
        assert (pool.folds[places] == run.fold).all()
        assert (pool.answers[run.seed].predictions[places] == test.logits("mood").argmax(axis=1)).all()


def test_the_figure_is_of_the_pool_and_the_mean_over_seeds(sweep):
    pool, metric = only(sweep), METRICS["f1_macro"]
    found = figures(pool, metric, resamples=500)
    by_seed = [f1_score(answers.references, answers.predictions, average="macro") for answers in pool.answers.values()]
    assert list(found["by_seed"].values()) == pytest.approx(by_seed)
    assert found["value"] == pytest.approx(np.mean(by_seed)) and found["spread"] == pytest.approx(
        np.std(by_seed, ddof=1)
    )
    folds = [
        np.mean([f1_score(a.references[at], a.predictions[at], average="macro") for a in pool.answers.values()])
        for at in (pool.folds == fold for fold in range(FOLDS))
    ]
    assert list(found["by_fold"].values()) == pytest.approx(folds)
    assert found["mean_of_folds"] == pytest.approx(np.mean(folds)) != found["value"]
    assert found["spread_of_folds"] == pytest.approx(np.std(folds, ddof=1))
    low, high = found["interval"]
    assert low < found["value"] < high and found["interval_by_row"]
    assert found["clusters"] == {"by": "participant", "number": 8} and found["rows"] == 48


@pytest.mark.parametrize("kind", ["single_label", "binary", "multi_label", "regression", "soft"])
def test_each_person_has_a_figure_of_ones_own(kind, tmp_path):
    pool = only(write_sweep(tmp_path / "sweep", kind=kind))
    for name in ("accuracy", "auc", "f1_macro", "ccc", "kl_divergence"):
        metric = METRICS[name]
        if kind not in metric.kinds:
            continue
        found = figures(pool, metric, resamples=20)["by_participant"]
        for person in np.unique(pool.participants):
            own = pool.take(np.flatnonzero(pool.participants == person))
            expected = figures(own, metric, resamples=20).get("value")
            assert found.get(person, {}).get("value") == (None if expected is None else pytest.approx(expected)), name
    assert found[person]["rows"] == ROWS and person.startswith("<b>Zoë</b>")


def test_what_ranks_rows_is_the_mean_of_folds(tmp_path):
    pool, auc = only(write_sweep(tmp_path / "sweep", kind="binary")), METRICS["auc"]
    found = figures(pool, auc, resamples=200)
    by_seed = [
        np.mean([roc_auc_score(a.references[pool.folds == f], a.probabilities[pool.folds == f]) for f in range(FOLDS)])
        for a in pool.answers.values()
    ]
    assert list(found["by_seed"].values()) == pytest.approx(by_seed)
    assert found["value"] == pytest.approx(found["mean_of_folds"])
    assert found["interval"][0] < found["value"] < found["interval"][1]


def test_where_each_person_is_a_fold_people_are_drawn_as_often_as_a_mean_has_them(tmp_path):
    pool, auc = only(write_sweep(tmp_path / "sweep", kind="binary", folds=PEOPLE, seeds=1)), METRICS["auc"]
    each, draws = by_fold(pool, auc)[:, 0], resampled(pool, auc, seed=0)
    assert np.isfinite(each).all() and draws.std() == pytest.approx(each.std() / np.sqrt(PEOPLE), rel=0.05)


def test_a_fold_of_one_class_is_named(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", kind="binary")
    for seed in range(2):
        ones = lambda table: list_column(np.ones((len(table), 1), np.float32))  # noqa: E731
        tamper(sweep / f"fold1-seed{seed}", **{"reference.mood": ones})
    found = figures(only(sweep), METRICS["auc"], resamples=50)
    assert found["notes"] == ["AUC-ROC is not defined in fold 1"] and list(found["by_fold"]) == ["0", "2", "3"]
    assert np.isfinite(found["interval"]).all() and found["value"] == pytest.approx(found["mean_of_folds"])


def test_what_a_run_judged_though_it_learned_from_it_is_named(sweep):
    def with_a_test_row_in_train(table):
        keys, splits = table["key"].to_pylist(), table["split"].to_pylist()
        keys[splits.index("train")] = keys[splits.index("test")]
        return pa.array(keys)

    tamper(sweep / "fold1-seed0", key=with_a_test_row_in_train)
    (sweep / "fold0-seed0" / "model").mkdir(exist_ok=True)
    audit = [asdict(Finding("same_sound", "severe", 1, "two", [], "drop one")) | {"accepted": True}]
    (sweep / "fold0-seed0" / "model" / "metrics.json").write_text(json.dumps({"audit": audit}))
    accepted, learned = sorted(only(sweep).notes)
    assert learned == "fold1-seed0: 1 rows that judge are rows that it learned from: train anew"
    assert accepted.endswith("so the figures may flatter: same_sound")


def test_a_fold_that_is_missing_is_named(sweep):
    shutil.rmtree(sweep / "fold2-seed1")
    assert only(sweep).notes == ("seed 1 is left out: of its folds there lacks 2",)
    (sweep / "fold3-seed0" / "predictions.parquet").unlink()
    for run in sweep.glob("*-seed1"):
        shutil.rmtree(run)
    unfinished, missing = only(sweep).notes
    assert unfinished.endswith("fold3-seed0 is not finished")
    assert missing == "without fold 3 of 4: 12 of 48 rows are judged by no model"
    for run in sweep.glob("fold[12]-*"):
        shutil.rmtree(run)
    assert only(sweep).notes[-1] == "without folds 1, 2, 3 of 4: 36 of 48 rows are judged by no model"
    with pytest.raises(FileNotFoundError, match="train anew"):
        open_models([sweep / "fold3-seed0"])


def test_one_participant_has_no_interval(tmp_path):
    pool = only(write_run(tmp_path / "run", people=3, folds=3))
    found = figures(pool, METRICS["accuracy"], resamples=50)
    assert found["clusters"]["number"] == 1 and "interval" not in found and "interval_by_row" in found


def test_rows_that_cannot_be_paired_say_why(sweep, tmp_path):
    own = only(sweep)
    for options, why in (
        ({"data": "yours"}, "one is of mood in 'mine', the other of mood in 'yours'"),
        ({"kind": "binary"}, r"their labels are single_label \['a', 'b', 'c'\] and binary \['low', 'high'\]"),
        ({"drop": 3}, "3 rows are in the first alone and 0 in the second, such as 'clip 0'"),
        ({"shift": 1}, r"\d+ rows have another truth, as 'clip \d+': [012] and [012]"),
        ({"folds": 8}, r"row 'clip \d+' was held out by fold 0 and by fold 4"),
    ):
        other = only(write_sweep(tmp_path / str(options), noise=2, **options))
        with pytest.raises(AssertionError, match=why):
            raise AssertionError(difference(own, other))
    assert difference(own, own) is None


def test_bad_rows_are_refused_by_the_name_of_their_run(sweep):
    bad = sweep / "fold1-seed0"
    nan = lambda table: list_column(np.full((len(table), 3), np.nan, np.float32))  # noqa: E731
    whole = (bad / "predictions.parquet").read_bytes()
    tamper(bad, **{"logits.mood": nan})
    with pytest.raises(ValueError, match=r"fold1-seed0: outputs\[0\] = \[nan, nan, nan\]: the training probably"):
        only(sweep)
    (bad / "predictions.parquet").write_bytes(whole[:2000])
    with pytest.raises(ValueError, match="cannot be read .*cut off"):
        only(sweep)
    (bad / "predictions.parquet").write_bytes(whole)
    table = pq.read_table(bad / "predictions.parquet")
    later = table.schema.metadata[METADATA].replace(b'"version": 1', b'"version": 9')
    pq.write_table(table.replace_schema_metadata({METADATA: later}), bad / "predictions.parquet")
    with pytest.raises(ValueError, match="of version 9, and this reads version 1"):
        only(sweep)
    (bad / "predictions.parquet").write_bytes(whole)
    with pytest.raises(ValueError, match="fold0-seed0: there is no target 'anger'; those there are: mood"):
        only(sweep, task="anger")
    (model,) = open_models([sweep])
    with pytest.raises(ValueError, match="there are no predictions of a split 'dev'"):
        pooled(model, "dev")
    with pytest.raises(ValueError, match="2 seeds and not 3"):
        pooled(model, "test", seeds=3)
    assert list(pooled(model, "test", seeds=1).answers) == [0]


def test_a_key_that_stands_for_two_rows_is_refused(sweep):
    tamper(sweep / "fold1-seed0", key=lambda table: table["key"].combine_chunks().take(np.zeros(len(table), int)))
    with pytest.raises(ValueError, match="1 keys of test stand for several rows, as 'clip "):
        only(sweep)


def test_seeds_of_other_data_are_refused(sweep):
    write_run(sweep / "fold1-seed1", fold=1, seed=1, shift=5)
    with pytest.raises(ValueError, match="audio, seeds 0 and 1: .* rows have another truth"):
        only(sweep)
