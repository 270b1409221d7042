"""The second pass: a line of a table becomes a row of the corpus, and a record of the manifest."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Features, List, Value

from affecthub.datasets_scripts.clips.features import read_sequence, read_vector
from affecthub.datasets_scripts.clips.plan import Opened, Plan, text_of
from affecthub.datasets_scripts.clips.recordings import Found, find, look
from affecthub.datasets_scripts.clips.survey import Survey, identity
from affecthub.datasets_scripts.clips.tables import Row
from affecthub.datasets_scripts.clips.targets import TargetReader, is_unknown, number
from affecthub.datasets_scripts.manifest import Record, ranked

TEXTS = ("text", "participant", "recording", "source_recording", "dialogue")
"""Roles that are texts, and columns of the rows."""

ALL = "clips"
"""The one part that rows are which are not divided yet."""

MOST_TURNS = 2**31 - 1

LEFT_OUT = ("contradicted", "repeated", "empty")
"""Statuses of rows that become none."""


@dataclass
class Draft:
    """A row, while it is read."""

    where: str
    key: str
    split: str
    found: Found
    values: dict[str, object]
    """Column -> value, as far as it follows from the line alone."""
    same: tuple = ()
    """What no other row should have too: its files and time; empty where it names no file."""
    feature_names: list[str] | None = None
    """Of its file of features."""

    @property
    def record(self) -> Record:
        """What the manifest says of it."""
        found = self.found
        return Record(
            split=self.split,
            key=self.key,
            file=found.names[0] if found.names else None,
            findings=ranked(finding for finding, _ in found.findings),
            video_present=bool(found.video_path or found.image_paths),
            audio_present=bool(found.audio_path),
            stated_duration=found.duration,
            detail="; ".join(detail for _, detail in found.findings),
        )


def read_row(opened: Opened, number_: int, row: Row, plan: Plan, survey: Survey) -> Draft:
    """A line as a draft, its files looked at; its place among the others is not known yet.

    Raises:
        ValueError: a value that no row can hold, by file, row and value.
    """
    where, cells, reading = opened.where(number_), opened.cells(row), opened.reading
    values: dict[str, object] = {reader.name: reader.convert(row, where) for reader in survey.readers}
    values |= {name: text_of(cells[name]) for name in TEXTS if name in cells} | _numbers(cells, where)
    found, parts = find(cells, opened.files, where) if plan.media else (Found(), [])
    split = opened.split(cells, number_)
    names, same = list(found.names), identity(found, split) if found.paths else ()
    found = look(found, parts, "audio" in cells)
    if found.start is not None or found.end is not None:
        values.setdefault("recording", names[0] if names else None)
    key = text_of(cells.get("key")) or _key(opened, number_, found, split or ALL)
    if "source_recording" in values and values["source_recording"] is None:
        values["source_recording"] = values.get("recording") or (names[0] if names else None)
    draft = Draft(where, key, split or ALL, found, values, same)
    if reading.features:
        vector = read_vector(row, reading.features, where)
        values["physio_values"] = None if vector is None else [vector]
    elif "features" in cells and plan.media:
        values["physio_values"] = _sequence(opened, cells["features"], draft)
    return draft


def place_among_others(draft: Draft, readers: Sequence[TargetReader], survey: Survey, keyed: bool) -> None:
    """Find what is wrong with a row beside the others; called in their order.

    Args:
        draft: of the row.
        readers: of the targets.
        survey: what the first pass found.
        keyed: whether the key stands in the table.

    Raises:
        ValueError: another row has its key.
    """
    found, values = draft.found, draft.values
    if keyed and (first := survey.keys.earlier((draft.key,), draft.where)):
        raise ValueError(
            f"{draft.where}: the key {draft.key!r} is also that of {first}: a key names one row; mend it, or choose "
            "another column for data.columns.key."
        )
    if draft.same:
        first = survey.rows.earlier(draft.same, draft.where)
        if survey.rows.contradicted(draft.same):
            other = f" as {first}" if first else ""
            found.findings.append(("contradicted", f"the same file and time{other}, with another label or text"))
        elif first:
            found.findings.append(("repeated", f"the same as {first}"))
    if all(values[reader.name] in (None, -1) for reader in readers):
        found.findings.append(("no_target", f"no {' and no '.join(reader.name for reader in readers)}"))
    if not (found.names or values.get("text") or values.get("physio_values")):
        found.findings.append(("empty", "it names no recording and holds no text or features"))


def columns_of(tables: Sequence[Opened], plan: Plan, readers: Sequence[TargetReader]) -> Features:
    """The types of the rows' columns: those that any of the tables has."""
    roles = {role for opened in tables for role in opened.reading.roles}
    features: dict[str, object] = {"key": Value("string")}
    features |= {name: Value("string") for name in TEXTS if name in roles}
    if plan.media:
        for medium, of in (("video", {"file", "video", "image", "images"}), ("audio", {"file", "audio", "video"})):
            if of & roles:
                features |= {f"{medium}_path": Value("string"), f"{medium}_present": Value("bool")}
        if {"file", "image", "images"} & roles:
            features["image_paths"] = List(Value("string"))
        if {"file", "video", "audio"} & roles:
            features |= {name: Value("float64") for name in ("clip_start", "clip_end", "duration")}
        if {"start", "end"} & roles:
            features["recording"] = Value("string")
    if any(opened.reading.features for opened in tables) or (plan.media and "features" in roles):
        features |= {"physio_values": List(List(Value("float32"))), "physio_present": Value("bool")}
    features |= {name: Value(kind) for name, kind in (("turn", "int64"), ("weight", "float32")) if name in roles}
    return Features(features | {reader.name: reader.feature for reader in readers})


