"""Late fusion (C.2): every modality decides by itself, and those that are present are averaged."""

import torch

from .configuration_trimodal_late_fusion import TrimodalLateFusionConfig
from .fusion import average_present
from .modeling_trimodal import TrimodalForVideoClassification, TrimodalModel


class TrimodalLateFusionModel(TrimodalModel):
    """The trunk."""

    config_class = TrimodalLateFusionConfig


class TrimodalLateFusionForVideoClassification(TrimodalForVideoClassification):
    """Per-modality classifiers (hidden size -> 128 -> outputs), averaged over the modalities that are present."""

    config_class = TrimodalLateFusionConfig
    trunk_class = TrimodalLateFusionModel

    def fuse(self, embeddings: torch.Tensor, presence: torch.Tensor, modality_logits: torch.Tensor) -> dict:
        """The average of the present modalities' logits."""
        logits, shares = average_present(modality_logits, presence)
        return {"logits": logits, "modality_weights": shares}


__all__ = ["TrimodalLateFusionModel", "TrimodalLateFusionForVideoClassification"]
