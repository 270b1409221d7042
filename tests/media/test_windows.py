"""Windows over a file are what one reads of it there, and live ones are the same; memory depends on the window."""

import io
import itertools
from types import SimpleNamespace

import av
import numpy as np
import pytest

from affecthub.media import container, windows
from affecthub.media.container import MediaError, open_media
from affecthub.media.decode import read_clip
from affecthub.media.windows import (
    PATIENCE,
    Picture,
    Sound,
    camera_frames,
    duration_of,
    events_of,
    merged,
    pictures_of,
    sound_within,
    sounds_of,
    spans_of,
    windows_of,
)

FORMS = dict(num_frames=4, frame_size=None, sampling_rate=16_000)


def windows_in(path, window, hop=None, kinds=frozenset({Picture, Sound})):
    spans = spans_of(duration_of(path), window, hop or window)
    return list(windows_of(events_of(path), spans, set(kinds), **FORMS))


@pytest.mark.parametrize(
    ("duration", "window", "hop", "expected"),
    [
        (12.0, 5.0, 5.0, [(0, 5), (5, 10), (10, 12)]),
        (10.1, 5.0, 5.0, [(0, 5), (5, 10.1)]),  # 0.1 s is no window of its own
        (3.0, 5.0, 5.0, [(0, 3)]),
        (0.1, 5.0, 5.0, [(0, 0.1)]),
        (8.0, 4.0, 2.0, [(0, 4), (2, 6), (4, 8)]),
        (10.0, 1.0, 4.0, [(0, 1), (4, 5), (8, 9)]),
        (9.1, 1.0, 3.0, [(0, 1), (3, 4), (6, 7)]),
    ],
)
def test_spans_cover_the_recording(duration, window, hop, expected):
    assert list(spans_of(duration, window, hop)) == expected


