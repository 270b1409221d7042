"""A saved folder in a process where this package cannot be imported."""

import inspect
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import BertTokenizer

from affecthub.architectures import architecture_named, architecture_names
from affecthub.processing.feature_extraction_physio import PhysioFeatureExtractor
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor

from ..tiny_configs import TINY_CONFIGS, tiny_config


def call_for(processor, raw):
    """Arguments for two samples, the second of which lacks something where the processor allows that."""
    held, call = processor.modalities, {}
    if "text" in held:
        call["text"] = ["hello world", "hello world" if held == ["text"] else None]
    if "video" in held:
        call["videos"] = [raw["video"], raw["video"][:2]]
    if "physio" in held:
        call["physio"] = [raw["physio"], None]
    if "audio" in held:
        call |= {"audio": [raw["audio"], raw["audio"][:5000]], "sampling_rate": 16_000}
    return call


STRANGER = """
import sys
sys.modules["affecthub"] = None  # from here on, importing it is an ImportError
import numpy as np, torch
from transformers import AutoConfig, AutoModel, AutoModelForVideoClassification, AutoProcessor
from pathlib import Path
trust = dict(trust_remote_code=True)
raw = np.load("inputs.npz")
for folder in map(Path, sys.argv[1:]):
    processor = AutoProcessor.from_pretrained(folder, **trust)
    batch = processor(**call_for(processor, raw))
    config = AutoConfig.from_pretrained(folder, **trust)
    with torch.no_grad():
        logits = AutoModelForVideoClassification.from_pretrained(folder, **trust).eval()(**batch).logits
        embeddings = AutoModel.from_pretrained(folder, **trust).eval()(**batch).embeddings
    names = [type(processor).__module__, type(config).__module__]
    assert all(name.startswith("transformers_modules") for name in names), names
    np.savez(folder / "out.npz", logits=logits, embeddings=embeddings, num_labels=config.num_labels)
"""
CASES = [
    (name, modalities)
    for name in architecture_names()
    for modalities in ([["text"], ["audio"], ["video"]] if name == "unimodal_baseline" else [None])
]
AS_PROCESSED = {"num_mel_bins": 40, "physio_size": 2}
"""Fields that have to agree with what the processor gives."""


def tokenizer():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world"]
    return BertTokenizer(vocab={word: i for i, word in enumerate(words)})


def frames():
    return ClipFramesVideoProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, num_frames=3)


def physio_statistics():
    return PhysioFeatureExtractor.fit(np.array([[0.0, 5.0], [2.0, 9.0]]), ["Smile", "GSR"], ["a", "b"])


def build(model_type, modalities=None):
    """A tiny model of an architecture, and its processor."""
    torch.manual_seed(0)
    architecture = architecture_named(model_type)
    fields = {name: value for name, value in AS_PROCESSED.items() if name in TINY_CONFIGS[model_type]}
    config = tiny_config(model_type, **fields, **({"modalities": modalities} if modalities else {}))
    processor_class = architecture.processor_class
    makers = {"text": tokenizer, "video": frames, "physio": physio_statistics}
    makers["audio"] = processor_class.feature_extractor_class
    parts = {processor_class.part_of[name]: makers[name]() for name in config.modalities}
    if processor_class.turns_apart:
        parts |= {"turns_before": config.turns_before, "turns_after": config.turns_after}
    return architecture.classifier_class(config).eval(), processor_class(**parts)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every case saved in a folder of its own, and then loaded by one strange process."""
    root = tmp_path_factory.mktemp("stranger")
    rng = np.random.default_rng(0)
    raw = {
        "audio": rng.normal(0, 0.1, 16_000).astype(np.float32),
        "video": rng.integers(0, 256, (9, 20, 24, 3), dtype=np.uint8),
        "physio": rng.normal(2, 3, (4, 2)),
    }
    np.savez(root / "inputs.npz", **raw)
    made = {}
    for number, case in enumerate(CASES):
        model, processor = build(*case)
        model.save_pretrained(root / f"model{number}")
        processor.save_pretrained(root / f"model{number}")
        made[number] = model, processor, root / f"model{number}"
    environment = os.environ | {"HF_HOME": str(root / "hf_home"), "HF_HUB_OFFLINE": "1"}
    command = [
        sys.executable,
        "-c",
        inspect.getsource(call_for) + STRANGER,
        *(str(folder) for _, _, folder in made.values()),
    ]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return raw, made


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{name}-{which or 'all'}" for name, which in CASES])
def test_a_stranger_gets_the_same_logits(number, saved):
    raw, made = saved
    model, processor, folder = made[number]
    result = np.load(folder / "out.npz")
    batch = processor(**call_for(processor, raw))
    with torch.no_grad():
        expected = model(**batch).logits.numpy(), model.base_model(**batch).embeddings.numpy()
    np.testing.assert_allclose(result["logits"], expected[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(result["embeddings"], expected[1], rtol=0, atol=1e-5)
    assert result["num_labels"] == 7
    auto_map = json.loads((folder / "config.json").read_text())["auto_map"]
    assert auto_map.keys() == {"AutoConfig", "AutoModel", "AutoModelForVideoClassification"}
