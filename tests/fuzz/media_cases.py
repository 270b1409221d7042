"""Media files of every kind, and strategies that damage them: cuts, flipped bits, headers that lie."""

import struct
import tempfile
from functools import cache
from pathlib import Path

import av
import numpy as np
from hypothesis import strategies as st

KINDS = {
    "mp4": ("mp4", "libx264", "aac", {}),
    "faststart": ("mp4", "libx264", "aac", {"movflags": "faststart"}),
    "fragments": ("mp4", "mpeg4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("matroska", "libx264", "libopus", {}),
    "webm": ("webm", "libvpx", "libopus", {}),
    "avi": ("avi", "mpeg4", "pcm_s16le", {}),
    "ts": ("mpegts", "mpeg2video", "mp2", {}),
    "flv": ("flv", "flv1", "aac", {}),
    "wav": ("wav", None, "pcm_f32le", {}),
    "flac": ("flac", None, "flac", {}),
    "ogg": ("ogg", None, "libopus", {}),
    "mp3": ("mp3", None, "libmp3lame", {}),
    "gif": ("gif", "gif", None, {}),
    "png": ("image2pipe", "png", None, {}),
}
"""Name -> container, codec of the pictures and of the sound, options."""

SAYS_ITS_SIZE = ("faststart", "mkv", "webm", "avi", "wav")
"""Those of which any cut shows, unless nothing is left that can be opened."""

RATE = 48_000


@cache
def whole(kind: str) -> bytes:
    """A second of noise and a tone."""
    container, picture, sound, options = KINDS[kind]
    rng = np.random.default_rng(0)
    with tempfile.NamedTemporaryFile() as file:  # a place, because an index is moved to the front by reading it again
        _write(file.name, container, picture, sound, options, rng)
        return Path(file.name).read_bytes()


def _write(path, container, picture, sound, options, rng):
    with av.open(path, "w", format=container, options=options) as target:
        streams = []
        if picture:
            video = target.add_stream(picture, rate=25)
            video.width, video.height = 32, 32
            video.pix_fmt = {"png": "rgb24", "gif": "rgb8"}.get(picture, "yuv420p")
            streams += [(video, frame) for frame in _frames(rng, 1 if picture == "png" else 25, video.pix_fmt)]
        if sound:
            streams += _tone(target.add_stream(sound, rate=RATE, layout="mono"))
        for stream, frame in streams:
            target.mux(stream.encode(frame))
        for stream in target.streams:
            target.mux(stream.encode())


def _frames(rng, count, form):
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), "rgb24")
        frame = frame.reformat(format=form)
        frame.pts = number
        yield frame


def _tone(stream):
    samples = (0.3 * np.sin(np.arange(RATE) / 20)).astype(np.float32)
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.codec_context.format.name, "mono", RATE, frame_size=size)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = RATE, 0
    return [(stream, part) for part in (*resampler.resample(frame), *resampler.resample(None))]


LIES = [
    *(struct.pack(f"{order}{kind}", value) for order in "<>" for kind, value in (("I", 2**31 - 1), ("I", 2**32 - 1))),
    *(struct.pack(">d", value) for value in (1e13, float("inf"), float("nan"), -1.0, 0.0)),
    *(bytes([fill]) * size for fill in (0x00, 0xFF, 0x7F, 0x80) for size in (1, 2, 4, 8)),
]
"""What is written over a header: sizes, rates, lengths and dimensions that cannot be."""


@st.composite
def damaged(draw, kinds=tuple(KINDS)):
    """A kind, the bytes of a damaged file, and whether all that was done was to cut its end off."""
    kind = draw(st.sampled_from(kinds))
    content = bytearray(whole(kind))
    size = len(content)
    ways = draw(st.lists(st.sampled_from(("cut", "flip", "lie", "hole", "repeat")), min_size=1, max_size=3))
    for way in ways:
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        if way == "cut":
            del content[place:]
        elif way == "flip":
            for bit in draw(st.lists(st.integers(0, 8 * max(len(content), 1) - 1), max_size=40)):
                if bit // 8 < len(content):
                    content[bit // 8] ^= 1 << bit % 8
        elif way == "lie":
            lie = draw(st.sampled_from(LIES))
            place = draw(st.integers(0, min(800, len(content))))
            content[place : place + len(lie)] = lie
        elif way == "hole":
            length = draw(st.integers(1, 500))
            content[place : place + length] = bytes(len(content[place : place + length]))
        else:
            content[place:place] = content[: draw(st.integers(1, 500))]
    return kind, bytes(content), set(ways) == {"cut"} and len(content) < size
