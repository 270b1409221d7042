"""Configuration of ResNet-50 on frames (A.3)."""

from dataclasses import field

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_recording import RecordingConfig
from .modalities import VIDEO


@strict
class FrameResnetConfig(RecordingConfig):
    """A `RecordingConfig` with a ResNet of transformers. 23,508,032 + 1,180,673 = 24,688,705 parameters."""

    model_type = "frame_resnet"
    allowed_modalities = (VIDEO,)
    default_vision = {"model_type": "resnet"}  # transformers' default is ResNet-50

    head_sizes: list[int] = field(default_factory=lambda: [512, 256])
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.3, 0.2, 0.0])
    head_activation: str = "relu"

    @property
    def stream_size(self) -> int:
        """Channels of the last stage."""
        assert isinstance(self.vision_config, PreTrainedConfig)
        return self.vision_config.hidden_sizes[-1]

    def validate_backbone(self) -> None:
        """Refuse a backbone of another family."""
        kind = getattr(self.vision_config, "model_type", None)
        if kind != "resnet":
            raise ValueError(
                f"vision_config of model_type {kind!r}: frame_resnet runs transformers' 'resnet'; for a vision "
                "transformer use frame_vit."
            )


__all__ = ["FrameResnetConfig"]
