"""Copies are severe, likeness that has a reason is a warning, and what was not compared is said."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from affecthub.evaluation.audit import AuditColumns, audit
from affecthub.evaluation.frame_signatures import frame_signature
from affecthub.evaluation.sound_fingerprint import sound_fingerprint

from .sounds import COPIES, babble, noisy, plain

COLUMNS = AuditColumns(
    *("key", "recording", "participant", "signature"), content="content", sound="sound", moving="moving", fault="fault"
)


NO_SOUND = replace(COLUMNS, sound=None)


def scene(rng):
    return cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (96, 72), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def sounds():
    rng = np.random.default_rng(1)
    return [babble(rng) for _ in range(12)]


@pytest.fixture
def sides(sounds):
    """Six training and six held-out clips of a person and a recording each."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "key": [f"clip {i}" for i in range(12)],
            "recording": [f"recording {i}" for i in range(12)],
            "participant": [f"person {i}" for i in range(12)],
            "signature": [frame_signature(scene(rng)) for _ in range(12)],
            "content": [f"bytes {i}" for i in range(12)],
            "sound": [sound_fingerprint(plain(samples)) for samples in sounds],
            "moving": True,
            "fault": pd.Series([None] * 12, dtype=object),
        }
    )
    return table.iloc[:6].copy(), table.iloc[6:].copy()


def plant(held_out, column, *values):
    held_out.iloc[: len(values), held_out.columns.get_loc(column)] = values


def found_in(sides, columns=COLUMNS, **options):
    return {f.check: f for f in audit(*sides, columns, **options) if f.check != "label_from_participant"}


def test_clips_that_differ_raise_no_alarm(sides):
    assert found_in(sides) == found_in(sides, synthetic=True) == {}


def test_equal_bytes_are_named(sides):
    plant(sides[1], "content", "bytes 2", "bytes 2", None)
    (found,) = found_in(sides).values()
    assert (found.check, found.severity, found.count) == ("same_content", "severe", 2)
    assert found.examples == ["clip 6 = clip 2", "clip 7 = clip 2"]
    assert found_in(sides, synthetic=True)["same_content"].severity == "severe"  # bytes are no likeness


def test_the_same_sound_is_severe_unless_voices_are_computed(sides, sounds):
    plant(sides[1], "sound", sound_fingerprint(COPIES["MP3, 32 kbit/s"](sounds[3])), None)
    (found,) = found_in(sides).values()
    assert (found.check, found.severity, found.count) == ("same_sound", "severe", 1)
    assert found.examples[0].startswith("clip 6 = clip 3 (") and "of the bits differ" in found.examples[0]
    assert found.message.startswith("1 of 5 held-out clips")
    assert found.message.endswith("1 more have none, or too little, and were not compared")
    assert found_in(sides, synthetic=True)["same_sound"].severity == "warning"
    plant(sides[1], "sound", sound_fingerprint(plain(noisy(sounds[3], 0))))
    assert "same_sound" in found_in(sides) and "same_sound" not in found_in(sides, synthetic=True)


def test_a_like_frame_is_severe_unless_it_has_a_reason(sides):
    silent = [side.assign(sound=None) for side in sides]
    for side in (silent[1], sides[1]):
        plant(side, "signature", *sides[0].signature.iloc[:3])
    found = found_in(silent)
    assert set(found) == {"same_sound", "near_duplicate_frames"} and found["same_sound"].severity == "unchecked"
    assert (found["near_duplicate_frames"].severity, found["near_duplicate_frames"].count) == ("severe", 3)
    assert found_in(silent, synthetic=True)["near_duplicate_frames"].severity == "warning"
    other_sound = found_in(sides)["near_duplicate_frames"]
    assert other_sound.severity == "warning" and "but of the same person or recording, or with" in other_sound.message
    plant(silent[1], "participant", "person 0")
    silent[1].iloc[1, silent[1].columns.get_loc("recording")] = "recording 1"
    partly = found_in(silent)["near_duplicate_frames"]
    assert (partly.severity, partly.count, len(partly.examples)) == ("severe", 1, 1)
    assert "so do 2 more, but of the same person" in partly.message
    plant(silent[1], "moving", False)
    assert found_in(silent)["near_duplicate_frames"].count == 2  # all there is to see of it is the one picture


def test_a_screen_that_all_saw_is_one_finding_that_says_so(sides):
    shown = sides[0].signature.iloc[:2].tolist() * 3
    (found,) = found_in([side.assign(signature=shown, sound=None, moving=False) for side in sides], NO_SOUND).values()
    assert (found.check, found.count) == (
        "near_duplicate_frames",
        6,
    ) and "a screen that all of them saw" in found.message


def test_one_copy_in_thousands_is_a_warning(sides):
    many = pd.concat([sides[1]] * 400, ignore_index=True).assign(sound=None, signature=None)
    for columns in (("content", "bytes 0"), ("sound", sides[0].sound[0])):
        planted = many.copy()
        planted.loc[0, columns[0]] = columns[1]
        assert found_in((sides[0], planted))[f"same_{columns[0]}"].severity == "warning"
        planted.loc[:3, columns[0]] = columns[1]
        assert found_in((sides[0], planted))[f"same_{columns[0]}"].severity == "severe"


def test_media_that_could_not_be_read_are_counted(sides):
    plant(sides[1], "fault", "a.mp4: the file is empty", "b.mp4: gone")
    (found,) = found_in(sides).values()
    assert (found.check, found.severity, found.count) == ("unreadable_media", "note", 2)
    assert found.message.startswith("the media of 2 of 12 rows could not be read")
    assert found.examples == ["a.mp4: the file is empty", "b.mp4: gone"]
