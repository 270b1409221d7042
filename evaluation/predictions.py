"""What a model answered to every row, kept beside it, so that whoever asks later need not run it again.

`predictions.parquet` has a row for each row of each split:

    split                  "train", "validation" or "test"
    key, participant...    `ABOUT_ROWS`, as far as the data set has them
    present                list of str: the modalities that the sample held
    reference.TASK         the truth: an id, -100 unknown; of all but single labels a list of numbers, NaN unknown
    logits.TASK            list of float: the model's raw outputs, before temperature and thresholds
    logits.TASK.SUBSET     the same, given only such modalities as "text+audio"; null: not asked, or none is there

and says in its metadata, as JSON, what it is of: `PredictionFacts`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from affecthub.datasets_scripts.text_files import json_object, of_form

from ..media.files import replacing
from .answers import Answers, Calibration, Kind, from_outputs

PREDICTIONS_FILE = "predictions.parquet"

VERSION = 1
"""Of the file's format."""

METADATA = b"affecthub.predictions"

ABOUT_ROWS = ("key", "participant", "recording", "dialogue", "turn", "time_ms", "clip_start", "clip_end", "weight")
"""Columns that are kept of the rows, where they have them."""


CLUSTERS = ("key", "participant", "dialogue", "recording")
"""Columns by which rows are told apart and drawn; a data set may lack any, and a row its value."""


class TaskFacts(TypedDict):
    """What is told of a row."""

    kind: Kind
    labels: list[str]
    """In the order of the ids; of a binary target both classes; of a number its name."""
    calibration: NotRequired[Calibration]
    """What the model's configuration makes of the logits; absent: it was not calibrated."""


class RunFacts(TypedDict):
    """Of which run a file of predictions is."""

    data: str
    synthetic: bool
    unit: str
    protocol: str
    architecture: str
    modalities: list[str]
    subsets: list[list[str]]
    """Of the modalities, which the model was also asked with in one split, smallest first; never all of them."""


class PredictionFacts(RunFacts):
    """What a file of predictions is of."""

    version: int
    tasks: dict[str, TaskFacts]
    """The main one first."""


