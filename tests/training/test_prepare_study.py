"""Prepared recordings: the same for any number of processes, read as the study is, and kept where sound is lost."""

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.genex.corpus import ALL
from affecthub.datasets_scripts.prepared.clips import decode_sound
from affecthub.datasets_scripts.prepared.recordings import prepare_sound, sound_starts
from affecthub.datasets_scripts.prepared.shards import begin, finish, open_prepared, shards_of
from affecthub.media.decode import read_clip
from affecthub.media.windows import sound_within
from affecthub.training.data import make_dataset
from affecthub.training.from_recipe import build_processor, modalities_of
from affecthub.training.prepare import prepare, write_moments
from affecthub.training.recipe import load_recipe
from affecthub.training.split_audit import audit_corpus

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"shard_rows": 4}


@pytest.fixture(scope="module")
def recipe(study_options):
    """A function: a recipe that sees and hears the tiny study, with overrides."""
    return lambda *overrides: load_recipe("audio_visual_fusion", *study_options, *overrides)


@pytest.fixture(scope="module")
def prepared(recipe, tmp_path_factory):
    """The tiny study, prepared by the one call that the command makes."""
    folder = tmp_path_factory.mktemp("prepared") / "out"
    prepare(recipe().data, folder, shard_rows=25)
    return folder


@pytest.fixture(scope="module")
def frames(recipe):
    """The first ten rows of the study, of two recordings, as the shards get them."""
    rows = recipe().data.build(["video", "audio"])[ALL].select(range(10))
    return rows.add_column("sound_start", sound_starts(rows["recording"], rows["time_ms"]))


def by_processes(rows, folder, processes, time_limit=60.0):
    """Prepare rows as so many processes do, one after the other; returns the manifest."""
    shards = shards_of({ALL: rows}, folder, SETTINGS, SETTINGS["shard_rows"])
    folder.mkdir()
    begin(folder, SETTINGS)
    for rank in range(processes):
        write_moments(shards[rank::processes], time_limit)
    return finish(folder, shards, SETTINGS)


def test_the_result_does_not_depend_on_the_number_of_processes(frames, tmp_path):
    manifests = [by_processes(frames, tmp_path / str(n), n) for n in (1, 2, 3)]
    assert manifests[0] == manifests[1] == manifests[2]
    assert [note["rows"] for note in manifests[0]["shards"]] == [4, 4, 2]
    rows = open_prepared(tmp_path / "3").splits()[ALL]
    assert rows["key"][:] == frames["key"][:]
    assert {"recording_path", "image_path"}.isdisjoint(rows.column_names)
    pictures = [Path(path).read_bytes() for path in frames["image_path"]]
    assert [content for (content,) in rows["video_jpeg"]] == pictures


