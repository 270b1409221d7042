"""Prepared data: the same for any number of processes, whole after an interruption, and trained on like the clips."""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.meld.builder import load_meld
from affecthub.datasets_scripts.meld.corpus import Meld
from affecthub.datasets_scripts.prepared.clips import ClipForm, ClipReader, decode_audio, encode_audio
from affecthub.datasets_scripts.prepared.shards import MANIFEST, begin, finish, open_prepared, shards_of
from affecthub.datasets_scripts.synthetic.corpora import SampleMeld
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.hub import cli
from affecthub.media.files import alone
from affecthub.training.augmentation import SpecAugment
from affecthub.training.clips import ClipDataset
from affecthub.training.collator import Collator
from affecthub.training.data import make_dataset
from affecthub.training.from_recipe import modalities_of
from affecthub.training.prepare import prepare, summary, write_clips
from affecthub.training.recipe import AugmentationRecipe

ROOT = Path(__file__).resolve().parents[2]
ROWS = (48, 16, 16)
SIZES = ("--train-rows=48", "--validation-rows=16", "--test-rows=16")
FORM = ClipForm(num_frames=2, frame_size=32)
SETTINGS = {"shard_rows": 12}


@pytest.fixture(scope="module")
def clips(sample_root):
    """Two short splits of the tiny corpus' rows, as the builder gives them."""
    train, dev, test = ROWS
    splits = load_meld(render_sample_meld(sample_root, train=train, dev=dev, test=test))
    return {"train": splits["train"].select(range(10)), "test": splits["test"].select(range(3))}


def by_processes(splits, folder, processes, shard_rows=4):
    """Prepare rows as so many processes do, one after the other; returns the manifest."""
    shards = shards_of(splits, folder, SETTINGS, shard_rows)
    folder.mkdir(exist_ok=True)
    begin(folder, SETTINGS)
    for rank in range(processes):
        write_clips(shards[rank::processes], FORM, 60.0)
    return finish(folder, shards, SETTINGS)


def shards_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_the_result_does_not_depend_on_the_number_of_processes(clips, tmp_path):
    manifests = [by_processes(clips, tmp_path / str(n), n) for n in (1, 2, 3)]
    assert manifests[0] == manifests[1] == manifests[2]
    assert shards_in(tmp_path / "1") == shards_in(tmp_path / "2") == shards_in(tmp_path / "3")
    keys = [key for split in clips for key in clips[split]["key"]]
    assert [note["rows"] for note in manifests[0]["shards"]] == [4, 4, 2, 3]
    assert [
        key for name in ("train", "test") for key in pq.read_table(_files(tmp_path / "1", name))["key"].to_pylist()
    ] == keys


def _files(folder, split):
    return sorted(folder.glob(f"{split}-*.parquet"))


