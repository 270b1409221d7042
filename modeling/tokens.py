"""A modality on its way through a model: its tokens, and which of them are real."""

from typing import NamedTuple

import torch
from torch import Tensor


class Stream(NamedTuple):
    """Tokens of one modality.

    Args:
        tokens (batch, tokens, size).
        mask (batch, tokens), bool: 1 = real; a sample without the modality has none.
        recorded: hidden states and attentions of its encoder, by field of the output; empty unless asked for.
    """

    tokens: Tensor
    mask: Tensor
    recorded: dict[str, tuple[Tensor, ...]] = {}

    @property
    def present(self) -> Tensor:
        """Samples that hold anything, bool (batch,)."""
        return self.mask.any(dim=1)

    def where(self, samples: Tensor) -> "Stream":
        """The same stream, hidden outside `samples`, bool (batch,)."""
        return self._replace(mask=self.mask & samples.unsqueeze(1))

    def blank(self) -> "Stream":
        """A stream of one token that is not real, in place of a modality that nobody passed."""
        mask = torch.zeros_like(self.mask[:, :1])
        return Stream(torch.zeros_like(self.tokens[:, :1]), mask)


def stand_in(stream: Stream, other: Stream) -> Stream:
    """`stream`, and behind it `other`, which is real only in the samples where `stream` holds nothing.

    So that a sample that lacks the modality which asks the questions goes on with the one that it has.
    """
    mask = torch.cat([stream.mask, other.mask & ~stream.present.unsqueeze(1)], dim=1)
    return Stream(torch.cat([stream.tokens, other.tokens], dim=1), mask)
