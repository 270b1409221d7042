"""One tiny configuration an architecture, and a batch that fits all of them."""

import pytest
import torch

from affecthub import (
    AudioVisualFusionConfig,
    FrameCnnConfig,
    FrameResnetConfig,
    FrameVitConfig,
    PhysioConcatConfig,
    PhysioCrossAttentionConfig,
    PhysioPretrainedFusionConfig,
    TemporalVitConfig,
    TrimodalEnsembleConfig,
    TrimodalLateFusionConfig,
    UnimodalBaselineConfig,
)

LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
TEXT_CONFIG = dict(model_type="bert", vocab_size=99, max_position_embeddings=64, **LAYERS)
VISION_CONFIG = dict(model_type="clip_vision_model", image_size=16, patch_size=8, projection_dim=24, **LAYERS)
TINY = dict(text_config=TEXT_CONFIG, vision_config=VISION_CONFIG, num_mel_bins=10, hidden_size=32)

VIT = dict(vision_config=dict(model_type="vit", image_size=16, patch_size=8, **LAYERS))
RESNET = dict(
    vision_config=dict(model_type="resnet", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
)
SMALL_HEAD = dict(head_sizes=[8], head_dropouts=[0.1, 0.1])
EMOTIONS = dict(num_labels=7, problem_type="single_label_classification")
PHYSIO = dict(physio_size=5, **EMOTIONS)
FUSION = dict(physio_hidden_sizes=[6], fusion_size=16, num_attention_heads=2)
WAVENET = dict(wavenet_channels=4, wavenet_skip_channels=6, wavenet_layers=3, hop_length=8, num_attention_heads=2)

CONFIGS = {
    "trimodal_ensemble": lambda **kw: TrimodalEnsembleConfig(**{**TINY, **kw}),
    "trimodal_late_fusion": lambda **kw: TrimodalLateFusionConfig(**{**TINY, **kw}),
    "unimodal_text": lambda **kw: UnimodalBaselineConfig(**{**TINY, "modalities": ["text"], **kw}),
    "unimodal_audio": lambda **kw: UnimodalBaselineConfig(**{**TINY, "modalities": ["audio"], **kw}),
    "unimodal_video": lambda **kw: UnimodalBaselineConfig(**{**TINY, "modalities": ["video"], **kw}),
    "frame_cnn": lambda **kw: FrameCnnConfig(
        **{"channels": [4, 8], "block_dropouts": [0.1], "pooled_size": 2, **SMALL_HEAD, **EMOTIONS, **kw}
    ),
    "frame_vit": lambda **kw: FrameVitConfig(**{**VIT, **EMOTIONS, **kw}),
    "frame_vit_base": lambda **kw: FrameVitConfig.base(**{**VIT, **SMALL_HEAD, **EMOTIONS, **kw}),
    "frame_resnet": lambda **kw: FrameResnetConfig(**{**RESNET, **SMALL_HEAD, **EMOTIONS, **kw}),
    "temporal_vit": lambda **kw: TemporalVitConfig(**{**VIT, "num_attention_heads": 2, **EMOTIONS, **kw}),
    "physio_concat": lambda **kw: PhysioConcatConfig(**{**VIT, **SMALL_HEAD, **PHYSIO, **kw}),
    "physio_cross_attention": lambda **kw: PhysioCrossAttentionConfig(
        **{**VIT, "num_attention_heads": 2, **SMALL_HEAD, **PHYSIO, **kw}
    ),
    "physio_pretrained_fusion": lambda **kw: PhysioPretrainedFusionConfig(
        **{**VIT, **FUSION, **SMALL_HEAD, **PHYSIO, **kw}
    ),
    "audio_visual_fusion": lambda **kw: AudioVisualFusionConfig(**{**VIT, **WAVENET, **EMOTIONS, **kw}),
}
KEYS = {
    "text": ("input_ids", "attention_mask", "token_type_ids", "text_present"),
    "audio": ("input_features", "feature_attention_mask", "audio_present"),
    "video": ("pixel_values_videos", "video_attention_mask", "video_present"),
    "physio": ("physio_values", "physio_attention_mask", "physio_present"),
}
WAVEFORM_KEYS = KEYS | {"audio": ("input_values", "audio_attention_mask", "audio_present")}


@pytest.fixture(params=CONFIGS)
def make_config(request):
    """A function that makes the tiny configuration of one architecture."""
    return CONFIGS[request.param]


@pytest.fixture
def inputs_for(request):
    """A function: the inputs of a batch of 4, of the given modalities, with padding in each.

    Audio is log-mel features, or the raw waveform where the architecture under test takes that.
    """
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    keys = WAVEFORM_KEYS if parameters.get("make_config") == "audio_visual_fusion" else KEYS

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
            "physio_values": torch.randn(4, 3, 5, generator=generator),
            "physio_attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]]),
            "physio_present": torch.ones(4, dtype=torch.long),
            "input_values": torch.randn(4, 37, generator=generator),
            "audio_attention_mask": torch.tensor([[1] * n + [0] * (37 - n) for n in (37, 16, 21, 3)]),
        }
        return {key: batch[key].clone() for name in modalities for key in keys[name]}

    return make
