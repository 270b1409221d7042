"""Long recordings become single frames at a steady rate, read once from front to back by OpenCV.

`decode.read_clip` spreads a fixed number of frames over a short clip; here their number follows from the length.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .container import MediaError, MediaInfo, probe
from .decode import square_shape


@dataclass(frozen=True)
class Frame:
    """One frame of a recording."""

    index: int
    """Of all its frames, from 0."""
    time_ms: float
    """When it is shown, ms from the beginning of the recording, which may be that of its sound, by its own time stamp:
    rates need not be constant."""
    image: np.ndarray
    """uint8 (height, width, 3), RGB, as stored, but of square pixels."""


def count_frames(path: Path) -> int:
    """How many frames the file states; a damaged one may hold fewer.

    Raises:
        MediaError: the file cannot be opened, or states no picture.
    """
    _info(path)
    capture = cv2.VideoCapture(str(path))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()


def _info(path: Path) -> MediaInfo:
    info = probe(path)
    if not info.has_video:
        raise MediaError(f"{path}: no video track; export the recording with its pictures")
    return info


def sample_frames(path: Path, *, every: int = 30, rate: float | None = None, start: int = 0) -> Iterator[Frame]:
    """Read a recording forward and hand out some of its frames.

    Frames in between are skipped without being converted. A damaged file ends early, without an error: compare with
    `count_frames`.

    Args:
        path: the recording.
        every: hand out frames 0, `every`, 2 `every`, ...; 30 is one a second of most iMotions recordings.
        rate: frames a second instead: the first frame at or after each multiple of 1 / `rate` s.
        start: continue here: frames with a lower index are not handed out.

    Raises:
        ValueError: `every` or `rate` is not positive.
        MediaError: as `count_frames`.
    """
    if every < 1 or (rate is not None and rate <= 0):
        raise ValueError(f"every={every} and rate={rate} must be positive")
    info = _info(path)  # OpenCV itself never raises on a bad file
    capture = cv2.VideoCapture(str(path))
    try:
        yield from _wanted(capture, every, rate, start, info)
    finally:
        capture.release()


def _wanted(capture: cv2.VideoCapture, every: int, rate: float | None, start: int, info: MediaInfo) -> Iterator[Frame]:
    index, due = 0, 0
    while capture.grab():
        time = capture.get(cv2.CAP_PROP_POS_MSEC) + 1000 * info.picture_start  # OpenCV's clock begins with the picture
        if rate is None:
            wanted = index % every == 0
        else:
            wanted = time * rate / 1000 >= due - 1e-6  # stamps are rounded in the file
        if wanted:
            due = int(time * (rate or 0) / 1000 + 1e-6) + 1
            if index >= start:
                ok, image = capture.retrieve()
                if not ok:
                    return
                turned = round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90
                image = _square(image, 1 / info.pixel_width if turned else info.pixel_width)
                yield Frame(index, time, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        index += 1


def _square(image: np.ndarray, pixel_width: float) -> np.ndarray:
    """An image (height, width, 3) in square pixels."""
    stored: tuple[int, int] = image.shape[:2]
    height, width = (round(side) for side in square_shape(*stored, pixel_width))
    return image if (height, width) == stored else cv2.resize(image, (width, height))


def shrink(image: np.ndarray, shorter_side: int) -> np.ndarray:
    """Scale an image (height, width, 3) down so that its shorter side has that many pixels; never up."""
    height, width = image.shape[:2]
    scale = shorter_side / min(height, width)
    if scale >= 1:
        return image
    return cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
