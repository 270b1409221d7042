"""Configuration of cross-attention (B.2): patches of the frame attend to the feature sequence."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_recording import TINY_VIT, RecordingConfig
from .modalities import PHYSIO, VIDEO


@strict
class PhysioCrossAttentionConfig(RecordingConfig):
    """A `RecordingConfig` with a temporal transformer over the features and one cross-attention layer.

    8,222,737 parameters with d = 256: ViT of six layers 4,986,624; features 33 d + d, positions 100 d and three layers
    of 12 d^2 + 13 d, 2,403,584; cross-attention 12 d^2 + 15 d (its three norms included), 790,272; 256 -> 128 -> 64 ->
    17, 42,257. That sum leaves no room for a norm after the temporal layers: the cross-attention's key norm is theirs.

    Args:
        physio_size: how many features.
        max_steps: longest feature sequence.
        num_temporal_layers: layers over it.
        num_attention_heads: heads of these and of the cross-attention.
    """

    model_type = "physio_cross_attention"
    allowed_modalities = (VIDEO, PHYSIO)
    default_vision = {
        **TINY_VIT,
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "intermediate_size": 1024,
    }
    default_num_labels = 17  # the affect targets

    modalities: list[str] = field(default_factory=lambda: [VIDEO, PHYSIO])
    physio_size: int = 33
    max_steps: int = 100
    num_temporal_layers: int = 3
    num_attention_heads: int = 8
    head_sizes: list[int] = field(default_factory=lambda: [128, 64])
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.1, 0.1, 0.1])


__all__ = ["PhysioCrossAttentionConfig"]
