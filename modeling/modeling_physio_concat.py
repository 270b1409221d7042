"""Concatenation of a frame's vector and of its features' (B.1)."""

import torch
from torch import Tensor, nn

from .configuration_physio_concat import PhysioConcatConfig
from .modalities import PHYSIO, VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .pooling import POOLINGS
from .tokens import Stream


class PhysioConcatModel(RecordingModel):
    """ViT beside an MLP."""

    config_class = PhysioConcatConfig

    def build(self) -> None:
        """The MLP over the features, and what pools them."""
        config = self.config
        self.physio_model = nn.Sequential(
            nn.Linear(config.physio_size, config.physio_hidden_size),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.physio_hidden_size, config.stream_size),
            nn.LayerNorm(config.stream_size),
        )
        self.physio_pooling = POOLINGS[config.pooling](config.stream_size)

    def encode_physio(self, physio_values: Tensor, mask: Tensor) -> Stream:
        """Features (batch, steps, features) -> tokens (batch, steps, size)."""
        return Stream(self.physio_model(physio_values), mask)

    def fuse(self, streams: dict[str, Stream]) -> dict:
        """Each modality pooled, side by side; an absent one is 0, which no LayerNorm's output is."""
        video, physio = self.pooling(*streams[VIDEO][:2]), self.physio_pooling(*streams[PHYSIO][:2])
        return {"embeddings": torch.cat([video, physio], dim=1)}


class PhysioConcatForVideoClassification(RecordingForVideoClassification):
    """Frame and features, concatenated.

    ```
    frame ----> ViT, class token -------------+
                                              +-> 384 -> 192 -> outputs
    features -> 384 -> 192, LayerNorm --------+
    ```
    """

    config_class = PhysioConcatConfig
    trunk_class = PhysioConcatModel


__all__ = ["PhysioConcatModel", "PhysioConcatForVideoClassification"]
