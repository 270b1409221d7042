"""What comes from outside is bounded, checked against what it claims, and refused or answered in a sentence."""

import io
import os
import struct
import time
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest

from affecthub.media import limits as limits_module
from affecthub.media.container import HeldFile, MediaError, probe
from affecthub.media.decode import read_clip
from affecthub.media.ending import missing_bytes
from affecthub.media.frames import sample_frames
from affecthub.media.limits import Limits
from affecthub.media.windows import check_spans, duration_of, events_of

from ..fuzz.media_cases import whole

FORMS = {
    "clip.mp4": {"movflags": "faststart"},
    "frag.mp4": {"movflags": "frag_keyframe+empty_moov"},
    "clip.mkv": {},
    "clip.avi": {"codec": "pcm_s16le"},
    "voice.wav": {"codec": "pcm_s16le", "frames": 0},
}


def warnings_of(source):
    """What is noted with a file that is read as the pipeline reads it."""
    held = HeldFile(source)
    duration_of(held)
    read_clip(held)
    return held.warnings


@pytest.mark.parametrize("name", FORMS)
def test_a_file_that_was_cut_off_says_so_wherever_that_was(name, render, make_tones):
    path = render(name, audio=make_tones(2.0, 48_000, [440, 440]), **FORMS[name])
    assert warnings_of(path) == []
    whole, shares = path.read_bytes(), []
    for share in np.linspace(0.3, 0.99, 12):
        part = whole[: int(len(whole) * share)]
        path.write_bytes(part)
        (first, *_) = warnings_of(path)
        assert first.startswith("it was cut off: ") and "copy it again" in first, share
        assert warnings_of(io.BytesIO(part))[0] == first
        shares.append(duration_of(path))
    assert shares == sorted(shares) and shares[0] < 1.5 and 1.7 < shares[-1] <= 2.05


def test_the_place_in_a_file_object_is_left_as_it_was(render):
    file = io.BytesIO(render().read_bytes()[:-20])
    with av.open(file) as container:
        place = file.seek(77)
        assert missing_bytes(container, file) == 20 and file.tell() == place


def lying(path, seconds):
    """A Matroska file whose header states another length."""
    content = bytearray(path.read_bytes())
    place = content.index(b"\x44\x89\x88") + 3
    content[place : place + 8] = struct.pack(">d", seconds * 1000)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("stated", [1e10, 7.0, 0.9, 0.001, -5.0, 1e300, float("nan"), float("inf")])
def test_a_length_that_a_header_states_is_a_claim(stated, large, render, monkeypatch):
    monkeypatch.setattr("affecthub.media.windows.BEFORE_END", 0.5)
    if large:
        monkeypatch.setattr("affecthub.media.windows.MEASURED", 0)
    held = HeldFile(lying(render("clip.mkv"), stated))
    assert duration_of(held) == pytest.approx(2.0, abs=0.1)
    if abs(stated) < 1e11:
        assert held.warnings == [f"it holds {duration_of(held):.2f} s of the {stated:,.10g} s that its header states"]


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_track_s_number_that_ffmpeg_would_count_up_to(in_memory, render):
    path = render()
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 16
    assert content[place - 12] == 0 and content[place : place + 4] == b"\0\0\0\1"
    content[place] = 0x80
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(MediaError, match=r"is damaged \(a track of number 2,147,483,649\); convert it"):
        duration_of(io.BytesIO(content) if in_memory else path)
    assert time.monotonic() - began < 5


def test_samples_that_no_file_of_its_size_holds(tmp_path):
    content = bytearray(whole("fragments"))
    place = content.rindex(b"trun") + 8
    content[place : place + 4] = (83_886_085).to_bytes(4, "big")  # of which FFmpeg makes 2 GB
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"a.mp4: is damaged \(83,886,085 samples in [0-9,]+ bytes\)"):
        duration_of(tmp_path / "a.mp4")


