"""Encoders of log-mel frames that learn from scratch.

Each maps its input to one vector a clip; padding, marked 0 in the attention mask, never changes it.
"""

import math

import torch
from torch import nn

from .checkpointing import CheckpointedLayer
from .configuration_trimodal import TrimodalConfig
from .pooling import POOLINGS, AttentionPooling

SMALL = 1e-4
"""Added to a variance before its root, whose gradient is infinite at 0: a clip of one frame has no variance."""

CEPSTRA = 20
"""Coefficients of a cepstrum that are kept: those that say how the spectrum is shaped, rather than its harmonics."""

LAGS = (1, 2, 4)
"""Frames over which a cepstrum's movement is measured; at a hop of 10 ms, from within a sound to between sounds."""


def masked_statistics(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation of `values` (batch, steps, size) over real steps, joined: (batch, 2 * size).

    `mask` (batch, steps) is 1 where a step is real; or any weights of the steps, which need not sum to 1.
    """
    weights = mask.to(values.dtype).unsqueeze(-1)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=SMALL)
    mean = (values * weights).sum(dim=1)
    variance = ((values - mean.unsqueeze(1)) ** 2 * weights).sum(dim=1)
    return torch.cat([mean, (variance + SMALL).sqrt()], dim=1)


def cepstrum(features: torch.Tensor) -> torch.Tensor:
    """Orthonormal DCT-II over the bands of log-mel `features` (batch, frames, bands): as many coefficients, of which
    neighbours say different things, where neighbouring bands say nearly the same."""
    size = features.shape[-1]
    places = torch.arange(size, device=features.device, dtype=torch.float32)
    basis = torch.cos(math.pi / size * torch.outer(places + 0.5, places)) * (2 / size) ** 0.5
    basis = torch.where(places == 0, basis / 2**0.5, basis)
    return features @ basis.to(features.dtype)


def movement(values: torch.Tensor, weights: torch.Tensor, lag: int) -> torch.Tensor:
    """Root of the mean square of how much `values` (batch, steps, size) change within `lag` steps: (batch, size).

    `weights` (batch, steps) of the steps: a change counts as much as the product of those at both its ends.
    """
    both = (weights[:, lag:] * weights[:, :-lag]).to(values.dtype).unsqueeze(-1)
    change = values[:, lag:] - values[:, :-lag]
    return ((change**2 * both).sum(dim=1) / both.sum(dim=1).clamp(min=SMALL) + SMALL).sqrt()


def functionals(features: torch.Tensor, mask: torch.Tensor, num_mel_bins: int) -> torch.Tensor:
    """What is said of a whole clip by the figures of its frames, as in openSMILE's feature sets (Eyben et al. 2010).

    Of the first `CEPSTRA` coefficients and of periodicity: mean, standard deviation and movement over all frames. Of
    the coefficients and of pitch: mean and standard deviation over frames as far as they are voiced; and pitch's
    movement.

    Args:
        features (batch, frames, mel bands + 2): log-mel, pitch and periodicity, 0 in padded frames.
        mask (batch, frames): 1 = real.
        num_mel_bins: mel bands.

    Returns:
        (batch, size): 7 figures of each coefficient, and 10 of pitch and periodicity.
    """
    bands, pitch, periodicity = features.split([num_mel_bins, 1, 1], dim=-1)
    coefficients = cepstrum(bands)[..., :CEPSTRA]
    heard, voiced = torch.cat([coefficients, periodicity], dim=-1), torch.cat([coefficients, pitch], dim=-1)
    weights = periodicity.squeeze(-1) ** 2
    return torch.cat(
        [masked_statistics(heard, mask), *(movement(heard, mask, lag) for lag in LAGS)]
        + [masked_statistics(voiced, weights), *(movement(pitch, weights, lag) for lag in LAGS)],
        dim=1,
    )


class AudioBlock(CheckpointedLayer):
    """Conv1d over time and ReLU; padded steps are 0 going in and coming out, as beyond the end of a lone clip."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`features` (batch, channels, steps), `mask` (batch, 1, steps) -> (batch, out channels, steps)."""
        return torch.relu(self.convolution(features)) * mask


class AudioConvolutions(nn.Module):
    """What the encoders made of blocks of convolutions share."""

    @property
    def first_layer(self) -> nn.Module:
        """The layer that the input meets first."""
        return next(part for part in self.modules() if isinstance(part, nn.Conv1d | nn.Conv2d))


class AudioCnn(AudioConvolutions):
    """Log-mel -> Conv1d -> Conv1d -> MaxPool1d 2 -> pooled over time.

    ```
    (batch, frames, mel bands) -> 64 channels -> 128 channels -> half the frames -> (batch, 128)
    ```
    """

    def __init__(self, config: TrimodalConfig):
        super().__init__()
        channels = config.audio_channels
        assert channels is not None
        self.output_size = channels[-1]
        sizes = [config.num_mel_bins, *channels]
        self.blocks = nn.ModuleList(AudioBlock(before, after) for before, after in zip(sizes, channels, strict=False))
        self.pooling = POOLINGS[config.pooling](self.output_size)

    def forward(self, input_features: torch.Tensor, feature_attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode a batch of clips.

        Args:
            input_features (batch, frames, mel bands): normalised log-mel energies.
            feature_attention_mask (batch, frames): 1 = real; 0 in all frames of a clip that is absent.

        Returns:
            (batch, channels of the last block).
        """
        return self.pooling(*self.steps(input_features, feature_attention_mask))

    def steps(
        self, input_features: torch.Tensor, feature_attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `forward` pools over time: (batch, half the frames, channels of the last block), and their mask."""
        mask = feature_attention_mask.to(input_features.dtype).unsqueeze(1)
        hidden = input_features.transpose(1, 2) * mask
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.pool(hidden).transpose(1, 2), self.pool(mask).squeeze(1)

    def pool(self, values: torch.Tensor) -> torch.Tensor:
        """The larger of every two steps of `values` (batch, channels, steps), which are at least 0.

        An odd last step is pooled with what follows it, which is 0 whether or not there is padding.
        """
        return nn.functional.max_pool1d(nn.functional.pad(values, (0, values.shape[-1] % 2)), 2)


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of each place by itself, so that no place, no clip and no batch sways another."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise `values` (batch, channels, bands, frames)."""
        return super().forward(values.movedim(1, -1)).movedim(-1, 1)


class AudioBlock2d(CheckpointedLayer):
    """Conv2d over bands and frames that halves both, LayerNorm, ReLU; padded frames are 0 going in and coming out."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: tuple[int, int]):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        self.norm = ChannelLayerNorm(out_channels)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`hidden` (batch, channels, bands, frames), `mask` (batch, 1, 1, frames that come out)."""
        return torch.relu(self.norm(self.convolution(hidden))) * mask


class AttentiveStatistics(AttentionPooling):
    """Mean and standard deviation over frames, each as weighty as a small network finds it (Okabe et al. 2018).

    "Attentive Statistics Pooling for Deep Speaker Embedding", Interspeech 2018.
    """

    def forward(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`values` (batch, frames, size), `mask` (batch, frames) -> (batch, 2 * size)."""
        return masked_statistics(values, self.weights(values, mask))


class PresentBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d whose statistics are those of the samples that are present; of fewer than two, the running ones."""

    running_mean: torch.Tensor
    running_var: torch.Tensor
    momentum: float

    def forward(self, values: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Normalise `values` (batch, size), where `present` (batch,) is 1."""
        if not self.training:
            return super().forward(values)
        number = present.sum()
        shares = (present / number.clamp(min=1)).to(values.dtype).unsqueeze(1)
        mean = (values * shares).sum(dim=0)
        variance = ((values - mean) ** 2 * shares).sum(dim=0)
        mean = torch.where(number > 1, mean, self.running_mean)
        variance = torch.where(number > 1, variance, self.running_var)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
        return (values - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias


class AudioCnn2d(AudioConvolutions):
    """Log-mel as a picture: statistics over time of its cepstrum, and of every block of 2-D convolutions.

    ```
    (batch, frames, bands) - cepstrum --------------> mean, std, movement of each coefficient --------+
            | Conv2d 5x5, halving bands and frames -> mean, std of each channel ----------------------+
            | Conv2d 3x3, halving both -------------> mean, std --------------------------------------+--> BatchNorm
            | ...                                                                                     |
            | the last halves the bands alone ------> attentive mean, std of each channel and band ---+
    ```

    What the cepstrum's statistics hold a classifier can use at once, so that a few hundred clips teach it something,
    and the batch norm brings all to one scale, as one standardises the features of an SVM.
    """

    def __init__(self, config: TrimodalConfig):
        super().__init__()
        num_mel_bins, channels = config.num_mel_bins, config.audio_channels
        assert channels is not None
        sizes, last = [1, *channels], len(channels) - 1
        self.strides = [2] * last + [1]
        self.blocks = nn.ModuleList(
            AudioBlock2d(before, after, kernel_size=3 if i else 5, stride=(2, self.strides[i]))
            for i, (before, after) in enumerate(zip(sizes, channels, strict=False))
        )
        bands = -(-num_mel_bins // 2 ** len(channels))
        self.pool = AttentiveStatistics(channels[-1] * bands)
        self.output_size = (2 + len(LAGS)) * num_mel_bins + 2 * sum(channels[:-1]) + 2 * channels[-1] * bands
        self.norm = PresentBatchNorm(self.output_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_features: torch.Tensor, feature_attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode a batch of clips: inputs as `AudioCnn.forward` -> (batch, `output_size`)."""
        mask = feature_attention_mask.to(input_features.dtype)
        present = mask.amax(dim=1)
        features = input_features * mask.unsqueeze(-1)
        coefficients = cepstrum(features)
        pooled = [masked_statistics(coefficients, mask), *(movement(coefficients, mask, lag) for lag in LAGS)]
        hidden = features.transpose(1, 2).unsqueeze(1)
        for block, stride in zip(self.blocks, self.strides, strict=True):
            mask = mask[:, ::stride]
            hidden = block(hidden, mask[:, None, None])
            if block is not self.blocks[-1]:
                pooled.append(masked_statistics(hidden.mean(dim=2).transpose(1, 2), mask))
        pooled.append(self.pool(hidden.flatten(1, 2).transpose(1, 2), mask))
        return self.dropout(self.norm(torch.cat(pooled, dim=1), present))


class AudioFunctionals(nn.Module):
    """Log-mel, pitch and periodicity -> `functionals` of the clip -> BatchNorm -> Dropout.

    Nothing in it but the norm is learned, so that a few hundred clips suffice for what follows it: a small network
    that learns from standardised functionals, as an SVM commonly does.
    """

    gradient_checkpointing = False  # said, since transformers refuses a model that has nothing to recompute

    def __init__(self, config: TrimodalConfig):
        super().__init__()
        self.num_mel_bins = config.num_mel_bins
        self.output_size = 7 * min(CEPSTRA, config.num_mel_bins) + 10
        self.norm = PresentBatchNorm(self.output_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_features: torch.Tensor, feature_attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode a batch of clips.

        Args:
            input_features (batch, frames, mel bands + 2): log-mel energies, pitch and periodicity.
            feature_attention_mask (batch, frames): 1 = real; 0 in all frames of a clip that is absent.

        Returns:
            (batch, `output_size`).

        Raises:
            ValueError: features of another width.
        """
        if input_features.shape[-1] != self.num_mel_bins + 2:
            raise ValueError(
                f"input_features of width {input_features.shape[-1]}: {self.num_mel_bins} mel bands, pitch and "
                "periodicity are needed; make them by LogMelFeatureExtractor(pitch=True)."
            )
        mask = feature_attention_mask.to(input_features.dtype)
        pooled = functionals(input_features * mask.unsqueeze(-1), mask, self.num_mel_bins)
        return self.dropout(self.norm(pooled, mask.amax(dim=1)))

    @property
    def first_layer(self) -> nn.Module:
        """The layer that the input meets first."""
        return self.norm


AUDIO_ENCODERS = {"cnn": AudioCnn, "cnn2d": AudioCnn2d, "functionals": AudioFunctionals}
"""By `TrimodalConfig.audio_encoder`."""
