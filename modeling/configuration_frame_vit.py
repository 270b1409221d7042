"""Configuration of the vision transformer on frames: tiny and from scratch (A.2), or base and pretrained (A.4)."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_recording import TINY_VIT, RecordingConfig
from .modalities import VIDEO


@strict
class FrameVitConfig(RecordingConfig):
    """A `RecordingConfig` with a ViT. Tiny by default: 1,963,200 + 193 = 1,963,393 parameters.

    With hidden layers in the head, a LayerNorm stands before it.
    """

    model_type = "frame_vit"
    allowed_modalities = (VIDEO,)
    default_vision: ClassVar[dict] = {**TINY_VIT, "qkv_bias": False}

    @classmethod
    def small(cls, **values: object) -> "FrameVitConfig":
        """The preset with six layers, from scratch: width 400, 5 heads of 80; 11,932,001 parameters.

        The width follows from "about 12 M": 12 d^2 + 10 d a layer makes 11.0 M at 384 and 12.9 M at 416.

        Args:
            values: fields of the configuration.
        """
        sizes = {"hidden_size": 400, "num_hidden_layers": 6, "num_attention_heads": 5, "intermediate_size": 1600}
        return cls(**{"vision_config": {**cls.default_vision, **sizes}, **values})

    @classmethod
    def base(cls, **values: object) -> "FrameVitConfig":
        """ViT-B/16 under a head of two hidden layers (A.4): 85,798,656 + 526,849 = 86,325,505 parameters.

        Args:
            values: fields of the configuration.
        """
        preset = {
            "vision_config": {"model_type": "vit"},
            "head_sizes": [512, 256],
            "head_dropouts": [0.3, 0.3, 0.3],
        }
        return cls(**{**preset, **values})


__all__ = ["FrameVitConfig"]
