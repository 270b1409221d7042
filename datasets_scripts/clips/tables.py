"""Tables of any size, read a batch at a time: CSV, TSV, JSON lines and Parquet become dictionaries, a row each."""

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Audio, ClassLabel, Features, Image, List, Video

from affecthub.datasets_scripts.files import file_digest
from affecthub.datasets_scripts.text_files import (
    FREE_EXPANSION,
    check_columns,
    csv_rows,
    limits,
    lines_of,
    open_file,
    pieces_of,
    too_large,
)

Row = dict[str, object]
"""Column -> what its cell holds; of CSV a text, "" where it is empty."""

BATCH = 1000
"""Rows that are held at a time."""

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Of the files that are read as tables."""

DELIMITERS = ",;\t|"
"""What may stand between the cells of a CSV; the one that its header holds most often does."""


@dataclass(frozen=True)
class Table:
    """Rows from one place."""

    place: Path
    """What messages name: a file, or the folder of a data set."""
    folder: Path
    """Where relative paths of its cells begin."""
    columns: list[str]
    batches: Callable[[], Iterable[list[Row]]]
    """Reads it from the beginning, each time that it is called."""
    state: Callable[[], str] = str
    """What changes when its content does."""
    split: str | None = None
    """train, validation or test, where the name of the table or of its folder says so."""
    kinds: dict[str, str] | None = None
    """Column -> "audio", "video", "image" or "images", where the data set says what its cells hold."""
    labels: dict[str, list[str]] | None = None
    """Column -> names of the classes that its whole numbers stand for, likewise."""

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Each row with its number, from 1."""
        return enumerate(itertools.chain.from_iterable(self.batches()), start=1)


def open_table(path: Path, split: str | None = None) -> Table:
    """A table file, its header read and checked.

    Raises:
        FileNotFoundError: there is none.
        ValueError: no table by its name, no regular file, larger than allowed, empty, two columns of one name, or
            nothing that its format could be.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: no table by its name; it has to end in one of {', '.join(SUFFIXES)}.")
    with open_file(path, "table_bytes"):
        pass  # whatever reads it
    if suffix == ".parquet":
        return _parquet(path, split)
    columns, batches = _json_lines(path) if suffix in (".jsonl", ".ndjson") else _csv(path)
    check_columns(columns, path)
    return Table(path, path.parent, columns, batches, partial(file_digest, path), split)


def _csv(path: Path) -> tuple[list[str], Callable[[], Iterator[list[Row]]]]:
    with _open(path) as file:
        first = next(lines_of(path, pieces_of(file)), "")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
    with _open(path) as file:
        _, columns = next(csv_rows(path, pieces_of(file), delimiter), (0, []))
    columns = [name.strip() for name in columns]
    return columns, lambda: _csv_batches(path, columns, delimiter)


def _csv_batches(path: Path, columns: list[str], delimiter: str) -> Iterator[list[Row]]:
    with _open(path) as file:
        rows = csv_rows(path, pieces_of(file), delimiter)
        next(rows, None)
        numbered = enumerate(rows, start=1)
        while batch := [_csv_row(path, columns, cells, i) for i, (_, cells) in itertools.islice(numbered, BATCH)]:
            yield batch


def _csv_row(path: Path, columns: list[str], cells: list[str], number: int) -> Row:
    if len(cells) != len(columns):
        shown = [cell[:20] for cell in cells[:3]]
        raise ValueError(
            f"{path}, row {number}: {len(cells)} cells for {len(columns)} columns (it begins {shown}): put a cell "
            "that holds the separator or a line break between double quotes."
        )
    return dict(zip(columns, cells, strict=True))


@contextmanager
def _open(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text of a table; ValueError, naming the file, where it is in another encoding than UTF-8 or UTF-16."""
    with open_file(path, "table_bytes") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        file.seek(0)
        try:
            yield io.TextIOWrapper(file, encoding, newline="")
        except UnicodeDecodeError as error:
            wrong = error.object[error.start : error.start + 8]
            raise ValueError(f"{path}: {wrong!r} is not {encoding}; save the table as UTF-8.") from error


