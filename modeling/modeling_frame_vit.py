"""Vision transformer on frames (A.2 from scratch, A.4 pretrained)."""

from torch import nn

from .configuration_frame_vit import FrameVitConfig
from .modeling_recording import RecordingForVideoClassification, RecordingModel


class FrameVitModel(RecordingModel):
    """ViT a frame; the class token, pooled over the frames of a clip."""

    config_class = FrameVitConfig


class FrameVitForVideoClassification(RecordingForVideoClassification):
    """A vision transformer looks at frames.

    ```
    frame -> ViT -> class token -> Linear                                                          (A.2)
    frame -> ViT -> class token -> LayerNorm -> 512 -> 256 -> outputs, GELU and Dropout between    (A.4)
    ```
    """

    config_class = FrameVitConfig
    trunk_class = FrameVitModel

    def build_head(self) -> nn.Module:
        """With hidden layers, a LayerNorm before them."""
        head = super().build_head()
        return nn.Sequential(nn.LayerNorm(self.config.embedding_size), head) if self.config.head_sizes else head


__all__ = ["FrameVitModel", "FrameVitForVideoClassification"]
