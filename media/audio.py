"""Decoded audio frames become one mono line of samples at the wanted rate.

The mix is done here by hand: FFmpeg's own float down-mix of stereo to mono is 3 dB louder than the mean and can clip.
"""

from functools import lru_cache

import av
import numpy as np

CHANNEL_WEIGHTS = {"FC": 1.0, "LFE": 0.0, "BL": 0.5, "BR": 0.5, "BC": 0.5, "SL": 0.5, "SR": 0.5}
"""Mono row of ITU-R BS.775 (down-mixing equations, 1/0): centre 1, surrounds 0.5, low-frequency channel dropped."""

FRONT_WEIGHT = 0.7071
"""The same row's weight of left and right, and of any channel that it does not name."""

PLANES = 8
"""From this many planes on, PyAV 18 follows pointers behind the frame's and can crash; such are packed first."""


LOUDEST = 100.0
"""Of full scale: sound beyond it is no overshoot, but numbers in another unit, or damaged."""


def sound_of(frame: av.AudioFrame, rate: int) -> np.ndarray | None:
    """A decoded frame as mono samples at the track's rate; None where they are no sound.

    Args:
        frame: whose own rate may differ, in a track that was put together of several.
        rate: Hz, of the track.

    Returns:
        As `downmix`; None where a sample is not finite, or beyond `LOUDEST`.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        samples = downmix(frame)
        if not np.abs(samples).max(initial=0.0) <= LOUDEST:
            return None
    return resample(samples, frame.sample_rate, rate)


def downmix(frame: av.AudioFrame) -> np.ndarray:
    """Mix a decoded frame to mono.

    The weights are ITU-R BS.775's, divided by their sum: full scale in every channel stays full scale, stereo is the
    mean of its two channels, and of 5.1 the centre, where the speech is, counts twice a surround channel and 1.4 times
    left or right.

    Returns:
        float32 (samples,), in [-1, 1] for integer formats; float formats may overshoot.
    """
    weights = _weights(tuple(channel.name for channel in frame.layout.channels))
    return (weights @ _planar(frame)).astype(np.float32, copy=False)


@lru_cache
def _weights(channels: tuple[str, ...]) -> np.ndarray:
    weights = np.array([CHANNEL_WEIGHTS.get(name, FRONT_WEIGHT) for name in channels], np.float32)
    return weights / weights.sum()


def _planar(frame: av.AudioFrame) -> np.ndarray:
    """Samples as float (channels, samples), whatever the stored format; integers are scaled to [-1, 1)."""
    if frame.format.is_planar and frame.layout.nb_channels >= PLANES:
        packer = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
        (frame,) = packer.resample(frame)
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples
    half = 2.0 ** (8 * samples.itemsize - 1)
    return (samples - (half if samples.dtype.kind == "u" else 0.0)) / half


def resample(samples: np.ndarray, rate: int, target_rate: int) -> np.ndarray:
    """Resample with libswresample, which low-passes below the new Nyquist frequency and adds no delay.

    Args:
        samples: float32 (samples,), mono.
        rate: Hz of the input.
        target_rate: Hz of the output.

    Returns:
        float32 (round(samples * target_rate / rate),).
    """
    if rate == target_rate:
        return samples
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=target_rate)
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    length = round(len(samples) * target_rate / rate)
    joined = np.concatenate([np.zeros(0, np.float32), *parts])[:length]
    return np.pad(joined, (0, length - len(joined)))
