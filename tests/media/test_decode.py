import io
import math
import tracemalloc

import cv2
import numpy as np
import pytest

from affecthub.media.decode import MediaError, read_clip


@pytest.mark.parametrize(("count", "wanted"), [(50, 8), (48, 4), (24, 4), (7, 7), (25, 1), (50, 50)])
def test_the_middle_of_equal_segments_is_chosen(render, numbers, count, wanted):
    clip = read_clip(render(frames=count), num_frames=wanted, audio=False)
    expected = [int((k + 0.5) * count / wanted) for k in range(wanted)]
    assert numbers(clip.frames) == expected
    np.testing.assert_allclose(clip.frame_times, np.array(expected) / 25, atol=1e-6)
    assert clip.frames.dtype == np.uint8 and clip.frames.shape == (wanted, 48, 64, 3)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.avi", "clip.ts", "clip.mov"])
def test_other_containers_give_the_same_frames(render, numbers, make_tones, name):
    codec = "pcm_s16le" if name in ("clip.avi", "clip.mov") else "aac"
    clip = read_clip(render(name, audio=make_tones(2.0, 48_000, [440, 440]), codec=codec))
    assert numbers(clip.frames) == [3, 9, 15, 21, 28, 34, 40, 46]
    assert clip.complete and clip.bad_packets == 0
    assert len(clip.audio) == pytest.approx(32_000, abs=700)


def test_frames_equal_opencvs(render):
    path = render()
    clip = read_clip(path, num_frames=50)
    capture = cv2.VideoCapture(str(path))
    reference = np.stack([cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(50)])
    assert np.abs(clip.frames.astype(int) - reference).max() <= 2


def test_jitter_is_seeded_and_stays_in_its_segment(render, numbers):
    path = render()
    draws = [
        numbers(read_clip(path, num_frames=5, rng=np.random.default_rng(seed)).frames) for seed in (0, 0, 1, 2, 3)
    ]
    assert draws[0] == draws[1] and len({tuple(draw) for draw in draws}) > 1
    assert all(10 * k <= number < 10 * (k + 1) for draw in draws for k, number in enumerate(draw))


def test_a_clip_of_one_frame_repeats_it(render, numbers):
    clip = read_clip(render(frames=1))
    assert numbers(clip.frames) == [0] * 8 and clip.complete
    assert read_clip(render(frames=3), num_frames=6, audio=False).frame_times.tolist() == [
        0,
        0,
        0.04,
        0.04,
        0.08,
        0.08,
    ]


