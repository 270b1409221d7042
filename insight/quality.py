"""How well the rows that judge a model were recorded, so that its errors can be seen by it.

Measured on what is read of a row, before the processor changes it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from affecthub.evaluation.errors import Measured
from affecthub.insight.opened import OpenedRun, usable
from affecthub.insight.robustness import ROWS
from affecthub.modeling.modalities import AUDIO, PHYSIO, VIDEO

QUALITY_FILE = "quality.json"

SIDE = 112
"""Pixels of the shorter side, at which sharpness is measured, so that the size of the picture does not change it."""

SILENT = -100.0
"""Level of a recording without any sound, dBFS."""


@dataclass(frozen=True)
class Measure:
    """What is measured of one modality."""

    name: str
    modality: str
    unit: str
    of: Callable[[np.ndarray], float]


def level(sound: np.ndarray) -> float:
    """Root mean square of sound (samples,) in dB of full scale."""
    power = float(np.square(sound, dtype=np.float64).mean()) if len(sound) else 0.0
    return max(SILENT, 10 * np.log10(power)) if power > 0 else SILENT


def brightness(frames: np.ndarray) -> float:
    """Mean luma of frames (time, height, width, 3), % of white."""
    return 100 / 255 * float(np.mean([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).mean() for frame in frames]))


def sharpness(frames: np.ndarray) -> float:
    """Deviation of the Laplacian of frames, grey levels (its variance is that of Pech-Pacheco et al. 2000, ICPR)."""
    scale = SIDE / min(frames.shape[1:3])
    size = [max(1, round(side * scale)) for side in frames.shape[2:0:-1]]
    small = (
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for frame in frames
    )
    return float(np.mean([cv2.Laplacian(frame, cv2.CV_64F).std() for frame in small]))


def measured(features: np.ndarray) -> float:
    """Values of features (steps, features) that are there, %."""
    return 100 * float(np.isfinite(features).mean())


MEASURES = (
    Measure("sound level", AUDIO, "dBFS", level),
    Measure("brightness", VIDEO, "% of white", brightness),
    Measure("sharpness", VIDEO, "grey levels", sharpness),
    Measure("features measured", PHYSIO, "%", measured),
)


def write_quality(run: OpenedRun, most: int = ROWS) -> dict[str, Measured]:
    """Measure rows of a run's split; kept beside its model in `quality.json`.

    Args:
        run: opened.
        most: rows of the split, evenly spread.

    Returns:
        By the name of the measure; those of the model's modalities.
    """
    samples = run.some(most)
    met = [each for each in MEASURES if each.modality in run.processor.modalities]
    found: dict[str, Measured] = {each.name: {"unit": each.unit, "rows": {}} for each in met}
    keys = samples.rows["key"]
    for index, sample in usable(samples) if met else ():
        for each in met:
            if isinstance(sample[each.modality], np.ndarray):
                found[each.name]["rows"][str(keys[index])] = round(each.of(sample[each.modality]), 4)
    return run.write(QUALITY_FILE, found)
