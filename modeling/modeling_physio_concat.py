"""Concatenation of a frame's vector and of its features' (B.1)."""

import torch
from torch import Tensor, nn

from .configuration_physio_concat import PhysioConcatConfig
from .encoders import masked_mean
from .modalities import PHYSIO, VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream


class PhysioConcatModel(RecordingModel):
    """ViT beside an MLP."""

    config_class = PhysioConcatConfig

    def build(self) -> None:
        """The MLP over the features."""
        config = self.config
        self.physio_model = nn.Sequential(
            nn.Linear(config.physio_size, config.physio_hidden_size),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.physio_hidden_size, config.stream_size),
            nn.LayerNorm(config.stream_size),
        )

    def encode_physio(self, physio_values: Tensor, mask: Tensor) -> Stream:
        """Features (batch, steps, features) -> tokens (batch, steps, size)."""
        return Stream(self.physio_model(physio_values), mask)

    def fuse(self, streams: dict[str, Stream]) -> dict:
        """Each modality's mean, side by side; an absent one is 0, which no LayerNorm's output is."""
        return {"embeddings": torch.cat([masked_mean(*streams[name][:2]) for name in (VIDEO, PHYSIO)], dim=1)}


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
