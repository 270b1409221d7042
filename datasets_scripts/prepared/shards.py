"""Prepared data on disk: shards of a fixed number of rows, each whole or absent, each with a note, and a manifest."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from affecthub.datasets_scripts.files import file_digest, rows_cached
from affecthub.datasets_scripts.prepared import recordings
from affecthub.datasets_scripts.prepared.clips import PreparedClip
from affecthub.datasets_scripts.text_files import read_json
from affecthub.media.files import LOCK, file_state, replacing, write_file
from affecthub.media.for_processor import Processor, shorter_side
from affecthub.media.source_code import code_digest

SETTINGS, MANIFEST = "settings.json", "manifest.json"
"""In the folder: written first, what was asked for; and written last, what is there."""

CLIPS = ("video_path", "audio_path")
"""Columns that say where a clip lies on this machine."""

SOURCES = (*CLIPS, "image_paths", "recording_path")
"""Columns that name what is read; a shard is made anew when a file there has changed."""

PATHS = (*SOURCES, "image_path")
"""Columns that a shard leaves out; a picture follows from its recording."""

MEDIA = {
    "video_jpeg": datasets.List(datasets.Value("binary")),
    "audio_flac": datasets.Value("binary"),
    "media_status": datasets.Value("string"),
}
"""Columns that a shard has instead; of a recording's frame, `video_jpeg` holds the one picture."""

HEAVY = ("video_jpeg", "audio_flac", "video_npy", "audio_npy")
"""Those of them, or of the features in their place, that take room."""

LIBRARIES = ("av", "datasets", "numpy", "opencv-python-headless", "pyarrow", "soundfile")
"""What decides the bytes of a shard."""


