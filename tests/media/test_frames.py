"""Frames at a steady rate: which ones, when, resumed, and what bad files do."""

from fractions import Fraction

import av
import numpy as np
import pytest

from affecthub.media.container import MediaError
from affecthub.media.decode import read_clip
from affecthub.media.frames import count_frames, sample_frames, shrink


def write_av(path, first=0, aspect=1):
    """50 frames, the first of them so many frames after the sound begins, which lasts 4 s."""
    with av.open(path, "w") as target:
        video = target.add_stream("libx264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.sample_aspect_ratio = Fraction(aspect)
        sound = target.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=48_000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 192_000), np.float32), "fltp", "mono")
        silence.sample_rate, silence.pts = 48_000, 0
        packets = [*sound.encode(silence), *sound.encode()]
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, 25)
            packets += video.encode(frame)
        for packet in sorted([*packets, *video.encode()], key=lambda packet: packet.dts * packet.time_base):
            target.mux(packet)
    return path


def test_every_nth_frame_with_its_time(render, numbers):
    frames = list(sample_frames(render(frames=40, fps=25), every=15))
    assert [frame.index for frame in frames] == [0, 15, 30]
    assert [frame.time_ms for frame in frames] == pytest.approx([0, 600, 1200])
    assert numbers([frame.image for frame in frames]) == [0, 15, 30]


def test_a_rate_goes_by_time(render):
    frames = list(sample_frames(render(frames=48, fps=24), rate=5))
    assert [frame.index for frame in frames] == [0, 5, 10, 15, 20, 24, 29, 34, 39, 44]
    assert len(list(sample_frames(render(frames=50, fps=25), rate=1))) == 2
    assert len(list(sample_frames(render(frames=10, fps=25), rate=1000))) == 10


@pytest.mark.parametrize("choice", [{"every": 7}, {"rate": 3.0}])
def test_what_is_resumed_equals_the_rest(render, choice):
    path = render(frames=50)
    whole = [frame.index for frame in sample_frames(path, **choice)]
    rest = [frame.index for frame in sample_frames(path, **choice, start=whole[2] + 1)]
    assert rest == whole[3:]


def test_bad_files_are_told(tmp_path, render, make_tones):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match="text.mp4: not a media file"):
        list(sample_frames(tmp_path / "text.mp4"))
    sound = render("sound.mp4", frames=0, audio=make_tones(1, 48_000, [440]), layout="mono")
    with pytest.raises(MediaError, match="sound.mp4: no video track"):
        count_frames(sound)
    with pytest.raises(ValueError, match="every=0"):
        list(sample_frames(render(), every=0))


def test_a_cut_file_ends_early_without_an_error(render):
    path = render(frames=50, movflags="faststart")
    assert count_frames(path) == 50
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert 0 < len(list(sample_frames(path, every=1))) < count_frames(path)


def test_frames_shrink_but_never_grow(render):
    image = next(sample_frames(render(size=(64, 48)))).image
    assert shrink(image, 24).shape == (24, 32, 3)
    assert shrink(image, 96) is image


def test_a_picture_that_begins_after_its_sound_is_timed_from_the_beginning_of_the_recording(tmp_path):
    path = write_av(tmp_path / "late.mp4", first=50)
    times = [frame.time_ms for frame in sample_frames(path, every=25)]
    np.testing.assert_allclose(times, [2000, 3000], atol=30)
    np.testing.assert_allclose(read_clip(path, num_frames=1).frame_times, [3.0], atol=0.05)
    assert [frame.time_ms for frame in sample_frames(write_av(tmp_path / "same.mp4"), every=25)] == [0, 1000]


def test_pixels_are_square(tmp_path):
    path = write_av(tmp_path / "wide.mp4", aspect=2)
    assert next(sample_frames(path)).image.shape == read_clip(path, num_frames=1).frames.shape[1:] == (48, 128, 3)
