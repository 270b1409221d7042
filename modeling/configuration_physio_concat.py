"""Configuration of concatenation (B.1): a frame's vector beside that of its features."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_recording import TINY_VIT, RecordingConfig
from .modalities import PHYSIO, VIDEO


@strict
class PhysioConcatConfig(RecordingConfig):
    """A `RecordingConfig` with a vector of physiological and behavioural features.

    2,130,065 parameters: ViT 1,965,504; 33 -> 384 -> 192 with a LayerNorm 13,056 + 73,920 + 384;
    384 -> 192 -> 17 73,920 + 3,281.

    Args:
        physio_size: how many features.
        physio_hidden_size: width of their hidden layer.
    """

    model_type = "physio_concat"
    allowed_modalities = (VIDEO, PHYSIO)
    default_vision = TINY_VIT
    default_num_labels = 17  # the affect targets

    modalities: list[str] = field(default_factory=lambda: [VIDEO, PHYSIO])
    physio_size: int = 33
    physio_hidden_size: int = 384
    head_sizes: list[int] = field(default_factory=lambda: [192])
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.1, 0.1])

    @property
    def embedding_size(self) -> int:
        """Both vectors side by side."""
        return 2 * self.stream_size


__all__ = ["PhysioConcatConfig"]
