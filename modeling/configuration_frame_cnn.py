"""Configuration of the small convolutional network (A.1)."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_recording import RecordingConfig
from .modalities import VIDEO


@strict
class FrameCnnConfig(RecordingConfig):
    """A `RecordingConfig` whose frame encoder is a few convolutional blocks. 1,699,841 parameters.

    Blocks 896 + 64, 18,496 + 128 and 73,856 + 256, then 6272 * 256 + 256 and 257.

    Args:
        channels: output channels of each block.
        block_dropouts: Dropout2d after each block's pooling, for all but the last.
        pooled_size: height and width that the last block's adaptive pooling leaves; 1 = global average.
    """

    model_type = "frame_cnn"
    allowed_modalities = (VIDEO,)

    channels: list[int] = field(default_factory=lambda: [32, 64, 128])
    block_dropouts: list[float | int] = field(default_factory=lambda: [0.3, 0.4])
    pooled_size: int = 7
    head_sizes: list[int] = field(default_factory=lambda: [256])
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.7, 0.5])
    head_activation: str = "relu"

    @classmethod
    def deep(cls, **values: object) -> "FrameCnnConfig":
        """The preset with four blocks and global average pooling; 1,947,137 parameters.

        Args:
            values: fields of the configuration.
        """
        preset = {
            "channels": [64, 128, 256, 512],
            "block_dropouts": [0.3, 0.4, 0.4],
            "pooled_size": 1,
            "head_sizes": [512, 256],
            "head_dropouts": [0.7, 0.5, 0.5],
        }
        return cls(**{**preset, **values})

    @property
    def stream_size(self) -> int:
        """Width of a frame's vector."""
        return self.channels[-1] * self.pooled_size**2

    def validate_blocks(self) -> None:
        """Refuse dropouts that do not go with the blocks."""
        if len(self.block_dropouts) != len(self.channels) - 1:
            raise ValueError(
                f"channels={self.channels}, block_dropouts={self.block_dropouts}: one dropout for each block but the "
                "last."
            )


__all__ = ["FrameCnnConfig"]
