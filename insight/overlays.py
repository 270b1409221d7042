"""Maps of relevance become pictures: laid over the frames that a model saw, or as tiles."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image
from torch import Tensor

from affecthub.insight.opened import judged_inputs
from affecthub.media.files import write_file
from affecthub.modeling.modalities import MAIN_INPUTS, VIDEO
from affecthub.processing.optional_parts import OptionalPartsProcessor

FOR, SIGNED = "viridis", "PuOr_r"
"""Colour maps that colour-blind readers can tell: of shares, and of what speaks for (orange) and against (violet)."""

SHARE = 0.6
"""Of the map in a picture's colours, where its relevance is highest."""

SIDE = 96
"""Pixels, at least, of a picture's or tile's shorter side, so that small frames can be looked at."""


def shown_frames(processor: OptionalPartsProcessor, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """The frames that a model saw of a sample, as pictures uint8 (frames, height, width, 3), RGB.

    Args:
        processor: of the model, whose normalisation is undone.
        inputs: a batch of the one sample.
    """
    of, (rows, judged) = processor.part_for(VIDEO), judged_inputs(processor, inputs)
    pixels = rows[MAIN_INPUTS[VIDEO]][judged].cpu().numpy()
    if of.do_normalize:
        mean, std = (np.asarray(part)[:, None, None] for part in (of.image_mean, of.image_std))
        pixels = pixels * std + mean
    return (255 * pixels.clip(0, 1)).round().astype(np.uint8).transpose(0, 2, 3, 1)


def overlaid(frames: np.ndarray, maps: np.ndarray, colours: str = FOR) -> np.ndarray:
    """Maps over frames, all by one scale, the frames in grey so that colour is relevance alone.

    Args:
        frames: uint8 (frames, height, width, 3).
        maps: float (frames, rows, columns), of any size; of `SIGNED` with a sign.
        colours: name of a colour map of matplotlib.

    Returns:
        uint8 (frames, height, width, 3).
    """
    grown = max(1, -(-SIDE // min(frames.shape[1:3])))
    size = frames.shape[2] * grown, frames.shape[1] * grown
    highest = np.abs(maps).max() or 1.0
    pictures = []
    for frame, scaled in zip(frames, maps / highest, strict=True):
        grey = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST), cv2.COLOR_RGB2GRAY)[..., None]
        heat = cv2.resize(scaled.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
        share = SHARE * np.abs(heat)[..., None]
        pictures.append((1 - share) * grey + share * _coloured(heat, colours))
    return np.stack(pictures).round().astype(np.uint8)


def tiles(maps: np.ndarray, colours: str = FOR) -> np.ndarray:
    """Maps (rows, columns, height, width) as one picture uint8 of tiles, each by its own scale, in white frames."""
    grown = max(1, -(-SIDE // 2 // min(maps.shape[2:])))
    scaled = maps / np.maximum(np.abs(maps).max(axis=(2, 3), keepdims=True), np.finfo(np.float32).tiny)
    scaled = scaled.repeat(grown, axis=2).repeat(grown, axis=3)
    framed = np.pad(_coloured(scaled, colours), ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    return np.concatenate(np.concatenate(framed.round().astype(np.uint8), axis=2), axis=0)


def strip(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Pictures of one height, side by side."""
    return np.concatenate(list(pictures), axis=1)


def write_picture(path: Path, picture: np.ndarray) -> str:
    """Write a picture uint8 (height, width, 3), RGB, as PNG of 128 colours, a third of the bytes; its file name."""
    content = io.BytesIO()
    Image.fromarray(picture).quantize(128).save(content, "png", optimize=True)
    write_file(path, content.getvalue())
    return path.name


def _coloured(values: np.ndarray, colours: str) -> np.ndarray:
    """float (..., 3), 0..255, of values 0..1, or -1..1 of `SIGNED`."""
    values = (values + 1) / 2 if colours == SIGNED else values
    return 255 * matplotlib.colormaps[colours](values)[..., :3]
