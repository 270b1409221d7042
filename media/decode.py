"""A media file becomes uniform frames and mono samples, with PyAV alone; a broken file is used as far as it goes.

Times are seconds from the beginning of the file. One thread decodes: clips are short, and the loader's workers already
fill the cores.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import av
import av.container
import av.error
import av.stream
import cv2
import numpy as np

from .audio import LOUDEST, resample, sound_of
from .container import (
    Deadline,
    HeldFile,
    MediaError,
    MediaInfo,
    Source,
    excess_of_rate,
    limits_of,
    main_streams,
    name_of,
    naming,
    open_media,
    pixel_width,
    probe,
    warn,
)
from .limits import too_much

__all__ = ["Clip", "MediaError", "MediaInfo", "probe", "read_clip"]

TOLERANCE = 0.25
"""s: decoded and stated duration may differ by this much; more means a broken file or a wrong header."""

MAX_DRIFT = 0.02
"""s: audio time stamps may jitter by this much (some containers round to 1 ms); a larger step is a real gap."""

MAX_GAP = 60.0
"""s: a gap up to this long becomes silence; a longer one is a damaged stamp, and filling it could take all memory."""

SAME_INSTANT = 1e-6
"""s: time stamps are rationals turned into floats, so a frame this much later than its target still is on show."""


@dataclass(frozen=True)
class Clip:
    """Frames and samples of one window of a file; the n-th sample is at `start + n / sampling_rate` s."""

    frames: np.ndarray | None
    """uint8 (time, height, width, 3), RGB; None where no frame was asked for, stored or decodable."""
    frame_times: np.ndarray | None
    """float64 (time,), s from the beginning of the file; never decreasing."""
    audio: np.ndarray | None
    """float32 (samples,), mono, in [-1, 1]; None where no sample was asked for, stored or decodable."""
    sampling_rate: int
    """Hz, of `audio`."""
    stated_duration: float | None
    """s of the window by the container's header; None where it does not say."""
    video_duration: float
    """s of video decoded, 0 for none."""
    audio_duration: float
    """s of audio decoded, 0 for none; silence filled into gaps does not count."""
    missing_seconds: float
    """s by which the worst stream falls short of its own stated duration, at least 0."""
    bad_packets: int
    """Packets that could not be decoded, and frames that are damaged or have no time stamp; the rest was used."""

    @property
    def complete(self) -> bool:
        """Whether every stream that was asked for decoded to its stated duration, within `TOLERANCE`."""
        return self.missing_seconds <= TOLERANCE


@dataclass(frozen=True)
class _Window:
    """The part of a file to read: `begin` <= time < `end`, in s after `origin`, the container's first time stamp."""

    origin: float
    begin: float
    end: float
    stated: float | None

    def time(self, stamp: int, stream: av.stream.Stream) -> float:
        """A stream's time stamp in s from the beginning of the file."""
        base = stream.time_base
        assert base is not None
        return stamp * base.numerator / base.denominator - self.origin  # a Fraction's product costs ten times more

    def shown_at(self, item: av.Packet | av.VideoFrame | av.AudioFrame, stream: av.stream.Stream) -> float:
        """When a packet or frame is presented, s from the beginning of the file."""
        stamp = item.pts if item.pts is not None else item.dts
        assert stamp is not None
        return self.time(stamp, stream)

    def holds(self, time: float) -> bool:
        """Whether a time lies in the window."""
        return self.begin <= time < self.end

    def stated_duration(self, stream: av.stream.Stream | None = None) -> float | None:
        """Length of the window in s by the header of a stream, or by the container's; None where it does not say."""
        begin, end = (0.0, self.stated) if stream is None else self._stated_span(stream)
        return None if end is None else max(min(end, self.end) - max(begin, self.begin), 0.0)

    def _stated_span(self, stream: av.stream.Stream) -> tuple[float, float | None]:
        """Beginning and end of a stream in s by its own header, or by the tag that Matroska has in its place."""
        begin = 0.0 if stream.start_time is None else max(self.time(stream.start_time, stream), 0.0)
        if stream.duration is not None and stream.time_base is not None:
            return begin, begin + float(stream.duration * stream.time_base)
        clock = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
        if clock is None:
            return begin, None
        hours, minutes, seconds = (float(part) for part in clock.groups())
        return begin, 3600 * hours + 60 * minutes + seconds - self.origin


