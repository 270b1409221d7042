"""Sounds that change as speech does, and the ways in which a copy is made."""

import io

import av
import numpy as np
import soundfile

from affecthub.evaluation.sound_fingerprint import RATE
from affecthub.media.audio import resample
from affecthub.media.decode import read_clip

STORED = 16_000
"""Hz of the originals."""


def babble(rng, seconds=2.0):
    """float32 (samples,): forty tones whose loudness is drawn anew ten times a second."""
    time = np.arange(round(seconds * STORED)) / STORED
    knots = np.arange(0, seconds + 0.2, 0.1)
    tones = [
        np.interp(time, knots, rng.uniform(0, 1, len(knots)) ** 2) * np.sin(2 * np.pi * f * time + rng.uniform(0, 6))
        for f in np.geomspace(150, 3_500, 40) * rng.uniform(0.97, 1.03, 40)
    ]
    return (0.04 * np.sum(tones, axis=0)).astype(np.float32)


def encoded(samples, container, codec, bit_rate, rate=STORED):
    """A file in memory."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        kind, size = stream.codec_context.format.name, stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(kind, "mono", rate, frame_size=size)
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.sample_rate, frame.pts = STORED, 0
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file


def written(samples, rate, container, subtype):
    """A file in memory, of a kind that PyAV's wheels can only read."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file


def noisy(samples, decibels):
    """With white noise so far below it."""
    power = (samples**2).mean() / 10 ** (decibels / 10)
    return samples + np.random.default_rng(0).normal(0, np.sqrt(power), len(samples)).astype(np.float32)


def heard(file):
    """Samples at the fingerprint's rate, of a file."""
    return read_clip(file, video=False, sampling_rate=RATE).audio


def plain(samples):
    """The same, of samples at `STORED`."""
    return resample(samples.astype(np.float32), STORED, RATE)


COPIES = {
    "MP3, 32 kbit/s": lambda x: heard(encoded(x, "mp3", "libmp3lame", 32_000)),
    "MP3, 64 kbit/s, 44.1 kHz": lambda x: heard(encoded(x, "mp3", "libmp3lame", 64_000, 44_100)),
    "Ogg Vorbis": lambda x: heard(written(x, STORED, "OGG", "VORBIS")),
    "Opus, 32 kbit/s": lambda x: heard(encoded(x, "ogg", "libopus", 32_000, 48_000)),
    "Opus, 16 kbit/s": lambda x: heard(encoded(x, "ogg", "libopus", 16_000, 48_000)),
    "AAC, 32 kbit/s": lambda x: heard(encoded(x, "mp4", "aac", 32_000)),
    "8 kHz": lambda x: heard(written(resample(x, STORED, 8_000), 8_000, "FLAC", "PCM_16")),
    "20 dB quieter, 16 bits": lambda x: plain(np.round(x * 0.1 * 32_768) / 32_768),
    "20 dB louder": lambda x: plain(x * 10),
    "begins 50 ms later": lambda x: plain(x[800:]),
    "after 50 ms of silence": lambda x: plain(np.pad(x, (800, 0))),
    "noise 30 dB below": lambda x: plain(noisy(x, 30)),
}
"""How the copy is made -> a function of samples at `STORED` that gives the copy's at the fingerprint's rate."""