def test_what_is_stamped_later_than_a_recording_lasts_is_left_out(tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(path, "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in (*range(50), 25 * 30_000_000):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            frame.pts = number
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    held = HeldFile(path)
    assert duration_of(held) == pytest.approx(2.0, abs=0.1)
    assert "packets that are stamped later than 86,400 s: 1; they were left out" in held.warnings
    assert max(event.time for event in events_of(held)) < 2


def wav(samples, rate=16_000, channels=1, kind=3):
    """A WAV file's bytes, of float32 samples, with a header that says whatever is asked for."""
    data = np.asarray(samples, np.float32).tobytes()
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * 4 * channels & 0xFFFFFFFF, 4 * channels, 32)
    return b"RIFF%bWAVEfmt %b%bdata%b%b" % (
        *(struct.pack("<I", size) for size in (36 + len(data), 16)),
        *(form, struct.pack("<I", len(data)), data),
    )


def png(width, height):
    """A black picture whose bytes are few."""
    body = zlib.compress(b"\0" * (height * (1 + 3 * width)), 9) if width * height < 1e9 else b""
    parts = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


TONE = np.sin(np.arange(16_000) / 20)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (wav(TONE, rate=2**31 - 1), "a sampling rate of 2147483647 Hz, and 1000 to 384000 are taken; export it anew"),
        (wav(TONE, rate=1), "a sampling rate of 1 Hz"),
        (wav(np.full(16_000, np.inf)), "no sample could be decoded.*finite and at most 100 times full scale"),
        (wav(TONE * np.nan), "no sample could be decoded"),
        (wav(TONE * 32_768), "no sample could be decoded"),
        (wav(TONE, channels=100), "channels: 100, and at most 64 are taken; pass less, or raise the limit channels"),
        (png(9000, 9000), "no frame .* could be decoded.*frames within the limit pixels"),
        (png(2**31 - 1, 2**31 - 1), "no frame .* could be decoded"),
        (png(0, 0), "no frame .* could be decoded"),
    ],
)
def test_claims_beyond_the_limits_are_refused_before_anything_is_made_of_them(content, said):
    with pytest.raises(MediaError, match=f"^<bytes>: .*{said}"):
        read_clip(io.BytesIO(content), max_seconds=5.0)


def test_samples_that_are_none_are_silent_and_counted():
    broken = np.where((np.arange(16_000) // 1000) == 3, np.inf, TONE)
    held = HeldFile(io.BytesIO(wav(broken)))
    clip = read_clip(held)
    assert np.isfinite(clip.audio).all() and clip.bad_packets and len(clip.audio) == 16_000
    assert held.warnings == [f"damaged packets or frames: {clip.bad_packets}; the rest was used"]


@pytest.mark.parametrize("read", [probe, read_clip, duration_of, lambda path: next(sample_frames(path))])
def test_what_is_no_regular_file_is_not_waited_for(read, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "pipe.mp4", tmp_path / "folder.mp4", "/dev/zero"):
        with pytest.raises(MediaError, match=f"^{path}: not a regular file; pass the file of a recording"):
            read(path)


def test_limits_are_options_of_a_file_a_call_and_a_process(render, monkeypatch):
    path = render(audio=None)
    for limit in ({"file_bytes": 100}, {"pixels": 100}, {"work_seconds": 1e-9}, {"packet_bytes": 1}):
        with pytest.raises(MediaError, match=f"raise the limit {next(iter(limit))}"):
            read_clip(HeldFile(path, Limits.of(limit)))
    assert (
        Limits.of("windows=5, pixels=4e6")
        == Limits.of({"windows": 5, "pixels": 4e6})
        == Limits(windows=5, pixels=4_000_000)
    )
    for wrong in ("windows=0", "windows=many", "doors=5", "windows", "pixels=nan", "pixels=-1"):
        with pytest.raises(ValueError, match="limit"):
            Limits.of(wrong)
    limits_module.default_limits.cache_clear()
    monkeypatch.setenv(limits_module.VARIABLE, "pixels=100")
    with pytest.raises(MediaError, match="raise the limit pixels"):
        read_clip(path)
    monkeypatch.undo()
    limits_module.default_limits.cache_clear()


@pytest.mark.parametrize(("window", "hop"), [(1.0, 1e-5), (1.0, 1e-300), (1e-300, 1e-300), (1e-6, 1e-6)])
def test_windows_are_counted_before_they_are_made(window, hop):
    with pytest.raises(ValueError, match=f"hop_seconds={hop}: windows.*at most"):
        check_spans(4.0, window, hop, Limits())


@pytest.mark.parametrize(("aspect", "shape"), [((2, 1), (48, 128)), ((1, 2), (96, 64)), ((10**6, 1), (48, 64))])
def test_pixels_are_square(aspect, shape, render, tmp_path):
    path = tmp_path / "wide.mp4"
    with av.open(path, "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        target.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")))
        target.mux(stream.encode())
    assert read_clip(path, num_frames=1).frames.shape == (1, *shape, 3)
