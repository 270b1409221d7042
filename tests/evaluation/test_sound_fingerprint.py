"""Copies of a sound are found in any format; other sounds, and other people saying the same, are not."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affecthub.evaluation.sound_fingerprint import (
    HOP,
    MAX_ERROR,
    MIN_WORDS,
    RATE,
    nearest_sounds,
    sound_fingerprint,
)
from affecthub.media.decode import read_clip

from .sounds import COPIES, STORED, babble, plain

EMODB = Path(__file__).resolve().parents[2].parent / "shared/data/emodb"


@pytest.fixture(scope="module")
def sounds():
    rng = np.random.default_rng(0)
    return [babble(rng) for _ in range(24)]


@pytest.fixture(scope="module")
def known(sounds):
    return [sound_fingerprint(plain(samples)) for samples in sounds]


@pytest.mark.parametrize("copy", COPIES)
def test_every_copy_is_found(copy, sounds, known):
    copies = [sound_fingerprint(COPIES[copy](samples)) for samples in sounds]
    matches = nearest_sounds(known, copies)
    assert matches.nearest.tolist() == list(range(len(sounds)))
    assert matches.duplicate.all() and matches.error.max() < MAX_ERROR - 0.05
    assert (matches.seconds > 1.5).all()


def test_other_sounds_are_no_copies(known):
    matches = nearest_sounds(known[:12], known[12:])
    assert not matches.duplicate.any()
    assert ((matches.nearest == -1) == (matches.error == 1)).all()


def test_a_part_of_a_clip_is_found_and_a_short_common_sound_is_none(sounds, known):
    part = sound_fingerprint(plain(sounds[3][STORED // 2 : STORED * 3 // 2]))
    assert nearest_sounds(known, [part]).nearest.tolist() == [3]
    jingle, long = sounds[0][: round(0.9 * STORED)], babble(np.random.default_rng(8), 4.0)
    with_jingle = [sound_fingerprint(plain(np.concatenate([jingle, x]))) for x in (long, long[::-1])]
    assert not nearest_sounds(with_jingle[:1], with_jingle[1:]).duplicate.any()


def test_pauses_are_not_compared(sounds):
    assert sound_fingerprint(np.zeros(RATE * 3, np.float32)) is None
    assert sound_fingerprint(plain(sounds[0][: STORED // 10])) is None
    assert sound_fingerprint(np.zeros(0, np.float32)) is None
    click = np.pad(plain(sounds[0][:800]), RATE)
    assert sound_fingerprint(click) is None  # what surrounds it is no sound
    padded = np.frombuffer(sound_fingerprint(np.pad(plain(sounds[0]), RATE)), "<u4")
    assert not padded[: (RATE - 3_000) // HOP].any() and np.count_nonzero(padded) >= MIN_WORDS


def test_a_lasting_tone_costs_no_more_than_speech(known):
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE * 30) / RATE).astype(np.float32)
    tones = [sound_fingerprint(tone * level) for level in (0.1, 0.5)]
    assert nearest_sounds([*known, tones[0]], [tones[1]]).nearest.tolist() in ([len(known)], [-1])


@pytest.fixture(scope="module")
def emodb():
    """Samples at 16 kHz of the real utterances, their fingerprints, and who speaks each."""
    if not EMODB.is_dir():
        pytest.skip("EmoDB is not beside the repository (shared/data/emodb)")
    table = pd.read_csv(EMODB / "metadata.csv")
    with ThreadPoolExecutor() as pool:
        clips = pool.map(lambda name: read_clip(EMODB / name, video=False).audio, table.file_name)
        samples = list(clips)
    return samples, [sound_fingerprint(plain(x)) for x in samples], table.speaker


def test_other_people_saying_the_same_sentence_are_no_copies(emodb):
    _, prints, speakers = emodb
    for person in speakers.unique():
        sides = [[p for p, own in zip(prints, speakers == person, strict=True) if own == held] for held in (0, 1)]
        assert nearest_sounds(*sides).error.min() > MAX_ERROR + 0.05


def test_real_utterances_are_found_among_all_in_any_format(emodb):
    samples, prints, _ = emodb
    chosen = list(range(0, len(samples), 40))
    for copy, change in COPIES.items():
        matches = nearest_sounds(prints, [sound_fingerprint(change(samples[i])) for i in chosen])
        assert matches.nearest.tolist() == chosen and matches.duplicate.all(), copy
