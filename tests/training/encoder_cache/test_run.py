"""The encoder cache: the same results as without it, nothing old is ever read, and what goes wrong on a disk."""

import json
import logging
import os
import shutil
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForVideoClassification, AutoProcessor, set_seed

from affecthub.hub import cli
from affecthub.modeling.modeling_trimodal import TrimodalModel
from affecthub.training import clips as clips_module
from affecthub.training.clips import ClipDataset
from affecthub.training.collator import Collator
from affecthub.training.encoder_cache import encoders as frozen_encoders
from affecthub.training.encoder_cache import run as encoder_cache
from affecthub.training.encoder_cache import samples as encoded_samples
from affecthub.training.encoder_cache.encoders import processor_digest
from affecthub.training.encoder_cache.entries import cache_folder, entries
from affecthub.training.encoder_cache.run import (
    EncoderPass,
    needs_preload,
    plan_cache,
    rows_digest,
    use_encoder_cache,
)
from affecthub.training.encoder_cache.samples import read_shard, shard_path
from affecthub.training.from_recipe import build_model, build_processor
from affecthub.training.phases import apply_phase
from affecthub.training.recipe import Phase, SpecAugment, load_recipe, parse_run
from affecthub.training.trainer import make_trainer

QUIET = ("--augmentation.audio={time_stretch: 0, pitch_semitones: 0, snr_db: null}",)
FROZEN = "--training.phases=[{start_epoch: 0, encoder_layers: 0}]"
SPLITS = ("train", "validation")


@pytest.fixture(autouse=True)
def small_shards_in_a_cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoded_samples, "SHARD_ROWS", 16)


@pytest.fixture
def run_for(corpus, processor, tmp_path):
    """A function: the Trainer of a recipe and its samples, cached where the recipe's encoders are frozen."""

    def make(recipe, rows=corpus.splits):
        set_seed(0)
        data = {
            name: ClipDataset(rows[name], corpus.targets, processor, recipe.augmentation if name == "train" else None)
            for name in SPLITS
        }
        model = build_model(recipe, corpus, processor)
        trainer = make_trainer(model, recipe, tmp_path / "run", corpus, data["train"], data["validation"])
        use_encoder_cache(trainer, data, recipe)
        return trainer, data

    return make


@pytest.fixture
def fill_for(run_for, tiny):
    """A function: fill the cache of the frozen recipe, or of a variant of it."""
    return lambda *overrides, **kwargs: run_for(tiny(FROZEN, *overrides), **kwargs)


@pytest.fixture
def counted(monkeypatch):
    """How many batches went through the encoders."""
    calls = []
    original = frozen_encoders.encode_batch
    monkeypatch.setattr(frozen_encoders, "encode_batch", lambda *inputs: (calls.append(1), original(*inputs))[1])
    return calls


