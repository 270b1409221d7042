"""Any labelled recordings as a data set: its options, and what there is to say of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affecthub.datasets_scripts.clips.targets import Kind
from affecthub.datasets_scripts.corpus import AuditColumns, Corpus, DataCard, DataOptions, strictest, target_of

if TYPE_CHECKING:  # see datasets_scripts/corpus.py
    from datasets import Dataset

    from affecthub.datasets_scripts.clips.plan import Plan

MEDIA = frozenset({"audio", "video", "physio"})
"""Modalities for which files are looked at."""


@dataclass(frozen=True)
class Clips(DataOptions):
    """Any labelled recordings, in a table, in folders, or in a data set of `datasets`.

    The table (CSV, TSV, JSON lines, Parquet) has a row a clip, with files, texts and labels; folders hold
    `metadata.csv`, or a folder a class. docs/data.md has examples.
    """

    targets: list[str] = field(default_factory=lambda: ["label"])
    """What is learned, the main one first: columns, or names that `columns`, `raters` or `votes` explain."""
    columns: dict[str, str] = field(default_factory=dict)
    """Which column of the table says what, where its name does not: --data.columns.audio=wav, and likewise file,
    video, image, images, text, features (a file of them), start and end (s), participant, recording,
    source_recording, dialogue, turn, split, weight, key, or the name of a target."""
    kinds: dict[str, Kind] = field(default_factory=dict)
    """Target -> label, labels (several, as "joy|surprise"), number, or shares (of raters, as "joy:3|anger:2"); by
    default as its cells look."""
    labels: dict[str, list[str]] = field(default_factory=dict)
    """Target -> its labels in their order; others are refused then. By default all that occur, sorted."""
    raters: dict[str, list[str]] = field(default_factory=dict)
    """Target -> columns that hold the label of one rater each; what is learned is how raters were divided."""
    votes: dict[str, list[str]] = field(default_factory=dict)
    """Target -> columns, named like its labels, that hold numbers of votes or shares."""
    features: list[str] = field(default_factory=list)
    """Columns of numbers that make the vector of features of a row, such as [gsr, au_*]."""
    media_root: str | None = None
    """Folder in which the table's paths begin (default: the table's); nothing outside of it is read."""
    crop_faces: bool = False
    """See faces alone: of each frame the largest that is certain enough; a frame without one is left out. For pictures
    with others in them, or with a room that would give something away."""
    subset: str | None = None
    """Configuration of a data set of the Hub."""
    name: str | None = None
    """What it is called (default: the name of its folder or table, which stays here: cards say "own data")."""
    license: str = "other"
    """Its licence, by the Hub's word, such as cc-by-4.0."""
    citation: str = ""
    """How it is cited."""
    description: str = ""
    """A sentence for cards: who is in it, and how it was recorded and labelled."""
    language: list[str] = field(default_factory=list)
    """Languages spoken, such as [en]."""

    describes_content = ("root", "limit", "name", "license", "citation", "description", "language")

    def plan(self, media: bool = True) -> "Plan":
        """How it is read.

        Raises:
            ValueError: nobody said where it lies, or options that do not go together.
        """
        from affecthub.datasets_scripts.clips.plan import Plan

        if self.root is None:
            raise ValueError("The data set Clips needs its folder, table or Hub id: pass --data.root=PATH.")
        names = ("targets", "columns", "kinds", "labels", "raters", "votes", "features", "media_root", "subset")
        return Plan(self.root, media=media, **{name: getattr(self, name) for name in names})

    def build(self, modalities: Sequence[str]) -> dict[str, "Dataset"]:
        """All rows; where text alone is needed, no file is looked at."""
        from affecthub.datasets_scripts.clips.builder import build_clips, rows_of

        splits = rows_of(build_clips(self.plan(bool(MEDIA & set(modalities)))))
        if not splits:
            raise ValueError(f"{self.root}: there is no row that can be used; `affecthub inspect clips` says why.")
        return splits

    def describe(self, splits: dict[str, "Dataset"], facts: Mapping | None = None) -> Corpus:
        """Clips, images or texts."""
        from affecthub.datasets_scripts.clips.builder import facts_of
        from affecthub.datasets_scripts.clips.rows import ALL

        some = next(iter(splits.values()))
        known: Mapping[str, Any] = facts or {
            "unit": _unit(some),
            "named_by_folder": not self._hub_id,
            **facts_of(some),
        }
        columns = set(some.column_names)
        return Corpus(
            name=self.name or known.get("name") or self.folder().expanduser().resolve().stem,
            named_by_folder=not self.name and known.get("named_by_folder", False),
            unit=known["unit"],
            splits=splits,
            crop_faces=self.crop_faces,
            targets=tuple(target_of(name, some) for name in self.targets),
            audit=AuditColumns(
                "key",
                next((name for name in ("source_recording", "recording") if name in columns), None),
                "participant" if "participant" in columns else None,
                text="text" if "text" in columns else None,
            ),
            card=DataCard(
                license=self.license,
                description=self.description,
                citation=self.citation,
                hub_id=self._hub_id,
                language=tuple(self.language),
                notes=tuple(known.get("notes", ())),
            ),
            protocol=strictest(columns) if set(splits) == {ALL} else "fixed",
            skipped=dict(known.get("skipped", {})),
            feature_names=tuple(known["feature_names"]),
        )

    def manifest(self) -> str:
        """Every row and every stray file, by status."""
        from affecthub.datasets_scripts.clips.builder import build_clips
        from affecthub.datasets_scripts.manifest import read_manifest, summarise

        return summarise(read_manifest(build_clips(self.plan())))

    @property
    def _hub_id(self) -> str | None:
        """Where it lies on the Hub, if it does."""
        return self.root if self.root and not Path(self.root).expanduser().exists() else None


def _unit(rows: "Dataset") -> str:
    """What a row is."""
    columns = set(rows.column_names)
    if {"video_path", "audio_path"} & columns:
        paths = [rows.data.column(name) for name in ("video_path", "audio_path") if name in columns]
        if any(column.null_count < len(column) for column in paths):
            return "clips"
    return "images" if "image_paths" in columns else "rows"
