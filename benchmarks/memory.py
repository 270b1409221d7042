"""Peak memory of a prediction on videos of 1, 10 and 60 minutes, each in a process of its own.

    python benchmarks/memory.py [--output FILE]

The ensemble at tiny size, windows of 5 s; the videos are one rendered minute, repeated. On Linux only: the peak is
that of /proc, because `getrusage` would hand a child the peak of its parent.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from measure import Goal, report
from pipeline_overhead import QUICK, make_pipeline
from sample_media import repeat_clip, write_clip

MINUTES = (1, 10, 60)
SIZE = (160, 90)
"""px; memory per frame is no matter here, and decoding takes a while."""


def main() -> None:
    """Measure every length, or, as the child of such a run, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=MINUTES, help=f"default: {MINUTES}")
    parser.add_argument("--output", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--one", type=Path, help="predict on this file and print the peak in MiB")
    options = parser.parse_args()
    if options.one:
        print(*_predict(options.one))
        return
    with tempfile.TemporaryDirectory() as folder:
        minute = write_clip(Path(folder) / "minute.mp4", seconds=60, size=SIZE, preset="ultrafast")
        rows = [_measure(minute, Path(folder) / f"{count}.mp4", count) for count in options.minutes]
    figures = pd.DataFrame(rows)
    growth = float(figures["peak MiB"].max() / figures["peak MiB"].iloc[0])
    goals = [Goal("largest peak over that of the shortest video", growth, at_most=1.1)]
    report("memory of a prediction", figures, goals, options.output)


def _measure(minute: Path, path: Path, count: int) -> dict[str, int | float]:
    """Windows and peak of `count` minutes."""
    command = [sys.executable, __file__, "--one", repeat_clip(minute, path, count)]
    windows, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:]
    return {"minutes": count, "windows": int(windows), "peak MiB": float(peak)}


def _predict(path: Path) -> tuple[int, float]:
    """How many windows were judged, and the peak of this process's resident memory, MiB."""
    pipe = make_pipeline(QUICK)
    windows = sum(1 for _ in pipe.stream(path, window_seconds=5))
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return windows, round(int(peak[1]) / 1024, 1)


if __name__ == "__main__":
    main()
