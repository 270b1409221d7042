"""The door for what people hand over as text: tables, recipes, descriptions of studies, and archives of them.

A file is opened here and nowhere else: a regular one, no larger than a limit, decoded, its lines and fields bounded.
What a library says of it becomes a ValueError that names file, line, value and remedy.
"""

import csv
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, TextIO, TypeVar

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

Form = TypeVar("Form")

FREE_EXPANSION = 64 * 2**20
"""Bytes that come out of a compressed file before `Limits.archive_ratio` counts."""

VARIABLE = "AFFECTHUB_LIMITS"
"""Environment variable that changes `Limits`, such as "table_bytes=8e9,archive_ratio=100"."""


@dataclass(frozen=True)
class Limits:
    """What is refused as too large; docs/reliability.md lists the same."""

    table_bytes: int = 16 * 2**30
    """Of a table that is read some rows at a time."""
    export_bytes: int = 2 * 2**30
    """Of a table that is read whole: MELD's, and what iMotions exports."""
    rows: int = 100_000_000
    """Of a table."""
    columns: int = 10_000
    """Cells of a row."""
    field_characters: int = 2**24
    """Of a cell, and of a line of text."""
    yaml_bytes: int = 2**20
    """Of a recipe or a description of a study."""
    yaml_nodes: int = 100_000
    """Keys and values of a YAML file, where each alias counts as all that it stands for."""
    json_bytes: int = 2**28
    """Of a file in which a run or a preparation says what it is."""
    depth: int = 50
    """Mappings and lists of a YAML file within one another."""
    archive_bytes: int = 100 * 10**9
    """That an archive expands to."""
    archive_ratio: int = 20
    """Bytes that come out of an archive or Parquet for each of its own, beyond the first 64 MiB: clips hardly
    compress."""
    archive_members: int = 1_000_000
    """Files and folders of an archive."""


def limits() -> Limits:
    """The limits that hold, by the defaults and `VARIABLE`.

    Raises:
        ValueError: the variable names no limit, or no number above 0.
    """
    known = {entry.name for entry in fields(Limits)}
    changed = {}
    for part in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        name, _, value = part.partition("=")
        try:
            changed[name] = int(float(value))
        except (ValueError, OverflowError):
            changed[name] = 0
        if name not in known or changed[name] < 1:
            raise ValueError(f"{VARIABLE}: {part!r} is no NAME=NUMBER above 0 of one of {', '.join(sorted(known))}.")
    return replace(Limits(), **changed)


def too_large(place: object, name: str, found: str) -> ValueError:
    """The error of what is beyond a limit.

    Args:
        place: the file, with its line where there is one.
        name: of the limit, in `Limits`.
        found: what there is, in words.
    """
    allowed = getattr(limits(), name)
    return ValueError(
        f"{place}: {found}; {allowed:,} is the limit, as more is taken for a mistake. Mend the file, or raise the "
        f"limit: {VARIABLE}={name}=NUMBER."
    )


@contextmanager
def open_file(path: Path, most: str | None = None) -> Iterator[BufferedReader]:
    """A regular file, open to be read as bytes.

    Args:
        path: a link to one will do.
        most: the limit, in `Limits`, of its bytes.

    Raises:
        FileNotFoundError, PermissionError: there is none, or it may not be read.
        ValueError: it is a folder, a pipe or a device, which might never end; or it is larger than the limit.
    """
    try:
        found = os.stat(path)
    except (ValueError, FileNotFoundError, NotADirectoryError) as error:  # ValueError: of a zero byte in the name
        raise FileNotFoundError(f"{path}: there is no such file; check the path.") from error
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path}: no regular file but a {_kind(found.st_mode)}; give the path of the file itself.")
    if most and found.st_size > getattr(limits(), most):
        raise too_large(path, most, f"it has {found.st_size:,} bytes")
    with open(path, "rb") as file:
        yield file


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "folder", stat.S_ISFIFO: "pipe", stat.S_ISSOCK: "socket"}
    return next((name for is_kind, name in kinds.items() if is_kind(mode)), "device")


def read_file(path: Path, most: str) -> bytes:
    """All bytes of a file, of which `most` names the limit; errors as `open_file`."""
    with open_file(path, most) as file:
        content = file.read(getattr(limits(), most) + 1)
    if len(content) > getattr(limits(), most):
        raise too_large(path, most, "it goes on after its stated end")
    return content


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        remedy: ends the error's sentence.

    Raises:
        FileNotFoundError, PermissionError, ValueError: as `read_file`; it holds no JSON object.
    """
    return json_object(path, read_file(path, "json_bytes"), remedy)


def json_object(place: object, content: str | bytes, remedy: str) -> dict[str, Any]:
    """The object that a text is; `place` and `remedy` are for the error."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError: of what is no UTF-8, and of numbers too long, too
        raise ValueError(f"{place} is no JSON ({error}): it was cut off or changed; {remedy}.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{place} holds a {type(value).__name__} and no JSON object; {remedy}.")
    return value


def of_form(value: object, form: type[Form], place: object, remedy: str) -> Form:
    """`value`, if it is of a type, such as a `TypedDict`; ValueError, which says where it is not, if it is none."""
    try:
        return check_type(value, form, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError as error:
        raise ValueError(f"{place} is not as it was written ({error}): it was changed; {remedy}.") from error


def lines_of(path: Path, text: Iterable[str]) -> Iterator[str]:
    """Lines with their ends; ValueError where one is too long or holds what text does not.

    Args:
        path: for the message.
        text: lines, whole or in pieces of up to `Limits.field_characters`.
    """
    most, number = limits().field_characters, 0
    for number, line in enumerate(text, start=1):
        if len(line) > most:
            raise too_large(f"{path}, line {number}", "field_characters", f"it has over {most:,} characters")
        if "\0" in line:
            raise ValueError(
                f"{path}, line {number}: it holds a zero byte after {line[:20].partition(chr(0))[0]!r}, which text "
                "does not; save the table as UTF-8, or copy it again."
            )
        yield line


def pieces_of(file: TextIO) -> Iterator[str]:
    """Lines of an open text file; of one that is too long, a piece that is, so that it need not fit in memory."""
    most = limits().field_characters + 1
    return iter(lambda: file.readline(most), "")


def csv_rows(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are no blank lines, each with the number of its last line, from 1.

    Raises:
        ValueError: a cell, a row or the table is beyond its limit, a quote is never closed, or as `lines_of`.
    """
    bounds = limits()
    csv.field_size_limit(bounds.field_characters)
    reader = csv.reader(lines_of(path, lines), delimiter=delimiter)
    try:
        for count, cells in enumerate(reader):
            if count > bounds.rows:
                raise too_large(path, "rows", f"it has over {bounds.rows:,} rows")
            if len(cells) > bounds.columns:
                where = f"{path}, line {reader.line_num}"
                raise too_large(where, "columns", f"it has {len(cells):,} cells, the first {cells[0][:20]!r}")
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}; is a quote before it not closed? Mend the line, or save the "
            "table anew."
        ) from error


def check_columns(columns: Sequence[str], place: object) -> None:
    """ValueError where a table has no columns, or two of one name, of which one would vanish."""
    if not any(columns):
        raise ValueError(f"{place}: the table is empty; its first line has to name the columns.")
    if twice := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
        places = [str(i) for i, name in enumerate(columns, start=1) if name == twice[0]]
        raise ValueError(
            f"{place}: {len(places)} columns are named {twice[0]!r} (columns {' and '.join(places)}): rename one."
        )
