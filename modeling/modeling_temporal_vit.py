"""A ViT a frame, then a transformer over time (T)."""

from torch import nn

from .attention import MaskedAttention, Positions, TemporalTransformer, TransformerLayer
from .configuration_temporal_vit import TemporalVitConfig
from .modalities import VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream


class TemporalVitModel(RecordingModel):
    """ViT a frame, transformer over the frames, pooled over time."""

    config_class = TemporalVitConfig
    _can_record_outputs = {
        "temporal_attentions": MaskedAttention,
        "temporal_hidden_states": [Positions, TransformerLayer],
    }

    def build(self) -> None:
        """The layers over time."""
        config = self.config
        size = config.stream_size
        self.temporal_model = TemporalTransformer(
            config, size, config.num_temporal_layers, config.num_attention_heads, config.num_frames, config.dropout
        )
        self.temporal_norm = nn.LayerNorm(size)

    def fuse(self, streams: dict[str, Stream]) -> dict:
        """The real frames pooled, each aware of the others."""
        frames, mask = streams[VIDEO][:2]
        return {"embeddings": self.pooling(self.temporal_norm(self.temporal_model(frames, mask)), mask)}


class TemporalVitForVideoClassification(RecordingForVideoClassification):
    """A vision transformer looks at each frame, a second transformer at their order.

    ```
    frames -> ViT each, class token -> + positions -> 2 transformer layers over time -> pooled -> outputs
    ```
    """

    config_class = TemporalVitConfig
    trunk_class = TemporalVitModel


__all__ = ["TemporalVitModel", "TemporalVitForVideoClassification"]
