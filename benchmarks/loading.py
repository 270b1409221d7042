"""Loading for training with two workers, against two plain processes that decode the same samples for nobody.

    python benchmarks/loading.py [--output FILE]

Both sides decode and encode the same batches of 3 s clips at 640 x 360, half of them in each of two processes of one
thread; the loader also hands them over to this process. Time is that of the clock, so nothing else should be running.
"""

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset
from measure import Goal, parser_of, ratio, report, table, time_paired
from sample_media import write_clip
from torch.utils.data import DataLoader

from affecthub.datasets_scripts.corpus import SINGLE, Target
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.processing_trimodal import TrimodalProcessor
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor
from affecthub.training.augmentation import SpecAugment
from affecthub.training.clips import ClipDataset
from affecthub.training.collator import Collator

WORKERS = 2
BATCH = 8
OURS = f"the loader, {WORKERS} workers"
PLAIN = f"{WORKERS} processes without a loader"


def main(arguments: list[str] | None = None) -> None:
    """Time an epoch of both."""
    options = parser_of(__doc__, rounds=7).parse_args(arguments)
    count = 2 * WORKERS if options.quick else 64
    batch = 1 if options.quick else BATCH
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4", seconds=1 if options.quick else 3)
        samples, collate = _samples(clip, count)
        loader = DataLoader(samples, batch, collate_fn=collate, num_workers=WORKERS)
        candidates = {OURS: lambda: sum(1 for _ in loader), PLAIN: lambda: _decode_apart(samples, collate, batch)}
        times = time_paired(candidates, 1 if options.quick else options.rounds)
    figures = table(times, OURS, "s")
    figures["clips a second"] = (count / figures["median s"]).round(1)
    goals = [Goal("the loader's throughput over that without it", ratio(times, PLAIN, OURS), at_least=0.9)]
    report(f"{count} clips for training", figures, goals, options.output, times=times)


def _samples(clip: Path, count: int) -> tuple[ClipDataset, Collator]:
    """One clip `count` times, and what makes batches of it."""
    processor = TrimodalProcessor(
        video_processor=ClipFramesVideoProcessor(), feature_extractor=LogMelFeatureExtractor()
    )
    row = {"text": None, "audio_path": str(clip), "video_path": str(clip), "emotion": 0}
    row |= {"audio_present": True, "video_present": True}
    rows = Dataset.from_list([row | {"key": str(number)} for number in range(count)])
    target = Target("emotion", "emotion", ["neutral", "joy"], SINGLE)
    return ClipDataset(rows, (target,), processor), Collator(processor, SpecAugment())


def _decode_apart(samples: ClipDataset, collate: Collator, batch: int) -> None:
    """Batch after batch, shared out as the loader does, and dropped."""
    shares = [range(rank * batch, len(samples), WORKERS * batch) for rank in range(WORKERS)]
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork")) as pool:
        list(pool.map(partial(_decode, samples, collate, batch), shares))


def _decode(samples: ClipDataset, collate: Collator, batch: int, starts: range) -> None:
    torch.set_num_threads(1)  # as the loader's workers
    for start in starts:
        collate([samples[index] for index in range(start, min(start + batch, len(samples)))])


if __name__ == "__main__":
    main()
