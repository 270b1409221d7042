"""How high speech is, and how voiced, frame by frame."""

import numpy as np
import torch

SECONDS = 0.04
"""Of a frame: between two and three periods of the lowest voice."""

LOWEST, HIGHEST = 65.0, 600.0
"""Hz between which pitch is looked for: from a deep man's to a shouting woman's or a child's."""

REFERENCE = 100.0
"""Hz of 0 semitones."""

OCTAVE_COST = 0.02
"""By how much periodicity an octave lower has to be stronger; else twice the true period would do as well."""

PAUSE_DB = 35.0
"""dB below the clip's loudest frame from which on a frame counts as a pause, which has no voice."""


def pitch_and_periodicity(clip: np.ndarray, sampling_rate: int, hop_length: int) -> np.ndarray:
    """Pitch and periodicity of centred frames, whatever the clip's level: float32 (1 + samples // hop_length, 2).

    A frame's autocorrelation is divided by its window's; the lag at which it is greatest is the period, and how great
    it is there the periodicity (Boersma 1993, "Accurate short-term analysis of the fundamental frequency and the
    harmonics-to-noise ratio of a sampled sound"). Frames are taken one by one: no path through them is sought.

    Args:
        clip: float (samples,), mono.
        sampling_rate: Hz.
        hop_length: samples between frames.

    Returns:
        In column 0 pitch in semitones above `REFERENCE`, where there is a voice; what it says elsewhere means nothing.
        In column 1 periodicity from 0, noise or silence, to 1, a voice without any noise.
    """
    size = 2 * round(SECONDS * sampling_rate / 2)
    first, last = int(sampling_rate / HIGHEST), int(sampling_rate / LOWEST) + 1
    window = torch.hann_window(size)
    samples = (clip / (np.abs(clip).max() or 1.0)).astype(np.float32)
    frames = torch.from_numpy(np.pad(samples, size // 2)).unfold(0, size, hop_length)
    products = _autocorrelation((frames - frames.mean(dim=1, keepdim=True)) * window, last + 2)
    energy, of_window = products[:, :1], _autocorrelation(window, last + 2)
    periodic = products / energy.clamp_min(torch.finfo(energy.dtype).tiny) * of_window[0] / of_window
    cost = OCTAVE_COST * torch.arange(first, last + 1).log2()
    lag = first + (periodic[:, first : last + 1] - cost).argmax(dim=1, keepdim=True)
    before, at, after = (periodic.gather(1, lag + step) for step in (-1, 0, 1))
    bend = 2 * at - before - after
    shift = torch.where(bend > 0, (after - before) / (2 * bend), 0).clamp(-0.5, 0.5)  # the parabola's peak
    pitch = 12 * (sampling_rate / REFERENCE / (lag + shift)).log2()
    loud = energy > energy.max() * 10 ** (-PAUSE_DB / 10)
    return torch.cat([pitch, at.clamp(0, 1) * loud], dim=1).numpy()


def _autocorrelation(frames: torch.Tensor, lags: int) -> torch.Tensor:
    """Sums of products (..., lags) of `frames` (..., samples) with themselves, so many samples later."""
    length = 2 ** (frames.shape[-1] + lags - 1).bit_length()  # beyond which nothing comes round from the other end
    spectrum = torch.view_as_real(torch.fft.rfft(frames, length))
    return torch.fft.irfft(spectrum.square().sum(-1), length)[..., :lags]
