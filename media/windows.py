"""A recording of any length, or a live one, becomes windows of uniform frames and mono samples, in one pass.

Memory depends on the window and not on the recording: of the frames only those are kept that a window shows, and of
the samples those of the windows that are still open. `decode.read_clip` gives one window of a file, with more said
about what was broken in it.
"""

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import av
import av.container
import av.error
import av.stream
import cv2
import numpy as np

from .audio import resample, sound_of
from .container import (
    Deadline,
    HeldFile,
    MediaError,
    Source,
    excess_of_rate,
    limits_of,
    main_streams,
    name_of,
    naming,
    open_media,
    pixel_width,
    warn,
)
from .decode import MAX_DRIFT, MAX_GAP, SAME_INSTANT, TOLERANCE, note_losses, upright
from .ending import missing_bytes
from .limits import Limits, too_much

MEASURED = 256_000_000
"""Bytes up to which the length of a file is measured by the time stamps of all of its packets; of a larger one by
those from shortly before the stated end on."""

BEFORE_END = 10.0
"""s that are shortly before."""

ESTIMATED = {"aac", "ac3", "amr", "eac3", "h264", "hevc", "m4v", "mp3", "mpeg", "mpegvideo"}
"""Formats whose length no header states, so that FFmpeg guesses it from the bit rate."""

PATIENCE = 10.0
"""s that a window waits for a stream which is behind the other; a sound track may end long before the pictures."""

BLOCK = 1.0
"""s of samples handed out at once where all of them lie in memory."""


@dataclass(frozen=True)
class Picture:
    """A frame that comes into view."""

    time: float
    """s from the beginning."""
    frame: av.VideoFrame
    pixel_width: float = 1.0
    """By its height."""

    @property
    def end(self) -> float:
        """s from the beginning."""
        return self.time


@dataclass(frozen=True)
class Sound:
    """Samples that are heard."""

    time: float
    """s from the beginning, of the first one."""
    samples: np.ndarray
    """float32 (samples,), mono, in [-1, 1]."""
    rate: int
    """Hz."""

    @property
    def end(self) -> float:
        """s from the beginning, behind the last one."""
        return self.time + len(self.samples) / self.rate


Event = Picture | Sound
Span = tuple[float, float]
"""Beginning and end in s; the end is outside."""


@dataclass(frozen=True)
class Window:
    """Frames and samples of one span."""

    start: float
    """s from the beginning of the recording."""
    end: float
    frames: np.ndarray | None
    """uint8 (time, height, width, 3), RGB; None where there were none."""
    audio: np.ndarray | None
    """float32 (samples,), mono, in [-1, 1]; None where there was none."""


def spans_of(duration: float | None, window: float, hop: float) -> Iterator[Span]:
    """The spans of a recording: one every `hop` s, the last one ending with it.

    A rest shorter than `TOLERANCE` is added to the span before it.

    Args:
        duration: s; None = without an end, as a live one.
        window: s, length of a span.
        hop: s from one beginning to the next.
    """
    for start in (number * hop for number in itertools.count()):
        if duration is not None and start + window + TOLERANCE >= duration:
            if duration - start > TOLERANCE or not start:
                yield start, duration
            return
        yield start, start + window


def check_spans(duration: float | None, window: float, hop: float, limits: Limits) -> None:
    """ValueError where `spans_of` would give more windows than the limits allow, or more at the same moment."""
    if window / hop > limits.overlap:
        raise ValueError(f"hop_seconds={hop}: {too_much('windows at once:', window / hop, 'overlap', limits.overlap)}")
    count = 1 if duration is None else duration / hop
    if count > limits.windows:
        raise ValueError(f"hop_seconds={hop}: {too_much('windows:', count, 'windows', limits.windows)}")


def duration_of(source: Source) -> float:
    """Length of a file in s, by the time stamps of its packets; of a whole MP4 by its index, which holds them.

    Nothing is decoded. Where the two differ, or the file ends before its own structure does, that is warned of.

    Raises:
        MediaError: it cannot be opened, holds no packet with a time stamp, or does not get on.
    """
    if isinstance(source, HeldFile):
        if source.length is None:
            source.length = _length(source)
        return source.length
    return _length(source)


