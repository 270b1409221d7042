"""A recipe's data set: the rows of each split, what is learned from them, and what a report has to say of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from datasets import Dataset

from affecthub.datasets_scripts.genex.align import AlignOptions
from affecthub.datasets_scripts.genex.builder import frame_cache, load_genex, study_facts
from affecthub.datasets_scripts.genex.frames import FrameOptions
from affecthub.datasets_scripts.genex.study import TARGETS
from affecthub.datasets_scripts.genex.variants import add_colour_variants
from affecthub.datasets_scripts.meld.builder import load_meld
from affecthub.datasets_scripts.prepared.recordings import FRAMES
from affecthub.datasets_scripts.prepared.shards import Prepared, open_prepared
from affecthub.datasets_scripts.prepared.stream import ShardStream
from affecthub.datasets_scripts.splits import train_validation_test
from affecthub.datasets_scripts.synthetic.study import MARKER, render_sample_genex
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.media.container import MediaError, probe
from affecthub.modeling.modalities import TEXT
from affecthub.training.recipe import DataRecipe, SplitRecipe

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"

MELD = "MELD"
"""Name of the real corpus, whose licence and citation a card has to give."""


@dataclass(frozen=True)
class Target:
    """Something that a model learns to say."""

    name: str
    """In reports: "emotion", "attention" and so on."""
    column: str
    """Of the rows."""
    labels: list[str]
    """In the order of the ids; of a binary target, what the one output stands for."""
    problem_type: str
    names: tuple[str, ...] = ()
    """Of a binary target, its two classes; empty: `labels`."""

    @property
    def classes(self) -> list[str]:
        """What a report names."""
        return list(self.names or self.labels)

    def values(self, rows: Dataset) -> np.ndarray:
        """Labels of rows: ids int (rows,); floats (rows, labels) unless each row has one id."""
        values = np.asarray(rows[self.column])
        return values if self.problem_type == SINGLE else values.astype(np.float32).reshape(len(rows), -1)


@dataclass(frozen=True)
class Corpus:
    """The rows of a data set and what a report has to say about it."""

    name: str
    unit: str
    """What a row is: "utterances" or "frames"."""
    splits: dict[str, Dataset]
    """train, validation, test: those that exist, without the rows that cannot be used."""
    skipped: dict[str, int]
    """Rows left out, by split and reason."""
    targets: tuple[Target, ...]
    """The first is the main one."""
    protocol: str
    """How the rows were split."""
    synthetic: bool
    bayes_accuracy: dict[frozenset[str], float] = field(default_factory=dict)
    """Of a synthetic corpus: the best expected accuracy of the main target by subset of modalities."""
    frames: Dataset | None = None
    """All rows of all recordings, in order of time; `position` of a split's row is its place there."""
    prepared: Prepared | None = None
    """Where the media of the rows were prepared, instead of lying in files of their own."""
    stream: ShardStream | None = None
    """Where the training split is read from its shards in turn: its rows are without their media."""


def load_corpus(data: DataRecipe, modalities: Sequence[str], split: SplitRecipe | None = None) -> Corpus:
    """Read (or render) the data set of a recipe, and split it.

    Args:
        data: which one.
        modalities: rows that hold none of them are left out.
        split: by which protocol; the data set's own by default.

    Raises:
        ValueError: a data set of your own without its folder; without a training split; a target or a protocol that it
            does not have.
    """
    split = split or SplitRecipe()
    if data.root is None and not data.dataset.startswith("sample_"):
        raise ValueError(f"The data set {data.dataset!r} needs its folder: pass --data.root=PATH.")
    if data.streaming:
        _check_streaming(data)
    load = _load_utterances if data.dataset.endswith("meld") else _load_recordings
    return load(data, list(modalities), split)


def _check_streaming(data: DataRecipe) -> None:
    if data.preload:
        raise ValueError("data.streaming and data.preload exclude each other: set one of them to false.")
    if not data.dataset.endswith("meld") or open_prepared(data.root) is None:
        raise ValueError(
            f"data.streaming: data.dataset={data.dataset}, data.root={data.root}: what is streamed are the shards "
            "that `affecthub prepare` makes of utterances; pass their folder as --data.root, or set it to false."
        )


def _load_utterances(data: DataRecipe, modalities: list[str], split: SplitRecipe) -> Corpus:
    if data.target not in (None, "emotion") or split.protocol != "fixed":
        raise ValueError(
            f"data.target={data.target}, split.protocol={split.protocol}: MELD is annotated with emotion and split by "
            "its authors (fixed); leave both out."
        )
    root, bayes, prepared = data.root, {}, open_prepared(data.root)
    if prepared:
        prepared.check({"dataset": data.dataset, "twin_policy": data.twin_policy})
    elif data.dataset == "sample_meld":
        root = render_sample_meld(data.root, train=data.train_rows, dev=data.validation_rows, test=data.test_rows)
    if data.dataset == "sample_meld":
        bayes = _optimum(Path(root) / "sample_corpus.json")
    config = "text" if modalities == [TEXT] else "multimodal"
    streamed = ("train",) if data.streaming else ()
    splits = prepared.splits(streamed) if prepared else load_meld(root, config, twin_policy=data.twin_policy)
    if "train" not in splits:
        raise ValueError(f"{root}: no train_sent_emo.csv, and so nothing to learn from; found {list(splits)}.")
    limited = {name: _limit(rows, data.limit) for name, rows in splits.items()}
    usable = {name: rows.select(rows_with_any(rows, modalities)) for name, rows in limited.items()}
    features, stream = splits["train"].features, None
    if data.streaming:
        stream = ShardStream(
            *prepared.shards("train"), np.asarray(usable["train"]["shard_place"]), data.shuffle_buffer
        )
    return Corpus(
        name="synthetic sample corpus in MELD's layout" if bayes else MELD,
        unit="utterances",
        splits=usable,
        skipped={
            f"{name} rows with none of the modalities": len(limited[name]) - len(rows) for name, rows in usable.items()
        },
        targets=tuple(Target(name, name, features[name].names, SINGLE) for name in ("emotion", "sentiment")),
        protocol="fixed: as the corpus' authors split it",
        synthetic=bool(bayes),
        bayes_accuracy=bayes,
        prepared=prepared,
        stream=stream,
    )


