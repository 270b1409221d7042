"""The seam between data sets and everything else: what a data set gives, and how that is divided.

A data set is a class of options (`DataOptions`) that builds rows and describes them as a `Corpus`; nothing else in the
code knows its name. Rows are plain `datasets` with these columns, of which each data set has some:

    key             str: names the row, and is its own
    text            str or None: what was said
    video_path      str or None: file with pictures (`video_present`: whether the row has pictures, in a file or not)
    audio_path      str or None: file with sound, often the same (`audio_present`)
    clip_start      s or None: where the row begins in these files (None: with them)
    clip_end        s or None: where it ends (None: with them)
    image_paths     list of str or None: pictures, in order of time, instead of a video
    physio_values   list of float, or of such lists by step: numeric features (`physio_present`), NaN is unknown
    participant     str: who is seen or heard
    recording, source_recording
    dialogue, turn  str: the conversation, and int: the row's place in it, by which turns around it are found
    split           "train", "validation" or "test", where the rows say so
    weight          float: how much the row counts in the loss
    <target>        whatever a `Target` names as its column

Rows that are moments of recordings (`Corpus.all_rows`) also have `recording_path`, `time_ms` and `image_path`, and a
sample is what leads up to a moment.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from affecthub.datasets_scripts.splits import SplitOptions, make_folds, share_of, train_validation_test

if TYPE_CHECKING:  # options are read, and mistakes in them told, before libraries are loaded that take seconds
    import pandas as pd
    import pyarrow as pa
    from datasets import Dataset

    from affecthub.datasets_scripts.prepared.shards import Prepared
    from affecthub.datasets_scripts.prepared.stream import ShardStream

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"

UNKNOWN = -100
"""Id of a label that a row does not have, as PyTorch ignores it."""

SPLITS = ("train", "validation", "test")

MODALITIES = ("text", "audio", "video", "physio")

NAMING = {
    "participant": "participant",
    "speaker": "participant",
    "recording": "recording",
    "source_recording": "recording",
    "dialogue": "dialogue",
    "key": "key",
}
"""Columns that may name a person, by what they name."""

UNNAMED = "own data"
"""What others read where nobody gave a data set a name."""


@dataclass(frozen=True)
class Target:
    """Something that a model learns to say."""

    name: str
    """In reports: "emotion", "attention" and so on."""
    column: str
    """Of the rows: ids (-1 is unknown), lists of ids, numbers (NaN or None is unknown), or shares by label."""
    labels: list[str]
    """In the order of the ids; of a binary target, what the one output stands for; of a number, its name."""
    problem_type: str
    names: tuple[str, ...] = ()
    """Of a binary target, its two classes; empty: `labels`."""
    soft: bool = False
    """Whether a row holds the shares of its raters rather than one label."""

    @property
    def classes(self) -> list[str]:
        """What a report names."""
        return list(self.names or self.labels)

    def values(self, rows: "Dataset") -> np.ndarray:
        """Labels of rows: ids int (rows,), -100 where unknown; else float32 (rows, labels), NaN where unknown."""
        from datasets import ClassLabel, Value

        if self.problem_type == SINGLE and not self.soft:
            ids = column_of(rows, self.column).fill_null(-1).to_numpy(zero_copy_only=False)
            return np.where(ids < 0, UNKNOWN, ids)
        feature = rows.features[self.column]
        if isinstance(feature, ClassLabel):  # of a binary target
            ids = column_of(rows, self.column).fill_null(-1).to_numpy(zero_copy_only=False)
            return np.where(ids < 0, np.nan, ids).astype(np.float32)[:, None]
        if isinstance(feature, Value):
            return column_of(rows, self.column).to_numpy(zero_copy_only=False).astype(np.float32)[:, None]
        return np.array([self._numbers(value) for value in rows[self.column]], dtype=np.float32).reshape(len(rows), -1)

    def _numbers(self, value: dict | list | None) -> Sequence[float]:
        """What a row holds as numbers, one a label; NaN where it holds nothing."""
        if value is None:
            return [np.nan] * len(self.labels)
        if isinstance(value, dict):  # shares by label
            return [np.nan if value[name] is None else value[name] for name in self.labels]
        if all(isinstance(entry, int) for entry in value):  # ids of its labels
            return np.isin(np.arange(len(self.labels)), value).tolist()
        return [np.nan if entry is None else entry for entry in value]

    def known(self, rows: "Dataset") -> np.ndarray:
        """Whether rows have it, bool (rows,)."""
        values = self.values(rows)
        return known_values(values, ids=values.ndim == 1, shares=self.soft)


@dataclass(frozen=True)
class AuditColumns:
    """Names of the columns that the leakage audit looks at; None: the rows have no such thing, which is reported."""

    key: str | None = None
    """What names a row; used in examples, and to find rows that are on both sides."""
    recording: str | None = None
    """Source recording: a colour variant or crop keeps the name of what it was made from."""
    participant: str | None = None
    """Person or speaker."""
    signature: str | None = None
    """`frame_signatures.frame_signature` of the row's frame; None in a row without a frame, or with a flat one."""
    text: str | None = None
    """What was said."""
    labels: tuple[str, ...] = ()
    """Targets, classes."""
    content: str | None = None
    """Digest of the bytes of the row's media, and of its span in them; None where nothing else can have the same."""
    sound: str | None = None
    """`sound_fingerprint.sound_fingerprint` of the row's clip; None in a row with none, or too little."""
    moving: str | None = None
    """Whether `signature` is of one frame of several: two such rows may look alike without being copies."""
    fault: str | None = None
    """Why the row's media could not be read, and were not compared."""
    features: str | None = None
    """The row's measured features, the bytes of float32, of its last step at the end; None in a row without any."""
    numbers: tuple[str, ...] = ()
    """Targets, numbers."""


