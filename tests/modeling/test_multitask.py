"""Emotion and sentiment at once: the utterance models' second task."""

import pytest
import torch

from affecthub import (
    TrimodalEnsembleConfig,
    TrimodalEnsembleForVideoClassification,
    TrimodalLateFusionConfig,
    TrimodalLateFusionForVideoClassification,
    UnimodalBaselineConfig,
    UnimodalBaselineForVideoClassification,
)

LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
TINY = dict(
    text_config=dict(model_type="bert", vocab_size=99, max_position_embeddings=64, **LAYERS),
    vision_config=dict(model_type="clip_vision_model", image_size=16, patch_size=8, projection_dim=24, **LAYERS),
    num_mel_bins=10,
    hidden_size=32,
    sentiment_id2label={0: "neutral", 1: "positive", 2: "negative"},
)


@pytest.mark.parametrize(
    ("classifier", "config"),
    [
        (TrimodalEnsembleForVideoClassification, TrimodalEnsembleConfig(**TINY)),
        (TrimodalLateFusionForVideoClassification, TrimodalLateFusionConfig(**TINY)),
        (UnimodalBaselineForVideoClassification, UnimodalBaselineConfig(**TINY)),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_both_tasks_have_logits_a_loss_and_gradients(classifier, config, inputs_for):
    torch.manual_seed(0)
    model = classifier(config).eval()
    labels = torch.tensor([0, 1, 6, 3])
    output = model(
        **inputs_for(config.modalities),
        labels=labels,
        sentiment_labels=torch.tensor([0, 1, 2, -100]),
        output_modality_logits=True,
    )
    assert output.sentiment_logits.shape == (4, 3)
    assert output.modality_logits.shape == (4, len(config.modalities), 7)
    emotion = torch.nn.functional.cross_entropy(output.logits, labels)
    sentiment = torch.nn.functional.cross_entropy(output.sentiment_logits[:3], torch.tensor([0, 1, 2]))
    torch.testing.assert_close(output.loss, emotion + 0.5 * sentiment)
    assert model.base_model(**inputs_for(config.modalities)).embeddings.shape == (4, len(config.modalities), 32)
    output.loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.classifiers.parameters())
