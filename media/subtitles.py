"""What is said in a recording, as its own subtitles or a file of them beside it have it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.subtitles.subtitle import AssSubtitle

from .container import Deadline, HeldFile, MediaError, name_of, naming, open_media
from .limits import too_much

SUFFIXES = (".srt", ".vtt")
"""Of files beside a recording, of the same name."""

STYLE = re.compile(r"\{[^}]*\}|<[^>]*>")
"""What subtitles say about how they look."""


@dataclass(frozen=True)
class Line:
    """One subtitle."""

    start: float
    """s from the beginning of the recording."""
    end: float
    text: str


def subtitles_for(held: HeldFile) -> list[Line]:
    """The lines of a recording: of the file beside it, or of its first track of text; none where there is neither.

    Raises:
        MediaError: they are there and cannot be read, or are beyond the limit `characters` (a hundred times).
    """
    if isinstance(held.source, str | Path):
        for suffix in SUFFIXES:
            if (beside := Path(held.source).with_suffix(suffix)).is_file():
                return _lines(HeldFile(beside, held.limits))
    _ = held.info  # what opens it, once for every reader that comes first
    container = held.take(None)
    inside = bool(container.streams.subtitles)
    held.put_back(container)
    return _lines(HeldFile(held.source, held.limits)) if inside else []


def words_in(lines: Sequence[Line], start: float, end: float) -> str | None:
    """The words of a span in s: of the lines whose middle lies in it; None where there are none."""
    return " ".join(line.text for line in lines if start <= (line.start + line.end) / 2 < end) or None


def _lines(source: HeldFile) -> list[Line]:
    found, held, most = [], 0, 100 * source.limits.characters
    deadline = Deadline(source)
    with naming(source), open_media(source) as container:
        origin = (container.start_time or 0) / av.time_base
        streams = [stream for stream in container.streams.subtitles if stream.codec_context]
        for packet in container.demux(streams[:1]) if streams else ():
            deadline.check()
            if packet.pts is None or not packet.duration:
                continue
            begin = float(packet.pts * packet.time_base) - origin * (len(container.streams) > 1)
            said = " ".join(_text(part) for part in packet.decode() if isinstance(part, AssSubtitle) and part.dialogue)
            held += len(said)
            if held > most:
                raise MediaError(
                    f"{name_of(source)}: {too_much('characters of subtitles:', held, 'characters', most)}"
                )
            if said.strip():
                found.append(Line(begin, begin + float(packet.duration * packet.time_base), said.strip()))
    return found


def _text(part: AssSubtitle) -> str:
    return " ".join(STYLE.sub("", part.dialogue.decode("utf-8", "replace")).split())
