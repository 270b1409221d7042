"""What a table's cells say of a target: one label, several labels, a number, or the shares of its raters."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["label", "labels", "number", "shares"]
"""label: one class. labels: any number of them. number: a value on a scale. shares: how raters were divided."""

NOTHING = frozenset({"", "nan", "na", "n/a", "null"})
"""Texts, in small letters, of a cell whose value is unknown."""

SEPARATOR = "|"
"""Between several labels in one cell; alone, it says that none of them holds. An empty cell is unknown."""

MOST_LABELS = 500
"""More classes than this are taken for a mistake."""

SUM_TOLERANCE = 0.01
"""How far shares may be from a sum of 1, for their rounding."""

LARGEST = 3e38
"""About what 32 bits hold."""

SHARE = re.compile(r"\s*([^|]+?)\s*:\s*(-?[\d.eE+-]+)\s*")


@dataclass
class TargetReader:
    """Reads the cells of one target: first all of them are seen, then each is converted."""

    name: str
    columns: tuple[str, ...]
    """Its column; or those of its raters, or of the votes for its labels."""
    kind: Kind | None = None
    """None: as its cells look."""
    classes: Sequence[str] = ()
    """Its labels in their order; empty: all that are seen, sorted."""
    form: Literal["cell", "raters", "votes"] = "cell"
    coded: Sequence[str] = ()
    """Names of the classes that whole numbers in its cells stand for."""
    counts: Counter = field(default_factory=Counter)
    """Label -> rows that were seen with it."""
    _first: dict[str, tuple[str, object]] = field(default_factory=dict)
    """How a cell looked -> where that was seen first, and the cell."""
    _labels: dict[str, list[str]] = field(default_factory=dict)
    """Text of a cell -> the labels that it holds: most come again."""

    def see(self, cells: Mapping[str, object], where: str) -> None:
        """Take note of a row's cells.

        Args:
            cells: column -> value.
            where: the row, as messages name it.

        Raises:
            ValueError: what no target of its kind can be.
        """
        cell = cells[self.columns[0]]
        if isinstance(cell, str) and cell in self._labels:
            self.counts.update(self._labels[cell])
            return
        look = None
        if self.form == "cell" and (value := self._decoded(cell)) is not None:
            look = _look(value)
            self._first.setdefault(look, (where, value))
        if self.kind == "number":
            self._number(cell, where)
        elif self.kind is not None or look != "number":
            self.counts.update(self._labels_of(cells, where))
            if len(self.counts) > MOST_LABELS:
                raise ValueError(
                    f"{where}: the target {self.name!r} has over {MOST_LABELS} different labels by now (the last one "
                    f"{cell!r}): is it a number (--data.kinds.{self.name}=number), or another "
                    "column?"
                )

    def settle(self) -> None:
        """Decide what the cells are, and which labels there are; called after all were seen.

        Raises:
            ValueError: they could be several things, or are none; labels that differ by case alone.
        """
        self.kind = "shares" if self.form != "cell" else self.kind or self._looks_like()
        if self.kind == "number":
            return
        if self.form == "votes":
            self.classes = list(self.columns)
        self.classes = list(self.classes or self.coded or sorted(self.counts, key=_natural))
        if not self.classes:
            raise ValueError(f"The target {self.name!r} is unknown in every row: its column {self.columns} is empty.")
        folded = Counter(name.casefold() for name in self.classes)
        if twins := [name for name in self.classes if folded[name.casefold()] > 1]:
            raise ValueError(
                f"The labels {twins} of {self.name!r} differ by capital letters alone: write them alike, or name all "
                f"in --data.labels.{self.name}."
            )

    @property
    def feature(self) -> object:
        """The type of its column."""
        from datasets import ClassLabel, List, Value

        if self.kind == "number":
            return Value("float32")
        if self.kind == "shares":
            return {name: Value("float32") for name in self.classes}
        label = ClassLabel(names=list(self.classes))
        return label if self.kind == "label" else List(label)

    def convert(self, cells: Mapping[str, object], where: str) -> int | float | list[int] | dict[str, float] | None:
        """A row's value as `feature` holds it: -1 or None where it is unknown; ValueError as `see`."""
        cell = cells[self.columns[0]]
        if self.kind == "number":
            return self._number(cell, where)
        if self.kind == "shares":
            return self._shares(cells, where)
        names = self._labels_of(cells, where)
        if self.kind == "label":
            return self._place(names[0], where) if names else -1
        known = self._decoded(cell) is not None
        return sorted({self._place(name, where) for name in names}) if known else None

    def _decoded(self, cell: object) -> object:
        """A cell, its codes as names, without the entries of a list that are unknown; None where all is."""
        if is_unknown(cell):
            return None
        if self.coded and isinstance(cell, int):
            return self.coded[cell] if 0 <= cell < len(self.coded) else None
        if isinstance(cell, list):
            entries = [value for entry in cell if (value := self._decoded(entry)) is not None]
            return None if cell and not entries else entries
        return cell

    def _looks_like(self) -> Kind:
        looks = set(self._first)
        read_as: dict[Kind, set[str]] = {"shares": {"shares"}, "labels": {"labels", "label"}, "label": {"label"}}
        for kind, among in read_as.items():
            if kind in looks and looks <= among:
                return kind
        if "number" in looks and looks <= {"number", "whole"}:
            return "number"
        if looks == {"whole"} and set(self.counts) <= {"0", "1"}:
            return "label"
        if not looks:
            raise ValueError(f"The target {self.name!r} is unknown in every row: its column {self.columns} is empty.")
        options = f"--data.kinds.{self.name}=label, labels, number or shares"
        seen = "; ".join(f"{where}: {cell!r}" for where, cell in self._first.values())
        if looks == {"whole"}:
            raise ValueError(
                f"The target {self.name!r} holds whole numbers ({seen}), which may be classes or a scale: say "
                f"--data.kinds.{self.name}=label or number."
            )
        raise ValueError(
            f"The target {self.name!r} holds values of different kinds ({seen}): mend those that are wrong, or say "
            f"{options}."
        )

    def _labels_of(self, cells: Mapping[str, object], where: str) -> list[str]:
        """Names of the labels that a row's cells hold, each once."""
        cell = cells[self.columns[0]]
        if isinstance(cell, str) and cell in self._labels:
            return self._labels[cell]
        labels = list(dict.fromkeys(self._read_labels(cells, where)))
        if self.form == "cell" and isinstance(cell, str) and len(self._labels) < MOST_LABELS:
            self._labels[cell] = labels
        return labels

    def _read_labels(self, cells: Mapping[str, object], where: str) -> Iterable[str]:
        if self.form == "votes":
            return self.columns
        values = [self._decoded(cells[column]) for column in self.columns]
        if self.form == "raters" or self.kind == "label":
            return [_text(value) for value in values if value is not None]
        value = values[0]
        if value is None:
            return []
        if self.kind == "shares" or (self.kind is None and _look(value) == "shares"):
            return _pairs(value, self._what(where))
        if isinstance(value, str):
            value = value.split(SEPARATOR)
        return [name for part in (value if isinstance(value, list) else [value]) if (name := _text(part))]

    def _number(self, cell: object, where: str) -> float | None:
        value = self._decoded(cell)
        if value is None:
            return None
        return number(value, self._what(where))

    def _shares(self, cells: Mapping[str, object], where: str) -> dict[str, float] | None:
        """Label -> its share, of a sum of 1; None where nobody has judged the row."""
        what = self._what(where)
        if self.form == "raters":
            said = [_text(v) for c in self.columns if (v := self._decoded(cells[c])) is not None]
            votes = dict(Counter(said))
        elif self.form == "votes":
            votes = {c: number(v, what) for c in self.columns if (v := self._decoded(cells[c])) is not None}
        else:
            value = self._decoded(cells[self.columns[0]])
            votes = {} if value is None else _pairs(value, what)
        if not any(votes.values()):
            return None
        for name in votes:
            self._place(name, where)
        if any(share < 0 for share in votes.values()):
            raise ValueError(f"{what} holds {votes}: votes and shares cannot be below 0.")
        total = sum(votes.values())
        counted = all(float(share).is_integer() for share in votes.values())
        if not counted and abs(total - 1) > SUM_TOLERANCE:
            raise ValueError(
                f"{what} holds {votes}, whose sum is {total:g}: shares have to sum to 1; or give votes, which are "
                "whole numbers."
            )
        return {name: votes.get(name, 0.0) / total for name in self.classes}

    def _place(self, name: str, where: str) -> int:
        try:
            return self.classes.index(name)
        except ValueError:
            close = difflib.get_close_matches(name, self.classes, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the labels are {', '.join(self.classes)}."
            raise ValueError(f"{self._what(where)} is {name!r}, which is none of its labels; {hint}") from None

    def _what(self, where: str) -> str:
        return f"{where}: the target {self.name!r} (column {', '.join(self.columns)})"


def is_unknown(cell: object) -> bool:
    """Whether a cell of a table holds nothing: None, NaN, or one of the texts in `NOTHING`."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in NOTHING)


def number(cell: Any, what: str) -> float:
    """A cell as a finite number.

    Args:
        cell: of a table.
        what: where it is, for the message.

    Raises:
        ValueError: it is none.
    """
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        comma = "; write 0.5 rather than 0,5" if isinstance(cell, str) and "," in cell else ""
        raise ValueError(
            f"{what} is {cell!r}, which is no number{comma}; leave the cell empty where it is unknown."
        ) from None
    if not abs(value) <= LARGEST:
        raise ValueError(
            f"{what} is {cell!r}: a finite number is needed, {LARGEST:g} at most; leave the cell empty where it is "
            "unknown."
        )
    return value


def _look(value: Any) -> str:
    """What a cell looks like: a kind, or "whole" for a whole number, which may be a class or a value."""
    if isinstance(value, dict):
        return "shares"
    if isinstance(value, list):
        return "labels"
    if isinstance(value, bool | int):
        return "whole"
    if isinstance(value, float):
        return "number"
    if re.fullmatch(r"\s*[+-]?\d+\s*", value):
        return "whole"
    parts = [part for part in value.split(SEPARATOR) if part.strip()]
    if parts and all(SHARE.fullmatch(part) for part in parts):
        return "shares"
    if SEPARATOR in value:
        return "labels"
    return "number" if re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", value) else "label"


def _pairs(value: object, what: str) -> dict[str, float]:
    """Label -> votes or share, of {"joy": 3, "anger": 2} or "joy:3|anger:2"."""
    if isinstance(value, dict):
        return {str(name): number(share, what) for name, share in value.items() if not is_unknown(share)}
    pairs: dict[str, float] = {}
    for part in str(value).split(SEPARATOR):
        if not part.strip():
            continue
        found = SHARE.fullmatch(part)
        if not found or found[1] in pairs:
            raise ValueError(f"{what} is {value!r}; shares look like 'joy:3|anger:2', each label once.")
        pairs[found[1]] = number(found[2], what)
    return pairs


def _text(value: object) -> str:
    """The name of a label; of 3.0, "3"."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(int(value) if isinstance(value, bool) else value).strip()


def _natural(name: str) -> tuple[bool, float, str]:
    """Sorts numbers by their value, before names."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name