@dataclass(frozen=True)
class Shard:
    """Some consecutive rows of one split, and the file that they become."""

    folder: Path
    split: str
    number: int
    rows: datasets.Dataset
    settings: Mapping[str, object]
    """What was asked for."""

    @property
    def path(self) -> Path:
        """The Parquet file."""
        return self.folder / f"{self.split}-{self.number:05d}.parquet"

    @property
    def note_path(self) -> Path:
        """Beside it, written after it: that it is complete, and what it holds."""
        return self.path.with_suffix(".json")

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits of all that its content depends on; where the clips lie does not matter."""
        digest = hashlib.sha256(code_digest(__name__, recordings).encode())
        plain = self.rows.select_columns([name for name in self.rows.column_names if name not in PATHS])
        named = (value for name in SOURCES if name in self.rows.column_names for value in self.rows[name])
        paths = (path for value in named for path in (value if isinstance(value, list) else [value]))
        sources = [None if path is None else file_state(path) for path in paths]
        facts = [plain[:], sources, dict(self.settings), {name: version(name) for name in LIBRARIES}]
        digest.update(json.dumps(facts, sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def is_complete(self) -> bool:
        """Whether it is there, made of the same, and unharmed."""
        if not (self.note_path.is_file() and self.path.is_file()):
            return False
        try:
            note = read_json(self.note_path, "prepare anew")
        except ValueError:
            return False
        return note.get("key") == self.key and note.get("sha256") == file_digest(self.path)

    def write(
        self,
        read: Callable[[list[dict]], Iterable[PreparedClip]],
        encode: Callable[[datasets.Dataset], dict[str, list[bytes | None]]] | None = None,
    ) -> None:
        """Write the file, and then its note, each whole or not at all.

        Args:
            read: gives the media of rows, in their order.
            encode: gives the columns that the shard has instead of frames and sound; none: it has these.

        Raises:
            OSError: a full disk or a folder that is read-only, naming the file and the remedy.
        """
        self.note_path.unlink(missing_ok=True)
        features = {name: value for name, value in self.rows.features.items() if name not in PATHS}
        schema = datasets.Features(features | MEDIA).arrow_schema
        rows, clips = cast(list[dict[str, Any]], list(self.rows)), []
        for row, clip in zip(rows, read(rows), strict=True):
            clips.append(clip)
            row |= {"video_jpeg": clip.video, "audio_flac": clip.audio, "media_status": clip.status}
        table = pa.Table.from_pylist(rows, schema=schema)
        if encode:
            encoded = encode(datasets.Dataset(table))
            features |= {"media_status": MEDIA["media_status"], **dict.fromkeys(encoded, datasets.Value("binary"))}
            schema = datasets.Features(features).arrow_schema
            table = pa.Table.from_pydict(dict(zip(table.column_names, table.columns, strict=True)) | encoded, schema)
        with replacing(self.path) as temporary:
            pq.write_table(table, temporary)
        note = {
            "file": self.path.name,
            "split": self.split,
            "rows": len(rows),
            "bytes": self.path.stat().st_size,
            "sha256": file_digest(self.path),
            "statuses": dict(sorted(Counter(clip.status for clip in clips).items())),
            "failures": {row["key"]: clip.detail for row, clip in zip(rows, clips, strict=True) if clip.detail},
            "key": self.key,
        }
        write_file(self.note_path, _json(note))


def shards_of(
    splits: Mapping[str, datasets.Dataset], folder: Path, settings: Mapping[str, object], shard_rows: int
) -> list[Shard]:
    """The shards of all splits, in order."""
    return [
        Shard(folder, split, number, rows.select(range(start, min(start + shard_rows, len(rows)))), settings)
        for split, rows in splits.items()
        for number, start in enumerate(range(0, len(rows), shard_rows))
    ]


def begin(folder: Path, settings: Mapping[str, object]) -> None:
    """Take a folder for these settings; the manifest of an earlier time is gone until `finish`.

    Raises:
        ValueError: it holds something else, or what was prepared with other settings.
        OSError: it cannot be written.
    """
    if (folder / SETTINGS).is_file():
        found = read_json(folder / SETTINGS, "delete the folder, and prepare anew")
        if found != settings:
            raise ValueError(
                f"{folder} was prepared with {_difference(found, settings)}: choose another folder, or delete it."
            )
    elif any(path.name != LOCK for path in folder.iterdir()):
        raise ValueError(f"{folder} is not empty and holds no prepared data: choose another folder.")
    write_file(folder / SETTINGS, _json(dict(settings)))
    (folder / MANIFEST).unlink(missing_ok=True)


def finish(folder: Path, shards: Sequence[Shard], settings: Mapping[str, object]) -> dict:
    """Write the manifest of shards that are all there, and delete what is left of earlier calls; returns it."""
    notes = [json.loads(shard.note_path.read_bytes()) for shard in shards]
    expected = {path for shard in shards for path in (shard.path, shard.note_path)} | {folder / SETTINGS}
    for stray in {*folder.glob("*-[0-9]*.parquet"), *folder.glob("*-[0-9]*.json"), *folder.glob(".*.tmp")} - expected:
        stray.unlink()
    statuses: dict[str, Counter] = {}
    for note in notes:
        statuses.setdefault(note["split"], Counter()).update(note["statuses"])
    manifest = {
        "settings": dict(settings),
        "content": hashlib.sha256("".join(note["sha256"] for note in notes).encode()).hexdigest(),
        "statuses": statuses,
        "shards": notes,
    }
    write_file(folder / MANIFEST, _json(manifest))
    return manifest


@dataclass(frozen=True)
class Prepared:
    """What `affecthub prepare` has made."""

    folder: Path
    manifest: dict

    def splits(self, streamed: Collection[str] = ()) -> dict[str, datasets.Dataset]:
        """The rows, memory-mapped from the cache of `datasets`; columns as the builder's, and those of `MEDIA`.

        `video_path` and `audio_path` are no files: they name a row's shard, its content and the row's key, so that a
        cache sees when a clip has changed; None where the row has no such track.

        Args:
            streamed: splits whose frames and sound stay in their shards; their rows have `shard_place` instead, the
                place of a row among those of all shards of the split.

        Raises:
            ValueError: a shard is missing or truncated; with the remedy.
        """
        notes: dict[str, list[dict]] = {}
        for note in self.manifest["shards"]:
            path = self.folder / note["file"]
            size = path.stat().st_size if path.is_file() else None
            if size != note["bytes"]:
                raise ValueError(
                    f"{path}: {size} bytes instead of {note['bytes']}; run `affecthub prepare` again, which makes "
                    "this shard anew."
                )
            notes.setdefault(note["split"], []).append(note)
        files = {split: [str(self.folder / note["file"]) for note in found] for split, found in notes.items()}
        splits = {}
        for split, paths in files.items():
            kept = [name for name in pq.read_schema(paths[0]).names if name not in HEAVY or split not in streamed]
            with rows_cached():
                rows = datasets.load_dataset("parquet", data_files=paths, columns=kept, split="train")
            splits[split] = _with_paths(rows, paths, notes[split])
            if split in streamed:
                splits[split] = splits[split].add_column("shard_place", np.arange(len(rows)))
        return splits

    def shards(self, split: str) -> tuple[list[Path], list[int]]:
        """The files of a split, and the rows of each."""
        notes = [note for note in self.manifest["shards"] if note["split"] == split]
        return [self.folder / note["file"] for note in notes], [note["rows"] for note in notes]

    def check(self, values: Mapping[str, object]) -> None:
        """ValueError for the first setting that is not as a reader needs it; `values` has the names of settings."""
        for name, wanted in values.items():
            if (found := self.manifest["settings"].get(name)) != wanted:
                raise ValueError(
                    f"{self.folder} was prepared with {name}={found}, and {name}={wanted} is needed: change that in "
                    "the recipe, or prepare another folder."
                )

    def check_processor(self, processor: Processor) -> None:
        """ValueError when a processor takes other frames, or other sound, than were kept."""
        self.check(form_values(processor))

    @property
    def moments(self) -> bool:
        """Whether the rows are moments of recordings."""
        return self.manifest["settings"]["moments"]

    @property
    def features(self) -> list[str]:
        """The modalities of which it holds features instead of sound or frames."""
        return [name for name in ("audio", "video") if f"{name}_processor" in self.manifest["settings"]]


def form_values(processor: Processor) -> dict[str, object]:
    """The values of a `ClipForm` that a processor decides; none where it takes neither frames nor sound."""
    values: dict[str, object] = {}
    frames = processor.video_processor
    if "video" in processor.modalities and frames is not None:
        values |= {"num_frames": frames.num_frames, "frame_size": shorter_side(frames.size)}
        values |= {"crop_faces": processor.crop_faces}
    if "audio" in processor.modalities:
        values["sampling_rate"] = processor.sampling_rate
    return values | ({"max_seconds": processor.max_seconds} if values else {})


def open_prepared(folder: str | Path | None) -> Prepared | None:
    """The prepared data of a folder; None where it holds none.

    Raises:
        ValueError: its preparation was interrupted.
    """
    if folder is None or not Path(folder, SETTINGS).is_file():
        return None
    manifest = Path(folder, MANIFEST)
    if not manifest.is_file():
        raise ValueError(
            f"{folder}: its preparation was interrupted; run the same `affecthub prepare` again to finish."
        )
    return Prepared(Path(folder), read_json(manifest, "run the same `affecthub prepare` again"))


def _with_paths(rows: datasets.Dataset, files: Sequence[str], notes: Sequence[dict]) -> datasets.Dataset:
    shards = [
        f"{file}#{note['sha256'][:16]}" for file, note in zip(files, notes, strict=True) for _ in range(note["rows"])
    ]
    places = [f"{shard}/{key}" for shard, key in zip(shards, rows["key"], strict=True)]
    for name in CLIPS:
        held = name.replace("_path", "_present")
        if held not in rows.column_names:
            continue
        present = rows[held]
        column = [place if there else None for place, there in zip(places, present, strict=True)]
        rows = rows.add_column(name, column, feature=datasets.Value("string"))
    return rows


def _difference(found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name}={found.get(name)} (now {wanted.get(name)})"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    )


def _json(value: dict) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
