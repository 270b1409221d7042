"""Raw samples, before any extractor computes with them: checked, and without the silence around them."""

from collections.abc import Sequence

import numpy as np


def check_sampling_rate(given: int | None, expected: int) -> None:
    """ValueError unless the samples come at the `expected` rate in Hz; a missing rate is wrong too."""
    if given != expected:
        raise ValueError(
            f"sampling_rate={given}, but this extractor was made for {expected} Hz: "
            f"resample the samples and pass sampling_rate={expected}"
        )


def checked_clips(raw_speech: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    """Checked float64 (samples,) of each clip.

    Args:
        raw_speech: mono samples (samples,), or a list of such arrays or tensors, one a clip.

    Raises:
        ValueError: empty, non-finite or not one-dimensional samples.
    """
    single = not isinstance(raw_speech, list | tuple) or (len(raw_speech) > 0 and np.ndim(raw_speech[0]) == 0)
    clips = [np.asarray(clip, dtype=np.float64) for clip in ([raw_speech] if single else raw_speech)]
    if not clips:
        raise ValueError("raw_speech holds no clip; pass at least one array of samples, or leave the audio out")
    for index, clip in enumerate(clips):
        if clip.ndim != 1:
            raise ValueError(
                f"raw_speech[{index}] has shape {clip.shape}; pass mono samples of shape (samples,), "
                "and a batch as a list of them"
            )
        if clip.size == 0:
            raise ValueError(f"raw_speech[{index}] holds no samples; leave the clip's audio out instead")
        if not np.isfinite(clip).all():
            raise ValueError(
                f"raw_speech[{index}] holds NaN or infinite samples; repair or leave out the clip's audio"
            )
    return clips


def trim_silence(clip: np.ndarray, below_db: float) -> np.ndarray:
    """A clip from its first to its last sample that is no silence; as it is where there is nothing else.

    Args:
        clip: float (samples,).
        below_db: a sample that is quieter than the loudest one by more than so many dB is silence.
    """
    level = np.abs(clip)
    (loud,) = np.nonzero(level >= level.max() * 10 ** (-below_db / 20))
    return clip[loud[0] : loud[-1] + 1]
