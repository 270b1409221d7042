"""Models as ONNX: every architecture answers as in PyTorch, and a folder that carries an export is held to it."""

import itertools

import pytest
import torch
from transformers import AutoModelForVideoClassification

from affecthub.hub.export import write_graph
from affecthub.inference.onnx_model import OnnxModel

from ..modeling.conftest import CONFIGS, KEYS, batch_of

ONE_LAYER = ("text_config", "vision_config", "audio_config")
"""Encoders of which one layer is enough here: what a layer costs is the time to translate it."""

LONGER = {"text": 5, "input_features": 7, "input_values": 16, "video": 1, "physio": 1}
"""Modality -> steps of the shorter batch."""


def by_modality(config):
    """Modality -> inputs of a batch with padding, and of a shorter one; as the exporter takes them."""
    audio = "input_values" if config.model_type == "audio_visual_fusion" else "input_features"
    long, short = {}, {}
    for name in config.modalities:
        kind = audio if name == "audio" else name
        long[name] = batch_of([name], audio=audio)
        short[name] = {key: v[:, : LONGER[kind]] if v.dim() > 1 else v for key, v in long[name].items()}
    return long, short


@pytest.mark.parametrize("name", CONFIGS)
def test_every_architecture_answers_as_in_pytorch(name, tmp_path):
    config = CONFIGS[name](num_temporal_layers=1)
    for part in ONE_LAYER:
        if getattr(config, part, None) is not None:
            getattr(config, part).num_hidden_layers = 1
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_config(config).eval()
    long, short = by_modality(config)
    write_graph(tmp_path / "model.onnx", model, long, short, weights={})
    exported = OnnxModel(tmp_path / "model.onnx", config, "here")
    several = len(config.modalities) > 1
    for batch, size in itertools.product((long, short), (1, 3)):
        for held in itertools.chain(*(itertools.combinations(batch, n) for n in range(1, len(batch) + 1))):
            inputs = {key: value[:size] for name in held for key, value in batch[name].items()}
            for row, modality in enumerate(held):  # a mixed batch
                inputs[f"{modality}_present"] = torch.tensor([int(len(held) == 1 or row != i) for i in range(size)])
            with torch.no_grad():
                expected = model(**inputs, output_modality_logits=several)
            found = exported(**inputs, output_modality_logits=several)
            assert found.keys() == expected.keys()
            for field, values in expected.items():
                torch.testing.assert_close(found[field], values, rtol=1e-4, atol=1e-4)