class _Frames:
    """The frames of one stream in order of presentation; counts what fails, and frames inside the window."""

    def __init__(
        self,
        stream: av.VideoStream | av.AudioStream,
        packets: list[av.Packet],
        window: _Window,
        deadline: Deadline,
    ):
        self.stream, self.packets, self.window, self.deadline = stream, packets, window, deadline
        self.bad = self.inside = 0

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """When a frame is shown, s from the beginning of the file, and the frame, of the stream's kind."""
        for packet in [*self.packets, None]:  # None: the decoder hands out what it still holds
            self.deadline.check()
            try:
                frames = self.stream.decode(packet)
            except av.error.FFmpegError:
                self.bad += 1
                continue
            for frame in frames:
                self.bad += frame.is_corrupt
                if frame.pts is None and frame.dts is None:
                    self.bad += 1
                    continue
                time = self.window.shown_at(frame, self.stream)
                self.inside += self.window.holds(time)
                yield time, frame


def read_clip(
    source: Source,
    *,
    num_frames: int = 8,
    frame_size: int | None = None,
    sampling_rate: int = 16_000,
    start: float = 0.0,
    max_seconds: float | None = None,
    video: bool = True,
    audio: bool = True,
    rng: np.random.Generator | None = None,
    time_limit: float | None = None,
) -> Clip:
    """Read frames uniform in time and mono audio, in one pass over the file.

    The span of the video that the file really holds is cut into `num_frames` equal segments, and the frame on show in
    the middle of each is taken; a clip with fewer frames repeats them. Memory holds the window's compressed packets,
    its mono audio, the chosen frames at `frame_size`, and a full-size frame or two.

    Args:
        source: path, or a binary file object.
        num_frames: how many frames to return.
        frame_size: pixels of the shorter side, the aspect kept; None leaves frames as stored.
        sampling_rate: Hz of the returned audio.
        start: s, where the window begins.
        max_seconds: s, how long the window is at most; None reads to the end.
        video: whether to read frames.
        audio: whether to read samples. Codec padding after the container's end is cut; gaps become silence.
        rng: for training: the instant in each segment is drawn uniformly from it (temporal jitter).
        time_limit: s that all of it may take, math.inf for as long as it takes; by default the limit
            `reading_seconds`.

    Returns:
        The clip; `frames` or `audio` is None where the file has no such stream or the stream yields nothing.

    Raises:
        MediaError: as `probe`; or the streams asked for yield neither a frame nor a sample in the window; or a limit
            is exceeded.
    """
    deadline = Deadline(source, time_limit)
    with naming(source), open_media(source, time_limit) as container:
        picture, sound = main_streams(container, source)
        wanted = [s for s, asked in ((picture, video), (sound, audio)) if s is not None and asked]
        window = _window(container, start, max_seconds)
        packets, bad = _demux(container, wanted, window, deadline)
        frames = times = samples = None
        durations = {}
        for stream in wanted:
            decoder = _Frames(stream, packets[stream.index], window, deadline)
            if isinstance(stream, av.VideoStream):
                frames, times, seconds = _read_frames(decoder, pixel_width(stream), num_frames, frame_size, rng)
            else:
                samples, seconds = _read_samples(decoder, sampling_rate)
            durations[stream] = seconds
            bad += decoder.bad
        if wanted and frames is None and samples is None:
            raise MediaError(
                f"{name_of(source)}: no frame and no sample could be decoded between {start} s and {window.end} s "
                f"({bad} bad packets; stated duration {window.stated} s). Samples have to be finite and at most "
                f"{LOUDEST:g} times full scale, frames within the limit pixels; get the file again, or read another "
                "window"
            )
        missing = _missing_seconds(window, durations, {picture, sound} - {None})
        if isinstance(source, HeldFile):  # whoever reads a path is told by the clip alone, in each epoch anew
            note_losses(source, bad, missing - _known_to_miss(source, window))
        return Clip(
            frames=frames,
            frame_times=times,
            audio=samples,
            sampling_rate=sampling_rate,
            stated_duration=window.stated_duration(),
            video_duration=durations.get(picture, 0.0),
            audio_duration=durations.get(sound, 0.0),
            missing_seconds=missing,
            bad_packets=bad,
        )


