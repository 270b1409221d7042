"""Configuration of audio-visual fusion (AV): patches of the frames attend to the waveform."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_recording import TINY_VIT, RecordingConfig
from .modalities import AUDIO, VIDEO


@strict
class AudioVisualFusionConfig(RecordingConfig):
    """A `RecordingConfig` with a WaveNet encoder and one cross-attention layer.

    Args:
        wavenet_channels: of the residual path.
        wavenet_skip_channels: of the skips.
        wavenet_layers: dilations 1, 2, 4, ... in a stack; ten see 64 ms at 16 kHz.
        wavenet_stacks: how often they repeat.
        hop_length: samples an audio token; 320 are 20 ms at 16 kHz.
        num_attention_heads: heads of the cross-attention.
    """

    model_type = "audio_visual_fusion"
    allowed_modalities = (AUDIO, VIDEO)
    default_vision = TINY_VIT
    default_num_labels = 7  # the seven emotions
    default_problem_type = "single_label_classification"

    modalities: list[str] = field(default_factory=lambda: [AUDIO, VIDEO])
    wavenet_channels: int = 32
    wavenet_skip_channels: int = 64
    wavenet_layers: int = 10
    wavenet_stacks: int = 2
    hop_length: int = 320
    num_attention_heads: int = 8
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.1])


__all__ = ["AudioVisualFusionConfig"]
