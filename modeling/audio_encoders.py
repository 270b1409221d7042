"""Encoders of log-mel frames that learn from scratch.

Each maps its input to one vector a clip; padding, marked 0 in the attention mask, never changes it.
"""

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .encoders import masked_mean


class AudioBlock(GradientCheckpointingLayer):
    """Conv1d over time and ReLU; padded steps are 0 going in and coming out, as beyond the end of a lone clip."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`features` (batch, channels, steps), `mask` (batch, 1, steps) -> (batch, out channels, steps)."""
        return torch.relu(self.convolution(features)) * mask


class AudioCnn(nn.Module):
    """Log-mel -> Conv1d -> Conv1d -> MaxPool1d 2 -> global average.

    ```
    (batch, frames, mel bands) -> 64 channels -> 128 channels -> half the frames -> (batch, 128)
    ```
    """

    def __init__(self, num_mel_bins: int, channels: list[int]):
        super().__init__()
        self.output_size = channels[-1]
        sizes = [num_mel_bins, *channels]
        self.blocks = nn.ModuleList(AudioBlock(before, after) for before, after in zip(sizes, channels, strict=False))
        # ceil_mode: an odd last frame is pooled with what follows it, which is 0 whether or not there is padding
        self.pool = nn.MaxPool1d(2, ceil_mode=True)

    def forward(self, input_features: torch.Tensor, feature_attention_mask: torch.Tensor | None) -> torch.Tensor:
        """Encode a batch of clips.

        Args:
            input_features (batch, frames, mel bands): normalised log-mel energies.
            feature_attention_mask (batch, frames), optional: 1 = real.

        Returns:
            (batch, channels of the last block).
        """
        if feature_attention_mask is None:
            feature_attention_mask = torch.ones(input_features.shape[:2], device=input_features.device)
        mask = feature_attention_mask.to(input_features.dtype).unsqueeze(1)
        hidden = input_features.transpose(1, 2) * mask
        for block in self.blocks:
            hidden = block(hidden, mask)
        return masked_mean(self.pool(hidden).transpose(1, 2), self.pool(mask).squeeze(1))
