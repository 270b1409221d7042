"""The files that rows name: found within the data set's folder, and looked at without decoding them."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2

from affecthub.datasets_scripts.clips.columns import MEDIA_ROLES
from affecthub.datasets_scripts.clips.sources import IMAGE_SUFFIXES
from affecthub.datasets_scripts.clips.targets import SEPARATOR, is_unknown, number
from affecthub.datasets_scripts.manifest import MAX_MISMATCH, duration_findings, read_headers
from affecthub.media.container import MediaInfo
from affecthub.media.files import file_state, write_file

Finding = tuple[str, str]
"""One of `manifest.STATUSES`, and what was found in words."""


@dataclass(frozen=True)
class Named:
    """A file as a row names it."""

    name: str
    """For the manifest: relative to the folder where it lies in it."""
    path: str
    """Absolute; whether there is anything is another question."""
    finding: Finding | None = None
    """Why it is not even looked for."""


@dataclass(frozen=True)
class Files:
    """Where the files of a data set's rows may lie."""

    folder: Path
    """Where relative paths begin."""
    within: Path
    """Nothing outside of it is followed."""
    store: Path
    """Where recordings that lie within a table are written to."""

    def named(self, cell: object) -> Named | None:
        """The file that a cell names, or whose bytes it holds; None where it names none."""
        if isinstance(cell, dict) and cell.get("bytes"):
            return self._stored(cell["bytes"])
        if isinstance(cell, dict):
            cell = cell.get("path")
        if is_unknown(cell) or isinstance(cell, float):
            return None
        text = str(cell).strip()
        if "://" in text or "\0" in text:
            return Named(text, "", ("missing", f"{text!r} is no path of a file; download it, and name it by its path"))
        return self._below(text)

    def _below(self, text: str) -> Named:
        path = os.path.normpath(os.path.join(self.folder, text))
        if "\\" in text and not os.path.exists(path):  # as Windows writes paths
            path = os.path.normpath(os.path.join(self.folder, text.replace("\\", "/")))
        if not Path(path).is_relative_to(self.within):
            return Named(text, "", ("outside", f"{text!r} lies outside of {self.within}"))
        return Named(Path(path).relative_to(self.within).as_posix(), path)

    def _stored(self, content: bytes) -> Named:
        """A recording that lies in the table itself, as a file of the cache, named by its content."""
        path = self.store / hashlib.sha256(content).hexdigest()[:32]
        if not path.is_file():
            self.store.mkdir(parents=True, exist_ok=True)
            write_file(path, content)
        return Named(path.name, str(path))


@dataclass
class Found:
    """What the files of a row are, or may be."""

    names: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    video_path: str | None = None
    audio_path: str | None = None
    image_paths: list[str] | None = None
    start: float | None = None
    end: float | None = None
    duration: float | None = None
    """s of the row, as far as that is stated."""
    findings: list[Finding] = field(default_factory=list)


def find(cells: Mapping[str, object], files: Files, where: str) -> tuple[Found, list[tuple[str, Named]]]:
    """What a row says of its files, before they are looked at.

    Args:
        cells: role -> cell.
        files: where they may lie.
        where: the row, for messages.

    Returns:
        What is known by now; and each role with a file of it.

    Raises:
        ValueError: a start or an end that is no number.
    """
    found = Found(start=_seconds(cells, "start", where), end=_seconds(cells, "end", where))
    parts = [(role, named) for role in MEDIA_ROLES for named in _all_named(cells.get(role), role, files)]
    found.names = [named.name for _, named in parts]
    found.paths = [named.path for _, named in parts if named.path]
    return found, parts


def look(found: Found, parts: Sequence[tuple[str, Named]], sound_apart: bool) -> Found:
    """Look at a row's files, without decoding them.

    Args:
        found: from `find`; it is filled in.
        parts: likewise.
        sound_apart: whether another column than that of the video names the sound.
    """
    start, end = found.start or 0.0, math.inf if found.end is None else found.end
    spanned = found.start is not None or found.end is not None
    if start < 0 or end <= start:
        found.findings.append(("bad_span", f"from {start:g} to {end:g} s"))
        parts = ()
    pictures = []
    for role, named in parts:
        picture = role in ("image", "images") or (role == "file" and Path(named.name).suffix.lower() in IMAGE_SUFFIXES)
        if fault := named.finding or _absent(named.path):
            found.findings.append((fault[0], f"{named.name}: {fault[1]}"))
        elif picture:
            readable = os.path.getsize(named.path) > 0 and cv2.haveImageReader(named.path)
            pictures += [named.path] if readable else []
            found.findings += [] if readable else [("broken", f"{named.name}: no readable picture")]
        else:
            _look_at_tracks(found, role, named, sound_apart)
    found.image_paths = pictures or None
    if spanned and found.duration is not None:
        _within(found, found.duration, start, end)
    elif found.duration is not None:
        found.findings += duration_findings(found.duration, None)
    return found


def _look_at_tracks(found: Found, role: str, named: Named, sound_apart: bool) -> None:
    headers = _headers(named.path, file_state(named.path))
    if isinstance(headers, str):
        found.findings.append(("broken", f"{named.name}: {headers}"))
        return
    media, missing = headers
    if missing > 0:
        found.findings.append(("truncated", f"{named.name}: {missing} bytes are missing at the end; copy it again"))
    if role in ("file", "video") and media.has_video:
        found.video_path = named.path
    if role in ("file", "audio") or (role == "video" and not sound_apart):
        found.audio_path = named.path if media.has_audio else found.audio_path
    if role == "video" and not media.has_video:
        found.findings.append(("no_video_track", f"{named.name}: no video track"))
    if role == "audio" and not media.has_audio:
        found.findings.append(("no_audio_track", f"{named.name}: no audio track"))
    lengths = [value for value in (found.duration, media.duration) if value is not None]
    found.duration = min(lengths, default=None)


def _within(found: Found, length: float, start: float, end: float) -> None:
    """Hold a row's time against the length of its file, s."""
    if start >= length:
        found.findings.append(("beyond_end", f"begins at {start:g} s of a file of {length:.3f} s"))
        found.video_path = found.audio_path = None
        found.duration = None
        return
    if end != math.inf and end > length + MAX_MISMATCH:
        found.findings.append(("cut_short", f"ends at {end:g} s of a file of {length:.3f} s"))
    found.duration = min(end, length) - start
    found.findings += duration_findings(found.duration, None)


def _all_named(cell: object, role: str, files: Files) -> list[Named]:
    if role == "images" and isinstance(cell, str):
        cell = cell.split(SEPARATOR)
    return [named for entry in (cell if isinstance(cell, list) else [cell]) if (named := files.named(entry))]


def _seconds(cells: Mapping[str, object], role: str, where: str) -> float | None:
    cell = cells.get(role)
    return None if is_unknown(cell) else number(cell, f"{where}: {role}, s,")


def _absent(path: str) -> Finding | None:
    if os.path.isfile(path):
        return None
    return "missing", "no regular file" if os.path.exists(path) else "no such file"


@lru_cache(maxsize=4096)  # segments of one recording follow each other
def _headers(path: str, state: tuple[int, int] | None) -> tuple[MediaInfo, int] | str:
    """As `read_headers`, of a file in this state."""
    return read_headers(path)
