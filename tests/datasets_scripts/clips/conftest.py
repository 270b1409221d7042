"""Folders of small recordings, made on the spot."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from affecthub.datasets_scripts.clips.builder import build_clips
from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.manifest import read_manifest

RATE = 8000


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing goes to the user's cache."""
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sound():
    """A function: writes a sound of so many seconds, another for each seed."""

    def write(path, seconds=0.5, seed=0):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
        soundfile.write(path, noise.astype(np.float32), RATE)
        return path

    return write


@pytest.fixture
def picture():
    """A function: writes a picture, another for each seed."""

    def write(path, seed=0):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8))
        return path

    return write


@pytest.fixture
def table():
    """A function: writes rows as a CSV, its columns those of the first row."""

    def write(path, rows, delimiter=","):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            lines = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            lines.writeheader()
            lines.writerows(rows)
        return path

    return write


@pytest.fixture
def rows_of():
    """A function: the rows of a data set that is not divided, as dictionaries."""

    def build(root, modalities=("text", "audio", "video", "physio"), **options):
        splits = Clips(root=str(root), **options).build(modalities)
        return (
            list(splits["clips"]) if set(splits) == {"clips"} else {name: list(part) for name, part in splits.items()}
        )

    return build


@pytest.fixture
def statuses():
    """A function: key or file -> status, of every record of the manifest."""

    def build(root, **options):
        manifest = read_manifest(build_clips(Clips(root=str(root), **options).plan()))
        names = manifest.key.where(manifest.key.notna(), manifest.file)
        return dict(zip(names, manifest.status, strict=True))

    return build
