"""Tables as iMotions exports them: the header row is found by its content, and the dialect by trying.

Seen in the wild: 6, 10, 24 or 26 rows of metadata above the header; `,`, `;` and tab between cells; decimal commas;
byte order marks; Windows-1252; the same column name twice; two spaces in a name; rows that stop short.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affecthub.datasets_scripts.text_files import csv_rows, read_file

SEPARATORS = (",", ";", "\t", "|")

_COMMA_NUMBER = re.compile(r"\s*-?\d{1,3}(\.\d{3})+,\d+\s*|\s*-?\d+,\d+\s*")
_POINT_NUMBER = re.compile(r"\s*-?\d*\.\d+(e-?\d+)?\s*", re.IGNORECASE)
_NO_NUMBER = {"", "na", "nan", "n/a", "null"}


@dataclass(frozen=True)
class Note:
    """Something that was found while a study was read; what each finding means is in `genex_manifest.FINDINGS`."""

    subject: str
    """The file, recording or participant that it is about."""
    finding: str
    count: int = 1
    """Of rows, frames or whatever the finding counts."""
    detail: str = ""


@dataclass(frozen=True)
class Table:
    """The wanted columns of one file."""

    path: Path
    columns: dict[str, list[str]]
    """Name -> its cells as text, white space collapsed; of equal length. Optional columns may be absent."""
    lines: list[int]
    """Line number of each row in the file, from 1."""
    metadata: dict[str, str]
    """Rows above the header, lower-case first cell without `#` -> second cell."""
    notes: list[Note]
    """How the file departs from UTF-8, commas and points, and what was skipped."""

    _numbers: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def numbers(self, column: str) -> np.ndarray:
        """A column as float64 (rows,); empty cells and words are NaN."""
        if column not in self._numbers:
            comma = self.decimal_comma
            self._numbers[column] = np.array([_number(cell, comma) for cell in self.columns[column]], dtype=np.float64)
        return self._numbers[column]

    def filled(self, column: str) -> np.ndarray:
        """Which of its cells hold something, bool (rows,)."""
        return np.array([cell.lower() not in _NO_NUMBER for cell in self.columns[column]], dtype=bool)

    @property
    def decimal_comma(self) -> bool:
        """Whether numbers are written 0,5."""
        return any(note.finding == "decimal_comma" for note in self.notes)


class OtherTable(ValueError):
    """A file without the columns that are wanted."""


def tidy(text: str) -> str:
    """Text with runs of white space, no-break spaces too, as one space, and none around it."""
    return " ".join(text.split())


def read_table(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    texts: Collection[str] = (),
) -> Table:
    """Read the wanted columns of an export.

    Args:
        path: a text file.
        required: the row that holds all these names is the header; case and white space do not matter.
        optional: further columns to read where the header has them.
        rename: our column name -> its name in this file, where that differs.
        texts: names of the columns that hold no numbers.

    Raises:
        OtherTable: no row holds the required names.
        ValueError: the file is empty, no row follows the header, or decimals are written in two ways; and as
            `read_file` and `csv_rows`.
    """
    text, notes = _decode(path)
    named = {name: tidy((rename or {}).get(name, name)).lower() for name in (*required, *optional)}
    separator, header_line, header, metadata = _find_header(path, text, [named[name] for name in required])
    places = {name: header.index(theirs) for name, theirs in named.items() if theirs in header}
    for name in places:
        if header.count(named[name]) > 1:
            detail = f"column {named[name]!r} occurs {header.count(named[name])} times; the first is used"
            notes.append(Note(path.name, "duplicate_column", header.count(named[name]) - 1, detail))
    columns: dict[str, list[str]] = {name: [] for name in places}
    lines, short, long = [], [], []
    last = max(places[name] for name in required)
    for line, cells in csv_rows(path, _lines(text), separator):
        if line <= header_line or not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= last:
            short.append(line)
        elif any(map(str.strip, cells[len(header) :])):
            long.append(line)
        else:
            for name, place in places.items():
                columns[name].append(tidy(cells[place]) if place < len(cells) else "")
            lines.append(line)
    for finding, found, what in (
        ("short_row", short, "end before the last wanted column"),
        ("long_row", long, f"have more cells than the header's {len(header)}"),
    ):
        if found:
            notes.append(Note(path.name, finding, len(found), f"lines {_some(found)} {what}"))
    if not lines:
        raise ValueError(f"{path}: no row below the header in line {header_line}; export the table again")
    if _has_decimal_commas(path, {name: cells for name, cells in columns.items() if name not in texts}, lines):
        notes.append(Note(path.name, "decimal_comma", 1, "numbers are written with a decimal comma"))
    return Table(path, columns, lines, metadata, notes)


def _decode(path: Path) -> tuple[str, list[Note]]:
    raw = read_file(path, "export_bytes")
    if not raw.removeprefix(b"\xef\xbb\xbf").strip():
        raise ValueError(f"{path}: the file is empty; export the table again")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", errors="replace")
        return text, [Note(path.name, "other_encoding", 1, "UTF-16")]
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        detail = f"byte 0x{raw[error.start]:02X} at {error.start} is not UTF-8; read as Windows-1252"
        return raw.decode("cp1252", errors="replace"), [Note(path.name, "other_encoding", 1, detail)]


def _lines(text: str) -> Iterator[str]:
    """Its lines with their ends, one at a time: `io.StringIO` would hold four bytes a character of a long export."""
    return (match[0] for match in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))


def _find_header(path: Path, text: str, required: list[str]) -> tuple[str, int, list[str], dict[str, str]]:
    """(separator, line of the header from 1, its names in lower case, metadata).

    Where the file has a `#DATA` line, the header stands below it: a list of signals above must not pass for one.
    """
    marked = re.search(r"^\W*#DATA\b", text, re.MULTILINE) is not None
    for separator in SEPARATORS:
        metadata: dict[str, str] = {}
        reached = not marked
        for line, cells in csv_rows(path, _lines(text), separator):
            names = [tidy(cell).lower() for cell in cells]
            reached = reached or names[:1] == ["#data"]
            if reached and set(required) <= set(names):
                return separator, line, names, metadata
            if len(cells) > 1 and cells[0].strip():
                metadata[names[0].lstrip("# ").rstrip(": ")] = tidy(cells[1])
    raise OtherTable(
        f"{path}: no row holds the columns {', '.join(required)}; the file begins {text[:80]!r}. Export the table "
        "again, or name its columns under `columns` in the study description"
    )


def _has_decimal_commas(path: Path, columns: Mapping[str, list[str]], lines: Sequence[int]) -> bool:
    """Whether numbers are written 0,5; ValueError where some are and others are written 0.5."""
    comma, point = (
        next(
            (
                f"{cell!r} in line {line}"
                for cells in columns.values()
                for cell, line in zip(cells, lines, strict=True)
                if mark in cell and form.fullmatch(cell)
            ),
            None,
        )
        for mark, form in ((",", _COMMA_NUMBER), (".", _POINT_NUMBER))
    )
    if comma and point:
        raise ValueError(f"{path}: decimals are written in two ways, {comma} and {point}; export the table again")
    return comma is not None


def _number(cell: str, decimal_comma: bool) -> float:
    if cell.lower() in _NO_NUMBER:
        return np.nan
    try:
        return float(cell.replace(".", "").replace(",", ".") if decimal_comma else cell)
    except ValueError:
        return np.nan


def _some(lines: Sequence[int], most: int = 5) -> str:
    return ", ".join(map(str, lines[:most])) + (", ..." if len(lines) > most else "")