@dataclass(frozen=True)
class DataCard:
    """What a card says of a data set."""

    license: str = "other"
    """The Hub's identifier of the licence under which a model of it may go, such as "gpl-3.0"."""
    description: str = ""
    """One or two sentences: what a row is, and where it comes from."""
    citation: str = ""
    """BibTeX or a sentence; empty: none."""
    homepage: str | None = None
    hub_id: str | None = None
    """"owner/name" on the Hub, where it has one."""
    notes: tuple[str, ...] = ()
    """Sentences on what to know: rights, repairs, policies, traps."""
    limits: tuple[str, ...] = ()
    """Sentences on what a model of it cannot be expected to do."""
    language: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corpus:
    """The rows of a data set and what a report has to say about it."""

    name: str
    unit: str
    """What a row is: "utterances", "clips", "images" or "frames"."""
    splits: "dict[str, Dataset]"
    """train, validation and test, those that exist; of rows that are not divided yet, one of any other name."""
    targets: tuple[Target, ...]
    """The first is the main one."""
    audit: AuditColumns = AuditColumns()
    card: DataCard = DataCard()
    protocol: str = "fixed"
    """How the rows are split; before that, how they are unless something else is asked for."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Rows left out, by reason."""
    feature_names: tuple[str, ...] = ()
    """Of `physio_values`."""
    crop_faces: bool = False
    """Whether the pictures of the rows are faces that were cut out of their frames."""
    synthetic: bool = False
    named_by_folder: bool = False
    """Whether nobody gave it a name, so that `name` is its folder's or table's, which may be that of a person."""
    bayes_accuracy: dict[frozenset[str], float] = field(default_factory=dict)
    """Of a synthetic corpus: the best expected accuracy of the main target by subset of modalities."""
    all_rows: "Dataset | None" = None
    """Of moments of recordings: all rows, in order of time; `position` of a split's row is its place there."""
    prepared: "Prepared | None" = None
    """Where the media of the rows were prepared, instead of lying in files of their own."""
    stream: "ShardStream | None" = None
    """Where the training split is read from its shards in turn: its rows are without their media."""

    @property
    def modalities(self) -> list[str]:
        """Those that some row holds."""
        rows = list(self.splits.values())
        return [name for name in MODALITIES if any(holds(part, name).any() for part in rows)]

    @property
    def public_name(self) -> str:
        """What it is called where others read it."""
        return UNNAMED if self.named_by_folder else self.name

    @property
    def naming(self) -> dict[str, str]:
        """Columns that may name a person -> what they name: a participant, recording, dialogue or row ("key")."""
        own = {"participant": self.audit.participant, "recording": self.audit.recording, "key": self.audit.key}
        return NAMING | {column: sort for sort, column in own.items() if column}

    def names(self) -> dict[str, list[str]]:
        """What occurs in the columns of `naming`, by what they name."""
        found: dict[str, dict[str, None]] = {}
        for column, sort in self.naming.items():
            for rows in self.splits.values():
                if column in rows.column_names:
                    seen = _chunks(rows, column).unique().to_pylist()
                    found.setdefault(sort, {}).update(dict.fromkeys(str(name) for name in seen if name is not None))
        return {sort: list(of) for sort, of in found.items()}

    @property
    def facts(self) -> dict:
        """What cannot be told from the rows, as JSON holds it: prepared data keep it beside them."""
        bayes = {"+".join(sorted(names)): accuracy for names, accuracy in self.bayes_accuracy.items()}
        return {
            "name": self.name,
            "unit": self.unit,
            "feature_names": list(self.feature_names),
            "bayes_accuracy": bayes,
            "notes": list(self.card.notes),
            "skipped": dict(self.skipped),
            "named_by_folder": self.named_by_folder,
        }


