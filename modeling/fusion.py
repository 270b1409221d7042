"""Blocks that join modalities."""

import math

import torch
from torch import nn

from .tokens import Stream


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


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm1d that normalises a training batch of one, which has no variance, by the running statistics.

    Such a batch is the last of an epoch whenever the rows leave a remainder of one; dropping it instead would, in
    transformers' Trainer, drop the last rows of every evaluation too.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise `values` (batch, size)."""
        if self.training and len(values) == 1:
            mean, variance = self.running_mean, self.running_var
            return nn.functional.batch_norm(values, mean, variance, self.weight, self.bias, eps=self.eps)
        return super().forward(values)


class EarlyFusion(nn.Sequential):
    """Linear, BatchNorm, ReLU, Dropout a layer, on concatenated embeddings: (batch, in) -> (batch, last size)."""

    def __init__(self, in_size: int, sizes: list[int], dropouts: list[float]):
        layers = []
        for before, after, dropout in zip([in_size, *sizes], sizes, dropouts, strict=False):
            layers += [nn.Linear(before, after), BatchNorm(after), nn.ReLU(), nn.Dropout(dropout)]
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


class ModalityWeights(nn.Module):
    """Learned weights of the modalities under a softmax, which sample by sample goes over those that are present.

    Args:
        initial: the weights before training; they sum to 1.
    """

    def __init__(self, initial: list[float]):
        super().__init__()
        self.initial = list(initial)
        self.scores = nn.Parameter(torch.empty(len(initial)))  # filled by `_init_weights`, with `initial_scores`

    def initial_scores(self) -> torch.Tensor:
        """Scores whose softmax is `initial`."""
        return torch.tensor(self.initial).log()

    def forward(self, presence: torch.Tensor) -> torch.Tensor:
        """`presence` bool (batch, modalities) -> weights (batch, modalities), 0 where absent; they sum to 1."""
        return self.scores.expand_as(presence).masked_fill(~presence, float("-inf")).softmax(dim=1)


def sinusoids(steps: int, size: int, like: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of each step's place (steps, size), `size` even (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, size, 2, device=like.device) * (-math.log(1e4) / size))
    angles = torch.outer(torch.arange(steps, device=like.device).float(), rates)
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(like.dtype)


class ModalityTokens(nn.Module):
    """Tokens of one modality made like those of the others: projected and normed, and told where in time they stand.

    The norm's bias is what tells this modality from the others. How much the time counts is learned, from 0.
    """

    def __init__(self, in_size: int, size: int, dropout: float):
        super().__init__()
        self.projection = nn.Linear(in_size, size)
        self.norm = nn.LayerNorm(size)
        self.time_scale = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, stream: Stream) -> Stream:
        """Tokens (batch, tokens, in size) -> (batch, tokens, size)."""
        tokens = self.norm(self.projection(stream.tokens.to(self.projection.weight.dtype)))
        places = sinusoids(*tokens.shape[1:], like=tokens)
        return stream._replace(tokens=self.dropout(tokens + self.time_scale * places))
