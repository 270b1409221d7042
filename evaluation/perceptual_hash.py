"""Frames that show the same picture, also after a change of brightness, contrast, hue or size.

A frame's signature has two parts, both made from its lightness, (max + min) / 2 of red, green and blue, which turning
the hue leaves as it is:

- 255 signs of its lowest cosine coefficients, without the mean (the pHash of Zauner, "Implementation and Benchmarking
  of Perceptual Image Hash Functions", 2010, with 16 x 16 coefficients for its 8 x 8): they find the candidate;
- a thumbnail of 32 x 32 values: its correlation with the candidate's, which ignores brightness and contrast, confirms.

A mirrored, rotated or strongly cropped copy is not found.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm.auto import tqdm

from affecthub.media.pictures import read_picture

SIDE = 32
"""Pixels of the thumbnail's side."""

COEFFICIENTS = 16
"""Cosine coefficients a side; of the 256, the mean is left out."""

MAX_DISTANCE = 0.15
"""Share of differing signs of two near-duplicates. Measured: colour variants of real footage differ by up to 0.122; of
100 aligned photographs of different faces the most alike pair by 0.294; frames of different videos by 0.384."""

MIN_CORRELATION = 0.95
"""Of two near-duplicates' thumbnails. Measured: colour variants of real footage 0.961 or more, different aligned faces
0.874 or less, different drawn faces, which share their outline, 0.937 or less."""

FLAT = 2.0
"""Standard deviation of lightness, of 255, under which a frame (black, or blank) has no picture to recognise."""

_BYTES = COEFFICIENTS**2 // 8


class Matches(NamedTuple):
    """For every held-out frame, its nearest training frame by hash."""

    nearest: np.ndarray
    """int (held-out frames,), position among the training frames."""
    distance: np.ndarray
    """float (held-out frames,), share of differing signs, 0..1."""
    correlation: np.ndarray
    """float (held-out frames,), of the thumbnails, -1..1."""

    @property
    def duplicate(self) -> np.ndarray:
        """bool (held-out frames,), whether the nearest frame shows the same picture."""
        return (self.distance <= MAX_DISTANCE) & (self.correlation >= MIN_CORRELATION)


def frame_signature(frame: np.ndarray) -> bytes | None:
    """What a frame shows, in 1,056 bytes; None for a flat frame, which shows nothing.

    Args:
        frame: uint8 (height, width, 3); RGB or BGR, which makes no difference here.
    """
    small = cv2.resize(frame, (SIDE * 2, SIDE * 2), interpolation=cv2.INTER_AREA).astype(np.float32)
    lightness = (small.max(axis=2) + small.min(axis=2)) / 2
    if lightness.std() < FLAT:
        return None
    coefficients = cv2.dct(lightness)[:COEFFICIENTS, :COEFFICIENTS]
    coefficients[0, 0] = 0.0  # the mean is brightness, not content
    thumbnail = cv2.resize(lightness, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.packbits(coefficients > 0).tobytes() + thumbnail.round().astype(np.uint8).tobytes()


def sign_frames(frames: Iterable[np.ndarray | None], total: int | None = None) -> list[bytes | None]:
    """`frame_signature` of each frame, one in memory at a time, None of none; `total` is for the progress bar."""
    return [
        None if frame is None else frame_signature(frame)
        for frame in tqdm(frames, total=total, desc="hashing frames", unit="frame")
    ]


def sign_files(paths: Sequence[str | Path | None]) -> list[bytes | None]:
    """`frame_signature` of each picture file, None of none, by as many threads as there are cores.

    Raises:
        MediaError: a file is missing or no picture; the message names it.
    """
    with ThreadPoolExecutor() as pool:
        signatures = pool.map(_sign_file, paths)
        return list(tqdm(signatures, total=len(paths), desc="hashing frames", unit="frame"))


def _sign_file(path: str | Path | None) -> bytes | None:
    return None if path is None else frame_signature(read_picture(path))


def nearest_frames(train: Sequence[bytes], held_out: Sequence[bytes], chunk: int = 4096) -> Matches:
    """The nearest training frame of every held-out frame, exactly, by blocks of matrix products.

    With N signs as +-1, their product is N - 2 x the Hamming distance, so the whole search is a few tera-operations
    of the processor's fastest kind and needs no index: see docs/leakage.md for its time and memory.

    Args:
        train, held_out: signatures, at least one each.
        chunk: frames a block; a block of distances takes 4 x chunk^2 bytes.
    """
    known, asked = _unpack(train), _unpack(held_out)
    nearest = np.zeros(len(asked), dtype=np.int64)
    similarity = np.full(len(asked), -np.inf, dtype=np.float32)
    with tqdm(total=len(asked) * len(known), desc="comparing frames", unit="pair", unit_scale=True, delay=3) as bar:
        for first in range(0, len(known), chunk):
            block = _signs(known[first : first + chunk]).T
            for start in range(0, len(asked), chunk):
                rows = slice(start, start + chunk)
                products = _signs(asked[rows]) @ block
                best = products.argmax(axis=1)
                value = products[np.arange(len(best)), best]
                better = value > similarity[rows]
                similarity[rows][better], nearest[rows][better] = value[better], first + best[better]
                bar.update(products.size)
    signs = COEFFICIENTS**2
    distance = (signs - similarity) / 2 / (signs - 1)
    return Matches(nearest, distance, _correlation(known, nearest, asked, chunk))


def _unpack(signatures: Sequence[bytes]) -> np.ndarray:
    """uint8 (frames, bytes of a signature)."""
    return np.frombuffer(b"".join(signatures), dtype=np.uint8).reshape(len(signatures), -1)


def _signs(signatures: np.ndarray) -> np.ndarray:
    """float32 (frames, signs), -1 or 1."""
    return np.unpackbits(signatures[:, :_BYTES], axis=1).astype(np.float32) * 2 - 1


def _correlation(known: np.ndarray, nearest: np.ndarray, asked: np.ndarray, chunk: int) -> np.ndarray:
    """float (held-out frames,), of each frame's thumbnail with its nearest one's."""
    parts = [slice(start, start + chunk) for start in range(0, len(asked), chunk)]
    return np.concatenate([(_standard(known[nearest[p]]) * _standard(asked[p])).sum(axis=1) for p in parts])


def _standard(signatures: np.ndarray) -> np.ndarray:
    """float32 (frames, values): thumbnails with mean 0 and length 1."""
    values = signatures[:, _BYTES:].astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.linalg.norm(values, axis=1, keepdims=True)
