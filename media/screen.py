"""The screen of this machine, or a part of it, as the frames of a camera."""

import os
import re
import sys
import time
from collections.abc import Iterator

import av
import numpy as np

from .container import MediaError

RATE = 10
"""Frames a second."""

Region = tuple[int, int, int, int]
"""px: width, height, and from the left and the top."""

DEVICES = {"darwin": ("avfoundation", "Capture screen 0"), "win32": ("gdigrab", "desktop")}
"""System -> FFmpeg's device and what it opens; elsewhere X11 and its display."""


def is_screen(source: str) -> bool:
    """Whether a source is "screen" or "screen:" and a region."""
    return source.partition(":")[0] == "screen"


def region_of(source: str) -> Region | None:
    """The region of "screen:WIDTHxHEIGHT+X+Y"; None of "screen". ValueError for one that is none."""
    written = source.partition(":")[2]
    if source == "screen":
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})\+(\d{1,5})\+(\d{1,5})", written)
    if found is None or int(found[1]) < 1 or int(found[2]) < 1:
        raise ValueError(f"{source}: give screen, or screen:WIDTHxHEIGHT+X+Y in pixels, such as screen:640x360+0+80.")
    width, height, left, top = map(int, found.groups())
    return width, height, left, top


def screen_frames(region: Region | None = None) -> Iterator[tuple[float, np.ndarray]]:
    """What is seen on the screen, until the caller stops.

    Args:
        region: the part that is wanted; None: all.

    Returns:
        s since the first frame, by the clock of this machine, and the frame, uint8 (height, width, 3), RGB.

    Raises:
        MediaError: the screen cannot be read, or the region is not on it.
    """
    device, address = DEVICES.get(sys.platform, ("x11grab", os.environ.get("DISPLAY", ":0")))
    try:
        with av.open(address, "r", format=device, options={"framerate": str(RATE)}) as container:
            begin = None
            for frame in container.decode(video=0):
                now = time.monotonic()
                begin = now if begin is None else begin
                yield now - begin, _part(frame.to_ndarray(format="rgb24"), region)
    except MediaError:
        raise
    except (av.FFmpegError, ValueError) as error:  # ValueError: this build of FFmpeg has no such device
        raise MediaError(
            f"screen: {address} cannot be read by {device} ({error}); on Linux a display of X11 is needed, on macOS "
            "the right to record the screen"
        ) from error


def _part(image: np.ndarray, region: Region | None) -> np.ndarray:
    if region is None:
        return image
    width, height, left, top = region
    part = image[top : top + height, left : left + width]
    if part.shape[:2] != (height, width):
        raise MediaError(
            f"screen:{width}x{height}+{left}+{top} is not on the screen, which has {image.shape[1]}x{image.shape[0]} "
            "pixels"
        )
    return part
