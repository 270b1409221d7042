"""A clip as a prepared row holds it: frames as JPEG, sound as FLAC; read within a time limit."""

import io
import math
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import cv2
import numpy as np
import soundfile

from affecthub.media.decode import MediaError, read_clip
from affecthub.media.pictures import decode_image, encode_image
from affecthub.media.windows import Sound

STATUSES = {
    "kept": "its frames, its sound, or both are there",
    "none": "the row has no clip that could be read",
    "undecodable": "its clip, or its recording's sound, could not be decoded; the row stays without it",
    "timed_out": "reading that took longer than the time limit, or broke the reader; the row stays without it",
}
"""What `media_status` of a row says."""

START_SECONDS = 300
"""s in which the reading process has to be there: importing can be slow on a cold disk."""

FULL_COLOUR = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Colour at the resolution of lightness. Frames of 32 to 64 px are then at most 19 of 255 off, and not up to 75, for a
fifth more bytes (measured on the sample corpus, quality 95)."""

FULL_SCALE = 32_768
"""Of 16 bits; a sample of 1.0 becomes the largest number there is, 32,767."""


@dataclass(frozen=True)
class ClipForm:
    """What of a clip is kept; the names are those of a recipe."""

    num_frames: int = 8
    """Frames, uniformly spread."""
    frame_size: int = 224
    """px of a frame's shorter side."""
    max_seconds: float = 15.0
    """s from the beginning; what follows is left out."""
    sampling_rate: int = 16_000
    """Hz of the sound."""

    def __post_init__(self):
        for name, value in asdict(self).items():
            if value <= 0:
                raise ValueError(f"{name}={value}: it has to be above 0.")


@dataclass(frozen=True)
class PreparedClip:
    """What was found in a clip."""

    status: str
    """One of `STATUSES`."""
    video: list[bytes] | None = None
    """A JPEG a frame; None where there is none."""
    audio: bytes | None = None
    """FLAC, mono, 16 bits; None where there is none."""
    detail: str = ""
    """What went wrong."""


def prepare_clip(path: str, form: ClipForm, *, video: bool, audio: bool) -> PreparedClip:
    """Decode a clip and compress what it holds.

    Args:
        path: of the clip.
        form: what to keep.
        video, audio: whether to read frames, and sound.
    """
    try:
        clip = read_clip(
            path,
            num_frames=form.num_frames,
            frame_size=form.frame_size,
            sampling_rate=form.sampling_rate,
            max_seconds=form.max_seconds,
            video=video,
            audio=audio,
            time_limit=math.inf,  # that of the process, which ends whatever hangs
        )
    except MediaError as error:
        return PreparedClip("undecodable", detail=str(error).removeprefix(f"{path}: "))
    return PreparedClip(
        "none" if clip.frames is None and clip.audio is None else "kept",
        video=None if clip.frames is None else [encode_image(frame, FULL_COLOUR) for frame in clip.frames],
        audio=None if clip.audio is None else encode_audio(clip.audio, form.sampling_rate),
    )


def encode_audio(samples: np.ndarray, sampling_rate: int) -> bytes:
    """FLAC of mono samples float32 (samples,) in [-1, 1], rounded to 16 bits."""
    whole = np.clip(np.round(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, whole, sampling_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def decode_audio(content: bytes) -> np.ndarray:
    """Samples float32 (samples,) in [-1, 1] of `encode_audio`'s bytes."""
    return decode_sound(content, 0.0).samples


def decode_sound(content: bytes, start: float) -> Sound:
    """`encode_audio`'s bytes as sound that begins at `start` s."""
    samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    return Sound(start, samples.astype(np.float32) / FULL_SCALE, rate)


def decode_frames(pictures: Sequence[bytes]) -> np.ndarray:
    """Frames uint8 (time, height, width, 3), RGB, of a row's JPEGs."""
    return np.stack([decode_image(picture) for picture in pictures])


def encode_array(values: np.ndarray) -> bytes:
    """The content of a .npy file, which says type and shape itself."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def decode_array(content: bytes) -> np.ndarray:
    """float32, of `encode_array`'s bytes."""
    return np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32, copy=False)


class ReadingProcess:
    """A process of its own that reads, ended and replaced when a call takes too long or breaks it.

    A decoder that hangs is deep in a library, where nothing but the end of its process stops it.

    Args:
        time_limit: s a call.
    """

    def __init__(self, time_limit: float):
        self.time_limit = time_limit
        self._context = multiprocessing.get_context("forkserver")  # its server imports once, and has no threads
        self._context.set_forkserver_preload([__name__])

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _start(self) -> None:
        self._pool = self._context.Pool(1)
        self._pool.apply_async(encode_audio, (np.zeros(1, np.float32), 8000)).get(START_SECONDS)

    def _stop(self) -> None:
        self._pool.terminate()
        self._pool.join()

    def call(self, function: Callable[..., object], *arguments: object, **keywords: object) -> object:
        """What a function of a module returns, or raises; TimeoutError where that takes too long."""
        try:
            return self._pool.apply_async(function, arguments, keywords).get(self.time_limit)
        except multiprocessing.TimeoutError as error:
            self._stop()
            self._start()
            raise TimeoutError(f"not read within {self.time_limit:g} s") from error


class ClipReader(ReadingProcess):
    """Reads clips.

    Args:
        form: what to keep of each clip.
        time_limit: s a clip.
    """

    def __init__(self, form: ClipForm, time_limit: float):
        super().__init__(time_limit)
        self.form = form

    def read(self, path: str, *, video: bool, audio: bool) -> PreparedClip:
        """As `prepare_clip`, or "timed_out"."""
        try:
            return self.call(prepare_clip, path, self.form, video=video, audio=audio)
        except TimeoutError as error:
            return PreparedClip("timed_out", detail=str(error))
