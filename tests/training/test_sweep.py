"""Sweeps: a run for each fold and seed, in folders of their own; what is complete is kept, what fails is named."""

import json

import numpy as np
import pytest

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.evaluation.predictions import read_predictions
from affecthub.hub.cli import main
from affecthub.media.files import LOCK
from affecthub.training import sweep as sweeping
from affecthub.training.recipe import load_recipe
from affecthub.training.sweep import SweepError, planned, sweep


@pytest.fixture
def options(tmp_path, monkeypatch):
    """A table of what six people say, and a tiny model of it."""
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    rng, lines = np.random.default_rng(0), ["text,participant,emotion"]
    for i in range(48):
        words = " ".join(rng.choice(["oh", "no", "yes", "well", "so"], 3))
        lines.append(f"{words} {i},p{i % 6},{('joy', 'calm')[i // 6 % 2]}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    tiny = (
        "--model.text_encoder=null",
        "--model.text_config={hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}",
        "--training.precision=fp32",
        "--training.epochs=1",
        "--training.num_workers=0",
    )
    return [f"--data.root={path}", "--data=Clips", "--data.targets=[emotion]", "--split.folds=3", *tiny]


@pytest.fixture
def trained(monkeypatch):
    """The runs that would be trained: each leaves what a complete run leaves; folds listed in `broken` fail."""
    done = []

    def train(run, name, options):
        done.append((run.fold, run.seed))
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "log.txt").write_text("loading\nno space left\n\n")
        if run.fold in done_or_broken:
            return 1
        (run.folder / "model").mkdir()
        (run.folder / "model" / "metrics.json").write_text("{}")
        (run.folder / "environment.json").write_text("{}")
        return 0

    done_or_broken = set()
    monkeypatch.setattr(sweeping, "train", train)
    return done, done_or_broken


def test_two_folds_are_trained_for_real_and_each_row_is_judged_once(options, tmp_path):
    out = tmp_path / "swept"
    command = ["sweep", "meld_text", "--folds", "0,2", "--output-dir", str(out), *options]
    assert main(command) == 0
    assert sorted(path.name for path in out.iterdir()) == [LOCK, "fold0-seed0", "fold2-seed0", "sweep.yaml"]
    parts = [read_predictions(out / name).of("test") for name in ("fold0-seed0", "fold2-seed0")]
    people = [set(part.column("participant")) for part in parts]
    assert people[0] and people[1] and not people[0] & people[1]
    assert json.loads((out / "fold2-seed0" / "model" / "metrics.json").read_text())["data"]["protocol"].endswith("2")
    written = (out / "fold0-seed0" / "model" / "metrics.json").stat().st_mtime_ns
    assert main(command) == 0  # everything is there already
    assert (out / "fold0-seed0" / "model" / "metrics.json").stat().st_mtime_ns == written
    assert main(["report", str(out), "--no-cost"]) == 0
    (model,) = json.loads((out / "report.json").read_text(encoding="utf-8"))["models"]
    figure = model["tasks"]["emotion"]["figures"]["accuracy"]
    assert figure["rows"] == sum(map(len, parts)) and figure["clusters"]["number"] == len(people[0] | people[1])


def test_what_is_complete_is_kept_and_what_fails_is_tried_again(options, trained, tmp_path):
    done, broken = trained
    broken.add(1)
    with pytest.raises(SweepError, match=r"2 of 6 runs failed: .*fold1-seed0 \(no space left\).*tries them again"):
        sweep("meld_text", options, tmp_path / "out", None, [0, 7])
    assert done == [(0, 0), (1, 0), (2, 0), (0, 7), (1, 7), (2, 7)]
    done.clear()
    broken.clear()
    sweep("meld_text", options, tmp_path / "out", None, [0, 7])
    assert done == [(1, 0), (1, 7)]
    done.clear()
    sweep("meld_text", options, tmp_path / "out", [0], [0, 1])  # a seed more
    assert done == [(0, 1)]


def test_processes_of_a_launch_share_the_runs(options, trained, tmp_path, monkeypatch):
    done, _ = trained
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in (("0", [(0, 0), (2, 0), (1, 1)]), ("1", [(1, 0), (0, 1), (2, 1)])):
        monkeypatch.setenv("RANK", rank)
        sweep("meld_text", options, tmp_path / "out", None, [0, 1])
        assert done == expected
        done.clear()
    monkeypatch.setenv("MASTER_PORT", "1")
    assert not {"RANK", "WORLD_SIZE", "MASTER_PORT"} & sweeping._alone().keys()


def test_a_share_of_the_people_learns_and_all_are_judged(options, trained, tmp_path):
    sweep("meld_text", options, tmp_path / "out", [1], [0], [0.5, 1])
    folders = {path.name for path in (tmp_path / "out").glob("fold*")}
    assert folders == {"fold1-seed0", "fold1-seed0-share0.5"}
    recipes = [load_recipe("meld_text", *options, "--split.fold=1", f"--split.share={share}") for share in (1, 0.5)]
    whole, half = (load_corpus(recipe.data, ["text"], recipe.split) for recipe in recipes)
    people = [set(corpus.splits["train"]["participant"]) for corpus in (whole, half)]
    assert people[1] < people[0] and len(people[1]) == round(len(people[0]) / 2)
    assert half.skipped[f"train {half.unit} left out by split.share=0.5"] == 8 * (len(people[0]) - len(people[1]))
    for split in ("validation", "test"):
        assert half.splits[split]["key"] == whole.splits[split]["key"]
    with pytest.raises(ValueError, match="--shares: 1.5 is none"):
        planned(recipes[0], tmp_path, [0], [0], [1.5])


def test_folds_are_those_that_the_rows_make(options, tmp_path):
    recipe = load_recipe("meld_text", *options, "--split.protocol=leave_one_participant_out")
    assert [run.fold for run in planned(recipe, tmp_path, None, [3])] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="no fold 6: the rows make 6, from 0 to 5"):
        planned(recipe, tmp_path, [6], [0])
    meld = load_recipe("quickstart", "--data.train_rows=8", "--data.validation_rows=4", "--data.test_rows=4")
    assert len(planned(meld, tmp_path, None, [0])) == 1  # its authors divided it


def test_a_folder_of_another_recipe_and_options_that_a_sweep_sets_are_refused(options, trained, tmp_path):
    sweep("meld_text", options, tmp_path / "out", [0], [0])
    with pytest.raises(ValueError, match="holds runs of another recipe .*another --output-dir"):
        sweep("meld_text", [*options, "--training.epochs=2"], tmp_path / "out", [0], [0])
    with pytest.raises(ValueError, match="--training.seed=3: a sweep sets it for each run; use --seeds"):
        sweep("meld_text", [*options, "--training.seed=3"], tmp_path / "out", [0], [0])


def test_an_option_of_no_command_is_still_refused(capsys):
    with pytest.raises(SystemExit):
        main(["cache", "list", "--training.epochs=2"])
    assert "unrecognized arguments: --training.epochs=2" in capsys.readouterr().err