def test_spans_without_an_end_go_on():
    assert list(itertools.islice(spans_of(None, 2.0, 1.0), 3)) == [(0, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize("hop", [2.0, 1.0])
def test_windows_of_a_file_are_what_is_read_there(render, make_tones, hop):
    path = render(frames=150, audio=make_tones(6, 48_000, [300, 500]))
    windows = windows_in(path, 2.0, hop)
    assert [(window.start, round(window.end, 1)) for window in windows] == [(s, s + 2) for s in np.arange(0, 4.1, hop)]
    for window in windows:
        clip = read_clip(path, start=window.start, max_seconds=2.0, **FORMS)
        np.testing.assert_array_equal(window.frames, clip.frames)
        inner = slice(2000, 30_000)  # a decoder that starts anew in mid-file needs a packet to settle
        np.testing.assert_allclose(window.audio[inner], clip.audio[inner], rtol=0, atol=1e-3)


def test_reading_from_the_middle_on_begins_before_it_and_sounds_the_same(render, make_tones):
    path = render(frames=0, audio=make_tones(6, 48_000, [300, 500]))
    spans = [(4.0, 4.5), (4.5, 5.25)]
    whole, part = (list(windows_of(events_of(path, start=start), spans, {Sound}, **FORMS)) for start in (0.0, 3.5))
    assert 3.4 < next(events_of(path, start=3.5)).time <= 3.5
    for expected, window in zip(whole, part, strict=True):
        np.testing.assert_allclose(window.audio, expected.audio, rtol=0, atol=1e-4)


def test_sounds_that_follow_each_other_are_joined_within_a_span():
    tone = np.sin(np.arange(44_100) / 30).astype(np.float32)
    spans = [(n * 0.0333667, (n + 1) * 0.0333667) for n in range(20)]  # frames of NTSC fall between samples
    pieces = windows_of(sounds_of(tone, 44_100), spans, {Sound}, **FORMS | {"sampling_rate": 44_100})
    sounds = [Sound(piece.start, piece.audio, 44_100) for piece in pieces]
    begin, end = spans[3][0] + 0.01, spans[-1][1]
    joined = sound_within(sounds, (begin, end), 44_100)
    np.testing.assert_array_equal(joined, tone[round(begin * 44_100) : round(end * 44_100)])
    assert sound_within([], (0.0, 1.0), 44_100) is None


def test_a_stream_that_ends_early_is_missing_from_then_on(render, make_tones):
    path = render(frames=150, audio=make_tones(2, 48_000, [300, 300]))
    heard = [None if window.audio is None else round(len(window.audio), -3) for window in windows_in(path, 1.5)]
    assert heard == [24_000, 8_000, None, None]
    assert all(window.frames is not None for window in windows_in(path, 1.5))


def test_windows_do_not_wait_forever_for_a_stream_that_is_silent(render):
    black = np.zeros((8, 8, 3), np.uint8)
    frames = ((float(time), black) for time in itertools.count())
    windows = windows_of(pictures_of(frames), spans_of(None, 2.0, 2.0), {Picture, Sound}, **FORMS)
    first = next(windows)
    assert (first.start, first.end, first.audio) == (0, 2, None)
    assert next(frames)[0] <= 2 + PATIENCE + 1  # no more was read than that


def test_live_frames_and_sounds_give_the_same_windows():
    images = [np.full((8, 8, 3), number, np.uint8) for number in range(40)]
    frames = ((number / 10, image) for number, image in enumerate(images))
    tone = np.sin(np.arange(64_000) / 30).astype(np.float32)
    events = merged(pictures_of(frames), sounds_of(tone, 16_000))
    windows = list(windows_of(events, spans_of(None, 2.0, 2.0), {Picture, Sound}, **FORMS))
    assert [window.frames[:, 0, 0, 0].tolist() for window in windows[:2]] == [[2, 7, 12, 17], [22, 27, 32, 37]]
    np.testing.assert_array_equal(windows[1].audio, tone[32_000:64_000])


def test_an_empty_stretch_gives_empty_windows():
    black = np.zeros((8, 8, 3), np.uint8)
    windows = list(windows_of(pictures_of([(0.0, black), (5.0, black)]), spans_of(6.0, 2, 2), {Picture}, **FORMS))
    assert [window.frames is None for window in windows] == [False, True, False]


def test_sound_with_a_gap_is_silent_there():
    ones = np.ones(16_000, np.float32)
    sounds = [Sound(0.0, ones, 16_000), Sound(2.0, ones, 16_000)]
    (window,) = windows_of(sounds, spans_of(3.0, 3.0, 3.0), {Sound}, **FORMS)
    assert [window.audio[i * 16_000 : (i + 1) * 16_000].mean() for i in range(3)] == [1, 0, 1]


class Unseekable:
    """As a browser records: written once, without going back to note the length."""

    def __init__(self):
        self.content = b""

    def write(self, block):
        self.content += bytes(block)
        return len(block)


def test_a_length_that_no_header_states_is_found(render, numbers):
    recorded = Unseekable()
    with av.open(str(render(frames=50))) as source, av.open(recorded, "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    file = io.BytesIO(recorded.content)
    with open_media(file) as opened:
        assert opened.duration is None
    assert duration_of(file) == pytest.approx(2.0, abs=0.1)
    assert [len(numbers(window.frames)) for window in windows_in(file, 1.0)] == [4, 4]


def test_a_file_without_any_time_is_refused(render, tmp_path):
    raw = tmp_path / "raw.mp4"
    with av.open(str(render(frames=5))) as source:
        filtered = av.BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0])
        raw.write_bytes(b"".join(bytes(out) for p in source.demux(video=0) for out in filtered.filter(p)))
    with pytest.raises(MediaError, match="raw.mp4: holds no packet with a time stamp"):
        duration_of(raw)


def test_a_broken_middle_is_counted_and_the_rest_is_used(render, caplog):
    path = render(frames=150, fps=25)
    data = bytearray(path.read_bytes())
    begin = len(data) // 3
    data[begin : begin + len(data) // 6] = bytes(len(data) // 6)
    path.write_bytes(data)
    windows = windows_in(path, 2.0, kinds={Picture})
    assert windows[0].frames is not None and windows[-1].frames is not None


def test_a_recording_that_does_not_get_on_is_given_up(endless):
    for read in (lambda: list(events_of(endless)), lambda: windows_in(endless, 1.0)):
        with pytest.raises(MediaError, match="<bytes>: not read within 60 s"):
            read()


def test_one_that_gets_on_may_take_as_long_as_it_takes_and_so_may_its_reader(render, make_tones, monkeypatch):
    path = render(frames=250, audio=make_tones(10, 48_000, [440, 440]))
    clock = itertools.count()
    monkeypatch.setattr(container, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    events = 0
    for _ in events_of(path):
        events += 1
        clock = itertools.count(1000 * events)
    assert events > 500 and duration_of(path) == pytest.approx(10.0, abs=0.1)


def test_a_file_object_is_read_from_its_beginning_each_time(render):
    file = io.BytesIO(render(frames=50).read_bytes())
    for _ in range(2):
        assert duration_of(file) == pytest.approx(2.0)
        assert len(list(events_of(file))) == 50


@pytest.mark.parametrize("form", ["bytes", "path"])
def test_a_list_of_other_files_opens_none_of_them(render, tmp_path, monkeypatch, form):
    render(name="secret.mp4", frames=5)
    monkeypatch.chdir(tmp_path)
    script = b"ffconcat version 1.0\nfile 'secret.mp4'\n"
    (tmp_path / "clip.mp4").write_bytes(script)
    with pytest.raises(MediaError):
        open_media(io.BytesIO(script) if form == "bytes" else tmp_path / "clip.mp4")


def test_two_devices_are_put_on_one_clock(monkeypatch):
    now = iter([103.0, 104.1])
    monkeypatch.setattr(windows, "time", SimpleNamespace(monotonic=lambda: next(now)))
    frames = pictures_of((n / 10, np.zeros((2, 2, 3), np.uint8)) for n in range(3))
    sounds = (Sound(n / 10, np.zeros(10, np.float32), 100) for n in range(3))
    assert [event.time for event in windows.on_one_clock(frames, 100.0)] == pytest.approx([3.0, 3.1, 3.2])
    assert [event.time for event in windows.on_one_clock(sounds, 100.0)] == pytest.approx([4.0, 4.1, 4.2])


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(MediaError, match="camera nowhere.mp4: cannot be opened"):
        next(camera_frames("nowhere.mp4"))


def test_camera_frames_come_with_their_time(render):
    shown = list(camera_frames(str(render(frames=5))))
    times = [time for time, _ in shown]
    assert len(shown) == 5 and times[0] == 0 and times == sorted(times)
    assert shown[0][1].shape == (48, 64, 3)
