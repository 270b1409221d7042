"""A clip as a prepared row holds it: frames as JPEG, sound as FLAC; read within a time limit."""

import io
import math
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

import cv2
import numpy as np
import soundfile

from affecthub.media.container import HeldFile
from affecthub.media.decode import MediaError, read_clip
from affecthub.media.faces import faces_in
from affecthub.media.pictures import encode_image, read_picture
from affecthub.media.processes import end_with_parent
from affecthub.media.windows import Sound

Result = TypeVar("Result")

STATUSES = {
    "kept": "its frames, its sound, or both are there",
    "none": "the row has no clip that could be read",
    "undecodable": "its clip, or its recording's sound, could not be decoded; the row stays without it",
    "timed_out": "reading that took longer than the time limit, or broke the reader; the row stays without it",
}
"""What `media_status` of a row says."""

SOURCES = ("video_path", "audio_path", "clip_start", "clip_end", "image_paths")
"""Columns that say what a row is read from."""

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
    crop_faces: bool = False
    """Of each frame its face alone, see `media.faces`; a frame without one is left out. The data set says so."""

    def __post_init__(self):
        for name, value in asdict(self).items():
            if name != "crop_faces" and value <= 0:
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
    """What went wrong, also where the rest was kept."""


def prepare_clip(row: Mapping[str, Any], form: ClipForm) -> PreparedClip:
    """Decode what a row names, and compress it: the span of its clip, or of two files; or its pictures.

    Args:
        row: of a data set, see `corpus`.
        form: what to keep.
    """
    frames, sound, warnings = None, None, []
    try:
        for path, names in files_of(row, ("audio", "video")).items():
            start, seconds = span_of(row, form.max_seconds)
            held = HeldFile(path)
            clip = read_clip(
                held,
                num_frames=form.num_frames,
                frame_size=None if form.crop_faces else form.frame_size,
                sampling_rate=form.sampling_rate,
                start=start,
                max_seconds=seconds,
                video="video" in names,
                audio="audio" in names,
                time_limit=math.inf,  # that of the process, which ends whatever hangs
            )
            frames = clip.frames if "video" in names else frames
            sound = clip.audio if "audio" in names else sound
            warnings += held.warnings
        if row.get("image_paths"):
            frames = [read_picture(path) for path in spread(row["image_paths"], form.num_frames)]
        if frames is not None and form.crop_faces:
            frames = faces_in(frames)[0] or None
    except MediaError as error:
        detail = str(error)
        for path in (row.get("video_path"), row.get("audio_path")):
            detail = detail.removeprefix(f"{path}: ")
        return PreparedClip("undecodable", detail=detail)
    return PreparedClip(
        "none" if frames is None and sound is None else "kept",
        video=None if frames is None else [encode_image(shrunk(f, form.frame_size), FULL_COLOUR) for f in frames],
        audio=None if sound is None else encode_audio(sound, form.sampling_rate),
        detail="; ".join(warnings),
    )


def files_of(row: Mapping[str, Any], modalities: Sequence[str]) -> dict[str, list[str]]:
    """File -> those of "audio" and "video" to read from it, for what is wanted of a row."""
    files: dict[str, list[str]] = {}
    for name in modalities:
        if name in ("audio", "video") and (path := row.get(f"{name}_path")):
            files.setdefault(path, []).append(name)
    return files


def span_of(row: Mapping[str, Any], longest: float) -> tuple[float, float]:
    """s, where a row begins in its files, and how long it is at most."""
    start, end = row.get("clip_start") or 0.0, row.get("clip_end")
    return start, longest if end is None else min(end - start, longest)


def spread(paths: Sequence[str], count: int) -> list[str]:
    """At most so many of a row's pictures, uniformly spread."""
    places = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [paths[int(place)] for place in places]


def shrunk(picture: np.ndarray, shorter_side: int) -> np.ndarray:
    """A picture uint8 (height, width, 3) whose shorter side has so many px, or fewer."""
    height, width = picture.shape[:2]
    scale = shorter_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    return picture if scale >= 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


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
        served = "forkserver" in multiprocessing.get_all_start_methods()  # its server imports once; not on Windows
        self._context = multiprocessing.get_context("forkserver" if served else "spawn")
        if served:
            self._context.set_forkserver_preload([__name__])

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _start(self) -> None:
        self._pool = self._context.Pool(1, initializer=end_with_parent)
        self._pool.apply_async(encode_audio, (np.zeros(1, np.float32), 8000)).get(START_SECONDS)

    def _stop(self) -> None:
        self._pool.terminate()
        self._pool.join()

    def call(self, function: Callable[..., Result], *arguments: object, **keywords: object) -> Result:
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

    def read(self, row: Mapping[str, Any]) -> PreparedClip:
        """As `prepare_clip`, or "timed_out"."""
        try:
            return self.call(prepare_clip, {name: row.get(name) for name in SOURCES}, self.form)
        except TimeoutError as error:
            return PreparedClip("timed_out", detail=str(error))
