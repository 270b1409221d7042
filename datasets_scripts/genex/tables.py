"""The tables of a study become, for each participant, episodes, fixations, peaks and AFFDEX samples, in ms."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten

import numpy as np
import pandas as pd

from affecthub.datasets_scripts.files import visible_files
from affecthub.datasets_scripts.genex.imotions_tables import Note, OtherTable, Table, read_table
from affecthub.datasets_scripts.genex.study import (
    EXPRESSIONS,
    FACIAL_ACTIONS,
    TABLE_SUFFIXES,
    TARGETS,
    Study,
    normalise_name,
    normalise_stimulus,
    suggest,
)

NAME = "Respondent Name"
STIMULUS = ("Stimulus Label", "SourceStimuliName")
"""Columns that name the stimulus, where a table has one."""

EXPRESSION, ONSET, OFFSET = "Expression Type", "Expression Onset", "Expression Offset"
FIXATION = ("Fixation Start", "Fixation End", "Fixation Duration", "Fixation Dispersion")
PEAK = ("Peak Time", "Peak Amplitude")
ATTENTION_SUMMARY = "FEA_ThresholdedMetrics_AttentionTimePercentage"

DAYS = 7
"""That a time, ms from a recording's beginning, may lie in."""

TIME = (0.0, DAYS * 86_400_000.0)

AFFDEX = tuple(dict.fromkeys((*TARGETS[:7], "Engagement", "Valence", *TARGETS[10:], *FACIAL_ACTIONS)))
"""Columns of an AFFDEX export that are read, 0..100 but for Valence, -100..100; an export may lack some."""


RANGES = (
    dict.fromkeys((ONSET, OFFSET, *FIXATION[:2], PEAK[0], "Timestamp"), TIME)
    | {
        FIXATION[2]: (0.0, 600_000.0),
        FIXATION[3]: (0.0, 180.0),
        PEAK[1]: (0.0, 100.0),
        ATTENTION_SUMMARY: (0.0, 100.0),
    }
    | dict.fromkeys(AFFDEX, (0.0, 100.0))
    | {"Valence": (-100.0, 100.0)}
)
"""What a column may hold: ms from the beginning, ms of a fixation, degrees, microsiemens, %, and AFFDEX's scores."""

ROUNDING = 0.01
"""By so much a value may be outside its range, and is put at its end."""

MOST_OUTSIDE = 0.1
"""Share of a column's values outside of its range; above it, and ten, the column holds something else."""

TEXTS = (NAME, *STIMULUS, EXPRESSION, "EventSource")
"""Columns that hold no numbers."""


@dataclass
class StudyTables:
    """Everything annotated, one row an event; each frame has the columns participant and stimulus ("" = unknown)."""

    expressions: pd.DataFrame
    """name (of a feature or target), onset, offset (ms)."""
    fixations: pd.DataFrame
    """start, end, duration (ms), dispersion (degrees)."""
    peaks: pd.DataFrame
    """time (ms), amplitude (microsiemens)."""
    sensor: pd.DataFrame
    """time (ms) and columns of `AFFDEX`; NaN where no face was seen."""
    attention: dict[str, float]
    """Participant -> share of time with attention, 0..1, from the summary table."""
    notes: list[Note] = field(default_factory=list)

    def participants(self) -> set[str]:
        """Everyone whom an event table or a sensor export names."""
        return {name for table in self.events() for name in table.participant.unique()}

    def events(self) -> tuple[pd.DataFrame, ...]:
        """The four tables of events."""
        return self.expressions, self.fixations, self.peaks, self.sensor


