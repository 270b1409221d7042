"""A pretrained frame encoder and features under two learned weights (B.3)."""

import torch
from torch import Tensor, nn
from transformers.utils.output_capturing import OutputRecorder

from .attention import MaskedAttention, TransformerLayer
from .configuration_physio_pretrained_fusion import PhysioPretrainedFusionConfig
from .fusion import ModalityWeights
from .heads import MlpHead
from .modalities import PHYSIO, VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream, stand_in


def normed_layers(sizes: list[int]) -> nn.Sequential:
    """Linear, LayerNorm, GELU from each size to the next: (..., first size) -> (..., last size)."""
    steps = zip(sizes, sizes[1:], strict=False)
    return nn.Sequential(*(layer for a, b in steps for layer in (nn.Linear(a, b), nn.LayerNorm(b), nn.GELU())))


class PhysioPretrainedFusionModel(RecordingModel):
    """ViT-B/16, feature layers, attention, learned weights, one transformer layer."""

    config_class = PhysioPretrainedFusionConfig
    every_patch = True
    _can_record_outputs = {
        "cross_attentions": OutputRecorder(MaskedAttention, index=1, layer_name="cross_attention"),
        "fusion_attentions": OutputRecorder(MaskedAttention, index=1, layer_name="layer"),
        "fusion_hidden_states": TransformerLayer,
    }

    def build(self) -> None:
        """The projections and the fusion."""
        config = self.config
        size, heads = config.fusion_size, config.num_attention_heads
        self.vision_projection = normed_layers([self.vision_model.config.hidden_size, size])
        self.physio_model = normed_layers([config.physio_size, *config.physio_hidden_sizes, size])
        self.cross_attention = MaskedAttention(config, size, heads, config.dropout)
        self.modality_weights = ModalityWeights(config.initial_modality_weights)
        self.layer = TransformerLayer(config, size, heads, config.dropout)

    def encode_video(self, pixel_values_videos: Tensor, mask: Tensor, **requests) -> Stream:
        """Pixels (batch, frames, 3, height, width) -> projected tokens of all frames."""
        stream = super().encode_video(pixel_values_videos, mask, **requests)
        return stream._replace(tokens=self.vision_projection(stream.tokens))

    def encode_physio(self, physio_values: Tensor, mask: Tensor) -> Stream:
        """Features (batch, steps, features) -> tokens (batch, steps, size)."""
        return Stream(self.physio_model(physio_values), mask)

    def fuse(self, streams: dict[str, Stream]) -> dict:
        """Patches, and what they draw from the features, under the two weights; a transformer layer; pooled."""
        video, physio = streams[VIDEO], streams[PHYSIO]
        attended, _ = self.cross_attention(video.tokens, physio.tokens, physio.mask)
        weights = self.modality_weights(torch.stack([video.present, physio.present], dim=1))  # (batch, 2)
        video_weight, physio_weight = weights.unsqueeze(-1).unsqueeze(-1).unbind(dim=1)
        mixed = Stream(video_weight * video.tokens + physio_weight * attended, video.mask)
        hidden, mask, _ = stand_in(mixed, physio)  # where the features stand alone their weight is 1
        return {"embeddings": self.pooling(self.layer(hidden, mask), mask), "modality_weights": weights}


class PhysioPretrainedFusionForVideoClassification(RecordingForVideoClassification):
    """A pretrained ViT attends to features; two learned weights say how much each counts.

    ```
    frame ----> ViT-B/16, all tokens -> 512 -+-----------------------> * w_video --+
                                             +-> 8-head attention ---> * w_physio -+-> transformer layer -> pooled
    features -> 66 -> 132 -> 512 ------------+                                            -> 256 -> 128 -> outputs
    ```
    """

    config_class = PhysioPretrainedFusionConfig
    trunk_class = PhysioPretrainedFusionModel

    def build_head(self) -> nn.Module:
        """With a LayerNorm after each hidden layer."""
        config = self.config
        return MlpHead(
            config.embedding_size,
            config.head_sizes,
            config.num_outputs,
            config.head_dropouts,
            config.head_activation,
            norm=True,
        )


__all__ = ["PhysioPretrainedFusionModel", "PhysioPretrainedFusionForVideoClassification"]
