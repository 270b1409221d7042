"""How well the rows that judge a model were recorded, so that its errors can be seen by it.

Measured on what is read of a row, before the processor changes it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from affecthub.evaluation.errors import Measured
from affecthub.insight.opened import OpenedRun, usable
from affecthub.insight.robustness import ROWS
from affecthub.media.quality import brightness, level, sharpness
from affecthub.modeling.modalities import AUDIO, PHYSIO, VIDEO

QUALITY_FILE = "quality.json"


@dataclass(frozen=True)
class Measure:
    """What is measured of one modality."""

    name: str
    modality: str
    unit: str
    of: Callable[[np.ndarray], float]


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
    """As `measure`; kept beside the run's model in `quality.json`."""
    return run.write(QUALITY_FILE, measure(run, most))


def measure(run: OpenedRun, most: int) -> dict[str, Measured]:
    """Measure rows of a run's split.

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
    return found
