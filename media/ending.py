"""Where a file ends by its own structure: one that was cut off says in its first bytes how long it would have been."""

import os
import struct
from pathlib import Path
from typing import BinaryIO

import av
import av.container

SLACK = 8
"""Bytes that may be missing: writers differ in whether the size that a RIFF file states counts its own header."""

OPEN_END = 0x7FFFF000
"""Sizes from here on are placeholders of writers that could not go back, such as recorders and pipes."""

MOST_CHUNKS = 64
"""Chunks of a RIFF file that are looked at: those of samples or frames are among the first."""

MOST_BOXES = 100_000
"""Boxes of an MP4 file that are looked at: one that is written in fragments has thousands."""


def missing_bytes(container: av.container.InputContainer, source: str | Path | BinaryIO) -> int:
    """How many bytes a file lacks at its end, by what its container's structure states; 0 where that states nothing.

    Known of MP4 and its kin (boxes and index), Matroska and WebM (segment), AVI and WAV (RIFF), AIFF.

    Args:
        container: of the file, open.
        source: its path, or file object, whose position is left as it was.
    """
    if isinstance(source, str | Path):
        with open(source, "rb") as file:
            return _missing(container, file)
    if not hasattr(source, "tell"):  # it has no other position than the one it is at
        return 0
    before = source.tell()
    try:
        return _missing(container, source)
    finally:
        source.seek(before)


def _missing(container: av.container.InputContainer, file: BinaryIO) -> int:
    try:
        size = file.seek(0, os.SEEK_END)
        end = _stated_end(container.format.name, file, size)
    except (OSError, struct.error, IndexError):  # no file of a fixed size, or of another structure
        return 0
    ends = [entry.pos + entry.size for stream in container.streams for entry in stream.index_entries[-1:]]
    missing = max([0, *ends, end or 0]) - size
    return missing if missing > SLACK else 0


def _stated_end(kind: str, file: BinaryIO, size: int) -> int | None:
    """Position of the byte after the last one; None where the structure does not say."""
    file.seek(0)
    head = file.read(12)
    if kind.startswith("mov"):
        return _end_of_boxes(file, size)
    if kind.startswith("matroska"):
        return _end_of_segment(file)
    if head[:4] in (b"RIFF", b"FORM"):
        return _end_of_chunks(file, size, "<I" if head[:4] == b"RIFF" else ">I")
    return None


def _end_of_chunks(file: BinaryIO, size: int, number: str) -> int | None:
    """RIFF and IFF: a chunk is its name, its size and so many bytes, the first one with the others inside."""
    ends, position = [], 0
    while len(ends) < MOST_CHUNKS and position < size:
        file.seek(position)
        (length,) = struct.unpack(number, file.read(8)[4:])
        if not 0 < length < OPEN_END:
            return None
        ends.append(position + 8 + length)
        position = 12 if position == 0 else ends[-1] + length % 2
    return max(ends)


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """ISO/IEC 14496-12, 4.2: a box is its size (32 bits, or 1 and then 64 bits; 0: to the end) and its type."""
    position = 0
    for _ in range(MOST_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8 or not head[4:8].isalnum():
            break
        (length,) = struct.unpack(">I", head[:4])
        if length == 1:
            (length,) = struct.unpack(">Q", head[8:16])
        if length < 8:
            break
        position += length
    return position


def _end_of_segment(file: BinaryIO) -> int | None:
    """RFC 8794: the EBML header and then the segment, each an identifier, a size and so many bytes."""
    position = 0
    for identifier in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        file.seek(position)
        head = file.read(12)
        if head[:4] != identifier:
            return None
        width = 9 - head[4].bit_length()
        size = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
        if size == (1 << 7 * width) - 1:  # not known when it was written
            return None
        position += 4 + width + size
    return position