def _missing_seconds(
    window: _Window, durations: dict[av.stream.Stream, float], all_streams: set[av.stream.Stream]
) -> float:
    """s by which the worst stream falls short of what it states itself; or all of them of what the container states.

    The container's duration is that of the longest stream, and says nothing about the others.
    """
    missing, silent = [0.0], False
    for stream, seconds in durations.items():
        stated = window.stated_duration(stream)
        silent |= stated is None
        missing.append((stated or 0.0) - seconds)
    if silent and durations.keys() == all_streams:
        missing.append((window.stated_duration() or 0.0) - max(durations.values()))
    return max(missing)


def _known_to_miss(held: HeldFile, window: _Window) -> float:
    """s of the window that the file is already known not to hold."""
    stated = window.stated_duration()
    return 0.0 if held.length is None or stated is None else max(window.begin + stated - held.length, 0.0)


def note_losses(source: Source, bad: int, missing_seconds: float = 0.0) -> None:
    """Warn of what was not decoded, where there is any."""
    if bad:
        warn(source, f"damaged packets or frames: {bad}; the rest was used")
    if missing_seconds > TOLERANCE:
        warn(source, f"{missing_seconds:.2f} s of what its header states were not found; the rest was used")


def _window(container: av.container.InputContainer, start: float, max_seconds: float | None) -> _Window:
    return _Window(
        origin=(container.start_time or 0) / av.time_base,
        begin=start,
        end=float("inf") if max_seconds is None else start + max_seconds,
        stated=container.duration / av.time_base if container.duration else None,
    )


def _demux(
    container: av.container.InputContainer, streams: Sequence[av.stream.Stream], window: _Window, deadline: Deadline
) -> tuple[dict[int, list[av.Packet]], int]:
    """The packets of the window by stream index, and how often reading itself failed (it then ends there)."""
    if not streams:
        return {}, 0
    packets = {stream.index: [] for stream in streams}
    pending, held, most = set(packets), 0, limits_of(deadline.source).packet_bytes
    try:
        if window.begin > 0:
            container.seek(int((window.begin + window.origin) * av.time_base))  # to the keyframe before it
        for packet in container.demux(streams):
            deadline.check()
            stamp = packet.dts if packet.dts is not None else packet.pts
            if stamp is None:  # FFmpeg's mark for the end of a stream
                continue
            # Files are in the order of decoding: a frame to be shown before the end may follow one shown after it.
            if window.time(stamp, packet.stream) < window.end:
                packets[packet.stream.index].append(packet)
                held += packet.size
                if held > most:
                    raise MediaError(
                        f"{name_of(deadline.source)}: {too_much('bytes of a clip:', held, 'packet_bytes', most)}"
                    )
                continue
            pending.discard(packet.stream.index)
            if not pending:
                break
    except (av.error.FFmpegError, IndexError):  # PyAV's IndexError: a stream that begins in mid-file
        return packets, 1
    return packets, 0


def _read_frames(
    decoder: _Frames, width: float, num_frames: int, frame_size: int | None, rng: np.random.Generator | None
) -> tuple[np.ndarray | None, np.ndarray | None, float]:
    """Frames uint8 (time, height, width, 3), their times float64 (time,) in s, and the seconds decoded.

    `width` is that of a pixel.
    """
    window, stream = decoder.window, decoder.stream
    packets = [p for p in decoder.packets if not p.is_discard and window.holds(window.shown_at(p, stream))]
    if not packets:
        return None, None, 0.0
    last = max(packets, key=lambda packet: window.shown_at(packet, stream))
    first = min(window.shown_at(packet, stream) for packet in packets)
    end = window.shown_at(last, stream) + float((last.duration or 0) * last.time_base)
    span = min(end, window.end) - first
    offsets = 0.5 if rng is None else rng.uniform(size=num_frames)
    targets = first + (np.arange(num_frames) + offsets) / num_frames * span

    images, times = [], []
    for time, frame in _on_show(decoder, targets):
        new = not times or time > times[-1]
        shape = images[0].shape[:2] if images else None
        images.append(upright(frame, frame_size, shape, width) if new else images[-1])
        times.append(time)
    if not images:
        return None, None, 0.0
    return np.stack(images), np.array(times), span * min(1.0, decoder.inside / len(packets))


