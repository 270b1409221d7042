"""WaveNet as an encoder of the raw waveform (van den Oord et al. 2016, "WaveNet", arXiv:1609.03499)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer


class CausalConv1d(nn.Conv1d):
    """A convolution of two taps that sees the present and the sample `dilation` steps before, never the future."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1):
        super().__init__(in_channels, out_channels, kernel_size=2, dilation=dilation)

    def forward(self, signal: Tensor) -> Tensor:
        """(batch, in channels, samples) -> (batch, out channels, samples)."""
        return super().forward(F.pad(signal, (self.dilation[0], 0)))


class WaveNetLayer(GradientCheckpointingLayer):
    """Gated dilated convolution: tanh(filter) * sigmoid(gate), then a skip and, but for the last layer, a residual."""

    def __init__(self, channels: int, skip_channels: int, dilation: int, is_last: bool):
        super().__init__()
        self.gated = CausalConv1d(channels, 2 * channels, dilation)
        self.skip = nn.Conv1d(channels, skip_channels, kernel_size=1)
        self.residual = None if is_last else nn.Conv1d(channels, channels, kernel_size=1)

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels, samples) -> the same, and the skip (batch, skip channels, samples)."""
        values, gate = self.gated(signal).chunk(2, dim=1)
        values = torch.tanh(values) * torch.sigmoid(gate)
        return signal if self.residual is None else signal + self.residual(values), self.skip(values)


class WaveNetEncoder(nn.Module):
    """Raw waveform -> one token a hop.

    ```
    (batch, samples) -> channels -> [dilations 1, 2, 4, ... a stack] x stacks -> sum of skips -> ReLU
                     -> mean over each hop's real samples -> Linear -> (batch, hops, size)
    ```

    Causal, so what pads the end of a clip never reaches what is real.

    Args:
        size: of a token.
        channels: of the residual path.
        skip_channels: of the skips.
        layers_per_stack: dilations 1, 2, 4, ... in each stack.
        num_stacks: how often they repeat.
        hop_length: samples a token.
    """

    def __init__(
        self, size: int, channels: int, skip_channels: int, layers_per_stack: int, num_stacks: int, hop_length: int
    ):
        super().__init__()
        self.hop_length = hop_length
        self.input = CausalConv1d(1, channels)
        dilations = [2**power for _ in range(num_stacks) for power in range(layers_per_stack)]
        self.layers = nn.ModuleList(
            WaveNetLayer(channels, skip_channels, dilation, is_last=number == len(dilations))
            for number, dilation in enumerate(dilations, start=1)
        )
        self.output = nn.Linear(skip_channels, size)

    def forward(self, waveform: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode.

        Args:
            waveform (batch, samples): normalised.
            mask (batch, samples), bool: 1 = real.

        Returns:
            tokens (batch, hops, size), and which of them hold a real sample, bool (batch, hops).
        """
        padding = -waveform.shape[1] % self.hop_length
        mask = F.pad(mask, (0, padding)).unflatten(1, (-1, self.hop_length))  # (batch, hops, samples of a hop)
        signal = self.input(waveform.unsqueeze(1))
        total = signal.new_zeros(())
        for layer in self.layers:
            signal, skip = layer(signal)
            total = total + skip
        hops = F.pad(torch.relu(total), (0, padding)).unflatten(2, (-1, self.hop_length))
        weights = mask.to(hops.dtype)
        pooled = (hops * weights.unsqueeze(1)).sum(dim=3) / weights.sum(dim=2).clamp(min=1).unsqueeze(1)
        return self.output(pooled.transpose(1, 2)), mask.any(dim=2)
