"""Classifiers and their losses."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN


class ClassifierHead(nn.Sequential):
    """Linear, ReLU, Dropout, Linear: (batch, in size) -> (batch, outputs)."""

    def __init__(self, in_size: int, hidden_size: int, num_outputs: int, dropout: float):
        super().__init__(
            nn.Linear(in_size, hidden_size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_size, num_outputs)
        )


class MlpHead(nn.Sequential):
    """Linear layers with what belongs between them: (batch, in size) -> (batch, outputs).

    Args:
        in_size: width of the input.
        hidden_sizes: widths of the hidden layers; none for a plain linear classifier.
        num_outputs: width of the output.
        dropouts: dropout before each linear layer, one more than there are hidden layers.
        activation: after each hidden layer, by its name in transformers.
        norm: LayerNorm between each hidden layer and its activation.
    """

    def __init__(
        self,
        in_size: int,
        hidden_sizes: list[int],
        num_outputs: int,
        dropouts: list[float],
        activation: str = "gelu",
        norm: bool = False,
    ):
        layers = []
        for before, after, dropout in zip([in_size, *hidden_sizes], hidden_sizes, dropouts, strict=False):
            layers += [nn.Dropout(dropout), nn.Linear(before, after)]
            layers += [nn.LayerNorm(after)] * norm + [ACT2FN[activation]]
        sizes = [in_size, *hidden_sizes]
        super().__init__(*layers, nn.Dropout(dropouts[-1]), nn.Linear(sizes[-1], num_outputs))


def classification_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    problem_type: str,
    class_weights: list[float] | None = None,
    focal_gamma: float = 0.0,
) -> torch.Tensor:
    """Loss of one task, a scalar.

    Args:
        logits (batch, labels).
        labels: int (batch,), -100 = unlabelled, for "single_label_classification"; float (batch, labels) in 0..1 for
            "multi_label_classification" (one label makes it binary) and "regression"; (batch,) serves where there is
            one label.
        problem_type: one of the three.
        class_weights: one a label, or None.
        focal_gamma: exponent of the focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection"); 0 = off.
    """
    weights = None if class_weights is None else torch.tensor(class_weights, device=logits.device, dtype=logits.dtype)
    if problem_type == "single_label_classification":
        return _single_label_loss(logits, labels, weights, focal_gamma)
    labels = labels.to(logits.dtype).view_as(logits)
    if problem_type == "regression":
        return F.mse_loss(logits, labels)
    loss = F.binary_cross_entropy_with_logits(logits, labels, weight=weights, reduction="none")
    if focal_gamma:
        probability_of_truth = torch.where(labels > 0.5, logits.sigmoid(), 1 - logits.sigmoid())
        loss = loss * (1 - probability_of_truth) ** focal_gamma
    return loss.mean()


def _single_label_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, focal_gamma: float
) -> torch.Tensor:
    if not focal_gamma:
        return F.cross_entropy(logits, labels, weight=weights)
    plain = F.cross_entropy(logits, labels, reduction="none")  # -log p(truth); 0 where unlabelled
    known = (labels != -100).to(logits.dtype)
    scale = known if weights is None else known * weights[labels.clamp(min=0)]
    return (scale * (1 - torch.exp(-plain)) ** focal_gamma * plain).sum() / scale.sum().clamp(min=1e-12)
