"""A pretrained encoder of sound in a recipe: frozen and cached, prepared, tuned layer by layer, saved, asked."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoProcessor, set_seed

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.prepared.shards import open_prepared
from affecthub.datasets_scripts.synthetic.corpora import SampleMeld
from affecthub.training.clips import ClipDataset
from affecthub.training.data import make_dataset
from affecthub.training.encoder_cache.encoders import encoder_facts
from affecthub.training.encoder_cache.run import plan_cache, use_encoder_cache
from affecthub.training.features import check_features, check_recipe
from affecthub.training.from_recipe import build_model, build_processor, encodes_audio, modalities_of, pretrained_audio
from affecthub.training.fsdp import shard_by_layers
from affecthub.training.phases import apply_phase, encoder_stages, split_encoders
from affecthub.training.prepare import prepare
from affecthub.training.recipe import Phase, load_recipe
from affecthub.training.trainer import make_trainer

from ..sound_encoders import FAMILIES, save_encoder

ROOT = Path(__file__).resolve().parents[2]
FROZEN = "--training.phases=[{start_epoch: 0, encoder_layers: 0}]"
SIZES = {"train_rows": 48, "validation_rows": 16, "test_rows": 16}
STRANGER = """
import json, sys
sys.modules["affecthub"] = None  # from here on, importing it is an ImportError
from transformers import pipeline
print(json.dumps(pipeline(model=sys.argv[1], trust_remote_code=True)(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Folders of pretrained encoders by family."""
    root = tmp_path_factory.mktemp("encoders")
    return {name: save_encoder(name, root / name) for name in FAMILIES}


@pytest.fixture
def heard(tiny, encoders):
    """A function: the tiny recipe on text and sound, with an encoder of sound."""

    def make(family, *overrides):
        named = f"--model.audio_encoder={encoders.get(family, family)}"
        return tiny("--model.modalities=[text, audio]", named, "--training.batch_size=8", *overrides)

    return make


@pytest.fixture
def run_for(corpus, tmp_path):
    """A function: a recipe's Trainer, its encoders' output cached where they are frozen."""

    def make(recipe):
        set_seed(0)
        processor = build_processor(recipe, corpus)
        data = {name: ClipDataset(corpus.splits[name], corpus.targets, processor) for name in ("train", "validation")}
        trainer = make_trainer(
            build_model(recipe, corpus, processor), recipe, tmp_path / "run", corpus, *data.values()
        )
        use_encoder_cache(trainer, data, recipe)
        return trainer

    return make


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))


def losses(trainer):
    trainer.train()
    return [entry.get("loss", entry.get("eval_loss")) for entry in trainer.state.log_history[:-1]]


@pytest.mark.parametrize("family", ["wavlm", "whisper"])
def test_a_frozen_encoder_runs_once_and_its_layers_are_weighted_as_without_the_cache(
    family, heard, run_for, monkeypatch
):
    rate = "--training.learning_rate=1e-4"  # at a higher one Adam turns rounding errors into steps
    plain = run_for(heard(family, FROZEN, rate, "--no-cache"))
    before = encoder_facts(plain.model.base_model, "audio")
    expected = losses(plain)
    cached = run_for(heard(family, FROZEN, rate))
    trunk = plain.model.eval().base_model
    batch = plain.data_collator([plain.train_dataset[0]])
    inputs = batch[trunk.main_inputs["audio"]], batch["feature_attention_mask"], batch["audio_present"].bool()
    kept = cached.train_dataset[0]["audio"]
    torch.testing.assert_close(kept, trunk.encode_audio(*inputs)[0], rtol=0, atol=1e-5)
    monkeypatch.setattr(type(cached.model.base_model.audio_model.encoder), "forward", None)
    found = losses(cached)
    assert len(found) == 4 and found == pytest.approx(expected, abs=1e-4)
    for trainer in (plain, cached):
        assert trainer.model.base_model.audio_model.layer_weights.scores.abs().max() > 0
        assert encoder_facts(trainer.model.base_model, "audio") == before
    ablated = cached.predict(cached.eval_dataset.only(["audio"])).predictions
    assert np.isfinite(ablated).all()


def test_another_encoder_finds_nothing_of_the_first(heard, run_for, encoders):
    facts = [encoder_facts(run_for(heard(name, FROZEN)).model.base_model, "audio") for name in ("hubert", "wavlm")]
    assert facts[0] != facts[1]
    assert len(list(Path(os.environ["AFFECTHUB_CACHE"], "encoders").iterdir())) == 4


def test_what_is_cached(heard):
    assert plan_cache(heard("wavlm", FROZEN))[0] == ["text", "audio"]
    alone = ("--model.modalities=[audio]", FROZEN)
    assert plan_cache(heard("wavlm", *alone)) == (["audio"], "Encoder cache: audio.")
    assert plan_cache(heard("cnn2d", *alone))[0] == []
    assert plan_cache(heard("wavlm", *alone, "--augmentation.audio.snr_db=20"))[0] == []


def test_its_topmost_layers_are_tuned_and_nothing_else_of_it(heard, run_for):
    model = run_for(heard("wavlm")).model
    found = split_encoders(model)[0]
    encoder = model.base_model.audio_model.encoder
    assert any(each is encoder for each in found) and len(encoder_stages(encoder)) == 3
    apply_phase(model, Phase(0, 1))
    learns = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert learns and all(name.startswith("encoder.layers.1.") for name in learns)
    assert model.base_model.audio_model.layer_weights.scores.requires_grad
    scratch = run_for(heard("cnn")).model
    assert len(split_encoders(scratch)[0]) == 1  # of text


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stages_of_every_family_end_with_its_layers(family, heard, corpus):
    recipe = heard(family)
    encoder = build_model(recipe, corpus, build_processor(recipe, corpus)).base_model.audio_model.encoder
    stages = encoder_stages(encoder)
    assert len(stages) == encoder.config.num_hidden_layers + 1
    assert sum(map(len, stages)) == len(list(encoder.parameters()))


def test_prepared_features_are_what_the_encoder_gives(heard, sample_root, tmp_path, corpus):
    recipe = heard("hubert", FROZEN, f"--data.root={sample_root}")
    data = SampleMeld(root=str(sample_root), **SIZES)
    prepare(data, tmp_path / "features", features=recipe, shard_rows=16)
    ready = open_prepared(tmp_path / "features")
    assert ready.features == ["audio"] and len(ready.manifest["settings"]["audio_encoder"]) == 16
    results = []
    for root in (sample_root, tmp_path / "features"):
        own = heard("hubert", FROZEN, "--no-cache", f"--data.root={root}")
        rows = load_corpus(own.data, modalities_of(own.model))
        processor = build_processor(own, rows)
        set_seed(0)
        model = build_model(own, rows, processor)
        check_features(rows.prepared, own, processor, model.base_model)
        sets = [make_dataset(rows, name, processor, 1, own.augmentation) for name in ("train", "validation")]
        results.append(losses(make_trainer(model, own, tmp_path / "run", rows, *sets)))
    assert results[1] == pytest.approx(results[0], abs=1e-4)
    processor = build_processor(recipe, corpus)
    model = build_model(recipe, corpus, processor)
    with torch.no_grad():
        next(model.base_model.audio_model.encoder.parameters()).add_(1e-3)
    with pytest.raises(ValueError, match="was prepared with audio_encoder="):
        check_features(ready, recipe, processor, model.base_model)
    with pytest.raises(ValueError, match="encoder that never learns"):
        check_recipe(heard("hubert"), "out")


def test_what_an_extractor_cuts_off_is_said(heard, corpus, caplog):
    build_processor(heard("ast", "--inputs.max_seconds=1.2"), corpus)
    assert not caplog.messages
    for family, seconds in (("ast", "1.28"), ("whisper", "2")):
        build_processor(heard(family), corpus)
        assert re.search(
            rf"max_seconds=15, but .*{family} hears {seconds} s: the sound of longer", caplog.messages[-1]
        )


def test_an_encoder_that_runs_more_often_in_one_process_is_not_sharded(heard, run_for):
    with pytest.raises(ValueError, match="this wavlm encodes clips of different lengths one after another: not under"):
        shard_by_layers(run_for(heard("wavlm")))


def test_what_a_recipe_says_of_the_encoder(heard, tiny, corpus, encoders):
    assert pretrained_audio(heard("cnn2d").model) is None and not encodes_audio(tiny().model)
    named = tiny("--model.modalities=[audio]", f"--model.config.audio_encoder={encoders['ast']}")
    assert pretrained_audio(named.model) == encoders["ast"]
    assert build_processor(named, corpus).audio_input == "input_features"
    model = build_model(heard("cnn2d"), corpus, build_processor(heard("cnn2d"), corpus))
    assert model.config.audio_encoder == "cnn2d" and model.config.audio_config is None
    small = (
        "{model_type: hubert, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 37}"
    )
    scratch = tiny("--model.modalities=[audio]", f"--model.audio_config={small}")
    processor = build_processor(scratch, corpus)
    model = build_model(scratch, corpus, processor)
    assert model.config.audio_config.model_type == "hubert" and processor.audio_input == "input_values"
    with pytest.raises(
        ValueError, match=r"augmentation.features masks log-mel features, and .*wavlm takes its own: set"
    ):
        build_processor(heard("wavlm", "--augmentation.features.time_masks=1"), corpus)
    with pytest.raises(OSError, match="vision_encoder and audio_encoder are .*no_such_folder"):
        build_processor(heard("/no_such_folder"), corpus)
    fusion = load_recipe("audio_visual_fusion", f"--model.audio_encoder={encoders['wavlm']}")
    with pytest.raises(ValueError, match="audio_visual_fusion encodes sound from scratch: leave model.audio_encoder"):
        build_processor(fusion, corpus)


@pytest.fixture
def train():
    """train.py as a module."""
    spec = importlib.util.spec_from_file_location("train_script", ROOT / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_recordings_train_a_model_that_a_stranger_asks(train, encoders, tmp_path, monkeypatch):
    """From a folder of wav files by train.py to a folder that answers in a process without this package."""
    rng, rows = np.random.default_rng(0), ["file,person,label"]
    for i in range(24):
        time = np.arange(int(rng.uniform(0.3, 0.9) * 16_000)) / 16_000
        tone = 0.1 * np.sin(2 * np.pi * (250 if i % 2 else 1500) * time) + 0.01 * rng.normal(size=len(time))
        soundfile.write(tmp_path / f"{i}.wav", tone, 16_000)
        rows.append(f"{i}.wav,p{i // 4},{'low' if i % 2 else 'high'}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    options = [
        *("--recipe=clips_audio_pretrained", f"--data.root={tmp_path / 'table.csv'}", "--data.targets=[label]"),
        *(f"--model.audio_encoder={encoders['wavlm']}", "--model.config.hidden_size=16", "--training.epochs=3"),
        *("--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 1, encoder_layers: all}]",),
        *("--training.precision=fp32", "--training.num_workers=0", "--training.batch_size=8"),
        f"--output_dir={tmp_path / 'run'}",
    ]
    monkeypatch.setattr(sys, "argv", ["train.py", *options])
    train.main()
    folder = tmp_path / "run" / "model"
    assert isinstance(AutoProcessor.from_pretrained(folder).feature_extractor, type(FAMILIES["wavlm"][1]))
    assert str(tmp_path) not in (folder / "config.json").read_text()
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf_home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", STRANGER, str(folder), str(tmp_path / "1.wav")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["label"] in ("low", "high") and answer["modalities"] == ["audio"]
    assert sum(answer["scores"].values()) == pytest.approx(1)