def row_of(draft: Draft, features: Features) -> dict[str, object]:
    """The columns of a row."""
    found = draft.found
    values: Mapping[str, object] = {
        "key": draft.key,
        "video_path": found.video_path,
        "video_present": bool(found.video_path or found.image_paths),
        "audio_path": found.audio_path,
        "audio_present": bool(found.audio_path),
        "image_paths": found.image_paths,
        "clip_start": found.start,
        "clip_end": found.end,
        "duration": found.duration,
        "physio_present": draft.values.get("physio_values") is not None,
        "weight": 1.0,
        **draft.values,
    }
    return {name: values.get(name) for name in features}


def _key(opened: Opened, number_: int, found: Found, split: str) -> str:
    """A key of a row that has none: its file and time, or its table and number."""
    if not found.names:
        return f"{opened.stem or split}/{number_}"
    times = [f"{value:g}" for value in (found.start, found.end) if value is not None]
    return found.names[0] + (f"#{'-'.join(times)}" if times else "")


def _numbers(cells: Row, where: str) -> dict[str, object]:
    """Turn and weight, where the row has them."""
    values: dict[str, object] = {}
    if not is_unknown(cells.get("turn")):
        value = number(cells["turn"], f"{where}: turn")
        if not value.is_integer() or abs(value) > MOST_TURNS:
            raise ValueError(f"{where}: turn is {cells['turn']!r}: a whole number is needed, {MOST_TURNS:,} at most.")
        values["turn"] = int(value)
    if not is_unknown(cells.get("weight")):
        values["weight"] = number(cells["weight"], f"{where}: weight")
        if values["weight"] < 0:
            raise ValueError(f"{where}: weight is {cells['weight']!r}: 0 or more is needed.")
    return values


def _sequence(opened: Opened, cell: object, draft: Draft) -> list | None:
    """The features of a file (steps, features); None where it is not there."""
    named, found = opened.files.named(cell), draft.found
    if named is None:
        return None
    found.names.append(named.name)
    found.paths.append(named.path)
    if named.finding or not os.path.isfile(named.path):
        found.findings.append(named.finding or ("missing", f"{named.name}: no such file"))
        return None
    values, draft.feature_names = read_sequence(Path(named.path))
    return values.tolist()
