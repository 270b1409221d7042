"""Patches of the frame attend to the feature sequence (B.2)."""

from torch import Tensor, nn

from .attention import CrossAttentionLayer, TemporalTransformer
from .configuration_physio_cross_attention import PhysioCrossAttentionConfig
from .encoders import masked_mean
from .modalities import PHYSIO, VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream


class PhysioCrossAttentionModel(RecordingModel):
    """ViT, temporal transformer over the features, cross-attention."""

    config_class = PhysioCrossAttentionConfig
    every_patch = True

    def build(self) -> None:
        """The feature encoder and the fusion."""
        config = self.config
        size, heads = config.stream_size, config.num_attention_heads
        self.physio_projection = nn.Linear(config.physio_size, size)
        self.physio_model = TemporalTransformer(
            size, config.num_temporal_layers, heads, config.max_steps, config.dropout
        )
        self.fusion = CrossAttentionLayer(size, heads, config.dropout)

    def encode_physio(self, physio_values: Tensor, mask: Tensor, output_attentions: bool) -> Stream:
        """Features (batch, steps, features) -> tokens (batch, steps, size)."""
        tokens, attentions = self.physio_model(self.physio_projection(physio_values), mask, output_attentions)
        return Stream(tokens, mask, {"temporal_attentions": attentions} if output_attentions else {})

    def fuse(self, streams: dict[str, Stream], output_attentions: bool = False) -> dict:
        """Patches attend to the steps of the sequence; the mean over them."""
        hidden, mask, weights = self.fusion(*streams[VIDEO][:2], *streams[PHYSIO][:2], output_attentions)
        attentions = {"cross_attentions": (weights,)} if output_attentions else {}
        return {"embeddings": masked_mean(hidden, mask), **attentions}


class PhysioCrossAttentionForVideoClassification(RecordingForVideoClassification):
    """Frame patches attend to a sequence of features.

    ```
    frame ----> ViT, all tokens ----------- queries -----+
                                                         +-> cross-attention, feed-forward -> mean -> 128 -> 64 -> 17
    features -> temporal transformer ------ keys, values +
    ```
    """

    config_class = PhysioCrossAttentionConfig
    trunk_class = PhysioCrossAttentionModel


__all__ = ["PhysioCrossAttentionModel", "PhysioCrossAttentionForVideoClassification"]
