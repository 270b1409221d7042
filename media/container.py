"""Media files are opened here and say what they hold; one that cannot be opened says why."""

import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import av
import av.audio
import av.container
import av.error
import av.stream
import av.video
import cv2

from .boxes import LARGEST_TRACK, largest_run, track_numbers
from .limits import Limits, default_limits, too_much

logger = logging.getLogger(__name__)

COVER = av.stream.Disposition.attached_pic
"""Marks the picture in a music file, which FFmpeg lists as a video stream of one frame."""

TIME_LIMIT = Limits.reading_seconds
"""s that reading a clip may take, or getting on to a later moment of a recording, unless a limit says otherwise."""

PLAYLISTS = {"concat", "dash", "hls", "imf", "sdp"}
"""Formats that name other files or addresses, which whoever hands in a file must not be able to have opened."""


LIBRARY_FAULTS = (av.error.FFmpegError, cv2.error, MemoryError, ArithmeticError, LookupError, TypeError, ValueError)
"""What the libraries raise where a damaged file leads them to something that cannot be."""


WIDEST = 8.0
"""A pixel's width by its height, or the reverse; a header that states more is not believed."""


class MediaError(ValueError):
    """A file of which nothing can be used; the message names the file, the fault and the remedy."""


class Deadline:
    """Ends the reading of a file that never ends, or hardly moves; to be asked after each packet or frame.

    Args:
        source: what is read, for the message and for the time that is left to it altogether.
        seconds: from now on; by default the source's limit `reading_seconds`.
    """

    def __init__(self, source: "Source", seconds: float | None = None):
        self.source = source
        self.seconds = limits_of(source).reading_seconds if seconds is None else seconds
        self.renew()

    def renew(self) -> None:
        """All of the time again."""
        self._end = time.monotonic() + self.seconds

    def check(self) -> None:
        """MediaError once the time is over, or that of the whole input."""
        now = time.monotonic()
        if now > self._end:
            raise MediaError(f"{name_of(self.source)}: {too_slow(self.seconds)}")
        if isinstance(self.source, HeldFile):
            self.source.check_time(now)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that others take does not count."""
        left = self._end - time.monotonic()
        yield
        self._end = time.monotonic() + left


def too_slow(seconds: float) -> str:
    """The fault of a file that took longer, and its remedy."""
    return f"not read within {seconds:g} s; convert it, or copy it again if its end or its time stamps are broken"


@dataclass(frozen=True)
class MediaInfo:
    """What a file states about itself; nothing is decoded, so a damaged file may state more than it holds."""

    duration: float | None
    """s; None where the container does not say."""
    video_codec: str | None
    """None without a video stream (a cover picture is none)."""
    width: int | None
    """Pixels as stored, before any rotation."""
    height: int | None
    fps: float | None
    """Average frames per second."""
    pixel_width: float
    """A pixel's width by its height, see `pixel_width`; 1 without a video stream."""
    picture_start: float
    """s from the beginning of the file to its first picture: a sound track may begin before it."""
    audio_codec: str | None
    """None without an audio stream."""
    audio_channels: int | None
    audio_layout: str | None
    """FFmpeg's name, such as "stereo" or "5.1"."""
    audio_rate: int | None
    """Hz."""

    @property
    def has_video(self) -> bool:
        """Whether a video stream is stated."""
        return self.video_codec is not None

    @property
    def has_audio(self) -> bool:
        """Whether an audio stream is stated; it may still hold no samples."""
        return self.audio_codec is not None