@dataclass(frozen=True)
class DataOptions:
    """Base of the data sets: where it lies, and whatever else decides its rows."""

    root: str | None = None
    """Folder, table or Hub id of the data set, or the folder that `affecthub prepare` made of it."""
    limit: int | None = None
    """At most this many rows of each split; for a quick try."""

    describes_content = ("root", "limit", "targets")
    """Fields that do not decide what a row holds."""

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"data.limit={self.limit}: it has to be above 0; leave it out for all rows.")

    def folder(self) -> Path:
        """Where the data set lies.

        Raises:
            ValueError: nobody said.
        """
        if self.root is None:
            raise ValueError(f"The data set {type(self).__name__} needs its folder: pass --data.root=PATH.")
        return Path(self.root)

    def build(self, modalities: Sequence[str]) -> "dict[str, Dataset]":
        """All rows, as train, validation and test where the data set says so, else as one part of another name.

        Args:
            modalities: what is needed; of the others, nothing has to be looked at.

        Raises:
            FileNotFoundError, ValueError: what is wrong with it, by file, row and value.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how its rows are built.")

    def describe(self, splits: "dict[str, Dataset]", facts: Mapping | None = None) -> Corpus:
        """What there is to say of rows that `build` gave, or that were prepared.

        Args:
            splits: the rows.
            facts: of prepared rows, `Corpus.facts` of when they were prepared.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what its rows are.")

    def extract(self, part: slice) -> None:
        """Do a part of what `build` would take long for, so that several processes share it; `build` does the rest."""

    def manifest(self) -> str:
        """What was found in the data set, Markdown: every row and every stray file has its status there."""
        raise NotImplementedError(f"{type(self).__name__} has no manifest.")

    def settings(self) -> dict[str, object]:
        """What decides the rows, as JSON holds it."""
        values = {name: value for name, value in asdict(self).items() if name not in self.describes_content}
        return {"dataset": type(self).__name__, **json.loads(json.dumps(values, default=str))}


def target_of(name: str, rows: "Dataset", column: str | None = None) -> Target:
    """The target that a column of rows holds, told by its type: labels, lists of labels, numbers or shares by label.

    Args:
        name: of the target.
        rows: with the column.
        column: by default the one of that name.

    Raises:
        ValueError: a column of another type, or none of this name.
    """
    from datasets import ClassLabel, Value

    column = column or name
    feature = rows.features.get(column)
    if isinstance(feature, ClassLabel):
        return Target(name, column, feature.names, SINGLE)
    if isinstance(feature, dict):
        return Target(name, column, list(feature), SINGLE, soft=True)
    if isinstance(entry := getattr(feature, "feature", None), ClassLabel):
        return Target(name, column, entry.names, MULTI)
    if isinstance(feature, Value) and feature.dtype.startswith("float"):
        return Target(name, column, [name], REGRESSION)
    raise ValueError(f"column {column!r} holds {feature}: a target is a label, labels, a number, or shares by label.")


def known_values(values: np.ndarray, *, ids: bool = False, shares: bool = False) -> np.ndarray:
    """Which rows hold a value, bool (rows,): of several labels any of them, of shares all.

    Args:
        values: ids (rows,), -100 where unknown; or numbers (rows,) or (rows, labels), NaN where unknown.
        ids: whether they are ids.
        shares: whether they are the shares of raters.
    """
    if ids:
        return values != UNKNOWN
    missing = np.isnan(values if values.ndim == 2 else values[:, None])
    return ~(np.any(missing, axis=1) if shares else np.all(missing, axis=1))


def column_of(rows: "Dataset", name: str) -> "pa.Array":
    """A column, null where a row holds nothing."""
    return _chunks(rows, name).combine_chunks()


def _chunks(rows: "Dataset", name: str) -> "pa.ChunkedArray":
    """A column as it lies in its file."""
    table = rows.select_columns([name]).with_format("arrow")[:]
    return cast("pa.Table", table).column(name)


