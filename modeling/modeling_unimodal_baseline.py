"""Unimodal baselines (C.1): one modality, its encoder and one classifier: the bar that fusion has to clear."""

import torch

from .configuration_unimodal_baseline import UnimodalBaselineConfig
from .modeling_trimodal import TrimodalForVideoClassification, TrimodalModel


class UnimodalBaselineModel(TrimodalModel):
    """The trunk."""

    config_class = UnimodalBaselineConfig


class UnimodalBaselineForVideoClassification(TrimodalForVideoClassification):
    """One encoder -> hidden size -> 128 -> outputs."""

    config_class = UnimodalBaselineConfig
    trunk_class = UnimodalBaselineModel

    def fuse(self, embeddings: torch.Tensor, presence: torch.Tensor, modality_logits: torch.Tensor) -> dict:
        """The one modality's logits."""
        return {"logits": modality_logits[:, 0]}


__all__ = ["UnimodalBaselineModel", "UnimodalBaselineForVideoClassification"]
