"""Encoders of sound that transformers has: every layer pooled over time, and the layers under learned weights.

Each maps its input to one vector a clip; padding, marked 0 in the attention mask, never changes it.
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from .configuration_trimodal import SOUND_ENCODERS
from .encoders import without_folder
from .pooling import POOLINGS, AttentionPooling, masked_mean

SETTLED = {
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "add_adapter": False,
    "use_intermediate_ffn_before_adapter": False,
}
"""Fields of every encoder's configuration, where it has them. A layer left out at random would bring those above it
under others' weights; what is masked at random is for the recipe's augmentation to say; and an adapter, which shortens
what the last layer gives, is no layer of the encoder."""


def _settle(config: PreTrainedConfig) -> PreTrainedConfig:
    for name, value in SETTLED.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return config


def audio_model_from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """A freshly initialised encoder of sound; of Whisper its encoder half."""
    if config.model_type == "whisper":
        return WhisperEncoder._from_config(_settle(config))
    return AutoModel.from_config(_settle(config))


def audio_model_from_pretrained(name_or_path: str) -> PreTrainedModel:
    """A pretrained encoder of sound from a folder or a Hub id, without any head; of Whisper its encoder half.

    Raises:
        ValueError: it is a model of another kind.
    """
    config = AutoConfig.from_pretrained(name_or_path)
    if config.model_type not in SOUND_ENCODERS:
        raise ValueError(
            f"audio_encoder={name_or_path!r} is a {config.model_type} model; these encode sound: "
            f"{', '.join(SOUND_ENCODERS)}."
        )
    model = AutoModel.from_pretrained(name_or_path, config=_settle(config), dtype=torch.float32)
    return without_folder(model.get_encoder() if config.model_type == "whisper" else model)


class LayerWeights(nn.Module):
    """Learned weights of an encoder's layers under a softmax, equal at first (Yang et al. 2021).

    "SUPERB: Speech processing Universal PERformance Benchmark", Interspeech 2021.
    """

    def __init__(self, layers: int):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Weighted sum of `vectors` (batch, layers, ..., size) -> (batch, ..., size)."""
        return (vectors * self.scores.softmax(dim=0).view(-1, *[1] * (vectors.dim() - 2))).sum(dim=1)


class PretrainedAudio(nn.Module):
    """An encoder of sound and the weights of its layers.

    ```
    sound -> convolutions or projection -> layer 1 -> ... -> layer N
                      |                       |                 |
                 mean over time         mean over time    mean over time --> (batch, N + 1, size) -> weighted sum
    ```

    The mean is over the steps that hold sound, at the encoder's own rate. With `pooling` by attention it is a weighted
    one, the same in all layers: a step's weight follows from the weighted sum of what the layers give there.

    Most encoders are given the mask and heed it; Whisper and the spectrogram transformer take clips of one length and
    attend to what pads them, as they were trained. With some, padding would leak into what is real: through a norm
    over time behind the first convolution (`feat_extract_norm="group"`: wav2vec 2.0, HuBERT and WavLM of base size),
    or through positional convolutions that are not masked (data2vec, mHuBERT). Of these, clips of different lengths
    are encoded one after another.
    """

    encoder: Any
    """A model of transformers, whose parts state no types."""

    def __init__(self, encoder: PreTrainedModel, pooling: str = "mean"):
        super().__init__()
        config = encoder.config
        self.encoder = encoder
        self.layer_weights = LayerWeights(config.num_hidden_layers + 1)
        self.output_size = config.hidden_size
        self.pooling = POOLINGS[pooling](self.output_size)
        self.kind = config.model_type
        self.main_input = "input_values" if hasattr(config, "conv_stride") else "input_features"
        """The forward argument of our models that carries what it takes."""
        self.leaks = (
            getattr(config, "feat_extract_norm", None) == "group"
            or getattr(config, "conv_pos_batch_norm", False)
            or self.kind == "data2vec-audio"
        )
        """Whether padding changes what is beside it."""

    @property
    def first_layer(self) -> nn.Module:
        """What the input goes through first."""
        return next(m for m in self.encoder.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear))

    def forward(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What every layer gives, pooled over time, before they are weighted.

        Args:
            inputs: samples (batch, samples), or frames (batch, frames, bands) of the encoder's own features.
            mask (batch, samples or frames): 1 = real.

        Returns:
            float32 (batch, layers + 1, size); the first is what goes into the first layer.
        """
        if not self.leaks:
            return self._pooled(inputs, mask)
        lengths = mask.sum(dim=1)
        rows = [(lengths == length).nonzero().flatten() for length in lengths.unique()]
        parts = [self._pooled(inputs[i, : lengths[i[0]]], mask[i, : lengths[i[0]]]) for i in rows]
        return torch.cat(parts)[torch.cat(rows).argsort()]

    def _pooled(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.kind == "whisper":
            output = self.encoder(input_features=inputs.transpose(1, 2), output_hidden_states=True)
        elif self.kind == "audio-spectrogram-transformer":
            output = self.encoder(input_values=inputs, output_hidden_states=True)
        else:
            padded = None if self.leaks else mask  # clips of one length have no padding
            output = self.encoder(inputs, attention_mask=padded, output_hidden_states=True)
        steps, first = self._steps(mask)
        states = [*output.hidden_states[:-1], output.last_hidden_state]  # the last one with its norm
        states = [state[:, first:].float() for state in states]
        if isinstance(self.pooling, AttentionPooling):
            steps = self.pooling.weights(self.layer_weights(torch.stack(states, dim=1)), steps)
        return torch.stack([masked_mean(state, steps) for state in states], dim=1)

    def _steps(self, mask: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Which steps of the encoder hold sound (batch, steps), 1 = real, and the first step that stands for any."""
        config = self.encoder.config
        if self.kind == "whisper":
            return mask[:, ::2], 0  # by the stride of its second convolution
        if self.kind == "audio-spectrogram-transformer":  # patches: those of a band after those of the one below
            bands, times = self.encoder.embeddings.get_shape(config)
            return mask[:, :: config.time_stride][:, :times].repeat(1, bands), 2  # behind two tokens for the whole
        if self.kind == "wav2vec2-bert":
            return mask, 0
        lengths, longest = mask.sum(dim=1), mask.shape[1]
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            lengths, longest = (lengths - kernel) // stride + 1, (longest - kernel) // stride + 1
        return (torch.arange(longest, device=mask.device) < lengths.unsqueeze(1)).long(), 0
