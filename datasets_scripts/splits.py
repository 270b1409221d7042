"""Split protocols by name: which rows learn, and which rows judge.

A protocol decides what a figure means. `by_row` asks whether a moment of a known video is recognised, `by_recording`
whether a new recording is, `leave_one_participant_out` and `grouped_k_fold` whether a new person is.
`evaluation.audit` says what a split lets through.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:  # see corpus.py
    import pandas as pd

    Columns = Mapping[str, Sequence[Any]] | pd.DataFrame
"""Plain columns of equal length, one entry a row."""

PROTOCOLS = {
    "by_row": "rows are dealt at random, so neighbouring frames of a recording stand on both sides: where nothing is "
    "known of people and recordings, or for comparison with published figures",
    "by_recording": "a source recording stands on one side; a person with two recordings may stand on both",
    "leave_one_participant_out": "one fold a person, judged on a model that never saw that person",
    "grouped_k_fold": "people are dealt to folds; a person stands on one side",
    "fixed": "as the data set's authors split it, by the column `split`",
}
"""Name -> what it keeps apart."""


@dataclass(frozen=True)
class SplitOptions:
    """Which rows learn and which judge."""

    protocol: Literal["fixed", "by_row", "by_recording", "leave_one_participant_out", "grouped_k_fold"] | None = None
    """fixed: as the data set's authors split it; the others divide rows, recordings or people. None: what the data
    set says, which is fixed where its rows are split, else by people where they are known, else by recordings."""
    fold: int = 0
    """Which fold is the test, from 0."""
    folds: int = 5
    """How many folds, where the protocol lets one choose."""
    seed: int = 0
    """Deals rows, recordings or people to folds."""
    stratify: bool = True
    """Balance the classes of the main target over the folds, as far as whole people and recordings allow."""
    share: float = 1.0
    """How many of the people that would learn do, above 0 and up to 1, for learning curves: of recordings where no
    people are known, of rows where neither is. A smaller share is part of each larger one."""

    def __post_init__(self):
        if not 0 < self.share <= 1:
            raise ValueError(f"split.share={self.share}: it has to be above 0, up to 1.")


@dataclass(frozen=True)
class Fold:
    """One division of the rows; nothing is on both sides."""

    name: str
    """The participant left out, the value of `split`, or the fold's number from 0."""
    train: np.ndarray
    """int (training rows,), ascending positions in the columns."""
    held_out: np.ndarray
    """int (held-out rows,), likewise."""


def make_folds(
    protocol: str, columns: "Columns", *, folds: int = 5, seed: int = 0, label: str | None = None
) -> list[Fold]:
    """Divide rows by a protocol; the same arguments give the same folds.

    Args:
        protocol: one of `PROTOCOLS`.
        columns: `by_recording` goes by `source_recording`, what the camera filmed, which a colour variant shares with
            its original, and where there is no such column by `recording`; `leave_one_participant_out` and
            `grouped_k_fold` need `participant`; `fixed` needs `split`, whose value "train" learns.
        folds: of `by_row`, `by_recording` and `grouped_k_fold`; fewer where there are fewer groups.
        seed: deals rows or groups to folds.
        label: column of classes that are balanced over the folds, as far as whole people and recordings allow.

    Returns:
        Every row is held out in exactly one fold; by `fixed`, there is one fold for every value but "train", and the
        other held-out values are in neither side.

    Raises:
        ValueError: an unknown protocol, a missing column, a row without its group, fewer than two groups, no row
            "train", or fewer rows than folds.
    """
    import pandas as pd
    from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedGroupKFold

    table = pd.DataFrame(columns)
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown split protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    if protocol == "fixed":
        codes, names = _group(table, "split", protocol)
        return _fixed(names[codes])
    if protocol == "by_row":
        return _by_row(table, folds, seed, None if label is None else _column(table, label, protocol))
    groups, found = _group(table, _apart(protocol, table), protocol)
    if protocol == "leave_one_participant_out":
        pairs = LeaveOneGroupOut().split(groups, groups=groups)
        return [Fold(str(found[groups[held_out[0]]]), train, held_out) for train, held_out in pairs]
    count = min(folds, len(found))
    if label is not None:
        dealer = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        return _numbered(dealer.split(groups, _column(table, label, protocol), groups))
    return _numbered(GroupKFold(count, shuffle=True, random_state=seed).split(groups, groups=groups))


