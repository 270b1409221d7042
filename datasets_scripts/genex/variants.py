"""Colour variants and sequences of frame rows, each on explicit request."""

from collections.abc import Sequence
from pathlib import Path

import datasets
from tqdm.auto import tqdm

from affecthub.media.colour import COLOUR_VARIANTS
from affecthub.media.pictures import read_image, write_image


def add_colour_variants(
    frames: datasets.Dataset, folder: str | Path, variants: Sequence[str] = tuple(COLOUR_VARIANTS)
) -> datasets.Dataset:
    """Each row, and after all of them a copy for every colour variant, with its picture written into a folder.

    A variant gets its own `key` and `recording`, "LE 3299/Screen recording 1@hue", and names itself in `variant`;
    `participant` and `source_recording` stay. Split by `source_recording` or `participant`: the reference experiments
    took the variants for people, so that the same frames stood on both sides.

    Args:
        frames: as `genex.load_genex` returns them; variants of variants are not made.
        folder: for the pictures, made where absent; one that is already there is kept.
        variants: names in `media.colour.COLOUR_VARIANTS`.

    Raises:
        ValueError: an unknown variant, or frames that hold variants already.
    """
    unknown = sorted(set(variants) - set(COLOUR_VARIANTS))
    if unknown:
        raise ValueError(f"unknown variant {unknown[0]!r}; choose of {', '.join(COLOUR_VARIANTS)}")
    if set(frames["variant"]) != {"original"}:
        raise ValueError("the frames hold colour variants already; pass those of load_genex")
    parts, pictures = [frames], dict(zip(frames["key"][:], frames["image_path"][:], strict=True))
    for variant in variants:
        for key, original in tqdm(pictures.items(), desc=variant, unit="frame"):
            path = variant_path(Path(folder), key, variant)
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, COLOUR_VARIANTS[variant](read_image(original)))
        parts.append(_renamed(frames, Path(folder), variant))
    return datasets.concatenate_datasets(parts)


def variant_path(folder: Path, key: str, variant: str) -> Path:
    """Where the picture of a variant lies."""
    return folder / variant / f"{key}.jpg"


def _renamed(frames: datasets.Dataset, folder: Path, variant: str) -> datasets.Dataset:
    def rename(row: dict) -> dict:
        return {
            "key": f"{row['key']}@{variant}",
            "recording": f"{row['recording']}@{variant}",
            "image_path": str(variant_path(folder, row["key"], variant)),
            "variant": variant,
        }

    return frames.map(rename, features=frames.features, desc=f"{variant} rows")
