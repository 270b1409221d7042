"""A study exported from iMotions as a data set: its options, and what there is to say of its rows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from affecthub.datasets_scripts.corpus import (
    MULTI,
    REGRESSION,
    AuditColumns,
    Corpus,
    DataCard,
    DataOptions,
    Target,
    optimum_of,
)
from affecthub.datasets_scripts.genex.study import FEATURES, TARGETS
from affecthub.media.faces import MARGIN, MIN_CONFIDENCE

if TYPE_CHECKING:  # see datasets_scripts/corpus.py
    from datasets import Dataset

    from affecthub.datasets_scripts.genex.align import AlignOptions
    from affecthub.datasets_scripts.genex.frames import FrameOptions

RECORDING_TARGETS = {
    "attention": Target(
        "attention", "attention_label", ["high attention"], MULTI, ("low attention", "high attention")
    ),
    "attention_level": Target("attention_level", "attention", ["attention"], REGRESSION),
    "affect": Target("affect", "targets", list(TARGETS), MULTI),
}
"""What can be learned from a recording."""

ALL = "frames"
"""The one part that the rows are before they are divided."""


@dataclass(frozen=True)
class Genex(DataOptions):
    """A study exported from iMotions: face-camera recordings, and tables of expressions, gaze and skin conductance."""

    targets: list[Literal["attention", "attention_level", "affect"]] = field(default_factory=lambda: ["attention"])
    """What is learned, the main one first: attention, high or not; attention_level, 0..1; affect, the 17 targets."""
    study: str | None = None
    """YAML that renames the study's columns, expressions and files (default: GENEX's names)."""
    every: int = 30
    """Take every so-many-th frame; 30 is one a second at 30 frames a second."""
    crop_faces: bool = True
    """See the face alone, found by MTCNN."""
    face_margin: float = MARGIN
    """Factor on the width and height of a face's box before it is cut out."""
    face_confidence: float = MIN_CONFIDENCE
    """What counts as a face, 0..1."""
    window_ms: float = 1000.0
    """ms of annotations before each frame; 0 for the instant."""
    attention_source: Literal["frame", "summary"] = "frame"
    """Attention second by second, or one value a participant, as the reference experiments had it."""
    attention_threshold: float = 0.5
    """Attention above it, 0..1, is high."""
    colour_variants: bool = False
    """Each frame in four more colourings, as the reference experiments had it."""
    name: str | None = None
    """What it is called (default: the name of its folder, which stays here: cards say "own data")."""

    describes_content = ("root", "limit", "targets", "name")

    @property
    def frames(self) -> "FrameOptions":
        """Which frames are taken."""
        from affecthub.datasets_scripts.genex.frames import FrameOptions

        return FrameOptions(
            every=self.every,
            crop_faces=self.crop_faces,
            min_confidence=self.face_confidence,
            margin=self.face_margin,
        )

    @property
    def labels(self) -> "AlignOptions":
        """How annotations meet frames."""
        from affecthub.datasets_scripts.genex.align import AlignOptions

        return AlignOptions(
            window_ms=self.window_ms,
            attention_source=self.attention_source,
            attention_threshold=self.attention_threshold,
        )

    def extract(self, part: slice) -> None:
        """The pictures of some of the recordings, into the cache."""
        from affecthub.datasets_scripts.genex.builder import extract_study

        extract_study(self.folder(), self.study, frames=self.frames, part=part)

    def build(self, modalities: Sequence[str]) -> dict[str, "Dataset"]:
        """All frames, in order of time, each with whether its recording has an audio track."""
        from affecthub.datasets_scripts.genex.builder import frame_cache, load_genex
        from affecthub.datasets_scripts.genex.variants import add_colour_variants

        rows = load_genex(self.folder(), self.study, frames=self.frames, labels=self.labels)
        rows = rows.add_column("audio_present", _audible(rows))
        if self.colour_variants:
            originals = hashlib.sha256("\n".join(rows["image_path"]).encode()).hexdigest()[:16]  # keys repeat
            rows = add_colour_variants(rows, frame_cache() / "variants" / originals)
        return {ALL: rows}

    def describe(self, splits: dict[str, "Dataset"], facts: Mapping | None = None) -> Corpus:
        """Moments of recordings."""
        (rows,) = splits.values()
        rows = rows if "position" in rows.column_names else rows.add_column("position", np.arange(len(rows)))
        targets = tuple(RECORDING_TARGETS[name] for name in self.targets)
        return Corpus(
            name=self.name or (facts or {}).get("name") or self.folder().name,
            named_by_folder=not self.name and (facts or {"named_by_folder": True}).get("named_by_folder", False),
            unit="frames",
            splits={ALL: rows},
            targets=targets,
            audit=AuditColumns("key", "source_recording", "participant", labels=("attention_label",)),
            card=CARD,
            protocol="grouped_k_fold",
            feature_names=FEATURES,
            crop_faces=self.crop_faces,
            all_rows=rows,
            bayes_accuracy=optimum_of((facts or {}).get("bayes_accuracy", {})),
        )

    def manifest(self) -> str:
        """What was found in tables, recordings and frames."""
        from affecthub.datasets_scripts.genex.builder import genex_manifest
        from affecthub.datasets_scripts.genex.manifest import summarise_study

        found = genex_manifest(self.folder(), self.study, frames=self.frames, labels=self.labels)
        return summarise_study(found)

    def settings(self) -> dict[str, object]:
        """As the base class; a study's description by what it says, wherever it lies."""
        from affecthub.datasets_scripts.genex.builder import study_facts

        return super().settings() | {"study": study_facts(self.study)}


CARD = DataCard(
    description="Frames of iMotions recordings: 33 facial, gaze and skin conductance features and 17 affect targets.",
    notes=(
        "The values describe real participants: publish and use them only as their consent allows, and see that "
        "participants' names are pseudonyms.",
        "AFFDEX computes its emotions from the facial actions among the features: predicting one from the other is "
        "nearly circular.",
    ),
)
"""What holds for every study of this shape."""


def _audible(frames: "Dataset") -> np.ndarray:
    """Whether the recording of each row has an audio track, bool (rows,)."""
    paths = np.asarray(frames["recording_path"])
    heard = {path: _has_audio(path) for path in np.unique(paths)}
    return np.array([heard[path] for path in paths])


def _has_audio(path: str) -> bool:
    from affecthub.media.container import MediaError, probe

    try:
        return probe(path).has_audio
    except MediaError:
        return False  # OpenCV read its pictures; sound it has none that can be read
