"""Classifiers and their losses."""

import torch
from torch import Tensor, nn
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
    logits: Tensor,
    labels: Tensor,
    problem_type: str,
    class_weights: list[float] | None = None,
    focal_gamma: float = 0.0,
    sample_weights: Tensor | None = None,
    pos_weight: list[float] | None = None,
) -> Tensor:
    """Loss of one task, a scalar: the mean over what is known, weighted; 0 where nothing is.

    Args:
        logits (batch, labels).
        labels: for "single_label_classification" ids, int (batch,), -100 = unknown; or shares of the labels, float
            (batch, labels), which sum to 1, a row with NaN = unknown. For "multi_label_classification" (one label
            makes it binary) in 0..1 and for "regression": float (batch, labels), NaN = unknown, and (batch,) serves
            where there is one label.
        problem_type: one of the three.
        class_weights: of a single label one a class, or None; shares are weighted by the mean weight of their labels.
        focal_gamma: exponent of the focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection"); 0 = off.
        sample_weights (batch,), optional: how much each sample counts.
        pos_weight: of several labels one a label, or None: how much its presence counts, where its absence counts 1.

    Raises:
        ValueError: labels or weights of another type or shape.
    """
    check_labels(logits, labels, problem_type)
    if sample_weights is not None and sample_weights.shape != logits.shape[:1]:
        raise ValueError(f"sample_weights of shape {tuple(sample_weights.shape)}: ({len(logits)},) is needed.")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # sums and counts need its digits
    if problem_type == "single_label_classification":
        weights = _like(logits, class_weights)
        if not (focal_gamma or labels.is_floating_point() or sample_weights is not None):
            return _cross_entropy(logits, labels, weights)
        losses, scale = _single_label_losses(logits, labels, weights, focal_gamma)
    elif problem_type == "multi_label_classification":
        losses, scale = _multi_label_losses(logits, labels, _like(logits, pos_weight), focal_gamma)
    else:
        values, scale = _known_values(logits, labels)
        losses = F.mse_loss(logits, values, reduction="none")
    if sample_weights is not None:
        scale = scale * sample_weights.to(scale.dtype).view(-1, *[1] * (scale.dim() - 1))
    total = scale.sum()
    return (scale * losses).sum() / torch.where(total > 0, total, 1)


def _like(logits: Tensor, weights: list[float] | None) -> Tensor | None:
    """Weights (labels,) beside the logits and as precise, where there are some."""
    return None if weights is None else torch.tensor(weights, device=logits.device, dtype=logits.dtype)


def check_labels(logits: Tensor, labels: Tensor, problem_type: str) -> None:
    """ValueError, with what is needed, for labels whose type or shape does not go with the problem type.

    Args:
        logits (batch, labels).
        labels: as `classification_loss`.
        problem_type: of the task.
    """
    batch, count = logits.shape
    shapes, shares = {(batch, count)}, f"float ({batch}, {count})"
    if problem_type == "single_label_classification":
        fits = labels.shape == (batch, count) if labels.is_floating_point() else labels.shape == (batch,)
        needed = f"ids, int ({batch},), -100 = unknown, or shares of the labels, {shares}, NaN = unknown"
    else:
        shapes |= {(batch,)} if count == 1 else set()
        fits = tuple(labels.shape) in shapes
        kind = "0..1" if problem_type == "multi_label_classification" else "numbers"
        needed = f"{kind}, {shares}, NaN = unknown (ids of one label a sample: single_label_classification)"
    if not fits:
        kind = str(labels.dtype).removeprefix("torch.")
        raise ValueError(f"labels {kind} {tuple(labels.shape)} for problem_type={problem_type!r}: pass {needed}.")


def _known_values(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Values (batch, labels), 0 where unknown, and which are known, 0 or 1 likewise."""
    labels = labels.to(logits.dtype).view_as(logits)
    known = ~labels.isnan()
    return torch.where(known, labels, 0), known.to(logits.dtype)


def _multi_label_losses(
    logits: Tensor, labels: Tensor, pos_weight: Tensor | None, focal_gamma: float
) -> tuple[Tensor, Tensor]:
    """Losses (batch, labels), and how much each counts."""
    labels, known = _known_values(logits, labels)
    losses = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=pos_weight, reduction="none")
    if focal_gamma:
        probability_of_truth = torch.where(labels > 0.5, logits.sigmoid(), 1 - logits.sigmoid())
        losses = losses * (1 - probability_of_truth) ** focal_gamma
    return losses, known


def _cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """PyTorch's mean over the known labels to its last digit, but 0 where there are none."""
    labels = labels.long()
    total = F.cross_entropy(logits, labels, weight=weights, reduction="sum")
    count = F.nll_loss(-torch.ones_like(logits), labels, weight=weights, reduction="sum")
    return total / torch.where(count > 0, count, 1)


def _single_label_losses(
    logits: Tensor, labels: Tensor, weights: Tensor | None, focal_gamma: float
) -> tuple[Tensor, Tensor]:
    """Losses (batch,), and how much each counts: -log p(truth), or the KL divergence from the shares to p."""
    if labels.is_floating_point():
        known = ~labels.isnan().any(dim=1)
        shares = torch.where(known.unsqueeze(1), labels, 0).to(logits.dtype)
        losses = F.kl_div(logits.log_softmax(dim=1), shares, reduction="none").sum(dim=1)
        scale = known.to(logits.dtype) if weights is None else (shares * weights).sum(dim=1)
    else:
        known, labels = labels != -100, labels.long()
        losses = F.cross_entropy(logits, labels, reduction="none")
        scale = known.to(logits.dtype) * (1 if weights is None else weights[labels.clamp(min=0)])
    if focal_gamma:
        missed = torch.where(known, 1 - torch.exp(-losses), 1).clamp(min=0)  # rounding may leave it below
        losses = missed**focal_gamma * losses
    return losses, scale
