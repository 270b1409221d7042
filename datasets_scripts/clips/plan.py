"""How a data set is read: what its user says, and what follows of that for each of its tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tqdm.auto import tqdm

from affecthub.datasets_scripts.clips.columns import ROLES, Reading, read_columns
from affecthub.datasets_scripts.clips.recordings import Files
from affecthub.datasets_scripts.clips.sources import SPLIT_NAMES, find_tables
from affecthub.datasets_scripts.clips.tables import Row, Table
from affecthub.datasets_scripts.clips.targets import Kind, TargetReader


@dataclass(frozen=True)
class Plan:
    """What the user says; see `corpus.Clips`."""

    root: str
    targets: Sequence[str]
    columns: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    raters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    votes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    features: Sequence[str] = ()
    media_root: str | None = None
    subset: str | None = None
    media: bool = True
    """Whether files are looked at."""

    def __post_init__(self):
        for option in ("kinds", "labels", "raters", "votes"):
            for name in getattr(self, option):
                if name not in self.targets:
                    raise ValueError(
                        f"data.{option}.{name}: no such target; data.targets names {', '.join(self.targets)}."
                    )
        if not self.targets:
            raise ValueError("data.targets=[]: name what is to be learned, one column or more.")
        if wrong := [name for name in self.targets if name in ROLES or "/" in name]:
            raise ValueError(
                f"data.targets: {wrong[0]!r} is the name of a role of a column; call the target otherwise."
            )
        if both := set(self.raters) & set(self.votes):
            raise ValueError(f"data.raters and data.votes both name {sorted(both)[0]!r}: it is one or the other.")

    @property
    def several(self) -> dict[str, Sequence[str]]:
        """Target -> the columns of its raters or votes; empty where one column holds it."""
        return {name: self.raters.get(name) or self.votes.get(name) or () for name in self.targets}

    @property
    def base(self) -> Path | None:
        """Where relative paths begin, where the user says so."""
        return Path(self.media_root).expanduser().resolve() if self.media_root else None


@dataclass(frozen=True)
class Opened:
    """A table, and how it is read."""

    table: Table
    reading: Reading
    files: Files

    @cached_property
    def stem(self) -> str:
        """The name of the table's file; empty where it is none."""
        return self.table.place.stem if self.table.place.is_file() else ""

    def where(self, number: int) -> str:
        """A row as messages name it."""
        return f"{self.table.place}, row {number}"

    def cells(self, row: Row) -> Row:
        """Role -> what the row's cell says."""
        return {role: row[column] for role, column in self.reading.roles.items()}

    def split(self, cells: Row, number: int) -> str | None:
        """The split of a row; None where nothing says it.

        Raises:
            ValueError: its column holds none, or another word.
        """
        if self.table.split or "split" not in cells:
            return self.table.split
        said = text_of(cells["split"])
        name = (said or "").lower()
        if name not in SPLIT_NAMES:
            raise ValueError(
                f"{self.where(number)}: the split is {said!r}; write train, validation or test in each row, or leave "
                "the column out."
            )
        return SPLIT_NAMES[name]


def open_tables(plan: Plan, store: Path) -> list[Opened]:
    """The tables of a data set; `store` is where recordings within them are written.

    Raises:
        FileNotFoundError, ValueError: as `find_tables` and `read_columns`; only some of them name a split.
    """
    tables = find_tables(plan.root, plan.subset)
    whole = [table for table in tables if table.split is None]
    if whole and len(whole) < len(tables):
        raise ValueError(
            f"{whole[0].place}: its name says no split (train, validation, test), as those of other tables here do; "
            "rename it, move it away, or give one table alone."
        )
    root = Path(plan.root).expanduser().resolve()
    within = plan.base or (root if root.is_dir() else root.parent)
    return [
        Opened(
            table,
            read_columns(table, plan.columns, plan.several, plan.features),
            Files(plan.base or table.folder.expanduser().resolve(), within, store),
        )
        for table in tables
    ]


def target_readers(plan: Plan, tables: Sequence[Opened]) -> list[TargetReader]:
    """What reads the targets' cells."""
    coded = {column: names for opened in tables for column, names in (opened.table.labels or {}).items()}
    return [
        TargetReader(
            name,
            tables[0].reading.targets[name],
            plan.kinds.get(name),
            plan.labels.get(name, ()),
            "raters" if name in plan.raters else "votes" if name in plan.votes else "cell",
            coded.get(tables[0].reading.targets[name][0], ()),
        )
        for name in plan.targets
    ]


def batches(tables: Sequence[Opened], description: str) -> Iterator[tuple[Opened, list[tuple[int, Row]]]]:
    """Some rows of a table at a time, with their numbers from 1."""
    with tqdm(desc=description, unit="row") as bar:
        for opened in tables:
            done = 0
            for rows in opened.table.batches():
                yield opened, list(enumerate(rows, start=done + 1))
                done += len(rows)
                bar.update(len(rows))


def text_of(cell: object) -> str | None:
    """A cell as text; None where it is empty."""
    if cell is None or cell != cell:  # NaN
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell) if str(cell).strip() else None
