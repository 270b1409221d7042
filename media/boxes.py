"""Boxes of MP4 and its kin (ISO/IEC 14496-12): what a header claims that would keep FFmpeg at work for minutes."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

MOST = 100_000
"""Boxes within one that are looked at."""

LARGEST_TRACK = 1 << 24
"""Number of a track; FFmpeg counts up to it, 8 s for each billion, and cannot be stopped."""

STARTS = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"}
"""Types of the first box."""


def track_numbers(file: BinaryIO, size: int) -> Iterator[int]:
    """Numbers of the tracks that a file states (8.3.2); none of a file of another kind. Its place is moved."""
    for start, end in _outermost(file, b"moov", size):
        for track in _within(file, b"trak", start, end):
            for head, _ in _within(file, b"tkhd", *track):
                file.seek(head)
                content = file.read(24)
                place = 12 if content[:1] == b"\0" else 20  # behind times of 32 or 64 bits
                if len(content) >= place + 4:
                    yield int.from_bytes(content[place : place + 4], "big")


def largest_run(file: BinaryIO, size: int) -> int:
    """The most samples that a fragment states of one track (8.8.8); 0 of a file without. Its place is moved."""
    most = 0
    for fragment in _outermost(file, b"moof", size):
        for track in _within(file, b"traf", *fragment):
            for run, _ in _within(file, b"trun", *track):
                file.seek(run + 4)
                most = max(most, int.from_bytes(file.read(4), "big"))
    return most


def _outermost(file: BinaryIO, kind: bytes, size: int) -> Iterator[tuple[int, int]]:
    """`_within` a whole file; nothing of one of another kind."""
    file.seek(0)
    if file.read(8)[4:] in STARTS:
        yield from _within(file, kind, 0, size)


def _within(file: BinaryIO, kind: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes of a type begin and end, of those that follow one another (4.2)."""
    for _ in range(MOST):
        file.seek(start)
        head = file.read(16)
        if start + 8 > end or len(head) < 8:
            return
        (length,), before = struct.unpack(">I", head[:4]), 8
        if length == 1 and len(head) == 16:
            (length,), before = struct.unpack(">Q", head[8:]), 16
        length = length or end - start
        if length < before:
            return
        if head[4:8] == kind:
            yield start + before, min(start + length, end)
        start += length
