"""The default configurations have the reference's parameter counts, to the last one."""

import pytest
import torch
from transformers import AutoModelForVideoClassification

from affecthub import (
    FrameCnnConfig,
    FrameResnetConfig,
    FrameVitConfig,
    PhysioConcatConfig,
    PhysioCrossAttentionConfig,
    PhysioPretrainedFusionConfig,
)


def built(config):
    with torch.device("meta"):
        return AutoModelForVideoClassification.from_config(config)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (FrameCnnConfig(), 1_699_841),
        (FrameVitConfig(), 1_963_393),
        (FrameResnetConfig(), 24_688_705),
        (FrameVitConfig.base(), 86_325_505),
        (PhysioConcatConfig(), 2_130_065),
        (PhysioCrossAttentionConfig(), 8_222_737),
        (PhysioPretrainedFusionConfig(), 90_644_207),
        (FrameCnnConfig.deep(), 1_947_137),
        (FrameVitConfig.small(), 11_932_001),
    ],
    ids=lambda value: getattr(value, "model_type", f"{value:,}" if isinstance(value, int) else None),
)
def test_parameter_counts(config, parameters):
    model = built(config)
    assert model.num_parameters() == parameters
    assert model.num_parameters(only_trainable=True) == parameters


def test_the_resnet_backbone_has_its_count():
    assert built(FrameResnetConfig()).model.vision_model.num_parameters() == 23_508_032


def test_default_outputs():
    assert [FrameCnnConfig().num_labels, PhysioConcatConfig().num_labels] == [1, 17]
    assert FrameCnnConfig().problem_type == "multi_label_classification"


def test_the_small_cnn_has_the_layers_of_the_table():
    model = built(FrameCnnConfig())
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size, c.padding) for c in convolutions] == [
        (3, 32, (3, 3), (1, 1)),
        (32, 64, (3, 3), (1, 1)),
        (64, 128, (3, 3), (1, 1)),
    ]
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout2d)] == [0.3, 0.4]
    assert [m.p for m in model.head if isinstance(m, torch.nn.Dropout)] == [0.7, 0.5]
    assert [type(m).__name__ for m in model.head] == ["Dropout", "Linear", "ReLU", "Dropout", "Linear"]


def test_the_pretrained_heads_have_the_layers_of_the_table():
    resnet, vit = built(FrameResnetConfig()).head, built(FrameVitConfig.base()).head
    assert [m.p for m in resnet if isinstance(m, torch.nn.Dropout)] == [0.3, 0.2, 0.0]
    assert [m.out_features for m in resnet if isinstance(m, torch.nn.Linear)] == [512, 256, 1]
    norm, layers = vit
    assert isinstance(norm, torch.nn.LayerNorm)
    assert [m.out_features for m in layers if isinstance(m, torch.nn.Linear)] == [512, 256, 1]
    assert not any(isinstance(m, torch.nn.ReLU) for m in layers)
