"""Configuration of pretrained fusion (B.3): ViT-B/16 and features under two learned weights."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_recording import RecordingConfig
from .modalities import PHYSIO, VIDEO


@strict
class PhysioPretrainedFusionConfig(RecordingConfig):
    """A `RecordingConfig` with a pretrained frame encoder and learned modality weights.

    90,644,207 parameters: ViT-B/16 85,798,656; 768 -> 512 with LayerNorm 394,752; 33 -> 66 -> 132 -> 512 with a
    LayerNorm after each 79,184 + 1,420; attention 1,050,624; two weights; one transformer layer 3,152,384;
    512 -> 256 -> 128 -> 17 with LayerNorm after both hidden layers 166,417 + 768.

    Args:
        physio_size: how many features.
        physio_hidden_sizes: widths on their way to `fusion_size`.
        fusion_size: width in which the modalities meet.
        num_attention_heads: heads of the cross-attention and of the transformer layer.
        initial_modality_weights: of video and features before training; they sum to 1.
    """

    model_type = "physio_pretrained_fusion"
    allowed_modalities = (VIDEO, PHYSIO)
    default_vision = {"model_type": "vit"}  # transformers' default is ViT-B/16
    default_num_labels = 17  # the affect targets

    modalities: list[str] = field(default_factory=lambda: [VIDEO, PHYSIO])
    physio_size: int = 33
    physio_hidden_sizes: list[int] = field(default_factory=lambda: [66, 132])
    fusion_size: int = 512
    num_attention_heads: int = 8
    initial_modality_weights: list[float] = field(default_factory=lambda: [0.6, 0.4])
    head_sizes: list[int] = field(default_factory=lambda: [256, 128])
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.1, 0.1, 0.1])

    @property
    def stream_size(self) -> int:
        """Width in which the modalities meet."""
        return self.fusion_size

    def validate_weights(self) -> None:
        """Refuse initial weights that are no shares of two modalities."""
        weights = self.initial_modality_weights
        if len(weights) != 2 or min(weights) <= 0 or abs(sum(weights) - 1) > 1e-6:
            raise ValueError(f"initial_modality_weights={weights}: two positive numbers that sum to 1 are needed.")


__all__ = ["PhysioPretrainedFusionConfig"]