def holds(rows: "Dataset", modality: str) -> np.ndarray:
    """Which rows hold a modality, bool (rows,)."""
    if f"{modality}_present" in rows.column_names:
        return column_of(rows, f"{modality}_present").to_numpy(zero_copy_only=False).astype(bool)
    if modality in rows.column_names:
        return _chunks(rows, modality).is_valid().to_numpy()  # whatever it holds is not read
    return np.zeros(len(rows), dtype=bool)


def load_corpus(
    data: DataOptions,
    modalities: Sequence[str],
    split: SplitOptions | None = None,
    *,
    streaming: int | None = None,
) -> Corpus:
    """Read a data set, leave out what cannot be used, and divide the rest.

    Args:
        data: which one.
        modalities: of the model; rows that hold none of them are left out.
        split: by which protocol; the data set's own by default.
        streaming: leave the training split's media in its shards, to be read in turn; rows among which the order is
            random. None: it is read like the others.

    Raises:
        ValueError: it was prepared with other options; no row can be used; a protocol that it lacks the columns for.
    """
    split = split or SplitOptions()
    corpus = _fewer(_divided(_undivided(data, modalities, streaming is not None), split), split)
    limited = {name: _limit(rows, data.limit) for name, rows in corpus.splits.items()}
    corpus = replace(corpus, splits=limited)
    if streaming is None:
        return corpus
    return replace(corpus, stream=_stream(corpus, streaming))


def fold_names(data: DataOptions, modalities: Sequence[str], split: SplitOptions) -> list[str]:
    """What is held out in each fold that a data set's rows make: the participant left out, or the fold's number.

    Args:
        data, modalities, split: as for `load_corpus`; which fold it is does not matter.
    """
    corpus = _undivided(data, modalities)
    protocol = split.protocol or corpus.protocol
    if protocol == "fixed":
        return [protocol]
    table, options = _to_deal(corpus, _together(corpus.splits.values()), split)
    return [fold.name for fold in make_folds(protocol, table, **options)]


def _undivided(data: DataOptions, modalities: Sequence[str], streaming: bool = False) -> Corpus:
    """The rows that can be used, as the data set gives them; arguments and errors are those of `load_corpus`."""
    from affecthub.datasets_scripts.prepared.shards import open_prepared

    prepared = open_prepared(data.root)
    if streaming and (prepared is None or prepared.moments):
        raise ValueError(
            f"inputs.streaming: data.root={data.root}: what is streamed are the shards that `affecthub prepare` makes "
            "of clips; pass their folder as --data.root, or set it to false."
        )
    if prepared:
        prepared.check(data.settings())
        splits = prepared.splits(("train",) if streaming else ())
        corpus = data.describe(splits, prepared.manifest["settings"]["facts"])
    else:
        corpus = data.describe(data.build(modalities))
    return replace(_usable(corpus, modalities, data.root), prepared=prepared)


def _stream(corpus: Corpus, buffer: int) -> "ShardStream":
    from affecthub.datasets_scripts.prepared.stream import ShardStream

    train = corpus.splits["train"]
    if "shard_place" not in train.column_names or corpus.protocol != "fixed":
        raise ValueError(
            f"inputs.streaming: the rows were divided by {corpus.protocol}; streamed are the shards of a training "
            "split that is fixed: set it to false."
        )
    assert corpus.prepared is not None
    return ShardStream(*corpus.prepared.shards("train"), np.asarray(train["shard_place"]), buffer)


def _usable(corpus: Corpus, modalities: Sequence[str], root: str | None) -> Corpus:
    """Without the rows whose targets are all unknown, or that hold none of the modalities; both are counted."""
    splits, skipped = {}, dict(corpus.skipped)
    names = " and ".join(target.name for target in corpus.targets)
    for split, rows in corpus.splits.items():
        known = np.any([target.known(rows) for target in corpus.targets], axis=0)
        present = np.any([holds(rows, name) for name in modalities], axis=0)
        of = f"{split} {corpus.unit}" if split in SPLITS else corpus.unit
        skipped[f"{of} whose {names} is not known"] = int((~known).sum())
        skipped[f"{of} without any of {', '.join(modalities)}"] = int((known & ~present).sum())
        splits[split] = rows if (known & present).all() else rows.select(np.flatnonzero(known & present))
    skipped = {reason: count for reason, count in skipped.items() if count}
    if not any(map(len, splits.values())):
        raise ValueError(f"{root}: no row to learn from, {skipped}; `affecthub inspect` says what is there.")
    return replace(corpus, splits=splits, skipped=skipped)