def train_validation_test(
    protocol: str, columns: "Columns", *, fold: int = 0, folds: int = 5, seed: int = 0, label: str | None = None
) -> dict[str, np.ndarray]:
    """Positions of the rows that learn, choose the epoch and judge, kept apart from one another by one protocol.

    Args:
        protocol, columns, folds, seed, label: as `make_folds`; `fixed` needs the values train, validation and test.
        fold: which fold is the test; the rest is divided again, and its first fold is the validation.

    Returns:
        train, validation, test: int (rows,), ascending.

    Raises:
        ValueError: as `make_folds`, for the rows or for what the test leaves of them; or no fold of this number.
    """
    import pandas as pd

    table = pd.DataFrame(columns)
    outer = make_folds(protocol, table, folds=folds, seed=seed, label=label)
    if protocol == "fixed":
        sides = {"train": outer[0].train} | {found.name: found.held_out for found in outer}
        if not {"validation", "test"} <= set(sides):
            raise ValueError(
                f"column 'split' holds {', '.join(sides)}; a fixed split needs train, validation and test"
            )
        return {name: sides[name] for name in ("train", "validation", "test")}
    if not 0 <= fold < len(outer):
        raise ValueError(f"fold {fold} of {protocol}: there are {len(outer)}, from 0 to {len(outer) - 1}")
    rest = outer[fold].train
    inner = make_folds(protocol, table.iloc[rest], folds=folds, seed=seed, label=label)[0]
    return {"train": rest[inner.train], "validation": rest[inner.held_out], "test": outer[fold].held_out}


def share_of(protocol: str, columns: "Columns", share: float, seed: int = 0) -> np.ndarray:
    """Positions of the rows of some people, recordings or rows, drawn at random.

    Args:
        protocol: which of these it is, as `make_folds` keeps them apart: "grouped_k_fold", "by_recording" or "by_row".
        columns: as for `make_folds`; rows without a value belong together.
        share: of them, above 0 and up to 1; one at least. With the same seed, a smaller one is part of a larger one.
        seed: of the draw.

    Returns:
        int (rows,), ascending.
    """
    import pandas as pd

    table = pd.DataFrame(columns)
    groups = np.arange(len(table))
    if protocol != "by_row":
        groups = pd.factorize(table[_apart(protocol, table)], use_na_sentinel=False)[0]
    number = int(groups.max()) + 1
    drawn = np.random.default_rng(seed).permutation(number)[: max(1, round(share * number))]
    return np.flatnonzero(np.isin(groups, drawn))


def _apart(protocol: str, table: "pd.DataFrame") -> str:
    """The column whose values a protocol keeps apart."""
    names = {"by_recording": "source_recording" if "source_recording" in table else "recording"}
    return names.get(protocol, "participant")


def _column(table: "pd.DataFrame", name: str, protocol: str) -> "pd.Series":
    if name not in table:
        raise ValueError(f"protocol {protocol!r} needs the column {name!r}; the rows have {', '.join(table.columns)}")
    return table.loc[:, name]


def _group(table: "pd.DataFrame", name: str, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    """The column, complete and of at least two values: int (rows,), which of them; and these as strings, sorted."""
    import pandas as pd

    values = _column(table, name, protocol)
    if values.isna().any():
        row = int(values.isna().to_numpy().argmax())
        raise ValueError(
            f"row {row}: no {name} ({int(values.isna().sum())} rows in all); {protocol!r} cannot place a row that "
            f"might belong to anyone: fill the column {name!r} in, or leave these rows out"
        )
    codes, seen = pd.factorize(values)
    found, places = np.unique([str(value) for value in seen], return_inverse=True)
    if len(found) < 2:
        raise ValueError(
            f"column {name!r} holds {len(found)} value ({', '.join(found)}) in {len(codes)} rows; {protocol!r} needs "
            f"at least two: with one {name} nothing can be held out, so add data"
        )
    return places[codes], found


def _by_row(table: "pd.DataFrame", folds: int, seed: int, classes: "pd.Series | None") -> list[Fold]:
    from sklearn.model_selection import KFold, StratifiedKFold

    if len(table) < folds:
        raise ValueError(f"{len(table)} rows cannot make {folds} folds: ask for fewer folds")
    if classes is not None and classes.value_counts().max() >= folds:  # else no class could be in each of them
        return _numbered(StratifiedKFold(folds, shuffle=True, random_state=seed).split(table, classes))
    return _numbered(KFold(folds, shuffle=True, random_state=seed).split(table))


def _fixed(split: np.ndarray) -> list[Fold]:
    train = np.flatnonzero(split == "train")
    if not len(train):
        raise ValueError(f"column 'split' holds {', '.join(sorted(set(split)))}; name the rows that learn 'train'")
    names = [name for name in dict.fromkeys(split) if name != "train"]
    return [Fold(name, train, np.flatnonzero(split == name)) for name in names]


def _numbered(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[Fold]:
    return [Fold(str(number), train, held_out) for number, (train, held_out) in enumerate(pairs)]
