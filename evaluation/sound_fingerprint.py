"""Clips that hold the same sound, also in another format, at another rate or loudness, or cut a little differently.

A fingerprint is that of Haitsma & Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): every 11.6 ms a
word of 32 bits, each the sign of how the difference of two neighbouring bands, of 33 between 300 and 2,000 Hz, changes
over time. As there, equal words find the candidates, and the share of bits that differ over all common words decides.
Two things differ: words are also looked up with any one of their bits turned, because clips are short; and a word of a
pause, far below the loudest one, is 0 and never compared, because its bits are noise.

Not found: a sound that was played faster or slower, and one under another that is as loud.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import fft
from tqdm.auto import tqdm

RATE = 8_000
"""Hz of the samples; nothing above 2,000 Hz is looked at."""

WINDOW = 2_960
"""Samples, 0.37 s, of which a word is made; long, so that a shift between two copies' words matters little."""

HOP = 93
"""Samples from word to word, 11.6 ms, a 32nd of the window."""

EDGES = np.round(np.geomspace(300, 2_000, 34) * WINDOW / RATE).astype(int)
"""Bounds of the 33 bands, in lines of the spectrum."""

PAUSE = 1e-5
"""Energy, of the loudest word's, under which a word is a pause: 50 dB below it."""

MIN_WORDS = 64
"""Common words, 0.74 s of sound, from which on two clips can be told apart."""

MAX_ERROR = 0.25
"""Share of differing bits of two copies. Measured on real speech: copies in other formats differ by 0.22 at most, the
most alike pair of different people, saying the same sentence, by 0.31; the paper takes 0.35, of 3 s of music."""

MIN_SHARE = 1 / 3
"""Of the shorter clip's words, the common ones have to be so many: a laugh or a jingle in both is no copy."""

CANDIDATES = 8
"""Places with the most equal words that are looked at for each held-out clip."""

FREQUENT = 200
"""Places looked at for one word; those of a lasting tone are without number, and all alike."""

BLOCK = 512
"""Windows transformed at once, 6 s of sound, which bounds the memory."""

_NEAR = np.concatenate([[0], 1 << np.arange(32)]).astype(np.uint32)


class SoundMatches(NamedTuple):
    """For every held-out clip, the training clip that sounds most like it."""

    nearest: np.ndarray
    """int (held-out clips,), position among the training clips; -1 where none has enough in common."""
    error: np.ndarray
    """float (held-out clips,), share of differing bits, 0..1; 1 where there is none."""
    seconds: np.ndarray
    """float (held-out clips,), how much sound the two have in common."""

    @property
    def duplicate(self) -> np.ndarray:
        """bool (held-out clips,), whether the two hold the same sound."""
        return self.error <= MAX_ERROR


def sound_fingerprint(samples: np.ndarray) -> bytes | None:
    """What a clip sounds like, 344 bytes a second; None where too little of it is no pause.

    Args:
        samples: float32 (samples,), mono, at `RATE`.
    """
    padded = np.pad(samples, WINDOW // 2).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    bands = np.concatenate([_energies(windows[i : i + BLOCK]) for i in range(0, len(windows), BLOCK)])
    signs = np.diff(bands[:, :-1] - bands[:, 1:], axis=0) > 0
    words = np.packbits(np.ascontiguousarray(signs), axis=1).view("<u4").ravel()
    energy = bands[1:].sum(axis=1)
    words[energy <= PAUSE * energy.max(initial=0.0)] = 0
    return words.tobytes() if np.count_nonzero(words) >= MIN_WORDS else None


def _energies(windows: np.ndarray) -> np.ndarray:
    """float32 (windows, bands)."""
    spectrum = np.asarray(fft.rfft(windows * np.hanning(WINDOW).astype(np.float32), axis=1))
    power = np.abs(spectrum) ** 2
    return np.add.reduceat(power[:, : EDGES[-1]], EDGES[:-1], axis=1)


def nearest_sounds(train: Sequence[bytes], held_out: Sequence[bytes]) -> SoundMatches:
    """The training clip that each held-out clip sounds most like, if any; see docs/leakage.md for its time.

    Args:
        train, held_out: fingerprints, at least one each.
    """
    index = _Index([np.frombuffer(words, "<u4") for words in train])
    bar = tqdm(held_out, desc="comparing sounds", unit="clip", delay=5)
    found = [index.nearest(np.frombuffer(words, "<u4")) for words in bar]
    return SoundMatches(*(np.array(column) for column in zip(*found, strict=True)))


class _Index:
    """The words of all training clips in order, and where each stands."""

    def __init__(self, clips: Sequence[np.ndarray]):
        self.clips = clips
        self.sizes = [np.count_nonzero(clip) for clip in clips]
        words = np.concatenate(clips)
        self.places = np.argsort(words, kind="stable")
        self.words = words[self.places]
        self.starts = np.cumsum([0, *map(len, clips)])

    def nearest(self, asked: np.ndarray) -> tuple[int, float, float]:
        """The nearest clip, the share of bits that differ, and the seconds in common."""
        best, size = (-1, 1.0, 0.0), np.count_nonzero(asked)
        for clip, offset in self._candidates(asked):
            error, words = _compare(self.clips[clip], asked, offset)
            if error < best[1] and words >= max(MIN_WORDS, MIN_SHARE * min(size, self.sizes[clip])):
                best = (clip, error, words * HOP / RATE)
        return best

    def _candidates(self, asked: np.ndarray) -> list[tuple[int, int]]:
        """Clips, and the word of each at which the asked one begins, those with the most equal words first."""
        spots, places = self._equal(asked)
        clips = np.searchsorted(self.starts, places, side="right") - 1
        offsets = places - spots - self.starts[clips]
        keys, votes = np.unique((clips << 32) + offsets + len(asked), return_counts=True)
        return [(key >> 32, (key & 0xFFFFFFFF) - len(asked)) for key in keys[np.argsort(-votes)[:CANDIDATES]].tolist()]

    def _equal(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Words of the asked clip and words of training that are equal but for one bit, by their places."""
        spots = np.flatnonzero(asked)
        queries = (asked[spots, None] ^ _NEAR).ravel()
        first, last = (np.searchsorted(self.words, queries, side=side) for side in ("left", "right"))
        counts = np.minimum(last - first, FREQUENT)
        counts[queries == 0] = 0
        ranks = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        return np.repeat(np.repeat(spots, len(_NEAR)), counts), self.places[ranks]


def _compare(known: np.ndarray, asked: np.ndarray, offset: int) -> tuple[float, int]:
    """Share of bits that differ where both have words, and how many these are; `asked` begins at known[offset]."""
    known = known[max(offset, 0) : max(offset + len(asked), 0)]
    asked = asked[max(-offset, 0) :][: len(known)]
    common = (known != 0) & (asked != 0)
    count = int(np.count_nonzero(common))
    return float(np.bitwise_count(known[common] ^ asked[common]).sum()) / (32 * max(count, 1)), count
