"""Every benchmark that is quick enough runs once, at a size at which its figures mean nothing."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Import a script of the folder as Python does when it is run."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the scripts set both; here they are put back
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    yield importlib.import_module
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["decoding", "log_mel", "pipeline_overhead"])
def test_a_benchmark_prints_its_table_and_writes_its_figures(name, benchmark, tmp_path, capsys):
    benchmark(name).main(["--quick", "--output", str(tmp_path / "figures.json")])
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["title"] in capsys.readouterr().out
    assert written["figures"] and written["goals"] and written["machine"]["cores"] > 0
    assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in written["seconds"].values())


def test_the_ratio_is_the_median_of_the_rounds_ratios(benchmark):
    measure = benchmark("measure")
    times = {"a": [1.0, 4.0, 9.0], "b": [1.0, 2.0, 3.0]}
    assert measure.ratio(times, "a", "b") == 2.0
    assert measure.Goal("", 2.0, at_least=2).met and not measure.Goal("", 2.0, at_most=1.9).met


def test_a_repeated_clip_is_as_many_times_as_long(benchmark, tmp_path):
    from affecthub.media.decode import read_clip

    media = benchmark("sample_media")
    one = media.write_clip(tmp_path / "one.mp4", seconds=1, size=(64, 48))
    clip = read_clip(media.repeat_clip(one, tmp_path / "three.mp4", 3))
    assert clip.complete and clip.bad_packets == 0
    assert clip.video_duration == pytest.approx(3, abs=0.1) and clip.audio_duration == pytest.approx(3, abs=0.1)


def test_the_plain_baseline_tells_voices_apart_that_differ(benchmark, tmp_path, capsys):
    rng, lines = np.random.default_rng(0), ["file_name,emotion,speaker"]
    for number in range(24):
        pitch = (120, 300)[number % 2] * rng.uniform(0.95, 1.05)
        sound = np.sin(2 * np.pi * pitch * np.arange(8_000) / 16_000) + 0.1 * rng.normal(size=8_000)
        soundfile.write(tmp_path / f"{number}.wav", 0.3 * sound, 16_000)
        lines.append(f"{number}.wav,{('calm', 'joy')[number % 2]},speaker_{number // 4}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    output = tmp_path / "figures.csv"
    benchmark("mfcc_svm").main([str(tmp_path), "--target", "emotion", "--folds", "3", "--output", str(output)])
    assert "train and validation" in capsys.readouterr().out
    figures = pd.read_csv(output, index_col="fold")
    assert figures.loc["mean"].min() == 1 and len(figures) == 5


def test_intervals_by_people_hold_the_truth_and_those_by_rows_do_not(benchmark):
    found = benchmark("interval_coverage")
    for study in found.STUDIES:
        for row in found.coverage(study, people=20, studies=100):
            assert 90 <= row["by people, %"] <= 99 and row["by rows, %"] <= 85, row


def test_models_that_are_alike_are_seldom_said_to_differ(benchmark):
    row = benchmark("interval_coverage").level(people=20, studies=100)
    assert row["permutation by people, %"] <= 9 and row["McNemar over rows, %"] > 20, row