def _on_show(decoder: _Frames, targets: np.ndarray) -> Iterator[tuple[float, av.VideoFrame]]:
    """For each target time the frame on show then: the last one that begins by then, or the window's first."""
    shown, served = None, 0
    for time, frame in decoder:
        # A damaged stream may hand out a frame after its successor.
        if not decoder.window.holds(time) or (shown is not None and time <= shown[0]):
            continue
        while shown is not None and served < len(targets) and targets[served] + SAME_INSTANT < time:
            yield shown
            served += 1
        shown = time, frame
    if shown is not None:
        yield from [shown] * (len(targets) - served)


def upright(
    frame: av.VideoFrame, frame_size: int | None, shape: tuple[int, int] | None, pixel_width: float = 1.0
) -> np.ndarray:
    """Upright RGB (height, width, 3) of square pixels, in `shape`, or else of `frame_size` px on the shorter side.

    A frame as stored whose pixels are not square keeps its longer side's detail: the shorter one grows.
    """
    image = np.rot90(frame.to_ndarray(format="rgb24"), turns := round(frame.rotation / 90))
    height, width = image.shape[:2]
    if shape is None:
        square = square_shape(height, width, 1 / pixel_width if turns % 2 else pixel_width)
        scale = frame_size / min(square) if frame_size else 1.0
        shape = max(round(square[0] * scale), 1), max(round(square[1] * scale), 1)
    if shape == (height, width):
        return image
    shrinks = shape[0] < height
    return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def square_shape(height: int, width: int, pixel_width: float) -> tuple[float, float]:
    """Height and width in square pixels; none of them shrinks."""
    return (height, width * pixel_width) if pixel_width >= 1 else (height / pixel_width, width)


def _read_samples(decoder: _Frames, sampling_rate: int) -> tuple[np.ndarray | None, float]:
    """Mono float32 (samples,) in [-1, 1] from the window's beginning on, and the seconds decoded."""
    window = decoder.window
    samples, rate, silent = _line_up(decoder)
    if not len(samples):
        return None, 0.0
    seconds, stated = len(samples) / rate, window.stated_duration()
    limit = min(seconds, window.end - window.begin)
    # A larger excess is no padding of the codec: the header is wrong, and the samples are real.
    if stated is not None and seconds - stated <= TOLERANCE:
        limit = min(limit, stated)
    samples = samples[: round(limit * rate)]
    decoded = max(len(samples) - silent, 0) / rate
    heard = np.clip(resample(samples, rate, sampling_rate), -1.0, 1.0)
    return (heard, decoded) if len(heard) else (None, 0.0)


def _line_up(decoder: _Frames) -> tuple[np.ndarray, int, int]:
    """Mono samples at the stored rate, placed by their time stamps; that rate in Hz; how many are filled silence."""
    parts, silent, rate, begin, clock = [np.zeros(0, np.float32)], 0, 0, 0, None
    for time, frame in decoder:
        if not rate and (fault := excess_of_rate(frame.sample_rate, limits_of(decoder.deadline.source))):
            raise MediaError(f"{name_of(decoder.deadline.source)}: {fault}")
        rate = rate or frame.sample_rate
        heard = sound_of(frame, rate)
        if heard is None:
            decoder.bad += 1
            continue
        position = round((time - decoder.window.begin) * rate)
        if clock is None:
            begin = clock = min(position, 0)
        gap = position - clock
        if MAX_DRIFT * rate < gap <= MAX_GAP * rate:
            parts.append(np.zeros(gap, np.float32))
            silent += gap
            clock += gap
        parts.append(heard)
        clock += len(heard)
    return np.concatenate(parts)[-begin:], rate, silent
