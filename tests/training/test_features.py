"""Prepared features: what the encoders would give, whole by the same rules, and refused where they cannot stand in."""

import copy
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import set_seed

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.meld.builder import load_meld
from affecthub.datasets_scripts.meld.corpus import Meld
from affecthub.datasets_scripts.prepared.clips import decode_array
from affecthub.datasets_scripts.prepared.shards import Prepared, finish, open_prepared, shards_of
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.hub import cli
from affecthub.training import clips as clips_module
from affecthub.training.clips import PreparedDataset
from affecthub.training.data import make_dataset
from affecthub.training.encoder_cache.run import plan_cache
from affecthub.training.features import FeatureEncoder, as_npy, check_features, check_recipe, clips_of
from affecthub.training.from_recipe import build_model, modalities_of
from affecthub.training.prepare import write_clips
from affecthub.training.recipe import load_recipe, write_recipe
from affecthub.training.trainer import make_trainer

SIZES = ("--train-rows=48", "--validation-rows=16", "--test-rows=16")
FROZEN = ("--training.phases=[{start_epoch: 0, encoder_layers: 0}]", "--inputs.preload=false")


@pytest.fixture(scope="module")
def encoded(tiny, sample_root, tmp_path_factory):
    """The tiny corpus, prepared as features by the command; and the arguments of it, but for its folder."""
    place = tmp_path_factory.mktemp("features")
    write_recipe(tiny(*FROZEN), place)
    arguments = ["prepare", "sample_meld", str(sample_root), str(place / "out")]
    arguments += ["--features", str(place / "recipe.yaml"), "--shard-rows", "12", *SIZES]
    assert cli.main(arguments) == 0
    return place / "out", arguments


@pytest.fixture(scope="module")
def root(sample_root):
    """The folder of the tiny corpus, as MELD's."""
    return str(render_sample_meld(sample_root, train=48, dev=16, test=16))


@pytest.fixture(scope="module")
def sample_rows(root):
    """Its training rows, as the builder gives them."""
    return load_meld(root)["train"]


@pytest.fixture(scope="module")
def encoder(root, tiny):
    """What the command encodes by."""
    return FeatureEncoder(clips_of(tiny(*FROZEN), Meld(root)), torch.device("cpu"))


@pytest.fixture(scope="module")
def run_on(tiny, processor, tmp_path_factory):
    """A function: the Trainer of the tiny recipe on a prepared folder, its encoders frozen and not cached."""

    def make(folder, *overrides):
        recipe = tiny(*FROZEN, f"--data.root={folder}", "--training.batch_size=8", *overrides)
        corpus = load_corpus(recipe.data, modalities_of(recipe.model))
        set_seed(0)
        model = build_model(recipe, corpus, processor)
        check_features(corpus.prepared, recipe, processor, model.base_model)
        data = [make_dataset(corpus, name, processor, 1, recipe.augmentation) for name in ("train", "validation")]
        return make_trainer(model, recipe, tmp_path_factory.mktemp("run"), corpus, *data)

    return make


def losses(trainer):
    trainer.train()
    return [entry.get("loss", entry.get("eval_loss")) for entry in trainer.state.log_history[:-1]]


def test_training_on_features_is_training_on_frames_and_sound(encoded, prepared, run_on, monkeypatch):
    masked = "--augmentation.features.time_masks=2"  # which is drawn on log-mel features, read or made
    expected = losses(run_on(prepared, masked))

    def refuse(*inputs, **kwargs):
        raise AssertionError("something was decoded or encoded")

    for name in ("audio_flac", "video_jpeg"):
        monkeypatch.setitem(clips_module.READERS, name, ("", refuse))
    trainer = run_on(encoded[0], masked)
    monkeypatch.setattr(type(trainer.model.base_model.vision_model), "forward", refuse)
    found = losses(trainer)
    assert len(found) == 4 and found == pytest.approx(expected, abs=1e-4)
    ablated = trainer.predict(trainer.eval_dataset.only(["video"])).predictions
    assert np.isfinite(ablated).all() and len(ablated) == 16


def test_sound_that_changes_in_training_stays_sound(tiny, sample_root, prepared, run_on, tmp_path, monkeypatch):
    changed = ("--augmentation.audio.snr_db=15", "--augmentation.features.frequency_masks=1")
    write_recipe(tiny(*FROZEN, *changed), tmp_path)
    command = ["prepare", "sample_meld", str(sample_root), str(tmp_path / "out"), "--shard-rows", "12", *SIZES]
    assert cli.main([*command, "--features", str(tmp_path / "recipe.yaml")]) == 0
    assert open_prepared(tmp_path / "out").features == ["video"]
    by_clips = losses(run_on(prepared, *changed))
    trainer = run_on(tmp_path / "out", *changed)
    sample = trainer.train_dataset[0]
    assert isinstance(sample["audio"], np.ndarray) and isinstance(sample["video"], torch.Tensor)
    assert losses(trainer) == pytest.approx(by_clips, abs=1e-4)
    assert losses(run_on(tmp_path / "out")) == pytest.approx(losses(run_on(prepared)), abs=1e-4)
    with pytest.raises(ValueError, match="features of video cannot be augmented as sound or frames are"):
        run_on(tmp_path / "out", "--augmentation.frames.flip=0.5")


def test_features_are_streamed_too(encoded, run_on):
    trainer = run_on(encoded[0], "--inputs.streaming=true", "--inputs.shuffle_buffer=8", "--data.limit=20")
    batch = next(iter(trainer.get_train_dataloader()))
    assert {"video_features", "input_features", "input_ids"} < batch.keys() and len(batch["labels"]) == 8


