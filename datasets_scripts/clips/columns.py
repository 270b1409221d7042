"""Which column of a table says what: by its name, or by the user's word."""

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from affecthub.datasets_scripts.clips.tables import Table

ROLES = {
    "key": "names the row, and is its own",
    "file": "a recording of any kind: its tracks say what it holds",
    "video": "a video, whose sound counts too unless there is a column `audio`",
    "audio": "a file with sound",
    "image": "a picture",
    "images": "several pictures in order of time",
    "text": "what was said",
    "features": "a file of numeric features, a line a step: .npy, .csv, .tsv or .parquet",
    "start": "s, where the row begins in its files",
    "end": "s, where it ends in them",
    "participant": "who is seen or heard",
    "recording": "what the row is a part of; by default its file, where rows begin and end within files",
    "source_recording": "the recording that it was copied, cut or changed from; by default `recording`",
    "dialogue": "which conversation",
    "turn": "place in it, a whole number",
    "split": "train, validation or test",
    "weight": "how much the row counts in the loss",
}
"""What a column can say; `--data.columns.ROLE=NAME` names the one that does, by default the one of that name."""

ALIASES = {"file_name": "file", "path": "file", "filename": "file", "speaker": "participant"}
"""Further names of columns that are taken for a role where none has its own name."""

MEDIA_ROLES = ("file", "video", "audio", "image", "images")


@dataclass(frozen=True)
class Reading:
    """How a table is read."""

    roles: dict[str, str]
    """Role -> column."""
    targets: dict[str, tuple[str, ...]]
    """Target -> its column; or the columns of its raters, or of the votes for its labels."""
    features: tuple[str, ...] = ()
    """Columns that make a vector of features together."""


def read_columns(
    table: Table,
    columns: Mapping[str, str],
    targets: Mapping[str, Sequence[str]],
    features: Sequence[str] = (),
) -> Reading:
    """How a table is read.

    Args:
        table: whose columns.
        columns: role -> column, or target -> column, where the name is another.
        targets: target -> the columns of its raters or votes; empty where one column of its name holds it.
        features: names of columns with one number each; `*` stands for anything.

    Raises:
        ValueError: a role that there is not, or a column that is missing; with the nearest name.
    """
    known = [*ROLES, *targets]
    if foreign := [name for name in columns if name not in known]:
        raise ValueError(
            f"data.columns.{foreign[0]}: no such role{_nearest(foreign[0], known)} Roles: {_listed(known)}."
        )
    for option, column in columns.items():
        _check(table, column, f"data.columns.{option}={column}")
    found = {name: tuple(several) or (columns.get(name, name),) for name, several in targets.items()}
    taken = {*columns.values(), *(column for several in found.values() for column in several)}
    roles = {name: columns[name] for name in ROLES if name in columns} | _by_name(table, columns, taken)
    for name, names in found.items():
        for column in names:
            _check(table, column, _wanted(name, column, targets[name]))
    return Reading(roles, found, _expanded(table, features))


def _by_name(table: Table, columns: Mapping[str, str], taken: set[str]) -> dict[str, str]:
    """Roles that nobody assigned -> the column of that name, of an alias, or of what the data set says it holds."""
    found: dict[str, str] = {}
    lowered = {name.lower(): name for name in reversed(table.columns)}
    kinds = {kind: column for column, kind in (table.kinds or {}).items()}
    for role in ROLES:
        names = [role, f"{role}_path", f"{role}_file_name", *(a for a, of in ALIASES.items() if of == role)]
        options = [*map(lowered.get, names), kinds.get(role)]
        free = [name for name in options if name and name not in taken]
        if role not in columns and free:
            found[role] = free[0]
            taken = {*taken, free[0]}
    return found


def _expanded(table: Table, patterns: Sequence[str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for pattern in patterns:
        matching = fnmatch.filter(table.columns, pattern)
        if not matching:
            _check(table, pattern, f"data.features: {pattern}")
        names |= dict.fromkeys(matching)
    return tuple(names)


def _check(table: Table, column: str, wanted: str) -> None:
    if column not in table.columns:
        raise ValueError(
            f"{table.place}: no column {column!r} ({wanted}){_nearest(column, table.columns)} "
            f"Columns: {_listed(table.columns)}."
        )


def _wanted(target: str, column: str, several: Sequence[str]) -> str:
    if several:
        return f"a rater's, or the votes for a label, of the target {target!r}"
    return f"the target {target!r}; --data.targets names what is learned, --data.columns.{target} its column"


def _nearest(name: str, known: Iterable[str]) -> str:
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else "."


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
