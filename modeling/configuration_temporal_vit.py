"""Configuration of the temporal ViT (T): a ViT a frame, then a transformer over time."""

from huggingface_hub.dataclasses import strict

from .configuration_recording import TINY_VIT, RecordingConfig
from .modalities import VIDEO


@strict
class TemporalVitConfig(RecordingConfig):
    """A `RecordingConfig` with transformer layers over the frames of a clip.

    Args:
        num_frames: most frames of a clip.
        num_temporal_layers: layers over them.
        num_attention_heads: heads of these.
    """

    model_type = "temporal_vit"
    allowed_modalities = (VIDEO,)
    default_vision = TINY_VIT

    num_frames: int = 10
    num_temporal_layers: int = 2
    num_attention_heads: int = 8


__all__ = ["TemporalVitConfig"]
