"""ResNet-50 on frames (A.3)."""

from typing import Any

from torch import Tensor, nn

from .checkpointing import run_stages
from .configuration_frame_resnet import FrameResnetConfig
from .modeling_recording import RecordingForVideoClassification, RecordingModel


class FrameResnetModel(RecordingModel):
    """ResNet a frame, pooled over the frames of a clip."""

    config_class = FrameResnetConfig
    vision_model: Any
    """transformers' ResNet, whose parts state no types."""
    _supports_sdpa = False  # nothing in it attends
    gradient_checkpointing = False  # transformers' ResNet lacks it

    def get_input_embeddings(self) -> nn.Module:
        """The first convolution."""
        return self.vision_model.embedder.embedder.convolution

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the first convolution."""
        self.vision_model.embedder.embedder.convolution = value

    def encode_frames(self, pixel_values: Tensor, **requests) -> tuple[Tensor, dict]:
        """Pixels (frames, 3, height, width) -> one token a frame (frames, 1, size), and what every stage made."""
        stages = [self.vision_model.embedder, *self.vision_model.encoder.stages]
        hidden, fields = run_stages(self, stages, pixel_values, **requests)
        return self.vision_model.pooler(hidden).flatten(1).unsqueeze(1), fields


class FrameResnetForVideoClassification(RecordingForVideoClassification):
    """ResNet-50 looks at frames.

    ```
    frame -> ResNet-50 -> Dropout 0.3 -> 512, ReLU, Dropout 0.2 -> 256, ReLU -> outputs
    ```
    """

    config_class = FrameResnetConfig
    vision_model: Any
    """transformers' ResNet, whose parts state no types."""
    _supports_sdpa = False  # nothing in it attends
    trunk_class = FrameResnetModel


__all__ = ["FrameResnetModel", "FrameResnetForVideoClassification"]
