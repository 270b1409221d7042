"""What a model costs to run: parameters, size, operations, time and memory of a clip, on the machine at hand."""

import timeit
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from affecthub.insight.opened import load
from affecthub.media.for_processor import shorter_side
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.modalities import AUDIO, MODALITIES, PHYSIO, TEXT, VIDEO
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.encoder_cache.samples import encode_samples
from affecthub.training.environment import hardware

WORDS = "well i never thought that you would come all this way to see me today"
"""What is said in the clip that is timed."""

SECONDS = 3.0
"""s of it; as long as an utterance of MELD is on average."""

CLEAR_PEAK = Path("/proc/self/clear_refs")
"""Where Linux takes a 5, to count the highest memory of a process from now on."""


MEASURED, FEWEST, MOST = 0.5, 5, 100
"""s of calls that are timed, and how many they are at least and at most."""


class BatchCost(TypedDict):
    """A batch of clips, from decoded frames and samples to scores."""

    batch: int
    processor_ms: float
    """Median time of the processor, ms a batch."""
    model_ms: float
    """Median time of the model, ms a batch."""
    model_ms_quartiles: list[float]
    clips_per_second: float
    real_time_factor: float
    """s of work for 1 s of a clip; below 1 it keeps pace."""
    peak_mib: NotRequired[float]
    """MiB that the model took at most above what the process held before; absent where the system cannot say."""


class Cost(TypedDict):
    """Of one model folder."""

    parameters: int
    size_mb: float
    """Of its weights' files, 10^6 bytes."""
    gflops: float
    """10^9 floating point operations of one clip, a multiplication and an addition counted apart."""
    batches: list[BatchCost]
    clip_seconds: float
    hardware: str
    threads: int


def measure_cost(folder: str | Path, batches: Sequence[int] = (1, 8), seconds: float = SECONDS) -> Cost:
    """Load a model folder and time it on a made clip that holds all of its modalities.

    Args:
        folder: of the model.
        batches: clips at once.
        seconds: of a clip.
    """
    model, processor = load(folder)
    sample = made_sample(processor, seconds)
    with torch.inference_mode():
        held = _held(model.device)
        costs = [_cost_of_batch(model, processor, [sample] * count, seconds, held) for count in batches]
        inputs = encode_samples(processor, [sample]).to(model.device)
        with FlopCounterMode(display=False) as counter:
            model(**inputs)
    files = Path(folder).glob("*.safetensors")
    return {
        "parameters": model.num_parameters(),
        "size_mb": round(sum(file.stat().st_size for file in files) / 1e6, 2),
        "gflops": round(counter.get_total_flops() / 1e9, 4),
        "batches": costs,
        "clip_seconds": seconds,
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
    }


def made_sample(processor: OptionalPartsProcessor, seconds: float = SECONDS, seed: int = 0) -> dict[str, object]:
    """A sample of noise that holds every modality that a processor takes, as its `encode` takes it.

    Args:
        processor: of the model.
        seconds: of the clip.
        seed: of the noise.
    """
    rng, rate = np.random.default_rng(seed), processor.sampling_rate or 0
    made = {
        TEXT: lambda: WORDS,
        AUDIO: lambda: rng.normal(0, 0.1, (round(seconds * rate),)).astype(np.float32),
        VIDEO: lambda: _made_frames(processor, rng),
        PHYSIO: lambda: rng.normal(size=(1, len(processor.part_for(PHYSIO).feature_names))).astype(np.float32),
    }
    return {name: made[name]() if name in processor.modalities else None for name in MODALITIES}


def _made_frames(processor: OptionalPartsProcessor, rng: np.random.Generator) -> np.ndarray:
    video = processor.part_for(VIDEO)
    side = shorter_side(video.size)
    return rng.integers(0, 256, (video.num_frames, side, side, 3), dtype=np.uint8)


def _cost_of_batch(
    model: AffectPreTrainedModel, processor: OptionalPartsProcessor, samples: list[dict], seconds: float, held: float
) -> BatchCost:
    """`held`: MiB of the process before the first pass."""
    inputs = encode_samples(processor, samples).to(model.device)
    peak = _peak_of(lambda: model(**inputs), model.device)
    prepared = np.median(_times(lambda: encode_samples(processor, samples)))
    times = _times(lambda: model(**inputs).logits.cpu())
    whole = prepared + np.median(times)
    cost: BatchCost = {
        "batch": len(samples),
        "processor_ms": round(1e3 * prepared, 3),
        "model_ms": round(1e3 * np.median(times), 3),
        "model_ms_quartiles": (1e3 * np.quantile(times, [0.25, 0.75])).round(3).tolist(),
        "clips_per_second": round(len(samples) / whole, 2),
        "real_time_factor": round(whole / (len(samples) * seconds), 5),
    }
    if peak is not None:
        cost["peak_mib"] = round(max(0.0, peak - held), 1)
    return cost


def _times(call: Callable[[], object]) -> np.ndarray:
    """s of each of some calls, of which the first, that warms up, is none."""
    call()
    first = timeit.timeit(call, number=1)
    return np.array(timeit.repeat(call, number=1, repeat=int(np.clip(MEASURED / first, FEWEST, MOST))))


def _held(device: torch.device) -> float:
    """MiB that the model's process, or the GPU, holds now."""
    of = torch.cuda.memory_allocated() if device.type == "cuda" else psutil.Process().memory_info().rss
    return of / 2**20


def _peak_of(call: Callable[[], object], device: torch.device) -> float | None:
    """MiB that are held at the highest moment of a call; None where the system does not tell."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        CLEAR_PEAK.write_text("5")
    except OSError:
        return None
    call()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 2**10
