"""A small convolutional network on frames, from scratch (A.1)."""

from torch import Tensor, nn

from .checkpointing import run_stages
from .configuration_frame_cnn import FrameCnnConfig
from .modeling_recording import RecordingForVideoClassification, RecordingModel


def conv_block(in_channels: int, out_channels: int, pool: nn.Module, dropout: float | None) -> nn.Sequential:
    """Conv2d 3x3, BatchNorm, ReLU, pooling, Dropout2d: (frames, in, height, width) -> (frames, out, ...)."""
    block = nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU(), pool
    )
    return block if dropout is None else block.append(nn.Dropout2d(dropout))


class FrameCnnModel(RecordingModel):
    """Convolutional blocks a frame, pooled over the frames of a clip."""

    config_class = FrameCnnConfig
    _supports_sdpa = False  # nothing in it attends
    encoder_prefixes = ()
    gradient_checkpointing = False

    def build(self) -> None:
        """The blocks: all but the last halve the size, the last one pools to a fixed size."""
        config = self.config
        pools = [nn.MaxPool2d(2) for _ in config.block_dropouts] + [nn.AdaptiveAvgPool2d(config.pooled_size)]
        dropouts = [*config.block_dropouts, None]
        sizes = [3, *config.channels]
        self.blocks = nn.ModuleList(map(conv_block, sizes, config.channels, pools, dropouts))

    def get_input_embeddings(self) -> nn.Module:
        """The first convolution."""
        return self.get_submodule("blocks.0.0")

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the first convolution."""
        self.set_submodule("blocks.0.0", value)

    def encode_frames(self, pixel_values: Tensor, **requests) -> tuple[Tensor, dict]:
        """Pixels (frames, 3, height, width) -> one token a frame (frames, 1, size), and what every block made."""
        hidden, fields = run_stages(self, self.blocks, pixel_values, **requests)
        return hidden.flatten(1).unsqueeze(1), fields


class FrameCnnForVideoClassification(RecordingForVideoClassification):
    """A small convolutional network looks at frames.

    ```
    frame -> 32 -> 64 (BatchNorm, ReLU, MaxPool 2, Dropout2d each) -> 128 (AdaptiveAvgPool 7x7) -> 256 -> outputs
    ```
    """

    config_class = FrameCnnConfig
    _supports_sdpa = False  # nothing in it attends
    trunk_class = FrameCnnModel
    encoder_prefixes = ()


__all__ = ["FrameCnnModel", "FrameCnnForVideoClassification"]