class HeldFile:
    """A file that is opened once: it says what it holds as often as it is asked, and is then read from the beginning.

    Args:
        source: path, or a binary file object.
        limits: of it; by default the usual ones.
    """

    def __init__(self, source: str | Path | BinaryIO, limits: Limits | None = None):
        self.source = source
        self.limits = limits or default_limits()
        self.warnings: list[str] = []
        """What was found wrong with it, as far as it was read; the rest was used."""
        self.length: float | None = None
        """s, once it was asked for."""
        self._begun = time.monotonic()
        self._container: av.container.InputContainer | None = None

    @cached_property
    def info(self) -> MediaInfo:
        """As `probe`."""
        self._container = open_media(self.source, limits=self.limits)
        return _stated(self._container, self)

    def take(self, time_limit: float | None) -> av.container.InputContainer:
        """The open file, for one reader, which closes it; opened anew for another one."""
        container, self._container = self._container, None
        return container or open_media(self.source, time_limit, self.limits)

    def put_back(self, container: av.container.InputContainer) -> None:
        """What was taken, and not read."""
        self._container = container

    def close(self) -> None:
        """Where nobody has read it."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def check_time(self, now: float | None = None) -> None:
        """MediaError once the limit `work_seconds` has passed since it was handed in."""
        now = time.monotonic() if now is None else now
        if now - self._begun > self.limits.work_seconds:
            raise MediaError(
                f"{name_of(self)}: not judged within {self.limits.work_seconds:g} s; pass a shorter recording or "
                "longer windows, or raise the limit work_seconds"
            )


Source = str | Path | BinaryIO | HeldFile
"""A path, a binary file object, or either of them held open."""


def probe(source: Source) -> MediaInfo:
    """Read what a file states about itself, without decoding.

    Raises:
        MediaError: the file is missing, empty, no media file, cut off before its index, or without video and audio.
    """
    if isinstance(source, HeldFile):
        return source.info
    with open_media(source) as container:
        return _stated(container, source)


def _stated(container: av.container.InputContainer, source: Source) -> MediaInfo:
    video, audio = main_streams(container, source)
    return MediaInfo(
        duration=container.duration / av.time_base if container.duration else None,
        video_codec=video.codec_context.name if video else None,
        width=video.codec_context.width if video else None,
        height=video.codec_context.height if video else None,
        fps=float(video.average_rate) if video and video.average_rate else None,
        pixel_width=pixel_width(video) if video else 1.0,
        picture_start=_start_of(video, container) if video else 0.0,
        audio_codec=audio.codec_context.name if audio else None,
        audio_channels=audio.codec_context.layout.nb_channels if audio else None,
        audio_layout=audio.codec_context.layout.name if audio else None,
        audio_rate=audio.codec_context.sample_rate if audio else None,
    )


def _start_of(stream: av.stream.Stream, container: av.container.InputContainer) -> float:
    """s from the beginning of the file, which is that of its first stream."""
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return max(float(stream.start_time * stream.time_base) - (container.start_time or 0) / av.time_base, 0.0)


def pixel_width(stream: av.video.stream.VideoStream) -> float:
    """A pixel's width by its height, as the stream states it: 1 for most, 1.42 for a film in PAL."""
    stated = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(stated) if stated and 1 / WIDEST <= stated <= WIDEST else 1.0


def name_of(source: Source) -> str:
    """The source as messages name it: its path, or "<bytes>"."""
    source = source.source if isinstance(source, HeldFile) else source
    return os.fspath(source) if isinstance(source, str | Path) else "<bytes>"


def limits_of(source: Source) -> Limits:
    """Those that a held file came with, and the usual ones of any other."""
    return source.limits if isinstance(source, HeldFile) else default_limits()


