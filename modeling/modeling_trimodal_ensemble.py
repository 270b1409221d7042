"""The ensemble (C.3): an early and a late fusion path, mixed by two learned weights."""

import torch
from torch import nn

from .configuration_trimodal_ensemble import TrimodalEnsembleConfig
from .fusion import EarlyFusion, PathWeights, average_present
from .modeling_trimodal import TrimodalForVideoClassification, TrimodalModel


class TrimodalEnsembleModel(TrimodalModel):
    """The trunk."""

    config_class = TrimodalEnsembleConfig


class TrimodalEnsembleForVideoClassification(TrimodalForVideoClassification):
    """Early and late fusion under learned weights.

    ```
    embeddings -+- concatenated -> 512 (BatchNorm, ReLU, Dropout 0.4) -> 256 (same, 0.3) -> outputs -- * w_e -+- sum
                +- a classifier each -> average over the present ------------------------------------- * w_l -+
    ```
    """

    config_class = TrimodalEnsembleConfig
    trunk_class = TrimodalEnsembleModel

    def build_fusion(self) -> None:
        """The early path's layers and the two paths' weights."""
        config = self.config
        width = config.hidden_size * len(config.modalities)
        self.early_fusion = EarlyFusion(width, config.fusion_sizes, config.fusion_dropouts)
        self.early_classifier = nn.Linear(config.fusion_sizes[-1], config.num_outputs)
        self.path_weights = PathWeights()

    def fuse(self, embeddings: torch.Tensor, presence: torch.Tensor, modality_logits: torch.Tensor) -> dict:
        """(early * w_e + late * w_l) / (w_e + w_l), w = sigmoid of two learned scalars."""
        early = self.early_classifier(self.early_fusion(embeddings.flatten(1)))
        late, shares = average_present(modality_logits, presence)
        weights = self.path_weights()
        return {
            "logits": weights[0] * early + weights[1] * late,
            "modality_weights": shares,
            "path_weights": weights,
        }


__all__ = ["TrimodalEnsembleModel", "TrimodalEnsembleForVideoClassification"]
