"""Where labelled recordings lie: a table, a folder of any of the usual shapes, or a data set of `datasets`."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import cast

from datasets import Audio, Dataset, DatasetDict, Image, List, Video, load_dataset, load_from_disk

from affecthub.datasets_scripts.clips.tables import BATCH, SUFFIXES, Row, Table, described, open_table
from affecthub.datasets_scripts.files import rows_cached

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""What people call a split -> what it is called here."""

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MEDIA_SUFFIXES = VIDEO_SUFFIXES | AUDIO_SUFFIXES | IMAGE_SUFFIXES

METADATA = tuple(f"metadata{suffix}" for suffix in SUFFIXES)
"""Names of the table beside the files that it describes, as `datasets` looks for them."""

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

FROM_DISK = ("dataset_dict.json", "state.json")
"""In a folder that `save_to_disk` wrote."""


def split_of(name: str) -> str | None:
    """The split that a name of a file or folder says, as one of its words: "dev_sent_emo.csv" is the validation."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def find_tables(root: str, subset: str | None = None) -> list[Table]:
    """The tables of a data set.

    Args:
        root: a table; a folder with `metadata.csv` (or .jsonl, .parquet) in it or in its folders train, validation and
            test; a folder with tables; a folder with a folder a class, below those of splits or not; a folder that
            `Dataset.save_to_disk` wrote; or "owner/name" of the Hub.
        subset: of a data set of the Hub, its configuration.

    Raises:
        FileNotFoundError: there is nothing of this name, here or on the Hub.
        ValueError: none of these, or what `open_table` says.
    """
    path = Path(root).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if path.exists() or path.suffix.lower() in SUFFIXES:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such table; check data.root.")
        return [open_table(path)]
    if HUB_ID.fullmatch(str(root)):
        return _of_dataset(_from_hub(str(root), subset), Path(root))
    raise FileNotFoundError(
        f"{root}: there is no such file or folder, and it is no id of the Hub (owner/name); check data.root."
    )


def _of_folder(folder: Path) -> list[Table]:
    if any((folder / name).is_file() for name in FROM_DISK):
        return _of_dataset(_from_disk(folder), folder)
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name.lower() in SPLIT_NAMES]
    places = {None: folder} | {SPLIT_NAMES[path.name.lower()]: path for path in inner}
    metadata = {
        split: [place / name for name in METADATA if (place / name).is_file()] for split, place in places.items()
    }
    if any(metadata.values()):
        for found in metadata.values():
            if len(found) > 1:
                raise ValueError(f"{found[0]} and {found[1]} describe the same folder: keep one of them.")
        return [open_table(found[0], split) for split, found in metadata.items() if found]
    if tables := [path for place in (folder, folder / "data") for path in _tables_in(place)]:
        return [open_table(path, split_of(path.stem)) for path in tables]
    return _of_classes(folder, places)


def _tables_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _of_classes(folder: Path, parts: Mapping[str | None, Path]) -> list[Table]:
    """A folder a class: the name of the folder is the label of the files below it."""
    divided = {split: place for split, place in parts.items() if split}
    tables = [
        Table(place, place, ["file", "label"], partial(_class_batches, place), split=split)
        for split, place in (divided or {None: folder}).items()
    ]
    places = [place for table in tables for place in class_folders(table.folder)]
    classes = {place.name for place in places if any(map(is_medium, files_below(place)))}
    if len(classes) > 1:
        return tables
    if classes:
        found = f"recordings in one folder alone, {classes.pop()!r}, which would be the label of all of them"
    else:
        found = f"no table ({', '.join(SUFFIXES)}) and no folder of recordings in it"
        if deeper := next((path for path in files_below(folder) if path.suffix.lower() in SUFFIXES), None):
            found += f", only deeper, as {deeper.relative_to(folder).as_posix()}"
    raise ValueError(f"{folder}: {found}; give a table as data.root, or sort the files into a folder a class.")


def class_folders(folder: Path) -> list[Path]:
    """The folders that are named like classes."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_batches(folder: Path) -> Iterator[list[Row]]:
    for place in class_folders(folder):
        files = (path for path in files_below(place) if is_medium(path))
        rows: list[Row] = [{"file": path.relative_to(folder).as_posix(), "label": place.name} for path in files]
        yield from (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def is_medium(path: Path) -> bool:
    """Whether a file is a recording by its name; "._x.wav" is none, but what macOS writes beside one."""
    return path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith(".")


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and its folders, in order of their names; hidden folders are not entered."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names))


def _from_disk(folder: Path) -> Dataset | DatasetDict:
    try:
        return load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: {error}; save the data set anew by `save_to_disk`.") from error


def _from_hub(name: str, subset: str | None) -> Dataset | DatasetDict:
    with rows_cached():
        try:
            return load_dataset(name, subset)
        except (OSError, ValueError) as error:  # the libraries' errors of the network are OSErrors
            said = str(error).splitlines()[0]
            raise FileNotFoundError(
                f"{name}: neither a folder here nor a data set of the Hub that can be reached ({said}); check "
                "data.root, the network, and `hf auth login` where it is private."
            ) from error


def _of_dataset(found: Dataset | DatasetDict, place: Path) -> list[Table]:
    """The tables of a data set of `datasets`, its media as they are stored."""
    parts = found if isinstance(found, dict) else {None: found}
    return [
        _of_part(_undecoded(rows), place, split_of(str(split)) if split else None) for split, rows in parts.items()
    ]


def _of_part(rows: Dataset, place: Path, split: str | None) -> Table:
    kinds, labels = described(rows.features)
    columns = list(rows.column_names)

    def batches() -> Iterator[list[Row]]:
        for batch in cast(Iterator[dict[str, list]], rows.with_format(None).iter(BATCH)):
            yield [dict(zip(columns, cells, strict=True)) for cells in zip(*(batch[c] for c in columns), strict=True)]

    return Table(place, place, columns, batches, lambda: rows._fingerprint, split, kinds, labels)


def _undecoded(rows: Dataset) -> Dataset:
    for column, feature in rows.features.items():
        entry = feature.feature if isinstance(feature, List) else feature
        if isinstance(entry, Audio | Image | Video):
            raw = type(entry)(decode=False)
            rows = rows.cast_column(column, List(raw) if isinstance(feature, List) else raw)
    return rows
