"""The synthetic voices of the sample corpus: pitch, range, energy, tempo and timbre follow an emotion.

The directions follow the review of Scherer, "Vocal communication of emotion", *Speech Communication* 40 (2003)
(anger: loud, fast, bright; sadness: quiet, slow, low, dull; fear: high, fast; joy: high, wide range), exaggerated.
"""

from dataclasses import dataclass

import numpy as np

RATE = 48_000  # Hz, as in MELD
_TABLE = 2048  # samples in one period of the wavetable
_HARMONICS = np.arange(1, 31)


@dataclass(frozen=True)
class Prosody:
    """How an emotion sounds."""

    pitch: float
    """Hz, the fundamental of a speaker whose pitch factor is 1."""
    rise: float
    """Octaves from the start of the clip to its end."""
    swing: float
    """Octaves of the melody around that line."""
    tempo: float
    """Syllables per second."""
    tilt: float
    """How fast harmonics fall off: amplitude ~ 1 / harmonic ** tilt."""
    formants: tuple[float, float]
    """Hz, the two resonances of the vowel."""
    loudness: float
    """Peak amplitude, 0..1."""
    breath: float = 0.0
    """Noise beside the tone, relative to its peak."""
    rough: float = 0.0
    """Depth of a 70 Hz beating of the tone, 0..1."""


PROSODY: dict[str, Prosody] = {
    "neutral": Prosody(130, -0.1, 0.05, 4.0, 1.6, (500, 1500), 0.30),
    "surprise": Prosody(220, 1.0, 0.10, 2.5, 1.2, (450, 900), 0.50),
    "fear": Prosody(340, 0.1, 0.12, 8.0, 1.5, (400, 2700), 0.22, breath=0.25),
    "sadness": Prosody(105, -0.3, 0.03, 1.7, 2.4, (350, 800), 0.10, breath=0.03),
    "joy": Prosody(260, 0.2, 0.45, 5.0, 0.8, (800, 2000), 0.55),
    "disgust": Prosody(85, -0.4, 0.08, 2.3, 0.9, (1000, 1300), 0.35, rough=0.3),
    "anger": Prosody(175, -0.1, 0.25, 6.0, 0.3, (900, 3200), 0.90, breath=0.05, rough=0.7),
}


@dataclass(frozen=True)
class Timbre:
    """What makes a speaker's voice their own."""

    pitch: float
    """Factor on the fundamental, about 0.9..1.1."""
    tract: float
    """Factor on the formants, about 0.95..1.05: a short vocal tract has high ones."""


def speak(emotion: str, timbre: Timbre, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return `samples` of a voice at 48 kHz, float32, within -1..1, whose prosody is that of `emotion`."""
    prosody = PROSODY[emotion]
    t = np.arange(samples) / RATE
    envelope = _syllables(prosody, t, rng)
    tone = _tone(prosody, timbre, t, rng)
    if prosody.rough:
        tone *= 1 - prosody.rough * (np.sin(2 * np.pi * 70 * t) > 0)
    hiss = np.diff(rng.standard_normal(samples + 1, np.float32)) / 3  # the difference lifts the highs, as breath does
    voice = prosody.loudness * rng.uniform(0.85, 1.15) * envelope * (tone + prosody.breath * hiss)
    room = 0.002 * rng.standard_normal(samples, np.float32)
    return np.clip(voice + room, -1, 1).astype(np.float32)


def _syllables(prosody: Prosody, t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the loudness contour, 0.1..1: one hump a syllable, at a tempo that varies by 6 % between clips."""
    tempo = prosody.tempo * rng.normal(1.0, 0.06)
    return 0.1 + 0.9 * np.sin(np.pi * (tempo * t + rng.random())) ** 2


def _tone(prosody: Prosody, timbre: Timbre, t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the voiced source through its vowel, peak 1, by reading one period of it at a moving pitch."""
    pitch = prosody.pitch * timbre.pitch * rng.normal(1.0, 0.03)
    melody = prosody.swing * np.sin(2 * np.pi * (0.9 * t + rng.random())) + prosody.rise * (t / t[-1] - 0.5)
    cycles = np.cumsum(pitch * 2.0**melody) / RATE
    table = _period(prosody, timbre, pitch)
    return table[(cycles * _TABLE).astype(np.int64) % _TABLE]


def _period(prosody: Prosody, timbre: Timbre, pitch: float) -> np.ndarray:
    """Return one period of the voice, `_TABLE` samples with peak 1, shaped by tilt and formants."""
    frequency = _HARMONICS * pitch
    gain = _HARMONICS**-prosody.tilt
    for centre in prosody.formants:
        gain = gain * (1 + 6 * np.exp(-(((frequency - centre * timbre.tract) / (0.15 * centre + 60)) ** 2)))
    gain = gain * (frequency < 9000)  # leaves room below half the sampling rate for a melody that rises an octave
    phase = 2 * np.pi * np.arange(_TABLE) / _TABLE
    wave = (gain[:, None] * np.sin(_HARMONICS[:, None] * phase)).sum(axis=0)
    return wave / np.abs(wave).max()