def _length(source: Source) -> float:
    path_or_file = source.source if isinstance(source, HeldFile) else source
    if isinstance(source, HeldFile):
        _ = source.info  # what opens it
    container = open_media(source)
    stated = container.duration / av.time_base if container.duration else None
    missing = missing_bytes(container, path_or_file)
    if stated is not None and not missing and _believable(container, stated, limits_of(source)):
        if isinstance(source, HeldFile):
            source.put_back(container)
        else:
            container.close()
        return stated
    with container:
        large = not missing and container.size > MEASURED
        begin = max(0.0, (stated or 0.0) - BEFORE_END) if large else 0.0
        try:
            measured = _measured(container, source, begin)
        except MediaError:
            if not begin:
                raise
            measured = _measured(container, source)
        guessed = bool(ESTIMATED & set(container.format.name.split(",")))
    differs = stated is not None and not guessed and abs(stated - measured) > max(TOLERANCE, 0.01 * measured)
    of_stated = f" of the {stated:,.10g} s that its header states" if differs else ""
    if missing:
        fault = f"it was cut off: {missing:,} bytes are missing at its end"
        warn(source, f"{fault}, and it holds {measured:,.2f} s{of_stated}; copy it again")
    elif differs:
        warn(source, f"it holds {measured:,.2f} s{of_stated}")
    return measured


def _believable(container: av.container.InputContainer, stated: float, limits: Limits) -> bool:
    """Whether a stated length needs no measuring: MP4 keeps it with every packet's place."""
    if not 0 < stated <= limits.recording_seconds or not container.format.name.startswith("mov"):
        return False
    begin = (container.start_time or 0) / av.time_base
    streams = ((stream.time_base, stream.index_entries[-1:]) for stream in container.streams)
    ends = [float(entry.timestamp * base) for base, entries in streams if base is not None for entry in entries]
    return bool(ends) and abs(max(ends) - begin - stated) <= max(1.0, 0.01 * stated)


def _measured(container: av.container.InputContainer, source: Source, start: float = 0.0) -> float:
    """The end of the last packet, s, looked for from `start` on; what is stamped later than a recording may last is
    left out and counted."""
    deadline, last, late = Deadline(source), 0.0, 0
    begin, longest = (container.start_time or 0) / av.time_base, limits_of(source).recording_seconds
    for packet in _packets(container, [s for s in main_streams(container, source) if s is not None], start, source):
        if packet.pts is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - begin
            late += end > longest
            if last < end <= longest:
                last = end
                deadline.renew()
        deadline.check()
    if not last:
        raise MediaError(f"{name_of(source)}: holds no packet with a time stamp; convert or copy it again")
    if late:
        warn(source, f"packets that are stamped later than {longest:,.0f} s: {late}; they were left out")
    return last


def events_of(source: Source, *, video: bool = True, audio: bool = True, start: float = 0.0) -> Iterator[Event]:
    """What happens in a file, decoded once from front to back; what cannot be decoded is counted and left out.

    Args:
        source: path, or a binary file object.
        video, audio: whether to read pictures, and sound.
        start: s; what lies before the last keyframe by then is left out.

    Raises:
        MediaError: as `open_media`; or a limit is exceeded, such as no later moment within `reading_seconds`.
    """
    deadline, furthest, limits = Deadline(source), -math.inf, limits_of(source)
    with naming(source), open_media(source) as container:
        picture, sound = main_streams(container, source)
        origin, clock, rate, bad = (container.start_time or 0) / av.time_base, None, 0, 0
        wanted = [s for s, asked in ((picture, video), (sound, audio)) if s is not None and asked]
        width = pixel_width(picture) if picture is not None else 1.0
        for packet in _packets(container, wanted, start, source):
            frames, failed = _decoded(packet)
            bad += failed
            deadline.check()
            for stamp, frame in frames:
                moment = stamp - origin
                if moment > limits.recording_seconds:
                    bad += 1
                    continue
                if moment > furthest:
                    furthest = moment
                    deadline.renew()
                if isinstance(frame, av.VideoFrame):
                    with deadline.paused():
                        yield Picture(moment, frame, width)
                    continue
                if not rate and (fault := excess_of_rate(frame.sample_rate, limits)):
                    raise MediaError(f"{name_of(source)}: {fault}")
                rate = rate or frame.sample_rate
                samples = sound_of(frame, rate)
                if samples is None:
                    bad += 1
                    continue
                # small steps are rounded stamps, and a very large one is a damaged stamp: the sound goes on
                if clock is None or MAX_DRIFT < moment - clock <= MAX_GAP:
                    clock = moment
                with deadline.paused():
                    yield Sound(clock, samples, rate)
                clock += len(samples) / rate
        note_losses(source, bad)


