"""Decoding as a processor wants it: training, evaluation and prediction read a file the same way."""

import numpy as np

from .container import Source
from .decode import Clip, read_clip


def read_clip_for(
    processor: object,
    source: Source,
    *,
    video: bool = True,
    audio: bool = True,
    start: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Clip:
    """Decode what a processor takes of a file.

    Args:
        processor: its `video_processor` says how many frames of which size, its `feature_extractor` the sampling rate,
            `max_seconds` how much of the file; a part that is None means that modality is not read.
        source: path, or a binary file object.
        video, audio: whether to read that modality at all.
        start: s, where to begin.
        rng: for training: draws the instant of each frame within its segment; None takes the middle.

    Returns:
        The clip; `frames` or `audio` is None where the file, or the processor, has none.

    Raises:
        MediaError: as `read_clip`.
    """
    frames, sound = processor.video_processor, processor.feature_extractor
    return read_clip(
        source,
        num_frames=frames.num_frames if frames else 1,
        frame_size=_shorter_side(frames.size) if frames else None,
        sampling_rate=sound.sampling_rate if sound else 16_000,
        start=start,
        max_seconds=processor.max_seconds,
        video=video and frames is not None,
        audio=audio and sound is not None,
        rng=rng,
    )


def _shorter_side(size: dict[str, int | None]) -> int:
    """Pixels of a frame's shorter side after the video processor's resizing; decoding to more would be waste."""
    return size["shortest_edge"] or min(size["height"], size["width"])
