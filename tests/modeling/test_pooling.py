"""Pooling by attention: its weights, what it finds that a mean does not, and that every architecture has it."""

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModelForVideoClassification

from affecthub import UnimodalBaselineForVideoClassification
from affecthub.modeling.audio_encoders import AttentiveStatistics
from affecthub.modeling.configuration_base import POOLING_TYPES
from affecthub.modeling.pooling import POOLINGS, AttentionPooling, MeanPooling

from ..tiny_configs import tiny_config

FRAMES, CLASSES = 6, 4


def pooling(size=5):
    torch.manual_seed(0)
    return AttentionPooling(size, hidden_size=3)


def test_the_weights_are_a_softmax_over_the_steps_that_are_there():
    module, values = pooling(), torch.randn(2, 4, 5)
    lengths = (4, 2)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    found = module(values, mask)
    w, b, v = (p.detach().double().numpy() for p in (module.hidden.weight, module.hidden.bias, module.score.weight))
    for row, clip, length in zip(found, values.double().numpy(), lengths, strict=True):
        scores = np.exp(np.tanh(clip[:length] @ w.T + b) @ v[0])
        expected = (scores / scores.sum()) @ clip[:length]
        torch.testing.assert_close(row, torch.from_numpy(expected).float())
    weights = module.weights(values, mask)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    assert (weights[mask == 0] == 0).all() and (weights[mask == 1] > 0).all()


@pytest.mark.parametrize("kind", [AttentionPooling, MeanPooling, AttentiveStatistics])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_sample_without_any_step_is_finite_and_so_is_its_gradient(kind, dtype):
    torch.manual_seed(0)
    module = kind(5).to(dtype)
    values = torch.randn(2, 4, 5, dtype=dtype, requires_grad=True)
    pooled = module(values, torch.tensor([[False] * 4, [True] * 4]))
    pooled.float().square().sum().backward()
    assert torch.isfinite(pooled).all() and (pooled[0, :5] == 0).all()
    assert torch.isfinite(values.grad).all() and all(torch.isfinite(p.grad).all() for p in module.parameters())


def test_the_names_of_the_configuration_are_those_that_there_are():
    assert tuple(POOLINGS) == POOLING_TYPES
    with pytest.raises(StrictDataclassError, match=r"pooling='max': choose one of \['mean', 'attention'\]"):
        tiny_config("frame_vit", pooling="max")


def marked_clips(number, generator):
    """Frames that each show one of four colours, of which that of the one with a white corner is the label.

    Returns:
        clips (number, frames, 3, 16, 16), labels (number,).
    """
    shown = torch.randint(CLASSES, (number, FRAMES), generator=generator)
    marked = torch.randint(FRAMES, (number,), generator=generator)
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])
    clips = colours[shown][..., None, None].expand(-1, -1, -1, 16, 16).clone()
    clips[torch.arange(number), marked, :, :8, :8] = 3.0
    clips += 0.3 * torch.randn(clips.shape, generator=generator)
    return clips, shown[torch.arange(number), marked]


def accuracy_of(kind):
    """Of a model on new clips, its encoder frozen and random."""
    torch.manual_seed(0)
    config = tiny_config("unimodal_baseline", modalities=["video"], num_labels=CLASSES, pooling=kind, dropout=0.0)
    model = UnimodalBaselineForVideoClassification(config)
    model.trimodal.vision_model.requires_grad_(False)
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        clips, labels = marked_clips(64, generator)
        model(pixel_values_videos=clips, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    clips, labels = marked_clips(500, generator)
    with torch.no_grad():
        return (model.eval()(pixel_values_videos=clips).logits.argmax(-1) == labels).float().mean().item()


def test_attention_finds_the_one_frame_that_counts_and_a_mean_does_not():
    assert accuracy_of("attention") > 0.95
    assert accuracy_of("mean") < 0.6  # what the label's colour gains by being there once more than the others


def pooling_parameters(model):
    return {name: p for name, p in model.named_parameters() if "pooling." in name}


def test_every_architecture_pools_by_attention(make_config, inputs_for):
    if make_config().model_type == "token_fusion":  # whose latents attend to each token
        with pytest.raises(StrictDataclassError, match="latents attend to each token"):
            make_config(pooling="attention")
        return
    config = make_config(pooling="attention")
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_config(config).eval()
    inputs = inputs_for(config.modalities)
    if config.model_type == "dialogue":
        inputs = {name: torch.stack([values] * 4, dim=1) for name, values in inputs.items()}
    learned = pooling_parameters(model)
    model(**inputs, labels=torch.tensor([0, 1, 2, 3])).loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in learned.values())
    before = model(**inputs).logits.detach()
    for parameter in learned.values():
        torch.nn.init.normal_(parameter.data)
    if config.modalities == ["audio"] and config.audio_encoder in ("cnn2d", "functionals"):
        assert not learned  # statistics of their own
    else:
        assert not torch.allclose(model(**inputs).logits, before)
    assert not pooling_parameters(AutoModelForVideoClassification.from_config(make_config(pooling="mean")))
