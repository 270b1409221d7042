"""Patches of the frame attend to the feature sequence (B.2)."""

from torch import Tensor, nn
from transformers.utils.output_capturing import OutputRecorder

from .attention import CrossAttentionLayer, MaskedAttention, Positions, TemporalTransformer, TransformerLayer
from .configuration_physio_cross_attention import PhysioCrossAttentionConfig
from .modalities import PHYSIO, VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream


class PhysioCrossAttentionModel(RecordingModel):
    """ViT, temporal transformer over the features, cross-attention."""

    config_class = PhysioCrossAttentionConfig
    every_patch = True
    _can_record_outputs = {
        "temporal_attentions": OutputRecorder(MaskedAttention, index=1, layer_name="physio_model"),
        "temporal_hidden_states": [Positions, TransformerLayer],
        "cross_attentions": OutputRecorder(MaskedAttention, index=1, layer_name="fusion"),
        "fusion_hidden_states": CrossAttentionLayer,
    }

    def build(self) -> None:
        """The feature encoder and the fusion."""
        config = self.config
        size, heads = config.stream_size, config.num_attention_heads
        self.physio_projection = nn.Linear(config.physio_size, size)
        self.physio_model = TemporalTransformer(
            config, size, config.num_temporal_layers, heads, config.max_steps, config.dropout
        )
        self.fusion = CrossAttentionLayer(config, size, heads, config.dropout)

    def encode_physio(self, physio_values: Tensor, mask: Tensor) -> Stream:
        """Features (batch, steps, features) -> tokens (batch, steps, size)."""
        return Stream(self.physio_projection(physio_values), mask)

    def fuse(self, streams: dict[str, Stream]) -> dict:
        """Patches attend to the steps of the sequence, each aware of the others; pooled over them."""
        physio, mask = streams[PHYSIO][:2]
        physio = self.physio_model(physio, mask)
        return {"embeddings": self.pooling(*self.fusion(*streams[VIDEO][:2], physio, mask))}


class PhysioCrossAttentionForVideoClassification(RecordingForVideoClassification):
    """Frame patches attend to a sequence of features.

    ```
    frame ----> ViT, all tokens ----------- queries -----+
                                                         +-> cross-attention, feed-forward -> pooled -> 128 -> 64 -> 17
    features -> temporal transformer ------ keys, values +
    ```
    """

    config_class = PhysioCrossAttentionConfig
    trunk_class = PhysioCrossAttentionModel


__all__ = ["PhysioCrossAttentionModel", "PhysioCrossAttentionForVideoClassification"]
