"""Results on disk, and the table in the terminal."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from affecthub.evaluation.report import replacing, results_table, score, write_results

LABELS = ["neutral", "joy", "fear"]


@pytest.fixture
def results():
    references = np.array([0, 0, 0, 1, 1, 0] * 20)
    predictions = np.array([0, 0, 1, 1, 0, 0] * 20)
    return {
        "data": {"name": "Sample corpus", "synthetic": True, "splits": {"train": 300, "test": 120}},
        "task": {"emotion": LABELS},
        "results": {"test": {"emotion": score(references, predictions, [0, 0, 1], LABELS, seed=0)}},
        "ablation": [
            {"modalities": ["text"], "accuracy": 0.5, "f1_weighted": 0.4, "bayes_accuracy": 0.75},
            {"modalities": ["text", "audio"], "accuracy": 0.625, "f1_weighted": 0.6},
        ],
    }


def test_score_holds_model_baseline_and_intervals(results):
    scores = results["results"]["test"]["emotion"]
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["majority"]["majority_label"] == "neutral"
    assert scores["majority"]["accuracy"] == pytest.approx(2 / 3)
    low, high = scores["intervals"]["f1_weighted"]
    assert low < scores["f1_weighted"] < high


def test_table_shows_model_beside_baseline(results):
    lines = results_table(results).splitlines()
    assert lines[0].startswith("SYNTHETIC DATA")
    (accuracy,) = [line for line in lines if line.startswith("accuracy")]
    low, high = results["results"]["test"]["emotion"]["intervals"]["accuracy"]
    assert accuracy.split() == ["accuracy", "66.7", f"{100 * low:.1f}", "to", f"{100 * high:.1f}", "66.7"]
    (neutral,) = [line for line in lines if line.startswith("F1 neutral (80)")]
    assert neutral.split()[-2:] == ["75.0", "80.0"]
    assert any("as 0: fear" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_table_of_the_ablation(results):
    lines = results_table(results).splitlines()
    (text,) = [line for line in lines if line.startswith("text  ")]
    (both,) = [line for line in lines if line.startswith("text + audio")]
    assert text.split() == ["text", "50.0", "40.0", "75.0"]
    assert both.split() == ["text", "+", "audio", "62.5", "60.0"]


def test_table_without_ablation_and_without_synthetic_data(results):
    results["data"]["synthetic"] = False
    del results["ablation"]
    table = results_table(results)
    assert "SYNTHETIC" not in table
    assert "Bayes" not in table


def test_file_holds_the_results(results, tmp_path):
    path = write_results(results, tmp_path / "metrics.json")
    assert json.loads(path.read_text(encoding="utf-8")) == results
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_refused_by_its_key(results, tmp_path):
    results["ablation"][1]["accuracy"] = float("nan")
    with pytest.raises(ValueError, match=r"results.ablation.1.accuracy = nan"):
        write_results(results, tmp_path / "metrics.json")
    assert not list(tmp_path.iterdir())


def test_full_disk_keeps_the_old_file_and_names_the_remedy(results, tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    path.write_text("old", encoding="utf-8")
    write_text = Path.write_text

    def full(self, data, **kwargs):
        write_text(self, data[:10], **kwargs)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(
        OSError, match=r"metrics.json was not written \(No space left on device\); free space"
    ) as caught:
        write_results(results, path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_named(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.*choose a folder"):
        write_results(results, tmp_path / "nowhere" / "metrics.json")


def test_an_error_inside_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "x") as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyError("x")
    assert not list(tmp_path.iterdir())