def warn(source: Source, fault: str) -> None:
    """Note with a held file, once, what is wrong with it; of any other it is logged."""
    if not isinstance(source, HeldFile):
        logger.warning("%s: %s.", name_of(source), fault)
    elif fault not in source.warnings:
        source.warnings.append(fault)


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """What a decoder's library raises, as MediaError with the name of the file."""
    try:
        yield
    except MediaError:
        raise
    except (
        av.error.FFmpegError,
        cv2.error,
        MemoryError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
        raise MediaError(
            f"{name_of(source)}: cannot be decoded ({reason:.200}); convert it, or get it again"
        ) from error


def open_media(
    source: Source, time_limit: float | None = None, limits: Limits | None = None
) -> av.container.InputContainer:
    """Open a source for reading, from its beginning; the caller closes it.

    Args:
        source: path, or a binary file object; or either held open, which is taken.
        time_limit: s to open it, and again to find each packet; by default the limit `reading_seconds`.
        limits: of the file; by default the usual ones, or those that it is held with.

    Raises:
        MediaError: with the fault, as far as the first bytes tell it.
    """
    if isinstance(source, HeldFile):
        return source.take(time_limit)
    limits = limits or default_limits()
    time_limit = limits.reading_seconds if time_limit is None else time_limit
    size = check_file(source, limits)
    _check_tracks(source, size)
    options = {"protocol_whitelist": "file", "max_pixels": str(limits.pixels)}
    try:
        # An absolute path, because FFmpeg takes what stands before a colon in a relative one for a protocol; and with
        # titles in any encoding, because old ones are common and nothing here reads them.
        if isinstance(source, str | Path):
            container = av.open(
                os.path.abspath(source), "r", metadata_errors="replace", timeout=time_limit, options=options
            )
        else:
            source.seek(0)
            options["protocol_whitelist"] = "none"
            container = av.open(source, "r", metadata_errors="replace", timeout=time_limit, options=options)
    except av.error.ExitError as error:
        raise MediaError(f"{name_of(source)}: {too_slow(time_limit)}") from error
    except (av.error.FFmpegError, OSError, MemoryError, ValueError) as error:
        raise MediaError(f"{name_of(source)}: {_fault(source, error)}") from error
    if container.format.name in PLAYLISTS:
        container.close()
        raise MediaError(f"{name_of(source)}: a list of other files ({container.format.name}); pass the media itself")
    return container


def _check_tracks(source: str | Path | BinaryIO, size: int | None) -> None:
    """MediaError for a number of a track, or of its samples, that would keep FFmpeg counting or fill the memory."""
    if not size:
        return
    try:
        with open(source, "rb") if isinstance(source, str | Path) else nullcontext(source) as file:
            largest, samples = max(track_numbers(file, size), default=0), largest_run(file, size)
    except OSError:  # told where it is opened
        return
    if samples > size:
        raise MediaError(
            f"{name_of(source)}: is damaged ({samples:,} samples in {size:,} bytes); convert it, or get it again"
        )
    if largest > LARGEST_TRACK:
        raise MediaError(f"{name_of(source)}: is damaged (a track of number {largest:,}); convert it, or get it again")


def check_file(source: str | Path | BinaryIO, limits: Limits | None = None) -> int | None:
    """The size of a file in bytes; None of a file object that does not say.

    Raises:
        MediaError: it is not there, no regular file (a folder, a pipe, a device), empty, or larger than `file_bytes`.
    """
    limits, name = limits or default_limits(), name_of(source)
    try:
        if isinstance(source, str | Path):
            found = os.stat(source)
            if not stat.S_ISREG(found.st_mode):
                raise MediaError(f"{name}: not a regular file; pass the file of a recording or picture")
            size = found.st_size
        else:
            size = source.seek(0, os.SEEK_END)
    except (OSError, ValueError) as error:
        if isinstance(error, MediaError):
            raise
        if not isinstance(source, str | Path):
            return None
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{name}: cannot be opened ({reason}); check the path and its permissions") from error
    if size == 0:
        raise MediaError(f"{name}: the file is empty (0 bytes); copy or download it again")
    if size > limits.file_bytes:
        raise MediaError(f"{name}: {too_much('bytes:', size, 'file_bytes', limits.file_bytes)}")
    return size


def _fault(source: str | Path | BinaryIO, error: Exception) -> str:
    if not isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        return f"cannot be opened ({reason}); check the path and its permissions"
    if isinstance(source, str | Path):
        with open(source, "rb") as file:
            head = file.read(8)
    else:
        source.seek(0)
        head = source.read(8)
    if head[4:] == b"ftyp":
        return "the index (moov atom) is missing, as in a recording or copy that was cut off; copy it again"
    return f"not a media file (it begins with {head!r}); check what was saved under this name"


def main_streams(
    container: av.container.InputContainer, source: Source
) -> tuple[av.video.stream.VideoStream | None, av.audio.stream.AudioStream | None]:
    """The first video stream that is no cover picture, and the first audio stream, if their codecs are known.

    Raises:
        MediaError: there is neither; or one states more pixels, channels or samples a second than the limits allow.
    """
    streams = [s for s in container.streams if s.codec_context and not s.disposition & COVER]
    video = next((s for s in streams if isinstance(s, av.video.stream.VideoStream)), None)
    audio = next((s for s in streams if isinstance(s, av.audio.stream.AudioStream)), None)
    if video is None and audio is None:
        kinds = ", ".join(s.type for s in container.streams) or "none"
        raise MediaError(
            f"{name_of(source)}: no video and no audio that can be decoded (streams: {kinds}); convert it"
        )
    for stream in (video, audio):
        if stream is not None:
            stream.codec_context.thread_count = 1
    if video is not None:
        video.codec_context.options = {"max_pixels": str(limits_of(source).pixels)}  # of what is decoded, too
    if fault := _excess(video, audio, limits_of(source)):
        raise MediaError(f"{name_of(source)}: {fault}")
    return video, audio


def _excess(
    video: av.video.stream.VideoStream | None, audio: av.audio.stream.AudioStream | None, limits: Limits
) -> str | None:
    """Which limit the streams' headers exceed."""
    if video is not None and (pixels := video.codec_context.width * video.codec_context.height) > limits.pixels:
        return too_much("pixels of a frame:", pixels, "pixels", limits.pixels)
    if audio is None:
        return None
    if (channels := audio.codec_context.layout.nb_channels) > limits.channels:
        return too_much("channels:", channels, "channels", limits.channels)
    rate = audio.codec_context.sample_rate
    return None if rate == 0 else excess_of_rate(rate, limits)  # 0: known once it is decoded


def excess_of_rate(rate: int, limits: Limits) -> str | None:
    """The fault of a sampling rate in Hz that no sound has, and its remedy."""
    if limits.lowest_rate <= rate <= limits.highest_rate:
        return None
    return (
        f"a sampling rate of {rate} Hz, and {limits.lowest_rate} to {limits.highest_rate} are taken; export it anew, "
        "or change the limits lowest_rate and highest_rate"
    )
