"""Patches of the frames attend to the raw waveform (AV)."""

from torch import Tensor

from .attention import CrossAttentionLayer
from .configuration_audio_visual_fusion import AudioVisualFusionConfig
from .encoders import masked_mean
from .modalities import AUDIO, VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream
from .wavenet import WaveNetEncoder


class AudioVisualFusionModel(RecordingModel):
    """ViT, WaveNet, cross-attention."""

    config_class = AudioVisualFusionConfig
    every_patch = True

    def build(self) -> None:
        """The audio encoder and the fusion."""
        config = self.config
        self.audio_model = WaveNetEncoder(
            size=config.stream_size,
            channels=config.wavenet_channels,
            skip_channels=config.wavenet_skip_channels,
            layers_per_stack=config.wavenet_layers,
            num_stacks=config.wavenet_stacks,
            hop_length=config.hop_length,
        )
        self.fusion = CrossAttentionLayer(config.stream_size, config.num_attention_heads, config.dropout)

    def encode_audio(self, input_values: Tensor, mask: Tensor, output_attentions: bool) -> Stream:
        """Waveform (batch, samples) -> tokens (batch, hops, size)."""
        return Stream(*self.audio_model(input_values, mask))

    def fuse(self, streams: dict[str, Stream], output_attentions: bool = False) -> dict:
        """Patches attend to the hops of the waveform; the mean over them."""
        hidden, mask, weights = self.fusion(*streams[VIDEO][:2], *streams[AUDIO][:2], output_attentions)
        attentions = {"cross_attentions": (weights,)} if output_attentions else {}
        return {"embeddings": masked_mean(hidden, mask), **attentions}


class AudioVisualFusionForVideoClassification(RecordingForVideoClassification):
    """Frame patches attend to the sound.

    ```
    frames ---> ViT each, all tokens -- queries -----+
                                                     +-> 8-head cross-attention, feed-forward -> mean -> outputs
    waveform -> WaveNet --------------- keys, values +
    ```
    """

    config_class = AudioVisualFusionConfig
    trunk_class = AudioVisualFusionModel


__all__ = ["AudioVisualFusionModel", "AudioVisualFusionForVideoClassification"]