def test_two_processes_of_a_launch_extract_and_write_what_one_does(prepared, rendered_study, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml"]
    command += ["-m", "affecthub.hub.cli", "prepare", "sample_genex", str(rendered_study), str(tmp_path / "out")]
    command += ["--seconds", "6", "--crop-faces=false", "--shard-rows", "25"]
    changes = {"HF_HOME": str(tmp_path / "hf"), "AFFECTHUB_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment = os.environ | changes | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "3 shards of up to 25 rows, by 2 process(es)" in done.stdout
    assert (tmp_path / "out" / "manifest.json").read_bytes() == (prepared / "manifest.json").read_bytes()
    assert len(list((tmp_path / "frames").glob("*/complete.json"))) == 10


@pytest.mark.parametrize("seconds", [1.0, 2.5])
def test_a_sample_of_prepared_rows_is_that_of_the_study(recipe, prepared, seconds):
    options = (f"--inputs.max_seconds={seconds}", "--inputs.num_frames=2")
    found = [recipe(*options, *root) for root in ((), (f"--data.root={prepared}",))]
    corpora = [load_corpus(one.data, modalities_of(one.model), one.split) for one in found]
    assert corpora[0].bayes_accuracy == corpora[1].bayes_accuracy and corpora[1].synthetic
    assert corpora[0].skipped == corpora[1].skipped
    processor = build_processor(found[0], corpora[0])
    for split, rows in corpora[0].splits.items():
        assert corpora[1].splits[split]["key"][:] == rows["key"][:]
        direct, read = (make_dataset(corpus, split, processor, 1) for corpus in corpora)
        for i in range(len(rows)):
            wanted, kept = direct[i], read[i]
            np.testing.assert_array_equal(kept["labels"], wanted["labels"])
            np.testing.assert_array_equal(kept["video"], wanted["video"])
            assert kept["audio"].shape == wanted["audio"].shape
            # not equal: a decoder of AAC draws the noise in it, anew from wherever it begins
            assert np.corrcoef(kept["audio"], wanted["audio"])[0, 1] > 0.98
        assert direct.failures == read.failures == 0
    findings = [audit_corpus(corpus, processor).findings for corpus in corpora]
    assert findings[0] == findings[1]


def test_pieces_join_to_what_is_read_at_once(tmp_path):
    rng, path = np.random.default_rng(0), str(tmp_path / "noise.flac")
    soundfile.write(path, rng.uniform(-0.9, 0.9, round(4.3 * 44_100)), 44_100)
    times = np.cumsum([0.0, *rng.uniform(100, 900, 12)])
    starts = sound_starts(["one"] * 13, times)
    assert starts[:3].tolist() == [0.0, 0.0, times[1] / 1000]
    spans = list(zip(starts, times / 1000, strict=True))
    pieces = [sound for part in (spans[:5], spans[5:]) for sound in prepare_sound(path, part)]
    assert pieces[0] is None and len(pieces) == 13
    sounds = [decode_sound(piece, start) for piece, start in zip(pieces, starts, strict=True) if piece is not None]
    for end in times[times > 1000] / 1000:
        start = max(0.0, end - 1.7)
        joined = sound_within([sound for sound in sounds if sound.time < end], (start, end), 16_000)
        at_once = read_clip(path, start=start, max_seconds=end - start).audio if start < 4.3 else None
        assert (joined is None) == (at_once is None)
        assert joined is None or np.abs(joined - at_once).max() <= 2 / 32_768
    assert times[-1] > 4300  # so that rows follow the end of the sound, and one contains it


def test_memory_does_not_grow_with_the_recording(tmp_path):
    def peak(minutes):
        path = str(tmp_path / f"{minutes}.wav")
        soundfile.write(path, np.zeros(minutes * 60 * 8000, np.int16), 8000)
        spans = [(float(second), second + 1.0) for second in range(minutes * 60 - 20, minutes * 60)]
        tracemalloc.start()
        pieces = prepare_sound(path, spans)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(pieces) == 20 and None not in pieces
        return most

    peak(1)  # imports and caches
    assert peak(20) < 1.2 * peak(1)


def test_sound_that_cannot_be_read_leaves_the_picture_and_is_counted(frames, recipe, prepared, tmp_path):
    os.mkfifo(tmp_path / "endless.mp4")  # nobody writes to it, so opening it would wait for ever
    (tmp_path / "broken.mp4").write_bytes(b"no recording")
    paths = [str(tmp_path / "endless.mp4"), str(tmp_path / "broken.mp4")]
    rows = frames.select(range(6)).map(
        lambda row, i: {"recording_path": paths[i // 2] if i < 4 else row["recording_path"], "audio_present": i < 5},
        with_indices=True,
    )
    manifest = by_processes(rows, tmp_path / "out", 1, time_limit=2.0)
    assert manifest["statuses"] == {ALL: {"kept": 3, "undecodable": 3}}  # row 0 has no sound to come
    failures = manifest["shards"][0]["failures"]
    assert list(failures) == rows["key"][1:4]
    assert "not a regular file" in failures[rows["key"][1]] and "not a media file" in failures[rows["key"][2]]
    assert str(tmp_path) not in json.dumps(manifest)

    one = recipe(f"--data.root={prepared}")
    corpus = load_corpus(one.data, modalities_of(one.model), one.split)
    silent = open_prepared(tmp_path / "out").splits()[ALL].add_column("position", range(6))
    lost = replace(corpus, splits={"train": silent}, all_rows=silent)
    data = make_dataset(lost, "train", build_processor(one, corpus), 1)
    samples = [data[i] for i in range(6)]
    assert [sample["audio"] is not None for sample in samples] == [False, False, False, False, True, False]
    assert all(sample["video"] is not None for sample in samples) and data.failures == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--data.every=15", "every=30, and every=15 is needed: change that in the recipe"),
        ("--data.crop_faces=true", "crop_faces=False, and crop_faces=True is needed"),
        ("--data.study=study.yaml", "study={}, and study={'name': 'Lab 7'} is needed"),
        ("--data.colour_variants=true", "colour_variants=False, and colour_variants=True is needed"),
    ],
)
def test_other_rows_than_were_prepared_are_refused(override, message, recipe, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text("name: Lab 7\n")
    with pytest.raises(ValueError, match=message):
        load_corpus(recipe(f"--data.root={prepared}", override).data, ["video"])
