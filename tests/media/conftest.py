"""Renders small media files whose frame numbers and tones can be read back."""

import itertools
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from affecthub.media import container as container_module

STEP = 4
"""Grey levels between frames: wide enough to survive H.264."""


def tones(seconds, rate, frequencies, amplitude=0.5):
    """float32 (channels, samples): one sine a channel; a frequency of None is silence."""
    time = np.arange(round(seconds * rate)) / rate
    lines = [np.zeros_like(time) if f is None else amplitude * np.sin(2 * np.pi * f * time) for f in frequencies]
    return np.stack(lines).astype(np.float32)


def _encode_video(container, stream, count, fps, rotation):
    for number in range(count):
        grey = np.full((stream.height, stream.width, 3), 20 + STEP * (number % 50), np.uint8)
        grey[: stream.height // 4] //= 2  # the top is darker, so that turning shows
        frame = av.VideoFrame.from_ndarray(grey, "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, fps)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _encode_audio(container, stream, samples, rate, layout, offset):
    kind = stream.codec_context.format.name
    resampler = av.AudioResampler(kind, layout, rate, frame_size=stream.codec_context.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).copy(), format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, round(offset * rate), Fraction(1, rate)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(part))
    container.mux(stream.encode())


@pytest.fixture
def render(tmp_path):
    """Write a file: `frames` grey frames in H.264, `audio` float (channels, samples) in AAC unless said otherwise."""

    def write(
        name="clip.mp4",
        frames=50,
        fps=25,
        size=(64, 48),
        audio=None,
        rate=48_000,
        layout="stereo",
        codec="aac",
        offset=0.0,
        rotation=0,
        movflags="",
        empty_audio_track=False,
    ):
        path = tmp_path / name
        with av.open(path, "w", options={"movflags": movflags} if movflags else {}) as container:
            if frames:
                video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "10"})
                video.width, video.height, video.pix_fmt = *size, "yuv420p"
                if rotation:
                    video.set_display_rotation(rotation)
            if audio is not None or empty_audio_track:
                sound = container.add_stream(codec, rate=rate, layout=layout)
            if frames:
                _encode_video(container, video, frames, fps, rotation)
            if audio is not None:
                _encode_audio(container, sound, audio, rate, layout, offset)
        return path

    return write


class Endless:
    """A file that begins anew where it ends, and its time stamps with it."""

    def __init__(self, content):
        self.content, self.position = content, 0

    def read(self, size):
        """At most to where it begins anew."""
        part = self.content[self.position :][:size]
        self.position = (self.position + len(part)) % len(self.content)
        return part

    def seek(self, position, whence=0):
        """To the beginning alone."""
        if position or whence:
            raise OSError("it has no other position")
        self.position = 0
        return 0


@pytest.fixture
def endless(render, make_tones, monkeypatch):
    """A file object that never ends; each look at the clock takes a second."""
    monkeypatch.setattr(container_module, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    return Endless(render("endless.ts", frames=10, audio=make_tones(0.4, 48_000, [440, 440])).read_bytes())


@pytest.fixture
def numbers():
    """The frame numbers drawn into frames uint8 (time, height, width, 3)."""
    return lambda frames: [round((float(frame[-1, -1].mean()) - 20) / STEP) for frame in frames]


@pytest.fixture
def make_tones():
    """The function `tones`."""
    return tones
