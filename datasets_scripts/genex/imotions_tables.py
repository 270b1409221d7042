"""Tables as iMotions exports them: the header row is found by its content, and the dialect by trying.

Seen in the wild: 6, 10, 24 or 26 rows of metadata above the header; `,`, `;` and tab between cells; decimal commas;
byte order marks; Windows-1252; the same column name twice; two spaces in a name; rows that stop short.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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

    def __len__(self) -> int:
        return len(self.lines)

    def numbers(self, column: str) -> np.ndarray:
        """A column as float64 (rows,); empty cells and words are NaN."""
        cells = self.columns[column]
        comma = self.decimal_comma
        return np.array([_number(cell, comma) for cell in cells], dtype=np.float64)

    @property
    def decimal_comma(self) -> bool:
        """Whether numbers are written 0,5."""
        return any(note.finding == "decimal_comma" for note in self.notes)


def tidy(text: str) -> str:
    """Text with runs of white space, no-break spaces too, as one space, and none around it."""
    return " ".join(text.split())


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), rename: Mapping[str, str] | None = None
) -> Table:
    """Read the wanted columns of an export.

    Args:
        path: a text file.
        required: the row that holds all these names is the header; case and white space do not matter.
        optional: further columns to read where the header has them.
        rename: our column name -> its name in this file, where that differs.

    Raises:
        ValueError: the file is empty, no row holds the required names, or no row follows.
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
    lines, short = [], []
    reader = csv.reader(_lines(text), delimiter=separator)
    for cells in reader:
        if reader.line_num <= header_line or not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(places[name] for name in required):
            short.append(reader.line_num)
            continue
        for name, place in places.items():
            columns[name].append(tidy(cells[place]) if place < len(cells) else "")
        lines.append(reader.line_num)
    if short:
        notes.append(
            Note(path.name, "short_row", len(short), f"lines {_some(short)} end before the last wanted column")
        )
    if not lines:
        raise ValueError(f"{path}: no row below the header in line {header_line}; export the table again")
    if _has_decimal_commas(columns.values()):
        notes.append(Note(path.name, "decimal_comma", 1, "numbers are written with a decimal comma"))
    return Table(path, columns, lines, metadata, notes)


def _decode(path: Path) -> tuple[str, list[Note]]:
    raw = path.read_bytes()
    if not raw.strip():
        raise ValueError(f"{path}: the file is empty; export the table again")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16"), [Note(path.name, "other_encoding", 1, "UTF-16")]
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
        reader = csv.reader(_lines(text), delimiter=separator)
        reached = not marked
        for cells in reader:
            names = [tidy(cell).lower() for cell in cells]
            reached = reached or names[:1] == ["#data"]
            if reached and set(required) <= set(names):
                return separator, reader.line_num, names, metadata
            if len(cells) > 1 and cells[0].strip():
                metadata[names[0].lstrip("# ").rstrip(": ")] = tidy(cells[1])
    raise ValueError(
        f"{path}: no row holds the columns {', '.join(required)}; the file begins {text[:80]!r}. Export the table "
        "again, or name its columns under `columns` in the study description"
    )


def _has_decimal_commas(columns: Iterable[list[str]]) -> bool:
    """Whether numbers with a comma occur and numbers with a point do not."""
    cells = [cell for column in columns for cell in column]
    commas = any(_COMMA_NUMBER.fullmatch(cell) for cell in cells)
    return commas and not any(_POINT_NUMBER.fullmatch(cell) for cell in cells)


def _number(cell: str, decimal_comma: bool) -> float:
    if cell.lower() in _NO_NUMBER:
        return np.nan
    try:
        return float(cell.replace(".", "").replace(",", ".") if decimal_comma else cell)
    except ValueError:
        return np.nan


def _some(lines: Sequence[int], most: int = 5) -> str:
    return ", ".join(map(str, lines[:most])) + (", ..." if len(lines) > most else "")
