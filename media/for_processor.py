"""Decoding as a processor wants it: training, evaluation and prediction read a file the same way."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypedDict

import cv2
import numpy as np

from .container import Source
from .decode import Clip, read_clip
from .faces import faces_in
from .windows import Event, Span, Window, windows_of


class VideoProcessor(Protocol):
    """What decides how many frames are read, and of which size."""

    @property
    def num_frames(self) -> int:
        """Frames of a clip."""
        ...

    @property
    def size(self) -> Any:
        """Pixels after resizing: shortest_edge, or height and width."""
        ...

    @property
    def crop_size(self) -> Any:
        """Pixels after cropping, likewise."""
        ...

    @property
    def do_center_crop(self) -> bool | None:
        """Whether it crops."""
        ...


class Processor(Protocol):
    """What reading and judging ask of a processor; every processor of this package is one."""

    @property
    def modalities(self) -> list[str]:
        """Of "text", "audio", "video" and "physio", those that it takes."""
        ...

    @property
    def sampling_rate(self) -> int | None:
        """Hz of its sound; None where it takes none."""
        ...

    @property
    def max_seconds(self) -> float:
        """s of a clip that it takes."""
        ...

    @property
    def crop_faces(self) -> bool:
        """Whether it sees faces that were cut out of their frames."""
        ...

    @property
    def video_processor(self) -> VideoProcessor | None:
        """None where it takes no frames."""
        ...

    @property
    def turns_before(self) -> int:
        """How many turns before a sample, in its conversation, it takes."""
        ...

    @property
    def turns_after(self) -> int:
        """How many after it."""
        ...

    @property
    def turns_apart(self) -> bool:
        """Whether each of these comes whole and by itself, rather than as text before the sample's own."""
        ...

    def encode(self, samples: Sequence[dict[str, Any]]) -> Any:
        """Model inputs of samples, a `BatchFeature` of tensors."""
        ...

    def part_for(self, modality: str) -> Any:
        """What takes a modality."""
        ...


def read_clip_for(
    processor: Processor,
    source: Source,
    *,
    video: bool = True,
    audio: bool = True,
    start: float = 0.0,
    max_seconds: float | None = None,
    rng: np.random.Generator | None = None,
) -> Clip:
    """Decode what a processor takes of a file.

    Args:
        processor: its `modalities` say what is read; its `video_processor`, how many frames of which size; its
            `sampling_rate` and `max_seconds`, how much audio; its `crop_faces`, whether faces are cut out.
        source: path, or a binary file object.
        video, audio: whether to read that modality at all.
        start: s, where to begin.
        max_seconds: s, at most; by default the processor's own.
        rng: for training: draws the instant of each frame within its segment; None takes the middle.

    Returns:
        The clip; `frames` or `audio` is None where the file, or the processor, has none, and `frames` also where faces
        are wanted and none is seen. A frame without a face is left out.

    Raises:
        MediaError: as `read_clip`.
    """
    clip = read_clip(
        source,
        start=start,
        max_seconds=processor.max_seconds if max_seconds is None else max_seconds,
        video=video and "video" in processor.modalities,
        audio=audio and "audio" in processor.modalities,
        rng=rng,
        **_forms(processor),
    )
    if clip.frames is None or clip.frame_times is None or not processor.crop_faces:
        return clip
    frames, seen = _faces_of(processor, clip.frames)
    return replace(clip, frames=frames, frame_times=clip.frame_times[seen] if seen else None)


def windows_for(
    processor: Processor, events: Iterable[Event], spans: Iterable[Span], kinds: set[type]
) -> Iterator[Window]:
    """Windows of what a processor takes, of the same frames and samples as `read_clip_for`'s; see `windows_of`."""
    for window in windows_of(events, spans, kinds, **_forms(processor)):
        if window.frames is not None and processor.crop_faces:
            window = replace(window, frames=_faces_of(processor, window.frames)[0])
        yield window


class _Forms(TypedDict):
    num_frames: int
    frame_size: int | None
    sampling_rate: int


def _forms(processor: Processor) -> _Forms:
    """How many frames, of which size, and which sampling rate; faces are cut out of frames as stored."""
    video = processor.video_processor
    whole = "video" in processor.modalities and not processor.crop_faces
    return {
        "num_frames": frames_for(processor),
        "frame_size": shorter_side(video.size) if video is not None and whole else None,
        "sampling_rate": processor.sampling_rate or 16_000,
    }


def frames_for(processor: Processor) -> int:
    """How many frames of a clip a processor takes; 1 of one that takes none."""
    video = processor.video_processor
    return video.num_frames if video is not None and "video" in processor.modalities else 1


def stack_frames(processor: Processor, frames: Sequence[np.ndarray]) -> np.ndarray:
    """Frames of one clip as one array uint8 (time, height, width, 3).

    Args:
        processor: face crops of different sizes are brought to the size of what its `video_processor` gives.
        frames: uint8 (height, width, 3), at least one.
    """
    if len({frame.shape for frame in frames}) > 1:
        height, width = picture_size(processor)
        frames = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(frames)


def pictures_for(processor: Processor, pictures: Sequence[np.ndarray]) -> np.ndarray | None:
    """Pictures of one sample as a processor takes them: its faces, where it sees faces; None where there is none."""
    if processor.crop_faces:
        return _faces_of(processor, pictures)[0]
    return stack_frames(processor, pictures)


def _faces_of(processor: Processor, frames: Iterable[np.ndarray]) -> tuple[np.ndarray | None, list[int]]:
    """The face of each frame alone, None where none is seen, and the indices of the frames that have one."""
    crops, seen = faces_in(frames)
    return (stack_frames(processor, crops) if seen else None), seen


def shorter_side(size: Mapping[str, Any]) -> int:
    """Pixels of a frame's shorter side after the video processor's resizing; decoding to more would be waste."""
    return size["shortest_edge"] or min(size["height"], size["width"])


def picture_size(processor: Processor) -> tuple[int, int]:
    """Height and width in px of a picture as the model sees it."""
    video = processor.video_processor
    assert video is not None
    size = video.crop_size if video.do_center_crop else video.size
    edge = size["shortest_edge"]
    return (edge, edge) if edge else (size["height"], size["width"])
