"""A batch of 64 clips of 3 s -> log-mel features, against librosa in a loop.

    python benchmarks/log_mel.py [--threads N] [--output FILE]

Both compute in one thread, and time is that of the processor; with several threads, for ours alone, the clock's.
"""

import os
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is loaded

import librosa
import numpy as np
import torch
from measure import Goal, parser_of, ratio, report, table, time_paired

from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor

RATE = 16_000
SECONDS = 3


def main(arguments: list[str] | None = None) -> None:
    """Time both, and compare what they give."""
    parser = parser_of(__doc__, rounds=15)
    parser.add_argument("--threads", type=int, default=1, help="for ours; default: 1")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    count = 2 if options.quick else 64
    clips = [(0.1 * rng.normal(size=SECONDS * RATE)).astype(np.float32) for _ in range(count)]
    extractor = LogMelFeatureExtractor(normalization="fixed", trim_db=None, mean=0.0, std=1.0)

    def ours() -> np.ndarray:
        return extractor(clips, sampling_rate=RATE, return_tensors="np")["input_features"]

    def loop() -> np.ndarray:
        return np.stack([_librosa(clip, extractor) for clip in clips])

    difference = float(np.abs(ours() - loop()).max())
    rounds = 1 if options.quick else options.rounds
    clock = time.process_time if options.threads == 1 else time.perf_counter
    times = time_paired({"affecthub": ours, "librosa, in a loop": loop}, rounds, clock)
    goals = [
        Goal("librosa's time over ours", ratio(times, "librosa, in a loop", "affecthub"), at_least=5),
        Goal("largest difference, dB", difference, at_most=1e-4),
    ]
    title = f"log-mel of {count} clips of {SECONDS} s, {options.threads} thread(s)"
    report(title, table(times, "affecthub"), goals, options.output, times=times)


def _librosa(clip: np.ndarray, extractor: LogMelFeatureExtractor) -> np.ndarray:
    """Log-mel power (frames, mel bands) in dB."""
    mel = librosa.feature.melspectrogram(
        y=clip, sr=RATE, n_fft=extractor.n_fft, hop_length=extractor.hop_length, n_mels=extractor.feature_size
    )
    return librosa.power_to_db(mel, top_db=None).T


if __name__ == "__main__":
    main()