def _packets(
    container: av.container.InputContainer, streams: Sequence[av.stream.Stream], start: float, source: Source
) -> Iterator[av.Packet]:
    """Packets to the end of the file, or as far as it can be read."""
    try:
        if start > 0:
            container.seek(int(start * av.time_base) + (container.start_time or 0))
        yield from container.demux(streams) if streams else ()
    except (av.error.FFmpegError, IndexError) as error:  # PyAV's IndexError: a stream that begins in mid-file
        warn(source, f"reading ended early ({error}); what came before was used")


def _decoded(packet: av.Packet) -> tuple[list[tuple[float, av.VideoFrame | av.AudioFrame]], int]:
    """The frames that a packet completes, each with its stamp in s, and how many failed, are damaged or have none."""
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        return [], 1
    for frame in frames:
        frame.pts = frame.pts if frame.pts is not None else frame.dts
    timed = [(stamp, frame) for frame in frames if (stamp := frame.time) is not None]
    return timed, len(frames) - len(timed) + sum(frame.is_corrupt for _, frame in timed)


def sounds_of(samples: np.ndarray, rate: int) -> Iterator[Sound]:
    """Samples in memory, float32 (samples,) at `rate` Hz, as if they were heard."""
    size = round(BLOCK * rate)
    for begin in range(0, len(samples), size):
        yield Sound(begin / rate, samples[begin : begin + size], rate)


