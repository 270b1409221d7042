"""Frames through an image model, each by itself, and padding frames not at all."""

from collections.abc import Callable

from torch import Tensor

from .tokens import Stream


def encode_real_frames(
    encode: Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]], pixel_values_videos: Tensor, mask: Tensor
) -> Stream:
    """Encode the real frames of a batch of clips.

    Padding frames stay out, so that they cost nothing and do not enter any batch statistics.

    Args:
        encode: pixels (frames, 3, height, width) -> tokens (frames, tokens, size), attentions (frames, ...) a layer.
        pixel_values_videos (batch, frames, 3, height, width).
        mask (batch, frames), bool: 1 = real; at least one is.

    Returns:
        Stream of (batch, frames * tokens, size), 0 in padding frames, and `vision_attentions` (batch * frames, ...).
    """
    real = mask.flatten()  # (batch * frames)
    tokens, attentions = encode(pixel_values_videos.flatten(0, 1)[real])

    def spread(rows: Tensor) -> Tensor:
        return rows.new_zeros(len(real), *rows.shape[1:]).index_put((real,), rows)

    batch, count = len(mask), tokens.shape[1]
    fields = {"vision_attentions": tuple(map(spread, attentions))} if attentions else {}
    tokens = spread(tokens).reshape(batch, -1, tokens.shape[2])
    return Stream(tokens, mask.repeat_interleave(count, dim=1), fields)