def read_study_tables(root: Path, study: Study) -> StudyTables:
    """Read every table below a root; one that is missing or unreadable is noted, and the others are read.

    Raises:
        ValueError: two files bear the name of one table, or the study renames a column that there is not.
    """
    known = {*RANGES, *TEXTS}
    if foreign := next((name for name in study.columns if name not in known), None):
        raise ValueError(f"columns: no column is called {foreign!r}; {suggest(foreign, known)}")
    files = visible_files(root, TABLE_SUFFIXES)
    notes: list[Note] = []
    found = {
        name: _named(files, name, notes)
        for name in (study.expression_table, study.fixation_table, study.gsr_table, study.summary_table)
    }

    def read(name: str, *required: str) -> Table | None:
        return _read(found[name], (NAME, *required), study, notes)

    expressions = _expressions(read(study.expression_table, EXPRESSION, ONSET, OFFSET), study, notes)
    fixations = _events(read(study.fixation_table, *FIXATION), FIXATION, notes, interval=True)
    peaks = _events(read(study.gsr_table, *PEAK), PEAK, notes, interval=False)
    people = {name for table in (expressions, fixations, peaks) for name in table.participant.unique()}
    return StudyTables(
        expressions=expressions.rename(columns={ONSET: "onset", OFFSET: "offset"}),
        fixations=fixations.rename(
            columns=dict(zip(FIXATION, ("start", "end", "duration", "dispersion"), strict=True))
        ),
        peaks=peaks.rename(columns=dict(zip(PEAK, ("time", "amplitude"), strict=True))),
        sensor=_sensors([path for path in files if path not in found.values()], people, study, notes),
        attention=_summary_attention(read(study.summary_table, ATTENTION_SUMMARY), notes),
        notes=notes,
    )


def _named(files: Sequence[Path], name: str, notes: list[Note]) -> Path | None:
    matches = [path for path in files if path.name.lower() == name.lower()]
    if not matches:
        notes.append(Note(name, "missing_table", 1, "no such file below the root"))
        return None
    if len(matches) > 1:
        raise ValueError(f"{matches[0]} and {matches[1]} bear the same name; keep one of them below the root")
    return matches[0]


def _read(path: Path | None, required: Sequence[str], study: Study, notes: list[Note]) -> Table | None:
    if path is None:
        return None
    try:
        table = read_table(path, required, STIMULUS, study.columns, TEXTS)
        _check_scales(table)
    except ValueError as error:
        notes.append(Note(path.name, "unreadable_table", 1, str(error)))
        return None
    notes += table.notes
    return table


