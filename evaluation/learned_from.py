"""What a saved model learned from, as digests that travel in its folder: whoever judges it sees what it knows.

`learned_from.json` holds, of the rows that learned and of those that chose the epoch, digests of what they hold: of
each picture's and sound's signature, of the measured features, and of texts of some words together with the row's key.
No name goes in by itself: a digest of "P07" is guessed in no time, whatever salt lies beside it. People and recordings
are found by their rows instead: one of which the model knows a row, it knows. What the digests do tell is whether
somebody's picture, sound or sentence was learned from, to those who hold it already.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from affecthub.datasets_scripts.corpus import AuditColumns
from affecthub.datasets_scripts.text_files import read_json
from affecthub.media.files import write_file

from .findings import EXAMPLES, Finding, unchecked
from .frame_signatures import frame_signature
from .sides import NEGLIGIBLE
from .sound_fingerprint import RATE, sound_fingerprint
from .texts import LONG_TEXT, bare_text

LEARNED_FILE = "learned_from.json"

VERSION = 1

SPLITS = ("train", "validation")
"""What learns, and what chooses the epoch."""

_BYTES = 8
"""Of a digest: two sets of a million rows have one in common by chance once in twenty million times."""

Kinds = dict[str, np.ndarray]
"""Kind -> digests, uint64, ascending."""


class LearnedFrom:
    """Digests of what a model learned from.

    Args:
        splits: of `SPLITS`, the digests of its rows by kind.
        form: of the signatures, see `signature_form`.
    """

    def __init__(self, splits: Mapping[str, Kinds], form: str):
        self.splits, self.form = dict(splits), form

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame], columns: AuditColumns) -> "LearnedFrom":
        """Of the splits of a corpus, as tables that the audit takes."""
        held = {name: row_digests(tables[name], columns) for name in SPLITS if name in tables}
        return cls(
            {name: {kind: np.unique(of[of != 0]) for kind, of in kinds.items()} for name, kinds in held.items()},
            signature_form(),
        )

    def write(self, folder: Path) -> None:
        """Write `learned_from.json` into a model's folder."""
        splits = {
            name: {kind: base64.b64encode(of.astype("<u8").tobytes()).decode() for kind, of in kinds.items()}
            for name, kinds in self.splits.items()
        }
        text = json.dumps({"version": VERSION, "form": self.form, "splits": splits}, indent=1)
        write_file(folder / LEARNED_FILE, f"{text}\n".encode())

    @classmethod
    def read(cls, folder: Path) -> "LearnedFrom | None":
        """What a model's folder says; None where it says nothing.

        Raises:
            ValueError: the file was changed or cut off.
        """
        path = folder / LEARNED_FILE
        if not path.is_file():
            return None
        try:
            said = read_json(path, "train anew")
            splits = {
                str(name): {kind: np.frombuffer(base64.b64decode(of), "<u8") for kind, of in kinds.items()}
                for name, kinds in said["splits"].items()
            }
            return cls(splits, str(said["form"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is broken ({error!r}): train anew, or publish the folder again.") from error

    def knows(self, rows: Kinds, splits: Iterable[str]) -> np.ndarray:
        """Whether all that rows hold was in some splits, bool (rows,).

        Args:
            rows: `row_digests` of them.
            splits: of `SPLITS`.
        """
        size = len(next(iter(rows.values()), ()))
        known, told = np.ones(size, dtype=bool), np.zeros(size, dtype=bool)
        for kind, digests in rows.items():
            held = [self.splits[name][kind] for name in splits if kind in self.splits.get(name, {})]
            if held:
                known &= np.isin(digests, np.concatenate(held)) | (digests == 0)
                told |= digests != 0
        return known & told


@cache
def signature_form() -> str:
    """What a certain picture and a certain sound give: another version's digests cannot be compared."""
    picture = (np.outer(np.arange(64), np.arange(64)) % 251).astype(np.uint8)
    seconds = np.arange(2 * RATE) / RATE
    sound = np.sin(2 * np.pi * (400 + 300 * seconds) * seconds).astype(np.float32)
    given = [frame_signature(np.repeat(picture[..., None], 3, axis=2)), sound_fingerprint(sound)]
    return hashlib.sha256(b"".join(filter(None, given))).hexdigest()[:16]


def row_digests(table: pd.DataFrame, columns: AuditColumns) -> Kinds:
    """Of what each row holds, by kind, uint64 (rows,), 0 of nothing."""
    held = {
        name: table[column]
        for name in ("signature", "sound", "features")
        if (column := getattr(columns, name)) is not None
    }
    if columns.text is not None and columns.key is not None:
        pairs = zip(table[columns.key], table[columns.text], strict=True)
        held["text"] = [
            f"{key}\n{bare_text(text)}".encode() if isinstance(text, str) and len(text.split()) >= LONG_TEXT else None
            for key, text in pairs
        ]
    return {kind: np.array([_digest(kind, value) for value in of], dtype=np.uint64) for kind, of in held.items()}


def _digest(kind: str, value: bytes | None) -> int:
    if not isinstance(value, bytes):
        return 0
    return int.from_bytes(hashlib.sha256(kind.encode() + b"\n" + value).digest()[:_BYTES], "little")


def learned_finding(
    learned: LearnedFrom | None, tables: Mapping[str, pd.DataFrame], columns: AuditColumns
) -> Finding | None:
    """What a model learned from among the rows that are to judge it, besides what this division itself lets through.

    Args:
        learned: what its folder says.
        tables: the splits of a corpus, as the audit takes them.
        columns: which columns say what.
    """
    if learned is None:
        return unchecked("learned_from", f"{LEARNED_FILE} in the model's folder, which train.py writes: train anew")
    if learned.form != signature_form():
        return unchecked("learned_from", f"a model whose {LEARNED_FILE} this version wrote: train anew")
    digests = {name: row_digests(table, columns) for name, table in tables.items()}
    here = LearnedFrom.of(tables, columns)
    rows, known_by, total, examples = 0, {}, 0, []
    for name in (name for name in ("validation", "test") if name in tables):
        before = SPLITS[: 1 if name == "validation" else 2]
        known = learned.knows(digests[name], before) & ~here.knows(digests[name], before)
        rows, total = rows + int(known.sum()), total + len(known)
        if columns.key is not None:
            examples += tables[name][columns.key][known].astype(str).tolist()[:EXAMPLES]
        for what in ("recording", "participant"):
            of = _known_groups(learned, tables, digests, getattr(columns, what)) - _groups(
                [tables[split] for split in before if split in tables], getattr(columns, what)
            )
            if of:
                more = tables[name][getattr(columns, what)].isin(list(of)).to_numpy() & ~known
                known_by[what] = known_by.get(what, 0) + int(more.sum())
    if not rows and not any(known_by.values()):
        return None
    more = [f"{count:,} more are of a {what} of which it did" for what, count in known_by.items() if count]
    message = "; ".join([f"{rows:,} of {total:,} rows that judge are rows that the model learned from", *more])
    severe = rows > NEGLIGIBLE * total or known_by.get("recording")
    remedy = (
        "judge it by the split and fold that it was trained for, as its recipe has them, or train anew for this one"
    )
    return Finding("learned_from", "severe" if severe else "warning", rows, message, examples[:EXAMPLES], remedy)


def _known_groups(
    learned: LearnedFrom, tables: Mapping[str, pd.DataFrame], digests: Mapping[str, Kinds], column: str | None
) -> set:
    """People or recordings of which the model learned from some row."""
    return _groups([table.loc[learned.knows(digests[name], ["train"])] for name, table in tables.items()], column)


def _groups(tables: Iterable[pd.DataFrame], column: str | None) -> set:
    return set() if column is None else {value for table in tables for value in table[column].dropna()}
