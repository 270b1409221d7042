"""Frames that lie in two windows are encoded once; it travels with each model.

Windows that overlap show the same frames where one begins a whole number of frames' distances after the other, as
half a window later with eight frames; so do recordings that stand still.
"""

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import ModelOutput


def digests(frames: Tensor) -> list[bytes]:
    """What tells frames (frames, ...) from one another: of the bytes of their pixels."""
    return [blake2b(frame.view(-1).view(torch.uint8).numpy().data).digest() for frame in frames.contiguous()]


def frame_encoder(model: nn.Module) -> nn.Module | None:
    """What encodes each frame of a model's input by itself; None: it has nothing of the kind."""
    return getattr(getattr(model, "base_model", None), "vision_model", None)


class SharedFrames:
    """A frame encoder's `forward` that remembers what it gave for the frames of its last call.

    On the CPU alone, where encoding a frame takes a hundred times as long as telling whether it is the same, and only
    where nothing is learned. Frames are the same where all of their pixels are.

    Args:
        forward: of the encoder: `pixel_values` (frames, 3, height, width) -> an output of tensors (frames, ...).
    """

    def __init__(self, forward: Callable[..., ModelOutput]):
        self.forward = forward
        self.kept: dict[bytes, dict[str, Tensor]] = {}
        """Digest of a frame's pixels -> what the encoder gave, by field."""

    @classmethod
    def install(cls, encoder: nn.Module) -> None:
        """Let an encoder remember; once is enough."""
        if not isinstance(encoder.forward, cls):
            encoder.forward = cls(encoder.forward)

    def __call__(self, pixel_values: Tensor, return_dict: bool | None = None, **requests) -> ModelOutput | tuple:
        """As the encoder; what was asked for beside its output, as attentions, is not remembered."""
        plain = return_dict and not any(requests.values()) and not torch.compiler.is_compiling()
        if not plain or torch.is_grad_enabled() or pixel_values.device.type != "cpu":
            return self.forward(pixel_values=pixel_values, return_dict=return_dict, **requests)
        keys, known, form = digests(pixel_values), dict(self.kept), ModelOutput
        if new := {key: place for place, key in enumerate(keys) if key not in known}:
            output = self.forward(pixel_values=pixel_values[list(new.values())], return_dict=True)
            form = type(output)
            fields = {name: value for name, value in output.items() if isinstance(value, Tensor)}
            known |= {key: {n: value[row] for n, value in fields.items()} for row, key in enumerate(new)}
        together = {name: torch.stack([known[key][name] for key in keys]) for name in known[keys[0]]}
        self.kept = {key: {n: value[row] for n, value in together.items()} for row, key in enumerate(keys)}
        return form(**together)
