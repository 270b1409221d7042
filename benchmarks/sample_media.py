"""Clips of a realistic size: a drawn face that moves over noise, and a voice-like tone; H.264 and AAC, 25 frames/s."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Stream

FPS = 25
AUDIO_RATE = 48_000
SIZE = (640, 360)
"""Width and height, px."""


def write_clip(path: Path, seconds: int = 3, size: tuple[int, int] = SIZE, preset: str = "medium") -> Path:
    """Render a clip with stereo sound.

    Args:
        path: of the mp4 file.
        seconds: its length.
        size: width and height, px.
        preset: of x264; "medium" gives the B-frames that clips of the world have.
    """
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": preset, "crf": "23", "threads": "1"})
        (video.width, video.height), video.pix_fmt = size, "yuv420p"
        sound = container.add_stream("aac", rate=AUDIO_RATE, layout="stereo")
        background = np.random.default_rng(0).integers(0, 60, (size[1], size[0], 3), np.uint8)
        for number in range(seconds * FPS):
            container.mux(video.encode(av.VideoFrame.from_ndarray(_draw(background, number), "rgb24")))
        container.mux(video.encode())
        container.mux(sound.encode(_speak(seconds)))
        container.mux(sound.encode())
    return path


def _draw(background: np.ndarray, number: int) -> np.ndarray:
    """Frame `number` as uint8 (height, width, 3)."""
    image = np.roll(background, 3 * number, axis=1)
    height, width = image.shape[:2]
    x = int(width * (0.5 + 0.3 * np.sin(number / 10)))
    cv2.ellipse(image, (x, height // 2), (height // 5, height // 4), 0, 0, 360, (200, 160, 140), -1)
    mouth = (height // 12, 2 + height // 40 * (number % 12) // 4)
    cv2.ellipse(image, (x, height // 2 + height // 10), mouth, 0, 0, 360, (60, 20, 20), -1)
    return image


def _speak(seconds: int) -> av.AudioFrame:
    time = np.arange(seconds * AUDIO_RATE) / AUDIO_RATE
    hum = 0.2 * np.sin(2 * np.pi * 220 * time) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * time))
    samples = (hum + 0.02 * np.random.default_rng(1).normal(size=len(time))).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, 0, Fraction(1, AUDIO_RATE)
    return frame


def repeat_clip(source: Path, target: Path, times: int) -> Path:
    """Write a clip `times` in a row by copying its packets, which takes seconds for an hour.

    Where the sound of two copies overlaps, by the codec's padding, the later packet is left out.
    """
    with av.open(target, "w") as container:
        streams: list[Stream] = []
        latest: dict[int, int] = {}
        for number in range(times):
            with av.open(source) as one:
                assert one.duration is not None
                streams = streams or [container.add_stream_from_template(stream) for stream in one.streams]
                for packet in one.demux():
                    if packet.dts is None or packet.pts is None:  # FFmpeg's mark for the end of a stream
                        continue
                    index = packet.stream.index
                    shift = round(number * one.duration / av.time_base / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    if packet.dts > latest.get(index, packet.dts - 1):
                        latest[index] = packet.dts
                        packet.stream = streams[index]
                        container.mux(packet)
    return target
