"""Frames through an image model, each by itself, and padding frames not at all."""

from collections.abc import Callable

import torch
from torch import Tensor

from .tokens import Stream


def encode_frames(
    encode: Callable[[Tensor], tuple[Tensor, dict]],
    pixel_values_videos: Tensor,
    mask: Tensor,
    every_frame: bool = False,
) -> Stream:
    """Encode the real frames of a batch of clips.

    Padding frames stay out, so that they cost nothing and do not enter any batch statistics.

    Args:
        encode: pixels (frames, 3, height, width) -> tokens (frames, tokens, size), and fields of the output, each of
            tensors (frames, ...).
        pixel_values_videos (batch, frames, 3, height, width), finite in padding frames too.
        mask (batch, frames), bool: 1 = real; at least one is.
        every_frame: encode padding too, so that no shape depends on the mask, as a graph that is traced needs it.

    Returns:
        Stream of (batch, frames * tokens, size), and fields (batch * frames, ...), both 0 in padding frames.
    """
    real = mask.flatten()  # (batch * frames)
    pixels = pixel_values_videos.flatten(0, 1)
    tokens, fields = encode(pixels if every_frame else pixels[real])

    def spread(rows: Tensor) -> Tensor:
        if every_frame:
            return torch.where(real.view(-1, *[1] * (rows.dim() - 1)), rows, 0)
        return rows.new_zeros(real.shape[0], *rows.shape[1:]).index_put((real,), rows)

    batch, count = mask.shape[0], tokens.shape[1]
    fields = {name: tuple(map(spread, values)) for name, values in fields.items()}
    tokens = spread(tokens).reshape(batch, -1, tokens.shape[2])
    return Stream(tokens, mask.repeat_interleave(count, dim=1), fields)
