"""A folder judged by two processes of one thread, against one process of one thread.

    python benchmarks/predicting.py [--clips N] [--rounds N] [--output FILE]

Clips of 3 s at 640 x 360, the ensemble with BERT-base and CLIP ViT-B/32 (random weights serve). What is measured is
the command, and the judging alone: the command without what it takes to judge as many clips as there are processes,
which is the start of Python and the loading of the model. Time is the clock's: nothing else should be running. Where
something is, read the goal by the processor's time, which is that of a process where two share the work evenly.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Goal, Times, parser_of, ratio, report, table
from pipeline_overhead import QUICK, make_parts
from sample_media import write_clip

ROOT = Path(__file__).resolve().parents[1]
COUNTS = (1, 2)


def main(arguments: list[str] | None = None) -> None:
    """Judge the folder by one process and by two, round by round."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--clips", type=int, default=120, help="default: 120")
    options = parser.parse_args(arguments)
    clips, rounds = (6, 1) if options.quick else (options.clips, options.rounds)
    times: Times = {}
    with tempfile.TemporaryDirectory() as name:
        folder, (size, seconds) = Path(name), (((160, 96), 1) if options.quick else ((640, 360), 3))
        for part in make_parts(QUICK if options.quick else {}):
            part.save_pretrained(folder / "model")
        clip = write_clip(folder / "clip.mp4", seconds=seconds, size=size)
        for kind, count in (("few", max(COUNTS)), ("all", clips + max(COUNTS))):
            (folder / kind).mkdir()
            for number in range(count):
                os.link(clip, folder / kind / f"{number:04d}.mp4")
        for _ in range(rounds):
            for count in COUNTS:
                start, whole = (_seconds(folder / kind, folder, count) for kind in ("few", "all"))
                each = {"judging alone": whole[0] - start[0], "the command": whole[0]}
                each["processor of judging, a process"] = (whole[1] - start[1]) / count
                for what, spent in each.items():
                    times.setdefault(f"{what}, {count} process(es)", []).append(spent)
    one, two = (f"judging alone, {count} process(es)" for count in COUNTS)
    goals = [
        Goal(
            f"{what}: one process over two", ratio(times, *(f"{what}, {n} process(es)" for n in COUNTS)), at_least=1.8
        )
        for what in ("judging alone", "processor of judging, a process")
    ]
    report(f"{clips} clips judged, one thread a process", table(times, two, "s"), goals, options.output, times=times)


def _seconds(clips: Path, folder: Path, processes: int) -> tuple[float, float]:
    """s of the command by the clock, and of the processor in all of its processes."""
    command = [sys.executable, "-m", "affecthub.hub.cli", "predict", str(clips), "--model", str(folder / "model")]
    command += ["--device=cpu", "--format=csv", f"--output={folder / 'out.csv'}", f"--processes={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(folder / "hf")}
    begin, spent = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begin, now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime


if __name__ == "__main__":
    main()
