"""Whatever a file holds, reading it ends in time with frames and samples that are some, or with one sentence."""

import io
import itertools
import time

import numpy as np
import pytest
from hypothesis import given

from affecthub.media.container import HeldFile, MediaError
from affecthub.media.decode import read_clip
from affecthub.media.limits import Limits
from affecthub.media.windows import Picture, Sound, check_spans, duration_of, events_of, spans_of, windows_of

from .media_cases import KINDS, SAYS_ITS_SIZE, damaged, whole

LIMITS = Limits(recording_seconds=3600, windows=1000, pixels=4_000_000, reading_seconds=5, work_seconds=8)
SLOWEST = 10.0
"""s."""
FORMS = {"num_frames": 4, "frame_size": 16, "sampling_rate": 16_000}


def read(content):
    """As the pipeline does: its length, it as a whole, and in windows; what was noted."""
    held = HeldFile(io.BytesIO(content), LIMITS)
    duration = duration_of(held)
    clip = read_clip(held, max_seconds=5.0, **FORMS)
    check_spans(duration, 2.0, 2.0, LIMITS)
    windows = list(windows_of(events_of(held), spans_of(duration, 2.0, 2.0), {Picture, Sound}, **FORMS))
    return duration, clip, windows, held.warnings


def check(frames, audio, seconds):
    """What was decoded is of the form that was asked for."""
    if frames is not None:
        assert frames.dtype == np.uint8 and frames.shape[0] == 4 and min(frames.shape[1:3]) == 16
    if audio is not None:
        assert audio.dtype == np.float32 and audio.ndim == 1 and np.isfinite(audio).all()
        assert 0 < len(audio) <= 16_000 * (seconds + 0.5) and np.abs(audio).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_read_without_a_warning(kind):
    duration, clip, windows, warnings = read(whole(kind))
    assert warnings == [] and (duration == pytest.approx(1.0, abs=0.3) or kind == "png")
    assert (clip.frames is None, clip.audio is None) == tuple(codec is None for codec in KINDS[kind][1:3])
    assert len(windows) == 1


@given(damaged())
def test_a_damaged_file_is_read_as_far_as_it_goes_or_refused_in_a_sentence(case):
    kind, content, cut = case
    begin = time.monotonic()
    try:
        duration, clip, windows, warnings = read(content)
    except MediaError as error:
        assert str(error).startswith("<bytes>: ") and "\n" not in str(error) and len(str(error)) < 500
        duration = None
    assert time.monotonic() - begin < SLOWEST
    if duration is not None:
        assert 0 < duration <= LIMITS.recording_seconds
        check(clip.frames, clip.audio, 5.0)
        for window in windows:
            check(window.frames, window.audio, window.end - window.start)
        if cut and kind in SAYS_ITS_SIZE and len(whole(kind)) - len(content) > 8:
            assert warnings, f"{kind} cut to {len(content)} of {len(whole(kind))} bytes, without a word"


def test_the_cuts_of_every_kind_are_seen_at_every_place():
    silent = []
    for kind in SAYS_ITS_SIZE:
        content = whole(kind)
        for size in itertools.islice(range(len(content) // 10, len(content) - 8, len(content) // 24), 22):
            try:
                if not read(content[:size])[3]:
                    silent.append((kind, size))
            except MediaError:
                continue
    assert silent == []
