"""How a model holds out as its inputs get worse: a metric at each level of each disturbance that it can meet.

Levels are in units of what is disturbed. A disturbance changes a sample before the processor sees it, the turns around
it likewise; the same draws are made for every model.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

import cv2
import numpy as np
import torch

from affecthub.evaluation.answers import Calibration, from_outputs, known_rows
from affecthub.evaluation.bootstrap import Draws, interval
from affecthub.evaluation.metrics import METRICS, main_metric, metrics_of
from affecthub.insight.opened import OpenedRun, inputs_of, usable
from affecthub.modeling.modalities import AUDIO, MODALITIES, PHYSIO, TEXT, VIDEO
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.augmentation import AudioAugmentation, augment_audio
from affecthub.training.trainer import kind_of_target

ROBUSTNESS_FILE = "robustness.json"

ROWS = 300
"""Of the split, at most, that are judged."""

BATCH = 16
"""Samples that are held in memory, and judged, at once."""

GAMMA = 2.2
"""By which stored pixels follow light (the approximation of sRGB, IEC 61966-2-1)."""

Change = Callable[[Any, float, OptionalPartsProcessor, np.random.Generator], np.ndarray | str]
"""See `Disturbance.change`; each takes what samples hold of its modality."""


@dataclass(frozen=True)
class Disturbance:
    """One way in which recordings get worse."""

    name: str
    modality: str | None
    """Whose samples it changes; None: all, of a model that takes several."""
    unit: str
    levels: tuple[float, ...]
    """From the mildest to the worst."""
    change: Change | None = None
    """From what a sample holds, the level, the processor and a source of draws; None: whole modalities go missing."""


def _noisy_sound(
    sound: np.ndarray, level: float, processor: OptionalPartsProcessor, rng: np.random.Generator
) -> np.ndarray:
    return augment_audio(sound, processor.part_for(AUDIO).sampling_rate, AudioAugmentation(snr_db=level), rng)


def _noisy_frames(frames: np.ndarray, level: float, _: OptionalPartsProcessor, rng: np.random.Generator) -> np.ndarray:
    """Independent noise of each value, by its signal-to-noise ratio, the signal being what varies in a clip."""
    deviation = frames.std() * 10 ** (-level / 20)
    noise = rng.standard_normal(frames.shape, dtype=np.float32) * deviation
    return (frames + noise).round().clip(0, 255).astype(np.uint8)


def _blurred(frames: np.ndarray, level: float, *_: object) -> np.ndarray:
    sigma = level / 100 * min(frames.shape[1:3])
    return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])


def _darkened(frames: np.ndarray, level: float, *_: object) -> np.ndarray:
    """Half the light a stop."""
    return (frames * 2 ** (-level / GAMMA)).round().astype(np.uint8)


def _dropped(
    frames: np.ndarray, level: float, processor: OptionalPartsProcessor, rng: np.random.Generator
) -> np.ndarray:
    """Without a share of those that the model would see; one stays."""
    shown = processor.part_for(VIDEO).select(frames)
    kept = max(1, len(shown) - round(level / 100 * len(shown)))
    return shown[np.sort(rng.permutation(len(shown))[:kept])]


def _lost(values: np.ndarray, level: float, _: OptionalPartsProcessor, rng: np.random.Generator) -> np.ndarray:
    """A share of the features was never measured; one stays."""
    count = min(values.shape[1] - 1, round(level / 100 * values.shape[1]))
    values = values.copy()
    values[:, rng.permutation(values.shape[1])[:count]] = np.nan
    return values


def _misheard(text: str, level: float, _: OptionalPartsProcessor, rng: np.random.Generator) -> str:
    """A share of the words was not heard; one stays."""
    words = text.split()
    kept = max(1, len(words) - round(level / 100 * len(words)))
    return " ".join(words[place] for place in np.sort(rng.permutation(len(words))[:kept]))


SHARES = (10.0, 25.0, 50.0, 75.0)

DISTURBANCES = (
    Disturbance("noise in the sound", AUDIO, "dB SNR", (20.0, 10.0, 5.0, 0.0, -5.0), _noisy_sound),
    Disturbance("noise in the pictures", VIDEO, "dB SNR", (20.0, 10.0, 5.0, 0.0, -5.0), _noisy_frames),
    Disturbance("blur", VIDEO, "% of the frame's side (sigma)", (1.0, 2.0, 4.0, 8.0), _blurred),
    Disturbance("darkness", VIDEO, "stops", (1.0, 2.0, 4.0, 6.0), _darkened),
    Disturbance("dropped frames", VIDEO, "% of the frames", SHARES, _dropped),
    Disturbance("lost sensors", PHYSIO, "% of the features", SHARES, _lost),
    Disturbance("lost words", TEXT, "% of the words", SHARES, _misheard),
    Disturbance("missing modalities", None, "% chance of each", SHARES),
)
"""All there are; a model meets those of its modalities."""


class LevelFigures(TypedDict):
    """A metric at a level."""

    level: float
    value: float | None
    """None: it is not defined on these rows."""
    interval: NotRequired[list[float]]
    """95 %, bootstrap of whole clusters."""


class Curve(TypedDict):
    """A disturbance, from its mildest level to its worst."""

    disturbance: str
    modality: NotRequired[str]
    """Absent: all of them."""
    unit: str
    touched: int
    """Of the rows: those that hold what is disturbed."""
    levels: list[LevelFigures]


class RobustnessFound(TypedDict):
    """What `robustness.json` holds."""

    split: str
    task: str
    metric: str
    """A key of `evaluation.metrics.METRICS`."""
    rows: int
    """Those that were judged."""
    of_rows: int
    """Of the split."""
    clusters: str
    """What was drawn for the intervals: "rows", or as "10 participants"."""
    seed: int
    undisturbed: LevelFigures
    """At no level: 0."""
    curves: list[Curve]
    says: NotRequired[str]
    """What could not be said."""


def write_robustness(run: OpenedRun, most: int = ROWS, metric: str | None = None, seed: int = 0) -> RobustnessFound:
    """Judge a run's model again under each disturbance; kept beside it in `robustness.json`.

    Args:
        run: opened.
        most: rows of the split, evenly spread.
        metric: of the main task, a key of `METRICS`; None: the one that its kind is drawn by.
        seed: of the disturbances and the intervals.

    Raises:
        ValueError: a metric that the main task is not judged by, or no row whose truth is known.
    """
    task = run.corpus.targets[0]
    kind = kind_of_target(task)
    metric, known = metric or main_metric(kind), metrics_of(kind)
    if metric not in known:
        raise ValueError(f"metric={metric!r}: {task.name} is judged by {', '.join(known)}.")
    samples = run.some(most)
    met = [each for each in DISTURBANCES if fits(each, run.processor)]
    settings = [(None, 0.0), *((each, level) for each in met for level in each.levels)]
    kept, touched, logits = [], dict.fromkeys(met, 0), {setting: [] for setting in settings}
    for batch in _batches(usable(samples)):
        kept += [index for index, _ in batch]
        for each, level in settings:
            changed = [
                sample if each is None else disturbed(sample, each, level, run.processor, [seed, index])
                for index, sample in batch
            ]
            logits[each, level].append(_logits(run, changed))
        for each in met:
            touched[each] += sum(_touches(each, sample) for _, sample in batch)
    references = task.values(samples.rows)[kept]
    rows = known_rows(kind, references)
    if not rows.any():
        raise ValueError(f"{run.corpus.name}: no {run.split} row has a known {task.name}: nothing can be judged.")
    clusters = run.clusters(samples, kept).take(rows)
    fitted = cast("Mapping[str, Calibration]", run.model.config.calibration or {})
    calibration = fitted.get(task.name)

    def figures(each: Disturbance | None, level: float) -> LevelFigures:
        outputs = np.concatenate(logits[each, level])[rows]
        answers = from_outputs(kind, references[rows], outputs, task.classes, calibration)
        value = float(METRICS[metric].of(Draws(answers))[0])
        found: LevelFigures = {"level": level, "value": value if np.isfinite(value) else None}
        if len(clusters) > 1:
            drawn = METRICS[metric].of(Draws(answers, seed, groups=clusters.ids))
            if ends := interval(drawn, groups=None if clusters.by == "row" else len(clusters)):
                found["interval"] = ends
        return found

    def curve(each: Disturbance) -> Curve:
        found: Curve = {
            "disturbance": each.name,
            "unit": each.unit,
            "touched": touched[each],
            "levels": [figures(each, level) for level in each.levels],
        }
        if each.modality:
            found["modality"] = each.modality
        return found

    found: RobustnessFound = {
        "split": run.split,
        "task": task.name,
        "metric": metric,
        "rows": int(rows.sum()),
        "of_rows": len(run.samples),
        "clusters": str(clusters),
        "seed": seed,
        "undisturbed": figures(None, 0.0),
        "curves": [curve(each) for each in met if touched[each]],
    }
    if not found["curves"]:
        found["says"] = "What the model takes was encoded before, and cannot be disturbed any more."
    return run.write(ROBUSTNESS_FILE, found)


def fits(each: Disturbance, processor: OptionalPartsProcessor) -> bool:
    """Whether a model can meet a disturbance, by the processor's modalities."""
    if each.modality is None:
        return len(processor.modalities) > 1
    if each.modality not in processor.modalities:
        return False
    return each.change is not _dropped or processor.part_for(VIDEO).num_frames > 1