def test_two_processes_of_a_launch_make_what_one_makes(prepared, sample_root, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml"]
    command += ["-m", "affecthub.hub.cli", "prepare", "sample_meld", str(sample_root), str(tmp_path / "out")]
    command += ["--num-frames", "2", "--frame-size", "32", "--shard-rows", "12", *SIZES]
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "by 2 process(es)" in done.stdout
    assert (tmp_path / "out" / MANIFEST).read_bytes() == (prepared / MANIFEST).read_bytes()
    assert shards_in(tmp_path / "out") == shards_in(prepared)


def test_an_interrupted_preparation_goes_on_and_mends_what_was_harmed(clips, tmp_path, monkeypatch):
    whole = by_processes(clips, tmp_path, 1)
    content = shards_in(tmp_path)
    (tmp_path / "train-00000.parquet").write_bytes(content["train-00000.parquet"][:-1] + b"?")
    (tmp_path / "train-00001.json").unlink()
    (tmp_path / ".train-00002.parquet.1.tmp").write_bytes(b"of a process that died")
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(ValueError, match="interrupted; run the same"):
        open_prepared(tmp_path)
    read, plain = [], ClipReader.read
    monkeypatch.setattr(ClipReader, "read", lambda self, row: read.append(row["video_path"]) or plain(self, row))
    assert by_processes(clips, tmp_path, 2) == whole
    assert shards_in(tmp_path) == content
    assert read == [*clips["train"]["video_path"][:4], *clips["train"]["video_path"][4:8]]
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_changed_row_or_fewer_rows_leave_nothing_old(clips, tmp_path):
    by_processes(clips, tmp_path, 1)
    assert len(open_prepared(tmp_path).splits()["train"]) == 10  # which leaves it in the cache of `datasets`
    fewer = {"train": clips["train"].select(range(4)).map(lambda row: {"text": row["text"] + "!"})}
    manifest = by_processes(fewer, tmp_path, 1)
    assert [note["file"] for note in manifest["shards"]] == list(shards_in(tmp_path)) == ["train-00000.parquet"]
    rows = open_prepared(tmp_path).splits()["train"]
    assert rows["text"][:] == fewer["train"]["text"][:]


def test_a_clip_that_is_a_pipe_and_one_that_is_broken_stay_as_rows_without_media(clips, tmp_path, processor):
    os.mkfifo(tmp_path / "endless.mp4")  # nobody writes to it, so opening it would wait for ever
    (tmp_path / "broken.mp4").write_bytes(b"no clip")
    paths = [str(tmp_path / "endless.mp4"), str(tmp_path / "broken.mp4"), None, clips["train"]["video_path"][3]]
    rows = (
        clips["train"]
        .select(range(4))
        .map(lambda row, i: {"video_path": paths[i], "audio_path": paths[i]} | _present(paths[i]), with_indices=True)
    )
    shards = shards_of({"train": rows}, tmp_path / "out", SETTINGS, 4)
    (tmp_path / "out").mkdir()
    begin(tmp_path / "out", SETTINGS)
    write_clips(shards, FORM, time_limit=2.0)
    manifest = finish(tmp_path / "out", shards, SETTINGS)
    assert manifest["statuses"] == {"train": {"kept": 1, "none": 1, "undecodable": 2}}
    assert list(manifest["shards"][0]["failures"]) == rows["key"][:2]
    with ClipReader(FORM, 1e-4) as reader:
        assert [reader.read(rows[3]).status for _ in range(2)] == ["timed_out"] * 2
    lines = summary(manifest)
    assert "not a regular file" in lines and "not a media file" in lines and str(tmp_path) not in lines
    loaded = open_prepared(tmp_path / "out").splits()["train"]
    assert loaded["text"][:] == rows["text"][:]
    assert [path is None for path in loaded["video_path"]] == [False, False, True, False]


def _present(path):
    return {"video_present": path is not None, "audio_present": path is not None}


def test_sound_keeps_its_sixteen_bits():
    samples = np.array([-1.0, -0.5, 0.0, 1 / 3, 0.999, 1.0], dtype=np.float32)
    kept = decode_audio(encode_audio(samples, 16_000))
    assert kept.dtype == np.float32 and np.abs(kept - samples).max() <= 1 / 32_768
    assert (decode_audio(encode_audio(kept, 16_000)) == kept).all()


@pytest.fixture(scope="module")
def from_shards(tiny, prepared):
    """A corpus, read from what was prepared."""
    recipe = tiny(f"--data.root={prepared}")
    return load_corpus(recipe.data, modalities_of(recipe.model))


def test_a_batch_of_prepared_rows_is_that_of_the_clips(corpus, from_shards, processor):
    assert {name: rows["key"][:] for name, rows in from_shards.splits.items()} == {
        name: rows["key"][:] for name, rows in corpus.splits.items()
    }
    assert (from_shards.synthetic, from_shards.bayes_accuracy) == (True, corpus.bayes_accuracy)
    direct = ClipDataset(corpus.splits["train"], corpus.targets, processor)
    read = make_dataset(from_shards, "train", processor, 1)
    collate = Collator(processor, SpecAugment())
    wanted, found = (collate([data[i] for i in (0, 7, 30, 47)]) for data in (direct, read))
    assert list(found) == list(wanted)
    for name in set(wanted) - {"pixel_values_videos", "input_features"}:
        assert (found[name] == wanted[name]).all(), name
    for i in range(48):
        heard, shown = direct[i], read[i]
        assert np.abs(heard["audio"] - shown["audio"]).max() <= 1 / 32_768
        assert heard["video"].shape == shown["video"].shape
        assert np.abs(heard["video"].astype(int) - shown["video"]).max() < 32  # what JPEG may take of a drawn edge


def test_what_a_clip_had_lost_is_counted_as_with_clips(from_shards, processor):
    rows = from_shards.splits["train"].select(range(3))
    lost = rows.map(lambda row, i: {"media_status": ("kept", "timed_out", "undecodable")[i]}, with_indices=True)
    data = make_dataset(replace(from_shards, splits={"train": lost}), "train", processor, 1)
    samples = [data[i] for i in range(3)]
    assert [sample["video"] is None for sample in samples] == [False, True, True]
    assert (data.failures, samples[1]["text"]) == (2, rows["text"][1])


def test_each_row_has_a_place_that_changes_with_its_shard(from_shards, prepared):
    places = from_shards.splits["train"]["video_path"][:]
    note = json.loads((prepared / "train-00000.json").read_bytes())
    assert len(set(places)) == 48
    assert places[0] == f"{prepared / 'train-00000.parquet'}#{note['sha256'][:16]}/train/dia0_utt0"


def test_a_reader_that_needs_something_else_is_told(tiny, prepared, from_shards, processor, corpus):
    with pytest.raises(ValueError, match="dataset=SampleMeld, and dataset=Meld is needed"):
        load_corpus(Meld(root=str(prepared)), ["text"])
    more = copy.deepcopy(processor)
    more.video_processor.num_frames = 5
    with pytest.raises(ValueError, match="num_frames=2, and num_frames=5 is needed: change that in the recipe"):
        make_dataset(from_shards, "train", more, 1)
    shorter = copy.deepcopy(processor)
    shorter.max_seconds = 3.0
    with pytest.raises(ValueError, match="max_seconds=15.0, and max_seconds=3.0"):
        make_dataset(from_shards, "train", shorter, 1)
    with pytest.raises(ValueError, match="temporal_jitter: prepared rows hold the same frames"):
        make_dataset(from_shards, "train", processor, 1, AugmentationRecipe(temporal_jitter=True))


def test_two_launches_at_once_do_not_mix(sample_root, tmp_path):
    doing = "is preparing data"
    with alone(tmp_path, doing), pytest.raises(OSError, match=f"another launch {doing} there; wait for it"):
        prepare(SampleMeld(str(sample_root), train_rows=48, validation_rows=16, test_rows=16), tmp_path, FORM)


def test_bad_folders_and_values_are_named(clips, tmp_path, prepared, capsys):
    with pytest.raises(ValueError, match=r"prepared with shard_rows=12 \(now 5\): choose another folder"):
        by_settings = {**open_prepared(prepared).manifest["settings"], "shard_rows": 5}
        begin(prepared, by_settings)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no prepared data"):
        begin(tmp_path, SETTINGS)
    manifest = by_processes(clips, tmp_path / "out", 1)
    (tmp_path / "out" / "test-00000.parquet").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"test-00000.parquet: 4 bytes instead of \d+; run `affecthub prepare` again"):
        open_prepared(tmp_path / "out").splits()
    assert manifest["shards"][0]["failures"] == {}
    assert cli.main(["prepare", "meld", str(tmp_path / "gone"), str(tmp_path / "new")]) == 2
    assert str(tmp_path / "gone") in capsys.readouterr().err
    assert cli.main(["prepare", "meld", str(tmp_path), str(tmp_path / "new"), "--num-frames", "0"]) == 2
    assert "num_frames=0: it has to be above 0" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