def _in_range(table: Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A column's numbers, float (rows,), NaN out of its range; and which cells hold what it cannot, bool (rows,)."""
    values, (low, high) = table.numbers(column), RANGES[column]
    within = (values >= low - ROUNDING) & (values <= high + ROUNDING)
    return np.clip(np.where(within, values, np.nan), low, high), table.filled(column) & ~within


def _check_scales(table: Table) -> None:
    """ValueError where a column holds something else than its name says, on another scale."""
    for column in RANGES.keys() & table.columns.keys():
        values, (low, high) = table.numbers(column), RANGES[column]
        outside = np.isfinite(values) & np.isnan(_in_range(table, column)[0])
        if outside.sum() > max(10, MOST_OUTSIDE * len(table)):
            raise ValueError(
                f"{table.path}: {outside.sum()} of {len(table)} values of {column!r} are outside of {low:g} to "
                f"{high:g}, the first {values[outside][0]:g} in line {table.lines[int(outside.argmax())]}; is this "
                "another column, or in another unit? Export the table again"
            )


def _note_outside(table: Table, outside: dict[str, np.ndarray], done: str, notes: list[Note]) -> None:
    """Note the cells, by column and bool (rows,), that hold no number or one out of range."""
    if count := sum(int(where.sum()) for where in outside.values()):
        first = [
            f"{table.columns[column][i]!r} in line {table.lines[i]} ({column}, {RANGES[column][0]:g} to "
            f"{RANGES[column][1]:g})"
            for column, where in outside.items()
            for i in np.flatnonzero(where)[:2]
        ]
        notes.append(Note(table.path.name, "out_of_range", count, f"{', '.join(first[:5])}; {done}"))


def _events(
    table: Table | None, columns: Sequence[str], notes: list[Note], interval: bool, names: list[str] | None = None
) -> pd.DataFrame:
    """participant, stimulus, name and the columns as numbers, sorted by the first; bad rows are noted and left out.

    Args:
        table: None for one that is not there, which gives no rows.
        columns: times in ms first.
        notes: to be added to.
        interval: the first column is a beginning and the second its end.
        names: of what happens, one a row; order means something only among those of one name.
    """
    if table is None:
        empty = pd.DataFrame(columns=["participant", "stimulus", "name", *columns])
        return empty.astype(dict.fromkeys(columns, float))
    cells = {column: _in_range(table, column) for column in columns}
    rows = pd.DataFrame(
        {
            "participant": [normalise_name(name) for name in table.columns[NAME]],
            "stimulus": _stimuli(table),
            "name": names or "",
            **{column: values for column, (values, _) in cells.items()},
        }
    )
    _note_outside(table, {column: outside for column, (_, outside) in cells.items()}, "the row is left out", notes)
    values = rows[list(columns)].to_numpy()
    bad = ~np.isfinite(values).all(axis=1) | (rows.participant == "").to_numpy()
    if interval:
        bad |= values[:, 1] < values[:, 0]
    if bad.any():
        lines = ", ".join(str(line) for line, wrong in zip(table.lines, bad, strict=True) if wrong)
        detail = f"lines {shorten(lines, 60, placeholder='...')}: no name, no number, or an end before its beginning"
        notes.append(Note(table.path.name, "bad_row", int(bad.sum()), detail))
    return _sorted(_once(rows.loc[~bad], table.path.name, notes), columns[0], table.path.name, notes)


def _once(rows: pd.DataFrame, file: str, notes: list[Note]) -> pd.DataFrame:
    """Rows without those that are the same as an earlier one: an event does not happen twice at once."""
    doubled = rows.duplicated()
    if doubled.any():
        example = ", ".join(str(value) for value in rows[doubled].iloc[0] if value != "")
        notes.append(Note(file, "doubled_row", int(doubled.sum()), shorten(f"such as {example}", 200)))
    return rows.loc[~doubled]


def _sorted(rows: pd.DataFrame, time: str, file: str, notes: list[Note]) -> pd.DataFrame:
    group = [column for column in ("participant", "stimulus", "name") if column in rows]
    backwards = int(np.count_nonzero(rows.groupby(group)[time].diff() < 0))
    if backwards:
        notes.append(Note(file, "out_of_order", backwards, f"{time} is earlier than in the row before"))
    return rows.sort_values([*group, time], kind="stable", ignore_index=True)


def _stimuli(table: Table) -> list[str]:
    column = next((table.columns[name] for name in STIMULUS if name in table.columns), [""] * len(table))
    return [normalise_stimulus(name) for name in column]


def _expressions(table: Table | None, study: Study, notes: list[Note]) -> pd.DataFrame:
    if table is None:
        return _events(None, (ONSET, OFFSET), notes, interval=True)
    names = [study.expression(kind) for kind in table.columns[EXPRESSION]]
    unknown = Counter(kind for kind, name in zip(table.columns[EXPRESSION], names, strict=True) if name is None)
    for kind, count in unknown.items():
        detail = "name its meaning under `expressions` in the study description if it is one of the 33 or the 17"
        notes.append(Note(f"{table.path.name}: {kind!r}", "unknown_expression", count, detail))
    rows = _events(table, (ONSET, OFFSET), notes, interval=True, names=[name or "" for name in names])
    if never := [name for name in (*EXPRESSIONS, *TARGETS) if name not in names]:
        notes.append(Note(table.path.name, "never_mentioned", len(never), ", ".join(never)))
    return rows.loc[rows.name != ""]


def _summary_attention(table: Table | None, notes: list[Note]) -> dict[str, float]:
    if table is None:
        return {}
    names = [normalise_name(name) for name in table.columns[NAME]]
    shares, outside = _in_range(table, ATTENTION_SUMMARY)
    _note_outside(table, {ATTENTION_SUMMARY: outside}, "the row is left out", notes)
    found: dict[str, set[float]] = {}
    for name, share in zip(names, shares, strict=True):
        found.setdefault(name, set()).update({share} if np.isfinite(share) else ())
    if several := [name for name, values in found.items() if len(values) > 1]:
        detail = f"{', '.join(several[:5])}: several rows with different shares; left out"
        notes.append(Note(table.path.name, "bad_row", len(several), detail))
    return {name: float(*values) / 100 for name, values in found.items() if len(values) == 1}


def _sensors(paths: Sequence[Path], known: set[str], study: Study, notes: list[Note]) -> pd.DataFrame:
    """All AFFDEX exports among the files, one below the other."""
    parts = [part for path in paths if (part := _sensor(path, known, study, notes)) is not None]
    if not parts:
        return pd.DataFrame(columns=["participant", "stimulus", "time", *AFFDEX]).astype({"time": float})
    rows = _once(pd.concat(parts, ignore_index=True), "AFFDEX exports", notes)
    differing = rows.duplicated(["participant", "stimulus", "time"], keep=False)
    if differing.any():
        first = rows[differing].iloc[0]
        detail = f"such as {first.participant} at {first.time:g} ms; are there two exports of one recording?"
        notes.append(Note("AFFDEX exports", "contradicted_sample", int(differing.sum()), detail))
    return rows.loc[~differing].reset_index(drop=True)


def _sensor(path: Path, known: set[str], study: Study, notes: list[Note]) -> pd.DataFrame | None:
    optional = (*(name for name in AFFDEX if name not in ("Joy", "Attention")), "EventSource", NAME, *STIMULUS)
    try:
        table = read_table(path, ("Timestamp", "Joy", "Attention"), optional, study.columns, TEXTS)
        _check_scales(table)
    except OtherTable:
        notes.append(Note(path.name, "other_table", 1, "no row holds Timestamp, Joy and Attention"))
        return None
    except ValueError as error:
        notes.append(Note(path.name, "unreadable_table", 1, str(error)))
        return None
    notes += table.notes
    columns = [name for name in AFFDEX if name in table.columns]
    cells = {name: _in_range(table, name) for name in ("Timestamp", *columns)}
    _note_outside(table, {name: outside for name, (_, outside) in cells.items()}, "the cell is unknown", notes)
    rows = pd.DataFrame(
        {"participant": _respondents(table, known), "stimulus": _stimuli(table)}
        | {"time" if name == "Timestamp" else name: values for name, (values, _) in cells.items()}
    )
    # A recording of a stimulus begins when the stimulus does; the clock of the export runs through the session.
    if any(rows.stimulus):
        rows["time"] -= rows.groupby(["participant", "stimulus"]).time.transform("min")
    bad = ~np.isfinite(rows.time) | (rows.participant == "")
    if bad.any():
        notes.append(
            Note(path.name, "bad_row", int(bad.sum()), "no time stamp, or no participant's name in or above it")
        )
    own = own_rows(rows.loc[:, columns], table.columns.get("EventSource", [""] * len(table)))
    if not own.all():
        notes.append(Note(path.name, "forward_filled", int((~own).sum()), "rows of other event sources"))
    return _sorted(rows.loc[own & ~bad], "time", path.name, notes)


def _respondents(table: Table, known: set[str]) -> list[str]:
    """Each row's participant: by the column, or else by the metadata, or else by the file's name."""
    if NAME in table.columns:
        return [normalise_name(name) for name in table.columns[NAME]]
    file = normalise_name(table.path.stem)
    by_file = next((name for name in sorted(known, key=len, reverse=True) if name in file), "")
    return [normalise_name(table.metadata.get(NAME.lower(), "")) or by_file] * len(table)


def own_rows(values: pd.DataFrame, sources: Sequence[str]) -> np.ndarray:
    """Which rows a sensor wrote itself, bool (rows,), when other sensors share its export.

    Old exports repeat a sensor's last values in every row of every other sensor; newer ones leave those cells empty.
    The sensor's own source is the one in whose rows its values change, or, where none ever changes, all of them.

    Args:
        values: the sensor's columns, one row an event.
        sources: `EventSource` of each row.
    """
    source = np.asarray(sources)
    filled = values.notna().any(axis=1).to_numpy()
    seen = values[filled].to_numpy()
    changed = np.zeros(len(values), bool)
    with np.errstate(invalid="ignore"):
        different = ~((seen[1:] == seen[:-1]) | (np.isnan(seen[1:]) & np.isnan(seen[:-1]))).all(axis=1)
    changed[np.flatnonzero(filled)] = np.concatenate([np.ones(min(1, len(seen)), bool), different])
    counts = {name: int(changed[source == name].sum()) for name in dict.fromkeys(source.tolist())}
    best = max(counts, key=counts.__getitem__)
    return source == best if counts[best] else np.ones(len(values), bool)