class Predictions:
    """A table of predictions and what it is of; `read_predictions` opens one.

    Args:
        table: with the columns of the module's description.
        facts: what it is of.
    """

    def __init__(self, table: pa.Table, facts: PredictionFacts):
        self.table, self.facts = table, facts

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def tasks(self) -> dict[str, TaskFacts]:
        """Task -> what it is, the main one first."""
        return self.facts["tasks"]

    @property
    def splits(self) -> list[str]:
        """Those that are there, in their usual order."""
        return self.table["split"].unique().to_pylist()

    def of(self, split: str) -> "Predictions":
        """The rows of a split; ValueError where there is none of this name."""
        if split not in self.splits:
            raise ValueError(f"there are no predictions of a split {split!r}; those there are: {self.splits}.")
        rows = pc.equal(self.table["split"], split)  # pyright: ignore[reportAttributeAccessIssue] - made at import
        return Predictions(self.table.filter(rows), self.facts)

    def take(self, rows: np.ndarray) -> "Predictions":
        """Rows by their places, or by a mask."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Predictions(self.table.take(pa.array(places)), self.facts)

    def references(self, task: str) -> np.ndarray:
        """The truth, as `answers.answers_of` takes it: ids (rows,), else numbers (rows, labels)."""
        column = self.table[f"reference.{task}"]
        return column.to_numpy() if self.tasks[task]["kind"] == "single_label" else _numbers(column, self.width(task))

    def logits(self, task: str, subset: Sequence[str] | None = None) -> np.ndarray:
        """Raw outputs (rows, outputs); of a subset of the modalities NaN in the rows that hold none of them."""
        name = f"logits.{task}"
        if subset is not None and set(subset) != set(self.facts["modalities"]):
            name = f"{name}.{'+'.join(subset)}"
        return _numbers(self.table[name], self.width(task))

    def answers(self, task: str, subset: Sequence[str] | None = None) -> Answers:
        """What was answered to the rows whose truth is known, calibrated as the model is; errors as `from_outputs`."""
        of, outputs = self.tasks[task], self.logits(task, subset)
        return from_outputs(of["kind"], self.references(task), outputs, of["labels"], of.get("calibration"))

    def column(self, name: str) -> np.ndarray | None:
        """A column about the rows (rows,), None in a row without it; or None: the data set has no such thing."""
        if name not in self.table.column_names:
            return None
        return np.array(self.table[name].to_pylist(), dtype=object)

    @property
    def keys(self) -> list[str]:
        """What names each row, as text."""
        return [str(key) for key in self.table["key"].to_pylist()]

    def width(self, task: str) -> int:
        """Numbers that are told of a row."""
        return 1 if self.tasks[task]["kind"] == "binary" else len(self.tasks[task]["labels"])

    def holding(self, modalities: Iterable[str]) -> np.ndarray:
        """Which samples held any of some modalities, bool (rows,)."""
        wanted = set(modalities)
        return np.array([bool(wanted & set(present)) for present in self.table["present"].to_pylist()], dtype=bool)

    def write(self, path: str | Path) -> Path:
        """Write the file, whole or not at all."""
        metadata = {METADATA: json.dumps(self.facts, ensure_ascii=False).encode()}
        with replacing(Path(path)) as temporary:
            pq.write_table(self.table.replace_schema_metadata(metadata), temporary, compression="zstd")
        return Path(path)


def predictions_of(
    parts: Mapping[str, Mapping[str, pa.Array]], tasks: Mapping[str, TaskFacts], **facts: Unpack[RunFacts]
) -> Predictions:
    """One table of what was answered to each split.

    Args:
        parts: split -> column -> values; a column that a split lacks is null there.
        tasks: what is told of a row, the main one first.
        facts: of which run.
    """
    tables = [pa.table({"split": pa.repeat(split, _rows(columns)), **columns}) for split, columns in parts.items()]
    table = pa.concat_tables(tables, promote_options="permissive")
    return Predictions(table, {"version": VERSION, **facts, "tasks": dict(tasks)})


def read_predictions(path: str | Path) -> Predictions:
    """Open a file of predictions, or that of a run's folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is cut off, no such file, or of another version.
    """
    path = Path(path)
    path = path / PREDICTIONS_FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a run leaves it beside its model; train anew.")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): it was cut off, or is no Parquet; make it anew."
        ) from error
    stated = (table.schema.metadata or {}).get(METADATA)
    if stated is None:
        raise ValueError(f"{path} holds no predictions of affecthub: pass the folder of a run.")
    place = f"{path}: what it says of itself"
    facts = json_object(place, stated, "train anew")
    if facts.get("version") != VERSION:
        raise ValueError(f"{path} is of version {facts.get('version')}, and this reads version {VERSION}: train anew.")
    found = Predictions(table, of_form(facts, PredictionFacts, place, "train anew"))
    _check_columns(path, found)
    return found


def _check_columns(path: Path, found: Predictions) -> None:
    """ValueError where a column that judging needs is missing, of another type, or has no value in some row."""
    wanted = {"split": "string", "present": "list<element: string>"}
    wanted |= {name: "string" for name in CLUSTERS if name in found.table.column_names}
    widths, nullable = {}, set(CLUSTERS)
    for task, of in found.tasks.items():
        asked = {f"logits.{task}.{'+'.join(subset)}" for subset in found.facts["subsets"]}
        asked &= set(found.table.column_names)
        nullable |= asked
        lists = [f"logits.{task}", *sorted(asked)]
        if of["kind"] == "single_label":
            wanted[f"reference.{task}"] = "int64"
        else:
            lists.append(f"reference.{task}")
        widths |= dict.fromkeys(lists, found.width(task))
    wanted |= dict.fromkeys(widths, "list<element: float>")
    for name, expected in wanted.items():
        if name not in found.table.column_names:
            raise ValueError(f"{path} has no column {name}: it was changed; train anew.")
        column, width = found.table[name], widths.get(name)
        given = str(column.type).replace("item: ", "element: ").replace(": double", ": float")
        if pa.types.is_fixed_size_list(column.type):  # as these files were written once
            given = given.removeprefix("fixed_size_").partition("[")[0]
        nulls = column.null_count and name not in nullable
        as_wanted = given == expected and not nulls
        lengths = []
        if width and as_wanted:
            found_lengths = pc.list_value_length(column)  # pyright: ignore[reportAttributeAccessIssue] - likewise
            lengths = found_lengths.drop_null().unique().to_pylist()
        if not as_wanted or set(lengths) - {width}:
            found_there = f"{given} of {' and '.join(map(str, sorted(lengths)))}" if lengths else given
            raise ValueError(
                f"{path}: column {name} holds {found_there}{' and nulls' * bool(nulls)}, and not "
                f"{expected}{f' of {width}' if width else ''} in every row: it was changed; train anew."
            )


def list_column(values: np.ndarray, rows: np.ndarray | None = None, total: int | None = None) -> pa.Array:
    """Numbers (rows, width) as a column of lists; not of a fixed size, whose nulls Arrow reads from version 26 on.

    Args:
        values: numbers.
        rows: at which of the column's rows they stand; None: they are all.
        total: rows of the column, of which the others are null; None: as many as there are numbers.
    """
    values = values.reshape(len(values), -1)
    total = len(values) if total is None else total
    held = np.ones(len(values), bool) if rows is None else np.isin(np.arange(total), rows)
    values = values if rows is None else values[np.argsort(rows)]
    ends = np.cumsum([0, *(held * values.shape[1])], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values.ravel()), mask=pa.array(~held))


def _numbers(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """A column of lists as numbers (rows, width), NaN where a row has none."""
    held = column.is_valid().to_numpy()
    values = np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks])
    found = np.full((len(column), width), np.nan, values.dtype)
    found[held] = values.reshape(-1, width)
    return found


def _rows(columns: Mapping[str, pa.Array]) -> int:
    return len(next(iter(columns.values())))