RECORDING_TARGETS = {
    "attention": Target(
        "attention", "attention_label", ["high attention"], MULTI, ("low attention", "high attention")
    ),
    "attention_level": Target("attention_level", "attention", ["attention"], REGRESSION),
    "affect": Target("affect", "targets", list(TARGETS), MULTI),
}
"""What can be learned from a recording, by its name in a recipe."""


def _load_recordings(data: DataRecipe, modalities: list[str], split: SplitRecipe) -> Corpus:
    target = RECORDING_TARGETS.get(data.target or "attention")
    if target is None:
        raise ValueError(f"data.target={data.target}: of a recording choose one of {', '.join(RECORDING_TARGETS)}.")
    root, bayes, prepared = data.root, {}, open_prepared(data.root)
    if prepared:
        prepared.check(study_settings(data))
        if data.colour_variants:
            raise ValueError(
                f"data.colour_variants: {root} holds each frame as it was recorded; train on the study itself, or "
                "leave the variants out."
            )
    elif data.dataset == "sample_genex":
        root = render_sample_genex(data.root, seconds=data.seconds)
    if data.dataset == "sample_genex" and target.name == "attention":
        bayes = _optimum(Path(root) / MARKER)
    frames = prepared.splits()[FRAMES] if prepared else study_frames(data, root)
    if data.colour_variants:
        originals = hashlib.sha256("\n".join(frames["image_path"]).encode()).hexdigest()[:16]  # keys repeat in studies
        frames = add_colour_variants(frames, frame_cache() / "variants" / originals)
    frames = frames.add_column("position", np.arange(len(frames)))
    known = ~np.isnan(target.values(frames)).any(axis=1)
    known &= np.asarray(frames["targets_present" if target.name == "affect" else "attention_present"])
    present = np.zeros(len(frames), dtype=bool)
    present[rows_with_any(frames, modalities)] = True
    usable = frames.select(np.flatnonzero(known & present))
    skipped = {
        f"frames whose {target.name} is not known": int((~known).sum()),
        f"frames without any of {', '.join(modalities)}": int((known & ~present).sum()),
    }
    if not len(usable):
        raise ValueError(f"{root}: no frame to learn from, {skipped}; see the study's manifest.")
    table = usable.select_columns(["participant", "source_recording", "recording"]).to_pandas()
    parts = train_validation_test(split.protocol, table, fold=split.fold, folds=split.folds)
    folds = f", fold {split.fold}" if split.protocol != "fixed" else ""
    return Corpus(
        name="synthetic sample study in GENEX's layout" if data.dataset == "sample_genex" else Path(root).name,
        unit="frames",
        splits={name: _limit(usable.select(positions), data.limit) for name, positions in parts.items()},
        skipped=skipped,
        targets=(target,),
        protocol=f"{split.protocol}{folds}",
        synthetic=data.dataset == "sample_genex",
        bayes_accuracy=bayes,
        frames=frames,
        prepared=prepared,
    )


def study_settings(data: DataRecipe) -> dict[str, object]:
    """What of a recipe decides the rows of a study."""
    return {
        "dataset": data.dataset,
        "study": study_facts(data.study),
        "every": data.every,
        "crop_faces": data.crop_faces,
        "attention_source": data.attention_source,
    }


def study_frames(data: DataRecipe, root: str | Path) -> Dataset:
    """All rows of a study, in order of time, each with `audio_present`: whether its recording has an audio track."""
    frames = load_genex(
        root,
        data.study,
        frames=frame_options(data),
        labels=AlignOptions(attention_source=data.attention_source),
    )
    return frames.add_column("audio_present", _audible(frames))


def frame_options(data: DataRecipe) -> FrameOptions:
    """Which frames of a study a recipe takes."""
    return FrameOptions(every=data.every, crop_faces=data.crop_faces)


def _audible(frames: Dataset) -> np.ndarray:
    """Whether the recording of each row has an audio track, bool (rows,)."""
    paths = np.asarray(frames["recording_path"])
    heard = {path: _has_audio(path) for path in np.unique(paths)}
    return np.array([heard[path] for path in paths])


def _has_audio(path: str) -> bool:
    try:
        return probe(path).has_audio
    except MediaError:
        return False  # OpenCV read its pictures; sound it has none that can be read


def _optimum(facts: Path) -> dict[frozenset[str], float]:
    """The closed-form optimum that a synthetic corpus states about itself."""
    stated = json.loads(facts.read_text(encoding="utf-8"))["bayes_accuracy"]
    return {frozenset(names.split("+")): accuracy for names, accuracy in stated.items()}


def _limit(rows: Dataset, limit: int | None) -> Dataset:
    return rows.select(range(min(len(rows), limit or len(rows))))


def rows_with_any(rows: Dataset, modalities: Sequence[str]) -> np.ndarray:
    """Indices of the rows that hold at least one of the modalities; text is always there."""
    if TEXT in modalities:
        return np.arange(len(rows))
    return np.flatnonzero(np.column_stack([rows[f"{name}_present"] for name in modalities]).any(axis=1))