def test_frame_size_is_the_shorter_side(render):
    path = render(size=(64, 48))
    assert read_clip(path, frame_size=24).frames.shape == (8, 24, 32, 3)
    assert read_clip(path, frame_size=96).frames.shape == (8, 96, 128, 3)


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_rotation_is_applied(render, degrees):
    stored = read_clip(render("flat.mp4"), num_frames=1).frames[0]
    turned = read_clip(render("turned.mp4", rotation=degrees), num_frames=1).frames[0]
    np.testing.assert_array_equal(turned, np.rot90(stored, degrees // 90))


def test_audio_is_mono_at_the_wanted_rate_and_level(render, make_tones):
    path = render(audio=make_tones(2.0, 48_000, [440, 440]))
    for rate in (16_000, 22_050, 48_000):
        clip = read_clip(path, sampling_rate=rate)
        assert clip.audio.dtype == np.float32 and len(clip.audio) == 2 * rate and clip.sampling_rate == rate
        inner = clip.audio[rate // 10 : -rate // 10]
        assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
        assert np.abs(clip.audio).max() <= 1.0
        loudest = np.abs(np.fft.rfft(inner)).argmax() * rate / len(inner)
        assert loudest == pytest.approx(440, abs=1)


def test_speech_in_the_centre_channel_is_kept(render, make_tones):
    path = render(audio=make_tones(1.0, 48_000, [None, None, 440, None, None, None]), layout="5.1")
    inner = read_clip(path).audio[1000:-1000]
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.5 / np.sqrt(2) / (2 * 0.7071 + 2), rel=0.03)


def test_sound_and_picture_stay_aligned(render, make_tones):
    late = read_clip(render("late.mkv", audio=make_tones(1.0, 48_000, [440, 440]), offset=0.5), sampling_rate=16_000)
    assert np.abs(late.audio[:7_500]).max() < 0.01 and np.abs(late.audio[8_500:]).max() > 0.4
    assert len(late.audio) == pytest.approx(24_000, abs=500)
    assert late.audio_duration == pytest.approx(1.0, abs=0.05)


def test_files_without_sound_or_picture(render, make_tones):
    silent = read_clip(render("silent.mp4"))
    assert silent.audio is None and silent.audio_duration == 0 and silent.complete
    voice = read_clip(render("voice.m4a", frames=0, audio=make_tones(1.0, 48_000, [440, 440])))
    assert voice.frames is None and voice.frame_times is None and voice.complete
    assert len(voice.audio) == 16_000


def test_an_audio_track_without_samples_gives_no_audio(render):
    clip = read_clip(render("empty.mkv", frames=5, empty_audio_track=True))
    assert clip.audio is None and len(clip.frames) == 8


def test_what_is_not_asked_for_is_not_read(render, make_tones):
    path = render(audio=make_tones(2.0, 48_000, [440, 440]))
    heard = read_clip(path, video=False)
    assert heard.frames is None and len(heard.audio) == 32_000 and heard.complete
    seen = read_clip(path, audio=False)
    assert seen.audio is None and len(seen.frames) == 8 and seen.complete
    assert read_clip(render("silent.mp4"), video=False).audio is None


def test_windows(render, numbers, make_tones):
    path = render(frames=100, audio=np.hstack([make_tones(2.0, 48_000, [f, f]) for f in (440, 880)]))
    clip = read_clip(path, start=2.0, max_seconds=1.0, num_frames=5)
    assert numbers(clip.frames) == [2, 7, 12, 17, 22]  # frames 50 to 74, drawn modulo 50
    assert clip.frame_times[0] == pytest.approx(2.08) and len(clip.audio) == 16_000
    assert np.abs(np.fft.rfft(clip.audio[4_000:12_000])).argmax() * 2 == pytest.approx(880, abs=4)
    assert clip.stated_duration == pytest.approx(1.0) and clip.complete
    tail = read_clip(path, start=3.5)
    assert tail.stated_duration == pytest.approx(0.5, abs=0.01) and tail.complete and len(tail.audio) == 8_000
    with pytest.raises(MediaError, match=r"clip\.mp4: no frame and no sample.*between 9.0 s.*stated duration 4.0"):
        read_clip(path, start=9.0)


def test_a_cut_file_gives_its_rest_and_says_so(render, numbers, make_tones):
    path = render(audio=make_tones(2.0, 48_000, [440, 440]), movflags="faststart")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    clip = read_clip(path)
    assert not clip.complete and clip.stated_duration == pytest.approx(2.0)
    assert 0.5 < clip.video_duration < 1.6 and clip.missing_seconds > 0.4
    assert max(numbers(clip.frames)) < 25 * clip.video_duration and len(clip.frames) == 8
    assert len(clip.audio) == pytest.approx(16_000 * clip.audio_duration, abs=2)


def test_damaged_packets_are_counted_and_the_rest_is_used(render, make_tones):
    path = render("voice.m4a", frames=0, audio=make_tones(2.0, 48_000, [440, 440]))
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for place in noise.integers(2_000, len(content) - 3_000, size=40):
        content[place] = noise.integers(256)
    clip = read_clip(io.BytesIO(bytes(content)))
    assert clip.bad_packets > 0 and clip.audio_duration > 1.0
    assert len(clip.audio) == pytest.approx(32_000, abs=1_000), "what failed becomes silence, so that time is kept"


def test_nothing_decodable_is_an_error(render):
    path = render(frames=1)
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + 4
    size = int.from_bytes(content[begin - 8 : begin - 4], "big") - 8
    content[begin : begin + size] = b"\xff" * size
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"clip\.mp4: no frame and no sample could be decoded.*bad packets"):
        read_clip(path)


def test_a_file_that_never_ends_is_given_up(endless, render):
    with pytest.raises(MediaError, match="<bytes>: not read within 60 s; convert it, or copy it again"):
        read_clip(endless, max_seconds=5)
    whole = render(frames=150)
    with pytest.raises(MediaError, match=r"clip\.mp4: not read within 60 s"):
        read_clip(whole)  # 150 packets, a look at the clock at each
    assert read_clip(whole, time_limit=math.inf).video_duration == pytest.approx(6.0)


def test_memory_does_not_grow_with_the_length(render):
    path = render(frames=600, size=(320, 240))
    tracemalloc.start()
    clip = read_clip(path, frame_size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert clip.video_duration == pytest.approx(24.0)
    assert peak < 5e6, f"{peak} bytes, where all frames would take {600 * 320 * 240 * 3}"