def pictures_of(frames: Iterable[tuple[float, np.ndarray]]) -> Iterator[Picture]:
    """Live frames, each with its time in s and as uint8 (height, width, 3) in RGB."""
    for moment, image in frames:
        yield Picture(moment, av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"))


def merged(*streams: Iterable[Event]) -> Iterator[Event]:
    """Events of several sources in order of time, each source asked only for its next one."""
    return heapq.merge(*streams, key=lambda event: event.time)


def on_one_clock(events: Iterable[Event], begin: float) -> Iterator[Event]:
    """Events of a device, whose first one ends when it comes, in s since `begin` by the monotonic clock."""
    shift = None
    for event in events:
        shift = time.monotonic() - begin - event.end if shift is None else shift
        yield replace(event, time=event.time + shift)


def camera_frames(camera: int | str) -> Iterator[tuple[float, np.ndarray]]:
    """Frames of a camera, or of a stream by its address, until it ends or the caller stops.

    Args:
        camera: number of the device, from 0, or an address that OpenCV opens, such as "rtsp://...".

    Returns:
        s since the first frame, by the clock of this machine, and the frame, uint8 (height, width, 3), RGB.

    Raises:
        MediaError: it cannot be opened.
    """
    told = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # that there is none is said below
    capture = cv2.VideoCapture(camera)
    cv2.utils.logging.setLogLevel(told)
    try:
        if not capture.isOpened():
            raise MediaError(f"camera {camera}: cannot be opened; check that it is connected and free")
        begin = None
        while (shown := capture.read())[0]:
            now = time.monotonic()
            begin = now if begin is None else begin
            yield now - begin, cv2.cvtColor(shown[1], cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def windows_of(
    events: Iterable[Event],
    spans: Iterable[Span],
    kinds: set[type],
    *,
    num_frames: int,
    frame_size: int | None,
    sampling_rate: int,
) -> Iterator[Window]:
    """Gather events into windows; each is handed out as soon as nothing more can belong to it.

    Args:
        events: in order of time within each kind.
        spans: in order; one without any event is handed out empty. When the events end, one or two more are taken.
        kinds: of `Picture` and `Sound`, those that will come.
        num_frames: frames of a window: those on show in the middles of as many equal segments.
        frame_size: px of their shorter side; None keeps them as they are.
        sampling_rate: Hz of the samples.
    """
    spans, waiting = iter(spans), deque()
    upcoming, reached = next(spans, None), dict.fromkeys(kinds, 0.0)
    for event in events:
        reached[type(event)] = event.time
        while upcoming is not None and upcoming[0] <= event.time + BLOCK:
            waiting.append(_OpenWindow(upcoming, num_frames, frame_size))
            upcoming = next(spans, None)
        for window in waiting:
            window.take(event)
        done = max(min(reached.values()), max(reached.values()) - PATIENCE)
        while waiting and waiting[0].span[1] <= done:
            yield waiting.popleft().close(sampling_rate)
    if upcoming is not None:
        waiting.append(_OpenWindow(upcoming, num_frames, frame_size))
    yield from (window.close(sampling_rate) for window in waiting)


def sound_within(sounds: Iterable[Sound], span: Span, sampling_rate: int) -> np.ndarray | None:
    """Samples of one span as in `windows_of`, float32 (samples,) at `sampling_rate` Hz; None where none is heard."""
    window = _OpenWindow(span, 1, None)
    for sound in sounds:
        window.take(sound)
    return window.close(sampling_rate).audio


class _OpenWindow:
    """A window that still gathers."""

    def __init__(self, span: Span, num_frames: int, frame_size: int | None):
        self.span, self.frame_size = span, frame_size
        self.targets = span[0] + (np.arange(num_frames) + 0.5) / num_frames * (span[1] - span[0])
        self.images: list[np.ndarray] = []
        self.shown: Picture | None = None
        self.line: np.ndarray | None = None
        self.rate = self.heard = 0

    def take(self, event: Event) -> None:
        """Keep what of an event lies in the span."""
        if isinstance(event, Sound):
            self._hear(event)
        elif self.span[0] <= event.time < self.span[1] and (self.shown is None or event.time > self.shown.time):
            self._show(event.time)
            self.shown = event

    def _show(self, until: float) -> None:
        """The frame on show serves every target before `until`; frames in between are never converted."""
        served = len(self.images)
        count = int(np.searchsorted(self.targets + SAME_INSTANT, until)) - served
        if self.shown is not None and count > 0:
            shape = self.images[0].shape[:2] if self.images else None
            self.images += [upright(self.shown.frame, self.frame_size, shape, self.shown.pixel_width)] * count

    def _hear(self, sound: Sound) -> None:
        """Place samples by their time; what is never filled stays silent."""
        self.rate = self.rate or sound.rate
        first, end = (round(time * self.rate) for time in self.span)  # each by itself: spans that meet share no sample
        if self.line is None:
            self.line = np.zeros(end - first, np.float32)
        begin = round(sound.time * self.rate) - first
        part = sound.samples[max(-begin, 0) :][: max(len(self.line) - max(begin, 0), 0)]
        if len(part):
            self.line[max(begin, 0) :][: len(part)] = part
            self.heard = max(self.heard, max(begin, 0) + len(part))

    def close(self, sampling_rate: int) -> Window:
        """The window as it is now."""
        self._show(float("inf"))
        audio = None
        if self.line is not None and self.heard:
            audio = np.clip(resample(self.line[: self.heard], self.rate, sampling_rate), -1.0, 1.0)
        frames = np.stack(self.images) if self.images else None
        return Window(*self.span, frames, audio if audio is not None and len(audio) else None)