def test_a_shard_holds_arrays_instead_of_media_and_the_settings_say_what_made_them(encoded, processor):
    table = pq.read_table(encoded[0] / "train-00000.parquet")
    assert {"text", "emotion", "media_status", "video_npy", "audio_npy"} < set(table.column_names)
    assert not {"video_jpeg", "audio_flac", "video_path"} & set(table.column_names)
    row = table.slice(3, 1).to_pylist()[0]
    vector, mel = decode_array(row["video_npy"]), decode_array(row["audio_npy"])
    assert vector.dtype == mel.dtype == np.float32 and mel.shape[1] == processor.feature_extractor.feature_size
    assert vector.shape[0] == 1 and np.isfinite(vector).all() and mel.shape[0] > 10
    settings = json.loads((encoded[0] / "settings.json").read_bytes())
    assert settings["precision"] == "fp32" and (settings["num_frames"], settings["frame_size"]) == (2, 32)
    assert all(len(settings[name]) == 16 for name in ("audio_processor", "video_processor", "video_encoder"))
    assert open_prepared(encoded[0]).features == ["audio", "video"]


def test_half_precision_is_kept_where_numpy_has_it_and_read_as_float32():
    values = torch.tensor([[0.1, -3.0]])
    sizes = []
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        content = as_npy(values.to(dtype))
        assert torch.equal(torch.from_numpy(decode_array(content)), values.to(dtype).float())
        sizes.append(len(content))
    assert sizes[1] < sizes[0] == sizes[2] and as_npy(None) is None


def test_the_bytes_do_not_depend_on_the_number_of_processes(encoded, encoder, sample_rows, tmp_path):
    folder, settings = encoded[0], open_prepared(encoded[0]).manifest["settings"]
    shards = shards_of({"train": sample_rows}, tmp_path, settings, 12)[1::2]
    write_clips(shards, encoder.form, 60.0, encoder)  # as the second of two processes
    for shard in shards:
        assert shard.path.read_bytes() == (folder / shard.path.name).read_bytes()
        assert shard.is_complete()


def test_a_broken_clip_stays_as_a_row_without_features_and_is_counted(encoder, sample_rows, tmp_path, processor):
    (tmp_path / "broken.mp4").write_bytes(b"no clip")
    paths = [str(tmp_path / "broken.mp4"), None, sample_rows["video_path"][2]]
    rows = sample_rows.select(range(3)).map(
        lambda row, i: {
            **{f"{name}_path": paths[i] for name in ("video", "audio")},
            **{f"{name}_present": paths[i] is not None for name in ("video", "audio")},
        },
        with_indices=True,
    )
    shards = shards_of({"train": rows}, tmp_path / "out", {}, 3)
    (tmp_path / "out").mkdir()
    write_clips(shards, encoder.form, 60.0, encoder)
    manifest = finish(tmp_path / "out", shards, {})
    assert manifest["statuses"] == {"train": {"kept": 1, "none": 1, "undecodable": 1}}
    samples = PreparedDataset(Prepared(tmp_path / "out", manifest).splits()["train"], (), processor)
    held = [sample["video"] is not None and sample["audio"] is not None for sample in (samples[i] for i in range(3))]
    assert held == [False, False, True] and samples.failures == 1


def test_the_cache_keeps_the_text_alone(encoded, prepared, tiny):
    kept, sentence = plan_cache(tiny(*FROZEN, f"--data.root={encoded[0]}"))
    assert kept == ["text"]
    assert "text; audio was encoded when the data were prepared; video was encoded when" in sentence
    assert plan_cache(tiny(*FROZEN, f"--data.root={prepared}"))[0] == ["text", "audio", "video"]


def test_another_processor_or_encoder_is_refused(encoded, tiny, corpus, processor, monkeypatch):
    prepared, recipe = open_prepared(encoded[0]), tiny(*FROZEN)
    set_seed(0)
    trunk = build_model(recipe, corpus, processor).base_model
    check_features(prepared, recipe, processor, trunk)
    other = copy.deepcopy(processor)
    other.feature_extractor.hop_length = 100
    with pytest.raises(ValueError, match="was prepared with audio_processor=.*, and audio_processor=.* is needed"):
        check_features(prepared, recipe, other, trunk)
    with torch.no_grad():
        next(trunk.vision_model.parameters()).add_(1e-3)
    with pytest.raises(ValueError, match="was prepared with video_encoder=.*or prepare another folder"):
        check_features(prepared, recipe, processor, trunk)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match="out holds features: not under FSDP"):
        check_features(prepared, recipe, processor, trunk)


def test_what_features_cannot_do_is_refused(tiny, sample_root, tmp_path, capsys):
    with pytest.raises(ValueError, match="encoder that never learns: set --training.phases=.*without --features"):
        check_recipe(tiny(), "out")
    with pytest.raises(ValueError, match="features of video cannot be augmented as sound or frames are: switch"):
        check_recipe(tiny(*FROZEN, "--augmentation.frames.flip=0.5"), "out")
    attention = "--model.config.pooling=attention"
    with pytest.raises(ValueError, match="pooling=attention learns from each step: set --model.config.pooling=mean"):
        check_recipe(tiny(*FROZEN, attention), "out")
    check_recipe(tiny("--model.modalities=[text, audio]", attention), "out")
    with pytest.raises(ValueError, match="token_fusion takes more of its encoders than one vector a sample: choose"):
        check_recipe(load_recipe("token_fusion"), "out")
    check_recipe(tiny("--model.modalities=[text, audio]"), "out")  # log-mel features have no encoder
    write_recipe(tiny("--model.modalities=[text]"), tmp_path)
    command = ["prepare", "sample_meld", str(sample_root), str(tmp_path / "out"), *SIZES]
    assert cli.main([*command, "--features", str(tmp_path / "recipe.yaml")]) == 2
    assert "it uses text, without sound and frames to encode" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
