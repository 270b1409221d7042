"""Blocks that join modalities."""

import torch
from torch import nn


def average_present(values: torch.Tensor, presence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Average over the modalities that are present.

    Args:
        values (batch, modalities, size).
        presence (batch, modalities), bool.

    Returns:
        mean (batch, size), and each modality's share (batch, modalities), which sums to 1 in every sample.
    """
    shares = presence.to(values.dtype)
    shares = shares / shares.sum(dim=1, keepdim=True)
    return (values * shares.unsqueeze(-1)).sum(dim=1), shares


class EarlyFusion(nn.Sequential):
    """Linear, BatchNorm, ReLU, Dropout a layer, on concatenated embeddings: (batch, in) -> (batch, last size)."""

    def __init__(self, in_size: int, sizes: list[int], dropouts: list[float]):
        layers = []
        for before, after, dropout in zip([in_size, *sizes], sizes, dropouts, strict=False):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers)


class PathWeights(nn.Module):
    """Two learned scalars under a sigmoid: the weights of the early and of the late path."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(2))

    def forward(self) -> torch.Tensor:
        """Shares (2,) of the early and the late path; they sum to 1."""
        weights = self.scores.sigmoid()
        return weights / weights.sum()
