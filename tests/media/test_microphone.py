"""The microphone as a source of sounds, by a stand-in for its library: its clock, and faults that are named."""

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from affecthub.media import microphone
from affecthub.media.container import MediaError
from affecthub.media.microphone import is_microphone, microphone_sounds


class Device:
    """sounddevice with one microphone of 1,000 Hz, "USB", that counts its samples, and loses some before some reads.

    Args:
        now: the clock, a list of s for each read.
        lost: reads before which samples were lost.
    """

    def __init__(self, now, lost=()):
        self.PortAudioError = RuntimeError
        self.now, self.lost, self.samples, self.read_so_far, self.opened = now, lost, itertools.count(), 0, []
        self.time = SimpleNamespace(monotonic=lambda: self.now[self.read_so_far - 1])

    def InputStream(self, device, channels):  # noqa: N802 - as sounddevice has it
        """A stream, that is its own context."""
        self.opened.append((device, channels))
        if isinstance(device, str) and device not in "USB":
            raise ValueError(f"No input device matching {device!r}")
        return self

    samplerate = 1000.0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def read(self, count):
        """float32 (samples, 1), and whether samples were lost before."""
        if self.read_so_far == len(self.now):
            raise self.PortAudioError("Unanticipated host error\n[PaErrorCode -9999]")
        self.read_so_far += 1
        samples = [next(self.samples) / 1e6 for _ in range(count)]
        return np.array(samples, np.float32)[:, None], self.read_so_far in self.lost


@pytest.fixture
def plugged_in(monkeypatch):
    def plug_in(*args, **kwargs):
        device = Device(*args, **kwargs)
        monkeypatch.setitem(sys.modules, "sounddevice", device)
        monkeypatch.setattr(microphone, "time", device.time)
        return device

    return plug_in


def test_sounds_follow_each_other_by_their_samples_and_by_the_clock_where_some_were_lost(plugged_in):
    device = plugged_in([5.1, 5.23, 5.29, 6.0, 6.1, 7.5], lost={4})
    sounds = list(itertools.islice(microphone_sounds(), 6))
    # jitter is smoothed; after a loss, and after a gap that nobody told of, the clock is taken
    assert [sound.time for sound in sounds] == pytest.approx([0, 0.1, 0.2, 0.9, 1.0, 2.4])
    assert [sound.end - sound.time for sound in sounds] == pytest.approx([0.1] * 6)
    assert np.concatenate([sound.samples for sound in sounds]) * 1e6 == pytest.approx(np.arange(600))
    assert device.opened == [(None, 1)] and sounds[0].rate == 1000


def test_a_microphone_is_named_by_a_part_of_its_name_or_its_number(plugged_in):
    device = plugged_in([1.0] * 9)
    next(microphone_sounds("microphone:US")), next(microphone_sounds("microphone:7"))
    assert device.opened == [("US", 1), (7, 1)]
    assert is_microphone("microphone") and is_microphone("microphone:7") and not is_microphone("microphones.mp4")
    with pytest.raises(
        MediaError, match=r"^microphone:XLR: cannot be heard \(No input device matching 'XLR'\); `python"
    ):
        next(microphone_sounds("microphone:XLR"))


def test_a_microphone_that_is_lost_or_cannot_be_had_is_one_sentence(plugged_in, monkeypatch):
    plugged_in([1.0])
    with pytest.raises(MediaError, match=r"cannot be heard \(Unanticipated host error \[PaErrorCode -9999\]\)"):
        list(microphone_sounds())
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ImportError, match=r"pip install 'affecthub\[live\]'"):
        next(microphone_sounds())