def test_features_stand_in_for_the_encoders(tiny, corpus, processor):
    model = build_model(tiny("--model.config.modality_dropout=0.5"), corpus, processor)
    apply_phase(model, Phase(0, 0))
    samples = [ClipDataset(corpus.splits["train"], corpus.targets, processor)[i] for i in range(6)]
    samples[0]["text"] = samples[1]["video"] = samples[2]["audio"] = None
    batch = dict(processor.encode(samples))
    trunk = model.train().base_model
    given = {key: value for key, value in batch.items() if key not in ("input_ids", "pixel_values_videos")}
    present = {name: batch[f"{name}_present"].bool() for name in ("text", "video")}
    text, _ = trunk.encode_text(batch["input_ids"], batch["attention_mask"], None, present["text"])
    video, _ = trunk.encode_video(batch["pixel_values_videos"], batch["video_attention_mask"], present["video"])
    text[0], video[1] = float("nan"), float("nan")  # behind an absent mask
    for mode in (True, False):
        model.train(mode)
        set_seed(1)
        expected = model(**batch, labels=torch.arange(6))
        set_seed(1)
        found = model(**given, text_features=text, video_features=video, labels=torch.arange(6))
        torch.testing.assert_close((found.loss, found.logits), (expected.loss, expected.logits), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="Both `input_ids` and `text_features` were passed: leave one out"):
        model(**batch, text_features=text)


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        ((), ["text", "audio", "video"]),
        (("--augmentation.features.time_masks=2", "--augmentation.audio.snr_db=20"), ["text", "video"]),
        (("--augmentation.frames.flip=0.5", "--augmentation.features.time_masks=2"), ["text", "audio"]),
    ],
)
def test_training_is_the_same_with_and_without(run_for, tiny, overrides, kept):
    losses, logits, ablated = {}, {}, {}
    for way in ("true", "false", "true"):
        trainer, data = run_for(tiny(FROZEN, f"--training.encoder_cache={way}", *overrides))
        assert (data["train"].features is not None) == (way == "true")
        if way == "true":
            assert data["train"].features.modalities == kept
        trainer.train()
        losses[way] = [e.get("loss", e.get("eval_loss")) for e in trainer.state.log_history]
        logits[way] = trainer.predict(data["validation"]).predictions
        ablated[way] = [
            trainer.predict(data["validation"].only(names)).predictions for names in (["video"], ["text", "audio"])
        ]
    assert len(losses["true"]) == 5 and losses["true"][:4] == pytest.approx(losses["false"][:4], abs=1e-4)
    torch.testing.assert_close(logits["true"], logits["false"], rtol=0, atol=1e-4)
    for found, expected in zip(ablated["true"], ablated["false"], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_attention_over_the_steps_of_frozen_encoders_learns_without_the_cache(run_for, tiny, counted):
    trainer, data = run_for(tiny(FROZEN, "--model.config.pooling=attention"))
    assert data["train"].features is None and not counted
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    pooling = {name for name in before if "pooling." in name}
    assert len(pooling) == 9 and pooling <= changed
    assert not any("text_model." in name or "vision_model." in name for name in changed)


def test_the_second_run_neither_decodes_nor_encodes(fill_for, counted, monkeypatch, capsys):
    fill_for()
    assert len(counted) == 4  # shards of 16, and batches of 16
    assert "train 48, validation 16 samples in 4 shards, 0 of them there; the others take about" in (
        capsys.readouterr().out
    )

    def refuse(*inputs, **kwargs):
        raise AssertionError("a clip was decoded, or an encoder ran")

    monkeypatch.setattr(clips_module, "read_clip_for", refuse)
    for name in ("encode_text", "encode_video"):
        monkeypatch.setattr(TrimodalModel, name, refuse)
    trainer, _ = fill_for()
    trainer.train()
    assert len(counted) == 4 and trainer.args.dataloader_num_workers == 0
    assert "4 shards, 4 of them there, below" in capsys.readouterr().out


def test_the_estimate_is_about_what_is_written(fill_for, tiny):
    trainer, data = fill_for()
    run = EncoderPass(trainer, ["text", "audio", "video"], workers=0)
    estimate = run.estimate(data, {"train": [0, 1, 2], "validation": [0]})
    written = sum(path.stat().st_size for path in cache_folder().rglob("*.safetensors"))
    assert 0.7 * written < estimate < 1.3 * written


def test_the_collator_makes_what_the_processor_makes(fill_for, processor):
    _, data = fill_for()
    plain = ClipDataset(data["train"].rows, data["train"].targets, processor)
    collate = Collator(processor, SpecAugment())
    expected, found = (collate([samples[i] for i in (3, 20, 40)]) for samples in (plain, data["train"]))
    assert found.keys() - {"text_features", "video_features"} < expected.keys()
    for key in found.keys() & expected.keys():
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=1e-5)
    assert found["text_features"].shape[0] == 3 and not {"input_ids", "pixel_values_videos"} & found.keys()


