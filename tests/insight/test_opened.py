"""A run's folder is opened, or it is said what it lacks."""

import shutil

import numpy as np
import pytest

from affecthub.insight.attention import write_attention
from affecthub.insight.attribution import write_attribution
from affecthub.insight.opened import open_run, usable
from affecthub.insight.robustness import write_robustness


def test_the_test_split_is_opened_as_it_is_judged(run_of):
    run = run_of("trimodal_ensemble")
    assert run.split == "test" and len(run.samples) == 6 and run.samples.augmentation is None
    assert not run.model.training


def test_some_samples_are_spread_over_the_split(run_of):
    run = run_of("trimodal_ensemble")
    some = run.some(3)
    keys = run.samples.rows["key"]
    assert list(some.rows["key"]) == [keys[0], keys[2], keys[5]]
    assert [sample["labels"] for _, sample in usable(some)] == [run.samples[i]["labels"] for i in (0, 2, 5)]
    assert len(run.some(100)) == 6


@pytest.mark.parametrize("missing", ["recipe.yaml", "model"])
def test_a_folder_that_is_no_run_is_refused(folder_of, tmp_path, missing):
    folder = shutil.copytree(folder_of("trimodal_ensemble"), tmp_path / "run")
    shutil.rmtree(folder / missing) if (folder / missing).is_dir() else (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        open_run(folder)


def test_a_run_without_its_data_is_refused(folder_of, tmp_path):
    folder = shutil.copytree(folder_of("trimodal_ensemble"), tmp_path / "run")
    recipe = (folder / "recipe.yaml").read_text()
    kept = [line for line in recipe.splitlines() if "rows:" not in line and "seed" not in line]
    text = "\n".join(kept).replace("SampleMeld", "Meld")
    (folder / "recipe.yaml").write_text(
        text.replace(next(k for k in kept if "root:" in k), f"    root: {tmp_path}/no")
    )
    with pytest.raises((FileNotFoundError, ValueError), match="no"):
        open_run(folder)


@pytest.mark.parametrize("ask", [write_attention, write_attribution, write_robustness])
def test_rows_that_hold_nothing_are_an_error_that_says_so(run_of, monkeypatch, ask):
    run = run_of("frame_cnn")
    nothing = dict.fromkeys(("text", "audio", "video", "physio")) | {"labels": np.zeros(1)}
    monkeypatch.setattr(type(run.samples), "__getitem__", lambda self, index: nothing)
    with pytest.raises(ValueError, match="None of .* rows holds anything"):
        ask(run)
