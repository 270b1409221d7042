"""Peak memory of a prediction and of a preparation, on videos of 1, 10 and 60 minutes.

    python benchmarks/memory.py [--of prediction preparation] [--minutes 1 10 60] [--rounds N] [--output FILE]

Predicted on: one rendered minute, repeated, by the ensemble at tiny size, in windows of 5 s. Prepared: one recording
of the synthetic study, with its sensor export and the other tables of all five; a row a second, faces not cropped. A
peak is that of all processes of a command together, each at its own highest, from /proc: so on Linux only. The table
holds medians of the rounds.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
from measure import Goal, report
from pipeline_overhead import QUICK, make_parts
from sample_media import repeat_clip, write_clip

from affecthub.datasets_scripts.synthetic.study import render_sample_genex
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline

MINUTES = (1, 10, 60)
SIZE = (160, 90)
"""px; memory per frame is no matter here, and decoding takes a while."""


def main() -> None:
    """Measure every length, or, as the child of such a run, judge one file."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--of", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="default: both")
    parser.add_argument("--minutes", type=int, nargs="+", default=MINUTES, help=f"default: {MINUTES}")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--output", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--one", type=Path, help="predict on this file, and measure nothing")
    options = parser.parse_args()
    if options.one:
        model, processor = make_parts(QUICK)
        pipe = AffectRecognitionPipeline(model, processor=processor, device="cpu")
        sum(1 for _ in pipe.stream(options.one, window_seconds=5))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            {"of": name, "minutes": count} | _measure(COMMANDS[name](Path(folder), count), Path(folder))
            for name in options.of
            for count in options.minutes
            for _ in range(options.rounds)
        ]
    figures = pd.DataFrame(rows).groupby(["of", "minutes"], sort=False, as_index=False).median().round(1)
    goals = []
    for name in options.of:
        peaks = figures["peak MiB"].loc[figures["of"] == name]
        growth = float(peaks.max() / peaks.iloc[0])
        goals.append(Goal(f"{name}: largest peak over that of the shortest video", growth, at_most=1.1))
    report("memory, by length of the video", figures, goals, options.output)


def _prediction(folder: Path, minutes: int) -> list[str]:
    """The command that judges so many minutes."""
    minute = folder / "minute.mp4"
    if not minute.is_file():
        write_clip(minute, seconds=60, size=SIZE, preset="ultrafast")
    return [__file__, "--one", str(repeat_clip(minute, folder / f"{minutes}.mp4", minutes))]


def _preparation(folder: Path, minutes: int) -> list[str]:
    """The command that prepares a recording of so many minutes."""
    study = render_sample_genex(folder / "studies", seconds=60 * minutes, recordings=1)
    for pattern in ("*.mp4", "Sensor Data/*.csv"):
        for path in sorted(study.glob(pattern))[1:]:
            path.unlink()
    command = ["-m", "affecthub.hub.cli", "prepare", "genex", str(study), tempfile.mkdtemp(dir=folder)]
    return [*command, "--no-crop-faces", "--time-limit=600"]


COMMANDS = {"prediction": _prediction, "preparation": _preparation}


def _measure(command: list[str], folder: Path) -> dict[str, float]:
    """s and peak memory of a command of Python, whose caches are empty."""
    peaks: dict[int, float] = {}
    environment = os.environ | {name: tempfile.mkdtemp(dir=folder) for name in ("AFFECTHUB_CACHE", "HF_HOME")}
    quiet = subprocess.DEVNULL
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], env=environment, stdout=quiet, stderr=quiet) as process:
        while process.poll() is None:
            for pid in _family(process.pid):
                peaks[pid] = max(peaks.get(pid, 0.0), _highest(pid))
            time.sleep(0.05)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"s": round(time.perf_counter() - begin, 1), "peak MiB": round(sum(peaks.values()), 1)}


def _family(pid: int) -> list[int]:
    """A process and all that came from it."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _highest(pid: int) -> float:
    """MiB that a process has held at most until now; 0 where it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