def disturbed(
    sample: dict, each: Disturbance, level: float, processor: OptionalPartsProcessor, seed: list[int]
) -> dict:
    """A sample, and the turns around it, with a disturbance.

    Args:
        sample: as a `SampleDataset` gives it; it stays as it is.
        each: which one.
        level: one of its levels, or any other in its unit.
        processor: of the model.
        seed: of the draws, which go by modality and level too.
    """
    rng = np.random.default_rng([*seed, DISTURBANCES.index(each)])  # a worse level loses what a milder one has lost
    changed = _changed(sample, each, level, processor, rng)
    for name in ("history", "following"):
        if sample.get(name):
            changed[name] = [_changed(turn, each, level, processor, rng) for turn in sample[name]]
    return changed


def _changed(
    sample: dict, each: Disturbance, level: float, processor: OptionalPartsProcessor, rng: np.random.Generator
) -> dict:
    if each.change is not None:
        value = sample.get(each.modality)
        return sample | ({each.modality: each.change(value, level, processor, rng)} if _touches(each, sample) else {})
    held = [name for name in MODALITIES if sample.get(name) is not None]
    draws = rng.random(len(held))
    lost = [name for name, draw in zip(held, draws, strict=True) if draw < level / 100]
    if held and len(lost) == len(held):
        lost.remove(held[int(draws.argmax())])  # one stays
    return sample | dict.fromkeys(lost)


def _touches(each: Disturbance, sample: dict) -> bool:
    """Whether a sample holds what is disturbed, as it was recorded."""
    if each.modality is None:
        return sum(sample[name] is not None for name in MODALITIES) > 1
    return isinstance(sample.get(each.modality), np.ndarray | str)


@torch.no_grad()
def _logits(run: OpenedRun, samples: list[dict]) -> np.ndarray:
    """Of the main task, (samples, labels)."""
    return run.model(**inputs_of(run.model, run.processor, samples)).logits.float().cpu().numpy()


def _batches(samples: Iterator[tuple[int, dict]]) -> Iterator[list[tuple[int, dict]]]:
    """`BATCH` at a time."""
    while batch := list(itertools.islice(samples, BATCH)):
        yield batch