def _divided(corpus: Corpus, split: SplitOptions) -> Corpus:
    """The rows as train, validation and test."""
    protocol = split.protocol or corpus.protocol
    if protocol == "fixed":
        return _as_it_says(corpus, split)
    rows = _together(corpus.splits.values())
    table, options = _to_deal(corpus, rows, split)
    parts = train_validation_test(protocol, table, fold=split.fold, **options)
    name = f"{protocol}, fold {split.fold}" + (f", seed {split.seed}" if split.seed else "")
    return replace(corpus, splits={part: rows.select(places) for part, places in parts.items()}, protocol=name)


def _as_it_says(corpus: Corpus, split: SplitOptions) -> Corpus:
    """The rows as the data set divides them; where it has no validation, some of the training rows become that."""
    splits = {name: corpus.splits[name] for name in SPLITS if len(corpus.splits.get(name, ()))}
    if "train" not in splits:
        held = {name: len(rows) for name, rows in corpus.splits.items()}
        raise ValueError(
            f"{corpus.name}: no row of the split 'train', only {held}: nothing could learn; choose a protocol, as "
            "--split.protocol=grouped_k_fold."
        )
    if "validation" in splits:
        return replace(corpus, splits=splits, protocol="fixed")
    rows = splits["train"]
    table, options = _to_deal(corpus, rows, split)
    protocol = strictest(rows.column_names)
    dealt = make_folds(protocol, table, **options)[0]
    splits |= {"train": rows.select(dealt.train), "validation": rows.select(dealt.held_out)}
    return replace(corpus, splits=splits, protocol=f"fixed; the validation is dealt from train, {protocol}")


def _fewer(corpus: Corpus, split: SplitOptions) -> Corpus:
    """With a share of those who learn; how many rows are left out is said."""
    if split.share == 1:
        return corpus
    rows = corpus.splits["train"]
    places = share_of(strictest(rows.column_names), _to_deal(corpus, rows, split)[0], split.share, split.seed)
    skipped = corpus.skipped | {
        f"train {corpus.unit} left out by split.share={split.share:g}": len(rows) - len(places)
    }
    return replace(corpus, splits=corpus.splits | {"train": rows.select(places)}, skipped=skipped)


def strictest(columns: Collection[str]) -> str:
    """The protocol that keeps most apart of those that rows have the columns for."""
    if "participant" in columns:
        return "grouped_k_fold"
    return "by_recording" if {"recording", "source_recording"} & set(columns) else "by_row"


def _to_deal(corpus: Corpus, rows: "Dataset", split: SplitOptions) -> "tuple[pd.DataFrame, dict[str, Any]]":
    """The columns that protocols go by, and how rows are dealt."""
    import pandas as pd

    columns = [name for name in ("participant", "source_recording", "recording") if name in rows.column_names]
    # texts as codes: of millions of rows they would fill the memory
    codes = {name: _chunks(rows, name).dictionary_encode().to_pandas() for name in columns}
    table = pd.DataFrame(codes, index=range(len(rows)))
    options: dict[str, Any] = {"folds": split.folds, "seed": split.seed}
    label = _strata(corpus.targets[0], rows) if split.stratify else None
    if label is None:
        return table, options
    return table.assign(**{"(label)": label}), options | {"label": "(label)"}


def _together(parts: "Iterable[Dataset]") -> "Dataset":
    from datasets import concatenate_datasets

    parts = list(parts)
    return parts[0] if len(parts) == 1 else concatenate_datasets(parts)


def _strata(target: Target, rows: "Dataset") -> np.ndarray | None:
    """Classes (rows,) that folds are balanced over; None where the target is no single class."""
    values = target.values(rows)
    if target.soft:
        return np.nan_to_num(values).argmax(axis=1)
    if target.problem_type == SINGLE:
        return values
    return values[:, 0] if target.problem_type == MULTI and len(target.labels) == 1 else None


def _limit(rows: "Dataset", limit: int | None) -> "Dataset":
    return rows if limit is None or limit >= len(rows) else rows.select(range(limit))


def optimum(facts: Path) -> dict[frozenset[str], float]:
    """The closed-form optimum that a synthetic corpus states about itself in a JSON file."""
    stated = json.loads(facts.read_text(encoding="utf-8"))["bayes_accuracy"]
    return optimum_of(stated)


def optimum_of(stated: Mapping[str, float]) -> dict[frozenset[str], float]:
    """Subset of modalities -> best expected accuracy, from names joined by "+"."""
    return {frozenset(names.split("+")): accuracy for names, accuracy in stated.items()}
