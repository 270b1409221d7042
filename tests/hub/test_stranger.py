"""A saved folder in a process where this package cannot be imported."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import BertTokenizer

from affecthub import (
    ARCHITECTURES,
    ClipFramesVideoProcessor,
    LogMelFeatureExtractor,
    TrimodalProcessor,
)

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
    call = {}
    if processor.tokenizer: call["text"] = ["hello world", None]
    if processor.feature_extractor: call |= dict(audio=[raw["audio"], raw["audio"][:5000]], sampling_rate=16000)
    if processor.video_processor: call["videos"] = [raw["video"], raw["video"][:2]]
    call = {key: [value[0]] * 2 if key == "text" and len(call) == 1 else value for key, value in call.items()}
    batch = processor(**call)
    config = AutoConfig.from_pretrained(folder, **trust)
    with torch.no_grad():
        logits = AutoModelForVideoClassification.from_pretrained(folder, **trust).eval()(**batch).logits
        embeddings = AutoModel.from_pretrained(folder, **trust).eval()(**batch).embeddings
    names = [type(processor).__module__, type(config).__module__]
    assert all(name.startswith("transformers_modules") for name in names), names
    np.savez(folder / "out.npz", logits=logits, embeddings=embeddings, num_labels=config.num_labels)
"""
LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
CASES = [
    (architecture[0].model_type, modalities)
    for architecture in ARCHITECTURES
    for modalities in ([["text"], ["audio"], ["video"]] if "unimodal" in architecture[0].model_type else [None])
]


def build(model_type, modalities):
    torch.manual_seed(0)
    config_class, _, classifier = next(a for a in ARCHITECTURES if a[0].model_type == model_type)
    values = {"modalities": modalities} if modalities else {}
    config = config_class(
        text_config=dict(model_type="bert", vocab_size=7, max_position_embeddings=64, **LAYERS),
        vision_config=dict(model_type="clip_vision_model", image_size=16, patch_size=8, projection_dim=24, **LAYERS),
        **values,
    )
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world"]
    processor = TrimodalProcessor(
        BertTokenizer(vocab={word: i for i, word in enumerate(words)}) if "text" in config.modalities else None,
        ClipFramesVideoProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, num_frames=3)
        if "video" in config.modalities
        else None,
        LogMelFeatureExtractor() if "audio" in config.modalities else None,
    )
    return classifier(config).eval(), processor


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every case saved in a folder of its own, and then loaded by one strange process."""
    root = tmp_path_factory.mktemp("stranger")
    rng = np.random.default_rng(0)
    raw = {
        "audio": rng.normal(0, 0.1, 16_000).astype(np.float32),
        "video": rng.integers(0, 256, (9, 20, 24, 3), dtype=np.uint8),
    }
    np.savez(root / "inputs.npz", **raw)
    made = {}
    for number, case in enumerate(CASES):
        model, processor = build(*case)
        model.save_pretrained(root / f"model{number}")
        processor.save_pretrained(root / f"model{number}")
        made[number] = model, processor, root / f"model{number}"
    environment = os.environ | {"HF_HOME": str(root / "hf_home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", STRANGER, *(str(folder) for _, _, folder in made.values())]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return raw, made


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{name}-{which or 'all'}" for name, which in CASES])
def test_a_stranger_gets_the_same_logits(number, saved):
    raw, made = saved
    model, processor, folder = made[number]
    result = np.load(folder / "out.npz")
    call = {}
    if processor.tokenizer:
        call["text"] = ["hello world"] * 2 if CASES[number][1] else ["hello world", None]
    if processor.feature_extractor:
        call |= {"audio": [raw["audio"], raw["audio"][:5000]], "sampling_rate": 16_000}
    if processor.video_processor:
        call["videos"] = [raw["video"], raw["video"][:2]]
    batch = processor(**call)
    with torch.no_grad():
        expected = model(**batch).logits.numpy(), model.base_model(**batch).embeddings.numpy()
    np.testing.assert_allclose(result["logits"], expected[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(result["embeddings"], expected[1], rtol=0, atol=1e-5)
    assert result["num_labels"] == 7
    auto_map = json.loads((folder / "config.json").read_text())["auto_map"]
    assert auto_map.keys() == {"AutoConfig", "AutoModel", "AutoModelForVideoClassification"}
