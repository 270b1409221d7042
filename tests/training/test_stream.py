"""Streamed training: every row once an epoch, however many processes and workers; resumed as if undisturbed."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback, set_seed

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.prepared.stream import ShardStream
from affecthub.datasets_scripts.splits import SplitOptions
from affecthub.evaluation.clip_signatures import sign_clips
from affecthub.training.augmentation import FrameAugmentation
from affecthub.training.clips import PreparedDataset
from affecthub.training.data import make_dataset
from affecthub.training.encoder_cache.run import plan_cache
from affecthub.training.from_recipe import build_model, imbalance_values, modalities_of
from affecthub.training.recipe import AugmentationRecipe, write_recipe
from affecthub.training.split_audit import audit_corpus
from affecthub.training.trainer import make_trainer

ROOT = Path(__file__).resolve().parents[2]
FLIPS = AugmentationRecipe(frames=FrameAugmentation(flip=0.5))
STREAMED = (
    *("--inputs.streaming=true", "--inputs.shuffle_buffer=8", "--inputs.preload=false"),
    "--augmentation.frames.flip=0.5",
)


@pytest.fixture(scope="module")
def streaming(tiny, prepared):
    """A function: the tiny recipe, its training rows streamed, with overrides."""
    return lambda *overrides: tiny(f"--data.root={prepared}", *STREAMED, *overrides)


@pytest.fixture(scope="module")
def streamed(streaming):
    """The corpus of it."""
    recipe = streaming()
    return load_corpus(recipe.data, modalities_of(recipe.model), streaming=8)


@pytest.fixture
def trainer_of(streaming, streamed, processor, tmp_path):
    """A function: the Trainer of the tiny recipe on the stream."""

    def make(name, *overrides):
        recipe = streaming(*overrides)
        set_seed(0)
        train = make_dataset(streamed, "train", processor, 1, recipe.augmentation, 0)
        validation = make_dataset(streamed, "validation", processor, 1)
        return make_trainer(
            build_model(recipe, streamed, processor), recipe, tmp_path / name, streamed, train, validation
        )

    return make


LAUNCHED = """
import json, sys
from affecthub.training.from_recipe import build_model, build_processor
from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.training.data import make_dataset
from affecthub.training.from_recipe import modalities_of
from affecthub.training.launch import join_launch
from affecthub.training.recipe import parse_run
from affecthub.training.trainer import make_trainer

run, state = parse_run(sys.argv[2:]), join_launch()
with state.local_main_process_first():
    corpus = load_corpus(run.recipe.data, modalities_of(run.recipe.model), streaming=8)
processor = build_processor(run.recipe, corpus)
train = make_dataset(corpus, "train", processor, 1, run.recipe.augmentation, 0)
trainer = make_trainer(
    build_model(run.recipe, corpus, processor), run.recipe, run.output_dir, corpus, train,
    make_dataset(corpus, "validation", processor, 1),
)
seen, collate = [], trainer.data_collator
trainer.data_collator = lambda samples: (seen.extend(s["draw"][1:] for s in samples if s["draw"]), collate(samples))[1]
trainer.train()
with open(f"{sys.argv[1]}/{state.process_index}.json", "w") as file:
    json.dump(seen, file)
