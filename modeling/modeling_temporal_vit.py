"""A ViT a frame, then a transformer over time (T)."""

from torch import Tensor, nn

from .attention import TemporalTransformer
from .configuration_temporal_vit import TemporalVitConfig
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream


class TemporalVitModel(RecordingModel):
    """ViT a frame, transformer over the frames, mean over time."""

    config_class = TemporalVitConfig

    def build(self) -> None:
        """The layers over time."""
        config = self.config
        size = config.stream_size
        self.temporal_model = TemporalTransformer(
            size, config.num_temporal_layers, config.num_attention_heads, config.num_frames, config.dropout
        )
        self.temporal_norm = nn.LayerNorm(size)

    def encode_video(self, pixel_values_videos: Tensor, mask: Tensor, output_attentions: bool) -> Stream:
        """Pixels (batch, frames, 3, height, width) -> one token a frame, each aware of the others."""
        stream = super().encode_video(pixel_values_videos, mask, output_attentions)
        hidden, attentions = self.temporal_model(stream.tokens, stream.mask, output_attentions)
        fields = {"temporal_attentions": attentions} if output_attentions else {}
        return Stream(self.temporal_norm(hidden), stream.mask, stream.attentions | fields)


class TemporalVitForVideoClassification(RecordingForVideoClassification):
    """A vision transformer looks at each frame, a second transformer at their order.

    ```
    frames -> ViT each, class token -> + positions -> 2 transformer layers over time -> mean -> outputs
    ```
    """

    config_class = TemporalVitConfig
    trunk_class = TemporalVitModel


__all__ = ["TemporalVitModel", "TemporalVitForVideoClassification"]