def _json_lines(path: Path) -> tuple[list[str], Callable[[], Iterator[list[Row]]]]:
    # rows may lack keys: the columns are all that any row has
    columns = dict.fromkeys(name for batch in _json_batches(path, ()) for row in batch for name in row)
    return list(columns), lambda: _json_batches(path, tuple(columns))


def _json_batches(path: Path, columns: tuple[str, ...]) -> Iterator[list[Row]]:
    blank = dict.fromkeys(columns)
    with _open(path) as file:
        lines = lines_of(path, pieces_of(file))
        numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
        while batch := list(itertools.islice(numbered, BATCH)):
            yield [blank | _json_row(path, number, line) for number, line in batch]


def _json_row(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line, object_pairs_hook=_without_twins)
        if "\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()  # half of a pair that JSON escapes is no character
    except (ValueError, RecursionError) as error:  # ValueError: of a number of too many digits, too
        raise ValueError(f"{path}, row {number}: no JSON ({error}); a line holds one object.") from error
    if not isinstance(row, dict):
        raise ValueError(f"{path}, row {number}: {line[:40].strip()!r} is no JSON object of columns and values.")
    return row


def _without_twins(pairs: list[tuple[str, object]]) -> Row:
    """An object's pairs; ValueError for a key that stands twice, of which one would vanish."""
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two values are named {twice!r}: rename one")
    return row


def _parquet(path: Path, split: str | None) -> Table:
    try:
        schema = pq.read_schema(path)
        features = Features.from_arrow_schema(schema)
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{path}: no Parquet file that can be read ({error}); save it anew.") from error
    check_columns(schema.names, path)
    state = partial(file_digest, path)
    return Table(path, path.parent, schema.names, lambda: _parquet_batches(path), state, split, *described(features))


def described(features: Features) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What `datasets` says of its columns: kinds of media, and names of classes, as `Table` holds them."""
    kinds, labels = {}, {}
    names = {Audio: "audio", Video: "video", Image: "image"}
    for column, feature in features.items():
        entry = feature.feature if isinstance(feature, List) else feature
        if type(entry) in names:
            kinds[column] = names[type(entry)] + ("s" if isinstance(feature, List) and type(entry) is Image else "")
        if isinstance(entry, ClassLabel):
            labels[column] = entry.names
    return kinds, labels


def _check_expansion(path: Path, out: int) -> None:
    """ValueError where so many bytes come out of a file that far fewer went in."""
    size = path.stat().st_size
    if out > FREE_EXPANSION + limits().archive_ratio * size:
        raise too_large(path, "archive_ratio", f"its {size:,} bytes expand to {out:,}, {out / size:,.0f} for each")


def _characters(batch: pa.RecordBatch) -> int:
    """Of all texts of a batch that is read as a dictionary."""
    count = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            lengths = pc.utf8_length(column.dictionary)  # pyright: ignore[reportAttributeAccessIssue]
            count += pc.sum(lengths.take(column.indices)).as_py() or 0  # pyright: ignore[reportAttributeAccessIssue]
    return count


def _parquet_batches(path: Path) -> Iterator[list[Row]]:
    try:
        texts = [field.name for field in pq.read_schema(path) if field.type in (pa.string(), pa.large_string())]
        with pq.ParquetFile(path, read_dictionary=texts) as file:  # a text that every row repeats is held once
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            _check_expansion(path, sum(group.total_byte_size for group in groups))
            for batch in file.iter_batches(BATCH):
                _check_expansion(path, _characters(batch))
                yield batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, ArithmeticError) as error:  # of what Python has no value for
        raise ValueError(f"{path}: a part of it cannot be read ({error}); save it anew.") from error