"""
"""Trains, and writes the epoch and index of each training sample that its process has read."""


def indices(samples):
    return [sample["draw"][2] for sample in samples]


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 60])
def test_all_processes_together_read_every_row_once_and_each_the_same_number(processes):
    places = np.setdiff1d(np.arange(50), [3, 12, 13, 49])  # the others are used
    stream = ShardStream([Path(str(i)) for i in range(5)], [12, 12, 12, 12, 2], places, buffer=8)
    orders = []
    for epoch in range(3):
        parts = [stream.order(7, epoch, process, processes) for process in range(processes)]
        assert {len(part) for part in parts} == {-(-46 // processes)}
        counts = Counter(np.concatenate(parts).tolist())
        assert set(counts) == set(range(46)) and sum(counts.values()) - 46 < processes
        orders.append(np.concatenate(parts).tolist())
        assert orders[-1] == np.concatenate([stream.order(7, epoch, p, processes) for p in range(processes)]).tolist()
    assert len({tuple(order) for order in orders}) == 3


def test_rows_are_mixed_within_the_buffer_and_a_process_opens_few_shards():
    stream = ShardStream([Path(str(i)) for i in range(10)], [10] * 10, np.arange(100), buffer=15)
    opened = [len(set(stream.order(0, 0, process, 4) // 10)) for process in range(4)]
    assert opened == [3, 3, 3, 3]  # 25 rows of each, one shard of them on a cut
    order = stream.order(0, 0)
    in_turn = ShardStream(stream.files, stream.sizes, stream.places, buffer=1).order(0, 0)
    shards = (in_turn // 10).reshape(10, 10)
    assert (shards == shards[:, :1]).all() and (np.diff(shards[:, 0]) < 0).any()  # whole shards, shuffled
    moved = np.abs(np.argsort(in_turn)[order] - np.arange(100))
    assert moved.max() < 15 and moved.mean() > 3
    with pytest.raises(ValueError, match="inputs.shuffle_buffer=0: it has to be above 0"):
        ShardStream([], [], np.array([]), buffer=0)


def test_a_streamed_sample_is_the_one_by_index_whatever_reads_it(streamed, streaming, prepared, tiny, processor):
    recipe = tiny(f"--data.root={prepared}")
    plain = load_corpus(recipe.data, modalities_of(recipe.model))
    by_index = PreparedDataset(plain.splits["train"], plain.targets, processor, FLIPS, 5)
    stream = make_dataset(streamed, "train", processor, 1, FLIPS, 5)
    for dataset in (stream, by_index):
        dataset.set_epoch(3)
    samples = list(stream)
    assert sorted(indices(samples)) == list(range(48)) and indices(samples) != list(range(48))
    for sample in samples:
        expected = by_index[sample["draw"][2]]
        assert sample.keys() == expected.keys() and sample["text"] == expected["text"]
        assert all((np.asarray(sample[key]) == np.asarray(expected[key])).all() for key in ("audio", "video", "draw"))
        assert sample["labels"] == expected["labels"]
    for workers in (1, 2):
        part = stream.part(1, 2, batch_size=5)
        loader = DataLoader(part, 5, num_workers=workers, collate_fn=list)
        batches = [indices(batch) for batch in loader]
        assert sum(batches, []) == indices(part) and [len(batch) for batch in batches] == [5, 5, 5, 5, 4]
        assert len(loader) == 5
    with pytest.raises(TypeError, match="set inputs.streaming to false"):
        stream[0]


def test_no_second_copy_of_the_media_is_written(streaming, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    splits = load_corpus(streaming().data, ["text", "audio", "video"], streaming=8).splits

    def share(split):
        """Bytes of the copy, of those of the shards."""
        copied = sum(Path(entry["filename"]).stat().st_size for entry in splits[split].cache_files)
        return copied / sum(path.stat().st_size for path in prepared.glob(f"{split}-*.parquet"))

    assert 0 < share("train") < 0.05 < 0.9 < share("validation")


def test_what_asks_for_all_labels_texts_and_media_has_them(streamed, tiny, prepared, processor, tmp_path, monkeypatch):
    recipe = tiny(f"--data.root={prepared}")
    by_index = load_corpus(recipe.data, modalities_of(recipe.model))
    assert imbalance_values("class_weights", streamed) == imbalance_values("class_weights", by_index)
    found = []
    for number, corpus in enumerate((streamed, by_index)):
        monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / str(number)))
        signed = sign_clips(corpus.splits["train"], ["audio", "video"], corpus.stream)
        found.append((signed, audit_corpus(corpus, processor).findings))
    assert found[0] == found[1] and all(one.frame and one.content for one in found[0][0] if one.moving)


def test_rows_that_are_not_used_are_not_read(streaming, processor, prepared):
    recipe = streaming("--data.limit=30", "--model.modalities=[audio, video]")
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), streaming=8)
    stream = make_dataset(corpus, "train", processor, 1, FLIPS)
    keys = corpus.splits["train"]["key"][:]
    assert sorted(keys[i] for i in indices(stream)) == sorted(keys) and len(stream) == len(keys) <= 30


def test_what_was_lost_is_counted_by_the_workers_too(streamed, processor):
    stream = make_dataset(streamed, "train", processor, 1)
    stream.rows = stream.rows.map(
        lambda row, i: {"media_status": "undecodable" if i % 10 == 0 else "kept"}, with_indices=True
    )
    for _ in DataLoader(stream.part(0, 1, 8), 8, num_workers=2, collate_fn=list):
        pass
    assert stream.failures == 5


def interrupting(step):
    """A callback that breaks off as soon as the checkpoint of a step is written."""

    class Break(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == step:
                raise KeyboardInterrupt

    return Break()


def test_two_processes_of_a_launch_train_on_every_row_once(streaming, prepared, tmp_path):
    (tmp_path / "script.py").write_text(LAUNCHED)
    write_recipe(streaming("--data.limit=41", "--training.batch_size=4"), tmp_path)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml"]
    command += [str(tmp_path / "script.py"), str(tmp_path), f"--recipe={tmp_path / 'recipe.yaml'}"]
    command += [f"--output_dir={tmp_path / 'run'}"]
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = [json.loads((tmp_path / f"{process}.json").read_text()) for process in (0, 1)]
    assert [len(rows) for rows in seen] == [42, 42]  # 2 epochs of 21: one row of 41 is read twice
    for epoch in (0, 1):
        counts = Counter(index for rows in seen for at, index in rows if at == epoch)
        assert sorted(counts) == list(range(41)) and sum(counts.values()) == 42


@pytest.mark.parametrize("step", [6, 4], ids=["after an epoch", "within an epoch"])
def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(trainer_of, step):
    def make(name):
        trainer = trainer_of(name, "--training.epochs=3")
        if step % 3:  # 3 steps an epoch
            trainer.args.save_strategy, trainer.args.save_steps = "steps", 2
            trainer.args.load_best_model_at_end = False
        return trainer

    whole = make("whole")  # which also sets the seed, so that the others are not made yet
    whole.train()
    broken = make("broken")
    broken.add_callback(interrupting(step))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = make("broken")
    resumed.train(resume_from_checkpoint=True)
    assert whole.state.global_step == resumed.state.global_step == 9
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_what_a_stream_cannot_do_is_refused_or_said(tiny, streaming, trainer_of, capsys):
    with pytest.raises(ValueError, match=r"inputs.streaming: .*the shards that `affecthub prepare` makes of clips"):
        load_corpus(tiny().data, ["text"], streaming=8)
    with pytest.raises(ValueError, match="inputs.streaming: the rows were divided by by_row, fold 0"):
        load_corpus(streaming().data, ["text"], SplitOptions("by_row"), streaming=8)
    with pytest.raises(SystemExit):
        streaming("--inputs.preload=true")
    assert "inputs.streaming and inputs.preload exclude each other" in capsys.readouterr().err
    with pytest.raises(ValueError, match="group_by_length: a stream is read in the order of its shards"):
        trainer_of("grouped", "--training.group_by_length=true")
    frozen = streaming("--training.phases=[{start_epoch: 0, encoder_layers: 0}]")
    assert plan_cache(frozen) == (
        [],
        "Encoder cache: off, because it finds samples by index, and the training split is streamed.",
    )
