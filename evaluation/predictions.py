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
from typing import NotRequired, TypedDict

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


class PredictionFacts(TypedDict):
    """What a file of predictions is of."""

    version: int
    data: str
    synthetic: bool
    unit: str
    protocol: str
    architecture: str
    modalities: list[str]
    subsets: list[list[str]]
    """Of the modalities, which the model was also asked with in one split, smallest first; never all of them."""
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
        return Predictions(self.table.filter(pc.equal(self.table["split"], split)), self.facts)

    def take(self, rows: np.ndarray) -> "Predictions":
        """Rows by their places, or by a mask."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Predictions(self.table.take(pa.array(places)), self.facts)

    def references(self, task: str) -> np.ndarray:
        """The truth, as `answers.answers_of` takes it: ids (rows,), else numbers (rows, labels)."""
        column = self.table[f"reference.{task}"]
        return _numbers(column) if pa.types.is_fixed_size_list(column.type) else column.to_numpy()

    def logits(self, task: str, subset: Sequence[str] | None = None) -> np.ndarray:
        """Raw outputs (rows, outputs); of a subset of the modalities NaN in the rows that hold none of them."""
        if subset is None or set(subset) == set(self.facts["modalities"]):
            return _numbers(self.table[f"logits.{task}"])
        return _numbers(self.table[f"logits.{task}.{'+'.join(subset)}"])

    def answers(self, task: str, subset: Sequence[str] | None = None) -> Answers:
        """What was answered to the rows whose truth is known, calibrated as the model is; errors as `from_outputs`."""
        of, outputs = self.tasks[task], self.logits(task, subset)
        return from_outputs(of["kind"], self.references(task), outputs, of["labels"], of.get("calibration"))

    def column(self, name: str) -> np.ndarray | None:
        """A column about the rows (rows,), None in a row without it; or None: the data set has no such thing."""
        if name not in self.table.column_names:
            return None
        return np.array(self.table[name].to_pylist(), dtype=object)

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
    parts: Mapping[str, Mapping[str, pa.Array]], tasks: Mapping[str, TaskFacts], **facts: object
) -> Predictions:
    """One table of what was answered to each split.

    Args:
        parts: split -> column -> values; a column that a split lacks is null there.
        tasks: what is told of a row, the main one first.
        facts: the rest of `PredictionFacts`.
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
    for task, of in found.tasks.items():
        numbers = f"fixed_size_list<element: float>[{1 if of['kind'] == 'binary' else len(of['labels'])}]"
        ids = of["kind"] == "single_label"
        wanted |= {f"logits.{task}": numbers, f"reference.{task}": "int64" if ids else numbers}
    for name, expected in wanted.items():
        if name not in found.table.column_names:
            raise ValueError(f"{path} has no column {name}: it was changed; train anew.")
        column = found.table[name]
        given = str(column.type).replace("item: ", "element: ").replace(": double", ": float")
        if given != expected or (column.null_count and name not in CLUSTERS):
            raise ValueError(
                f"{path}: column {name} holds {given}{' and nulls' * bool(column.null_count)}, and not {expected} "
                "in every row: it was changed; train anew."
            )


def list_column(values: np.ndarray, rows: np.ndarray | None = None, total: int | None = None) -> pa.Array:
    """Numbers (rows, width) as a column of lists.

    Args:
        values: numbers.
        rows: at which of the column's rows they stand; None: they are all.
        total: rows of the column; the others are null.
    """
    values = values.reshape(len(values), -1)
    filled, missing = values, None
    if rows is not None:
        filled = np.zeros((total, values.shape[1]), values.dtype)
        filled[rows] = values
        missing = pa.array(~np.isin(np.arange(total), rows))
    return pa.FixedSizeListArray.from_arrays(pa.array(filled.ravel()), values.shape[1], mask=missing)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of lists as numbers (rows, width), NaN where a row has none."""
    held = column.is_valid().to_numpy()
    values = np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks])
    found = np.full((len(column), column.type.list_size), np.nan, values.dtype)
    found[held] = values.reshape(-1, column.type.list_size)
    return found


def _rows(columns: Mapping[str, pa.Array]) -> int:
    return len(next(iter(columns.values())))
