"""One tiny configuration an architecture, and a batch that fits all of them."""

import pytest
import torch

from affecthub import TrimodalEnsembleConfig, TrimodalLateFusionConfig, UnimodalBaselineConfig

LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
TEXT_CONFIG = dict(model_type="bert", vocab_size=99, max_position_embeddings=64, **LAYERS)
VISION_CONFIG = dict(model_type="clip_vision_model", image_size=16, patch_size=8, projection_dim=24, **LAYERS)
TINY = dict(text_config=TEXT_CONFIG, vision_config=VISION_CONFIG, num_mel_bins=10, hidden_size=32)

CONFIGS = {
    "trimodal_ensemble": lambda **kw: TrimodalEnsembleConfig(**{**TINY, **kw}),
    "trimodal_late_fusion": lambda **kw: TrimodalLateFusionConfig(**{**TINY, **kw}),
    "unimodal_text": lambda **kw: UnimodalBaselineConfig(**{**TINY, "modalities": ["text"], **kw}),
    "unimodal_audio": lambda **kw: UnimodalBaselineConfig(**{**TINY, "modalities": ["audio"], **kw}),
    "unimodal_video": lambda **kw: UnimodalBaselineConfig(**{**TINY, "modalities": ["video"], **kw}),
}
KEYS = {
    "text": ("input_ids", "attention_mask", "token_type_ids", "text_present"),
    "audio": ("input_features", "feature_attention_mask", "audio_present"),
    "video": ("pixel_values_videos", "video_attention_mask", "video_present"),
}


@pytest.fixture(params=CONFIGS)
def make_config(request):
    """A function that makes the tiny configuration of one architecture."""
    return CONFIGS[request.param]


@pytest.fixture
def inputs_for():
    """A function: the inputs of a batch of 4, of the given modalities, with padding in each."""

    def make(modalities, seed=0):
        generator = torch.Generator().manual_seed(seed)
        batch = {
            "input_ids": torch.randint(5, 99, (4, 9), generator=generator),
            "attention_mask": torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] * 7 + [0] * 2, [1] * 2 + [0] * 7]),
            "token_type_ids": torch.zeros(4, 9, dtype=torch.long),
            "text_present": torch.ones(4, dtype=torch.long),
            "input_features": torch.randn(4, 13, 10, generator=generator),
            "feature_attention_mask": torch.tensor([[1] * n + [0] * (13 - n) for n in (13, 7, 8, 1)]),
            "audio_present": torch.ones(4, dtype=torch.long),
            "pixel_values_videos": torch.randn(4, 3, 3, 16, 16, generator=generator),
            "video_attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]]),
            "video_present": torch.ones(4, dtype=torch.long),
        }
        return {key: batch[key].clone() for name in modalities for key in KEYS[name]}

    return make
