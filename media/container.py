"""Media files are opened here and say what they hold; one that cannot be opened says why."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import av

COVER = av.stream.Disposition.attached_pic
"""Marks the picture in a music file, which FFmpeg lists as a video stream of one frame."""

TIME_LIMIT = 60.0
"""s that reading a clip may take, or getting on to a later moment of a recording."""

PLAYLISTS = {"concat", "dash", "hls", "imf", "sdp"}
"""Formats that name other files or addresses, which whoever hands in a file must not be able to have opened."""


class MediaError(ValueError):
    """A file of which nothing can be used; the message names the file, the fault and the remedy."""


class Deadline:
    """Ends the reading of a file that never ends, or hardly moves; to be asked after each packet or frame.

    Args:
        source: what is read, for the message.
        seconds: from now on.
    """

    def __init__(self, source: "Source", seconds: float = TIME_LIMIT):
        self.source, self.seconds = source, seconds
        self.renew()

    def renew(self) -> None:
        """All of the time again."""
        self._end = time.monotonic() + self.seconds

    def check(self) -> None:
        """MediaError once the time is over."""
        if time.monotonic() > self._end:
            raise MediaError(f"{name_of(self.source)}: {too_slow(self.seconds)}")

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
    """

    def __init__(self, source: str | Path | BinaryIO):
        self.source = source
        self._container: av.container.InputContainer | None = None

    @cached_property
    def info(self) -> MediaInfo:
        """As `probe`."""
        self._container = open_media(self.source)
        return _stated(self._container, self.source)

    def take(self, time_limit: float) -> av.container.InputContainer:
        """The open file, for one reader, which closes it; opened anew for another one."""
        container, self._container = self._container, None
        return container or open_media(self.source, time_limit)

    def close(self) -> None:
        """Where nobody has read it."""
        if self._container is not None:
            self._container.close()
            self._container = None


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
        audio_codec=audio.codec_context.name if audio else None,
        audio_channels=audio.codec_context.layout.nb_channels if audio else None,
        audio_layout=audio.codec_context.layout.name if audio else None,
        audio_rate=audio.codec_context.sample_rate if audio else None,
    )


def name_of(source: Source) -> str:
    """The source as messages name it: its path, or "<bytes>"."""
    source = source.source if isinstance(source, HeldFile) else source
    return os.fspath(source) if isinstance(source, str | Path) else "<bytes>"


def open_media(source: Source, time_limit: float = TIME_LIMIT) -> av.container.InputContainer:
    """Open a source for reading, from its beginning; the caller closes it.

    Args:
        source: path, or a binary file object; or either held open, which is taken.
        time_limit: s to open it, and again to find each packet.

    Raises:
        MediaError: with the fault, as far as the first bytes tell it.
    """
    if isinstance(source, HeldFile):
        return source.take(time_limit)
    try:
        # An absolute path, because FFmpeg takes what stands before a colon in a relative one for a protocol; and with
        # titles in any encoding, because old ones are common and nothing here reads them.
        if isinstance(source, str | Path):
            container = av.open(os.path.abspath(source), metadata_errors="replace", timeout=time_limit)
        else:
            source.seek(0)
            options = {"protocol_whitelist": "none"}
            container = av.open(source, metadata_errors="replace", timeout=time_limit, options=options)
    except av.error.ExitError as error:
        raise MediaError(f"{name_of(source)}: {too_slow(time_limit)}") from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{name_of(source)}: {_fault(source, error)}") from error
    if container.format.name in PLAYLISTS:
        container.close()
        raise MediaError(f"{name_of(source)}: a list of other files ({container.format.name}); pass the media itself")
    return container


def _fault(source: Source, error: Exception) -> str:
    if not isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return f"cannot be opened ({error.strerror or error}); check the path and its permissions"
    if isinstance(source, str | Path):
        with open(source, "rb") as file:
            head = file.read(8)
    else:
        source.seek(0)
        head = source.read(8)
    if not head:
        return "the file is empty (0 bytes); copy or download it again"
    if head[4:] == b"ftyp":
        return "the index (moov atom) is missing, as in a recording or copy that was cut off; copy it again"
    return f"not a media file (it begins with {head!r}); check what was saved under this name"


def main_streams(
    container: av.container.InputContainer, source: Source
) -> tuple[av.video.stream.VideoStream | None, av.audio.stream.AudioStream | None]:
    """The first video stream that is no cover picture, and the first audio stream, if their codecs are known.

    Raises:
        MediaError: there is neither.
    """
    streams = [s for s in container.streams if s.codec_context and not s.disposition & COVER]
    video = next((s for s in streams if s.type == "video"), None)
    audio = next((s for s in streams if s.type == "audio"), None)
    if video is None and audio is None:
        kinds = ", ".join(s.type for s in container.streams) or "none"
        raise MediaError(
            f"{name_of(source)}: no video and no audio that can be decoded (streams: {kinds}); convert it"
        )
    for stream in (video, audio):
        if stream is not None:
            stream.codec_context.thread_count = 1
    return video, audio
