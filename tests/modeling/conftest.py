"""Every architecture at tiny size, and a batch that fits all of them."""

from functools import partial

import pytest
import torch

from affecthub.architectures import architecture_names
from affecthub.modeling.configuration_frame_vit import FrameVitConfig

from ..tiny_configs import CNN2D, FUNCTIONALS, HEAD, TINY_CONFIGS, W2V_BERT, tiny_config

VARIANTS = {
    "unimodal_text": lambda **kw: tiny_config("unimodal_baseline", **{"modalities": ["text"], **kw}),
    "unimodal_audio": lambda **kw: tiny_config("unimodal_baseline", **{"modalities": ["audio"], **kw}),
    "unimodal_cnn2d": lambda **kw: tiny_config("unimodal_baseline", **{"modalities": ["audio"], **CNN2D, **kw}),
    "unimodal_w2v_bert": lambda **kw: tiny_config("unimodal_baseline", **{"modalities": ["audio"], **W2V_BERT, **kw}),
    "unimodal_functionals": lambda **kw: tiny_config(
        "unimodal_baseline", **{"modalities": ["audio"], **FUNCTIONALS, **kw}
    ),
    "trimodal_functionals": lambda **kw: tiny_config("trimodal_ensemble", **{**FUNCTIONALS, **kw}),
    "token_fusion_cnn2d": lambda **kw: tiny_config("token_fusion", **{**CNN2D, **kw}),
    "unimodal_video": lambda **kw: tiny_config("unimodal_baseline", **{"modalities": ["video"], **kw}),
    "trimodal_attention_pooling": lambda **kw: tiny_config("trimodal_ensemble", **{"pooling": "attention", **kw}),
    "physio_attention_pooling": lambda **kw: tiny_config("physio_concat", **{"pooling": "attention", **kw}),
    "frame_vit_base": lambda **kw: FrameVitConfig.base(**{**TINY_CONFIGS["frame_vit"], **HEAD, **kw}),
}
CONFIGS = {name: partial(tiny_config, name) for name in architecture_names() if name != "unimodal_baseline"} | VARIANTS
KEYS = {
    "text": ("input_ids", "attention_mask", "token_type_ids", "text_present"),
    "input_features": ("input_features", "feature_attention_mask", "audio_present"),
    "input_values": ("input_values", "audio_attention_mask", "audio_present"),
    "video": ("pixel_values_videos", "video_attention_mask", "video_present"),
    "physio": ("physio_values", "physio_attention_mask", "physio_present"),
}


@pytest.fixture(params=CONFIGS)
def make_config(request):
    """A function that makes the tiny configuration of one architecture."""
    return CONFIGS[request.param]


@pytest.fixture
def inputs_for(request):
    """`batch_of`, with the audio that the architecture under test takes."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    waveform = parameters.get("make_config") == "audio_visual_fusion"
    return partial(batch_of, audio="input_values" if waveform else "input_features")


def batch_of(modalities, seed=0, audio="input_features"):
    """The inputs of a batch of 4, of the given modalities, with padding in each.

    Audio is log-mel features ("input_features") or the raw waveform ("input_values").
    """
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
    return {key: batch[key].clone() for name in modalities for key in KEYS[audio if name == "audio" else name]}


def in_turns(batch):
    """Inputs of samples as those of as many conversations of four turns each, whose speakers are told apart."""
    speakers = {"speaker_ids": torch.tensor([[1, 0, 0, 2]] * 4)}
    return {key: torch.stack([v.roll(i, 0) for i in range(4)], dim=1) for key, v in batch.items()} | speakers
