"""A search: trials on validation alone, which go on where they stopped, and the best as a recipe."""

import json
from dataclasses import replace

import pytest

from affecthub.hub.cli import main
from affecthub.training import search as searching
from affecthub.training.recipe import load_recipe

from .test_sweep import options  # noqa: F401 - a fixture


@pytest.fixture
def space(tmp_path):
    """What to try: a range, whole numbers, and values that are no plain ones."""
    path = tmp_path / "space.yaml"
    lines = ["training.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}", "training.epochs: {low: 1, high: 3}"]
    path.write_text("\n".join([*lines, "model.text_encoder: [null]", "training.phases: [[], [{start_epoch: 0}]]"]))
    return path


@pytest.fixture
def trained(monkeypatch):
    """The recipes of the trials, whose value is the learning rate; those after `broken` many are interrupted."""
    done, broken = [], []

    def train_once(recipe, metric, judges, folder):
        done.append(recipe)
        if broken and len(done) > broken[0]:
            raise KeyboardInterrupt
        return recipe.training.learning_rate

    monkeypatch.setattr(searching, "train_once", train_once)
    return done, broken


def test_a_search_goes_on_and_writes_the_best_recipe(options, space, trained, tmp_path, capsys):  # noqa: F811
    done, broken = trained
    out = tmp_path / "searched"
    command = ["search", "meld_text", "--space", str(space), "--output-dir", str(out), *options, "--trials"]
    broken.append(2)
    assert main([*command, "5"]) == 130
    broken.clear()
    interrupted = done.pop()
    assert main([*command, "5"]) == 0
    assert len(done) == 5 and done[2] == interrupted and len({r.training.learning_rate for r in done}) == 5
    found = json.loads((out / "trials.json").read_text(encoding="utf-8"))
    best = max(done, key=lambda recipe: recipe.training.learning_rate)
    assert load_recipe(str(out / "best.yaml")) == best
    assert (found["metric"], found["split"], len(found["trials"])) == ("f1_weighted", "validation", 5)  # the recipe's
    rows = [line for line in (out / "trials.md").read_text(encoding="utf-8").splitlines() if line[:3] != "|--"]
    assert f"{best.training.learning_rate:.4g}" in rows[1] and len(rows) == 6
    assert main([*command, "5"]) == 0 and len(done) == 5  # nothing is left to try
    space.write_text("training.epochs: [1, 2]")
    assert main([*command, "5"]) == 2 and "holds a search of another recipe or space" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("split.fold: [0, 1]", "split.fold is not searched: all trials have to be judged alike"),
        ("training.epochs: 3", "training.epochs: 3: give a list of values, or {low: NUMBER, high: NUMBER}"),
        ("training.epochs: {low: 3, hi: 5}", "give {low: NUMBER, high: NUMBER}, with `log: true`"),
        ("training.epoch: [3]", "unknown option --training.epoch; did you mean --training.epochs?"),
        ("training.epochs: {low: 0, high: 5}", "training.epochs=0: it has to be 1 or more"),
        ("", "is no search space"),
    ],
)
def test_a_space_that_is_none_is_refused_before_anything_is_trained(
    written,
    said,
    options,  # noqa: F811
    trained,
    tmp_path,
    capsys,
):
    (tmp_path / "space.yaml").write_text(written)
    command = ["search", "meld_text", "--space", str(tmp_path / "space.yaml"), "--output-dir", str(tmp_path / "out")]
    assert main([*command, *options]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and not trained[0]


def test_where_every_trial_fails_the_first_reason_is_said(options, tmp_path, capsys, monkeypatch):  # noqa: F811
    (tmp_path / "space.yaml").write_text("model.config.hidden_sizes: [8, 16]")
    command = ["search", "meld_text", "--space", str(tmp_path / "space.yaml"), "--output-dir", str(tmp_path / "out")]
    assert main([*command, "--trials", "2", *options]) == 2
    assert "All 2 trials failed; the first: model.config: unimodal_baseline has no 'hidden_sizes'" in (
        capsys.readouterr().err
    )


def test_a_trial_that_other_rows_would_judge_is_refused(options, tmp_path):  # noqa: F811
    recipe = load_recipe("meld_text", *options)
    splits = (recipe.split, recipe.split, replace(recipe.split, fold=1))
    plain, again, other = (searching.judges_of(searching.load_corpus(recipe.data, ["text"], s)) for s in splits)
    assert plain == again != other
    with pytest.raises(ValueError, match="its validation rows, or their truth, are others than the plain recipe's"):
        searching.train_once(recipe, "accuracy", other, tmp_path / "trial")


def test_a_trial_never_sees_the_test_split(options, tmp_path, monkeypatch):  # noqa: F811
    seen, prepare = [], searching.prepare

    def noting(recipe, corpus, *others):
        seen.append(set(corpus.splits))
        return prepare(recipe, corpus, *others)

    monkeypatch.setattr(searching, "prepare", noting)
    recipe = load_recipe("meld_text", *options)
    corpus = searching.load_corpus(recipe.data, ["text"], recipe.split)
    value = searching.train_once(recipe, "accuracy", searching.judges_of(corpus), tmp_path / "trial")
    assert seen == [{"train", "validation"}] and 0 <= value <= 1
    assert not list(tmp_path.glob("trial/checkpoints/checkpoint-*"))
