"""Patches of the frames attend to the raw waveform (AV)."""

from torch import Tensor

from .attention import CrossAttentionLayer, MaskedAttention
from .configuration_audio_visual_fusion import AudioVisualFusionConfig
from .modalities import AUDIO, VIDEO
from .modeling_recording import RecordingForVideoClassification, RecordingModel
from .tokens import Stream
from .wavenet import WaveNetEncoder


class AudioVisualFusionModel(RecordingModel):
    """ViT, WaveNet, cross-attention."""

    config_class = AudioVisualFusionConfig
    every_patch = True
    _can_record_outputs = {"cross_attentions": MaskedAttention, "fusion_hidden_states": CrossAttentionLayer}

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
        self.fusion = CrossAttentionLayer(config, config.stream_size, config.num_attention_heads, config.dropout)

    def encode_audio(self, input_values: Tensor, mask: Tensor) -> Stream:
        """Waveform (batch, samples) -> tokens (batch, hops, size)."""
        return Stream(*self.audio_model(input_values, mask))

    def fuse(self, streams: dict[str, Stream]) -> dict:
        """Patches attend to the hops of the waveform; pooled over them."""
        return {"embeddings": self.pooling(*self.fusion(*streams[VIDEO][:2], *streams[AUDIO][:2]))}


class AudioVisualFusionForVideoClassification(RecordingForVideoClassification):
    """Frame patches attend to the sound.

    ```
    frames ---> ViT each, all tokens -- queries -----+
                                                     +-> 8-head cross-attention, feed-forward -> pooled -> outputs
    waveform -> WaveNet --------------- keys, values +
    ```
    """

    config_class = AudioVisualFusionConfig
    trunk_class = AudioVisualFusionModel


__all__ = ["AudioVisualFusionModel", "AudioVisualFusionForVideoClassification"]