def test_an_interrupted_pass_goes_on_where_it_was(fill_for, counted, monkeypatch):
    original = encoder_cache.write_shard

    def stop_after_two(path, *others):
        if path.name == "00002.safetensors":
            raise KeyboardInterrupt
        original(path, *others)

    monkeypatch.setattr(encoder_cache, "write_shard", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        fill_for()
    (entry,) = entries()
    assert (entry.complete, entry.missing(), entry.facts["split"]) == (2, [2], "train")
    monkeypatch.setattr(encoder_cache, "write_shard", original)
    counted.clear()
    fill_for()
    assert len(counted) == 2 and [entry.missing() for entry in entries()] == [[], []]


def test_a_truncated_or_foreign_shard_is_encoded_again(fill_for, caplog):
    fill_for()
    entry = next(entry for entry in entries() if entry.facts["split"] == "train")
    first, second = (shard_path(entry.folder, number) for number in (0, 1))
    before = first.read_bytes()
    first.write_bytes(before[:-50])
    other = next(entry for entry in entries() if entry.facts["split"] == "validation")
    shutil.copy(shard_path(other.folder, 0), second)
    with caplog.at_level(logging.WARNING):
        fill_for()
    assert f"{first} cannot be read" in caplog.text and "it is encoded again" in caplog.text
    assert f"{second} is of key {other.key}, 16 rows; expected {entry.key}, 16" in caplog.text
    assert first.read_bytes() == before and not entry.missing()


def test_what_the_content_depends_on_changes_the_key(fill_for, corpus, processor, monkeypatch):
    trainer, data = fill_for()
    names = ["text", "audio", "video"]
    key = lambda: EncoderPass(trainer, names, 0).entry_of("train", data["train"]).key  # noqa: E731
    known = {key()}
    assert known == {key()} and key() in {entry.key for entry in entries()}

    def changed():
        size = len(known)
        known.add(key())
        return len(known) == size + 1

    next(trainer.model.base_model.vision_model.parameters()).data[0] += 1e-3
    assert changed()
    trainer.model.set_attn_implementation("eager")
    assert changed()
    next(trainer.model.base_model.text_projection.parameters()).data[0] += 1  # it is not in front of the cut
    assert not changed()
    monkeypatch.setattr(processor, "max_seconds", 1.5)
    assert changed()
    monkeypatch.setattr(frozen_encoders, "version", lambda name: "9.9")
    assert changed()
    trainer.args.bf16 = True
    assert changed()
    names.remove("audio")
    assert changed()
    assert len({rows_digest(ClipDataset(corpus.splits[name], (), processor), names) for name in SPLITS}) == 2


def test_the_rows_digest_sees_texts_and_files_and_no_labels(corpus, processor, tmp_path):
    def of(rows, name):
        return rows_digest(ClipDataset(rows, (), processor), [name])

    clip = tmp_path / "clip.mp4"
    shutil.copy(corpus.splits["train"][0]["video_path"], clip)
    rows = corpus.splits["train"].select(range(2))
    moved = rows.map(lambda row: {"video_path": str(clip)})
    digests = {of(rows, "video"), of(moved, "video")}
    os.utime(clip, (1, 1))
    digests |= {of(moved, "video"), of(rows, "text")}
    clip.unlink()
    digests |= {of(moved, "video")}
    assert len(digests) == 5
    relabelled = rows.map(lambda row: {"emotion": 0, "text": row["text"]})
    assert of(relabelled, "text") == of(rows, "text")
    assert of(rows.map(lambda row: {"text": "other"}), "text") not in digests
    assert of(moved.add_column("clip_start", [1.0, 2.0]), "video") not in digests


def test_a_processor_is_the_same_however_it_was_used_or_loaded(tiny, corpus, tmp_path):
    processor = build_processor(tiny(), corpus)
    digests = [processor_digest(processor)]
    for _ in range(2):
        processor(text=["hello you", "you"])
        processor.save_pretrained(tmp_path)
        processor = AutoProcessor.from_pretrained(tmp_path)
        digests.append(processor_digest(processor))
    assert len(set(digests)) == 1
    processor.max_text_tokens = 9
    assert processor_digest(processor) != digests[0]


def test_what_was_saved_and_loaded_finds_what_was_kept(fill_for, tmp_path):
    trainer, data = fill_for()
    for part in (trainer.model, data["train"].processor):
        part.save_pretrained(tmp_path / "model")
    trainer.model = AutoModelForVideoClassification.from_pretrained(tmp_path / "model")
    trainer.train_dataset.processor = AutoProcessor.from_pretrained(tmp_path / "model")
    run = EncoderPass(trainer, ["text", "audio", "video"], workers=0)
    assert run.entry_of("train", data["train"]).missing() == []


def test_processes_share_the_work(fill_for, tiny, monkeypatch):
    runs = [fill_for("--no-cache") for _ in range(2)]
    written = []
    original = encoder_cache.write_shard
    monkeypatch.setattr(
        encoder_cache, "write_shard", lambda path, *rest: (written.append(path), original(path, *rest))
    )

    def go(index, meanwhile):
        trainer, data = runs[index]
        trainer.accelerator = SimpleNamespace(
            process_index=index,
            num_processes=2,
            is_local_main_process=index == 0,
            print=lambda text: None,
            wait_for_everyone=meanwhile,
            autocast=trainer.accelerator.autocast,
        )
        use_encoder_cache(trainer, data, tiny(FROZEN))
        return len(written)

    went = []
    assert go(0, lambda: went.extend([len(written), go(1, lambda: None)])) == 4
    assert went == [3, 4] and written[3].name == "00001.safetensors"
    first, second = (data["train"] for _, data in runs)
    assert all(first[i]["video"].equal(second[i]["video"]) for i in range(48))


def test_clips_that_could_not_be_decoded_are_counted_by_every_run(fill_for, corpus, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    rows = dict(corpus.splits)
    rows["train"] = rows["train"].map(
        lambda row, i: {"video_path": str(broken), "audio_path": str(broken)} if i == 20 else {}, with_indices=True
    )
    for _ in range(2):
        _, data = fill_for(rows=rows)
        assert data["train"].failures == 1
        sample = data["train"][20]
        assert sample["video"] is None and sample["audio"] is None and sample["text"].shape[0] == 1


@pytest.mark.parametrize(
    ("name", "overrides", "kept", "sentence"),
    [
        ("quickstart", (), [], ""),
        (
            "meld_ensemble",
            (),
            ["text", "video"],
            "Encoder cache: text, video; audio is augmented anew in each epoch.",
        ),
        ("meld_ensemble", QUIET, ["text", "audio", "video"], "Encoder cache: text, audio, video."),
        ("meld_ensemble", ("--no-cache",), [], "off, as the recipe says"),
        (
            "meld_ensemble",
            (*QUIET, "--augmentation.temporal_jitter=true"),
            ["text", "audio"],
            "Encoder cache: text, audio; video is augmented anew in each epoch.",
        ),
        (
            "meld_ensemble",
            ("--augmentation.frames.flip=0.5", "--model.modalities=[video]"),
            [],
            "off, because video is augmented anew in each epoch",
        ),
        ("quickstart", (FROZEN, "--model.modalities=[audio]"), [], "off, because there is no pretrained encoder"),
        (
            "meld_ensemble",
            ("--model.config.pooling=attention",),
            [],
            "because pooling=attention learns from steps",
        ),
        ("token_fusion", (), [], "off, because token_fusion takes more of its encoder than one vector"),
        ("frame_vit", (FROZEN,), [], "off, because frame_vit takes more of its encoder than one vector"),
    ],
)
def test_what_is_cached_and_why_not(name, overrides, kept, sentence):
    found, said = plan_cache(load_recipe(name, *overrides))
    assert found == kept and sentence in said and bool(said) == bool(sentence)


def test_clips_that_are_encoded_are_not_decoded_into_memory(tiny):
    assert needs_preload(tiny()) and needs_preload(tiny(FROZEN, "--no-cache"))
    assert needs_preload(tiny(FROZEN, "--augmentation.audio.snr_db=20")) and not needs_preload(tiny(FROZEN))
    assert parse_run(["--no-cache"]).recipe.training.encoder_cache is False


def test_a_disk_that_is_full_or_a_folder_that_cannot_be_written(fill_for, monkeypatch):
    remedy = r"\): make room there .*AFFECTHUB_CACHE to another folder, or train with --no-cache"
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: usage(10, 0, 10))
        with pytest.raises(OSError, match=rf"cannot be written \(0.0 MB are free.*{remedy}"):
            fill_for()
    shutil.rmtree(cache_folder())
    cache_folder().write_text("in the way")
    with pytest.raises(OSError, match=remedy):
        fill_for()


def test_the_command_lists_and_prunes(fill_for, capsys):
    fill_for("--model.modalities=[text, audio, video]")
    run = lambda *words: (cli.main(["cache", *words]), capsys.readouterr())  # noqa: E731
    capsys.readouterr()
    status, shown = run("list")
    lines = shown.out.splitlines()
    assert status == 0 and len(lines) == 4 and lines[-1].startswith("2 entries, ")
    assert {line.split()[1] for line in lines[1:3]} == {"train", "validation"} and "text, audio, video" in lines[1]
    train, other = sorted(entries(), key=lambda entry: entry.facts["split"])
    assert json.loads((train.folder / "about.json").read_text())["samples"] == 48
    status, shown = run("prune", "nonsense")
    assert status == 2 and "'nonsense': no entry of" in shown.err and len(entries()) == 2
    status, shown = run("prune")
    assert status == 2 and "KEY, --older-than or --all" in shown.err
    os.utime(train.folder / "about.json", (0, 0))
    status, shown = run("prune", "--older-than", "30")
    assert status == 0 and shown.out.startswith("Deleted 1 entry, ") and [e.key for e in entries()] == [other.key]
    assert run("prune", other.key[:6])[0] == 0 and entries() == []
    assert run("list")[1].out.startswith("0 entries")


def test_a_shard_is_mapped_and_refused_when_it_is_another(fill_for):
    fill_for()
    entry = entries()[0]
    rows = min(16, entry.samples)
    assert len(read_shard(shard_path(entry.folder, 0), entry.key, rows)["failed"]) == rows
    with pytest.raises(ValueError, match="expected other, 16"):
        read_shard(shard_path(entry.folder, 0), "other", rows)
    with pytest.raises(FileNotFoundError):
        read_shard(shard_path(entry.folder, 99), entry.key, rows)
