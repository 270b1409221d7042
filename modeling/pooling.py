"""Pooling: steps (tokens, frames, moments) become one vector, by their mean or by learned attention.

What is padding changes nothing, and a sample without any step becomes 0.
"""

import torch
from torch import nn


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (batch, steps, size) over the steps that `mask` (batch, steps) marks 1 -> (batch, size).

    With weights in the place of the mask, which sum to 1 or are all 0, the weighted mean.
    """
    weights = mask.to(values.dtype).unsqueeze(-1)
    return (values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


class MeanPooling(nn.Module):
    """The mean over the real steps; nothing in it is learned.

    Args:
        size: of a step.
    """

    def __init__(self, size: int):
        super().__init__()

    def weights(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """How much each step of `values` (batch, steps, size) counts, (batch, steps): here `mask`, 1 = real."""
        return mask

    def forward(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`values` (batch, steps, size), `mask` (batch, steps), 1 = real -> (batch, size)."""
        return masked_mean(values, self.weights(values, mask))


class AttentionPooling(MeanPooling):
    """The mean over the real steps, each as weighty as a small network finds it: softmax(v tanh(W h + b)).

    Lin et al. 2017, "A Structured Self-attentive Sentence Embedding", ICLR; of sound Okabe et al. 2018 and Safari et
    al. 2020, "Self-attention Encoding and Pooling for Speaker Recognition", Interspeech.

    Args:
        size: of a step.
        hidden_size: of the network.
    """

    def __init__(self, size: int, hidden_size: int = 64):
        super().__init__(size)
        self.hidden = nn.Linear(size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)  # a bias would shift all steps alike

    def weights(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """How much each step of `values` (batch, steps, size) counts, (batch, steps): 0 where `mask` is, sum 1."""
        hidden = self.hidden(values.to(self.hidden.weight.dtype))
        scores = self.score(torch.tanh(hidden)).squeeze(-1)
        scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=1) * mask


POOLINGS = {"mean": MeanPooling, "attention": AttentionPooling}
"""By `AffectConfig.pooling`."""
