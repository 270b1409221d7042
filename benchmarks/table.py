"""Peak memory and time of reading a table of labelled texts, and of dividing its rows by participant.

    python benchmarks/table.py [--rows 100000 1000000 10000000] [--output FILE]

The table is written for it: a text, one of 1,000 participants and one of three labels a row. A peak is that of
the process that reads, from the operating system; a first one reads 1,000 rows, which says what the libraries take.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from measure import Goal, report

SMALLEST = 1000
LABELS = ("joy", "anger", "calm")


def main() -> None:
    """Measure every length, or, as the child of such a run, read one table."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--output", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--one", type=Path, help="read this table, and print the peaks")
    options = parser.parse_args()
    if options.one:
        read(options.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = pd.DataFrame([_measure(Path(folder), rows) for rows in (SMALLEST, *options.rows)])
    base, most = figures["peak MiB, read"].iloc[0], figures["peak MiB, read"].iloc[-1]
    goals = [Goal(f"peak of {options.rows[-1]:,} rows over that of {SMALLEST:,}", most / base, at_most=1.5)]
    report("a table, by its rows", figures, goals, options.output)


def read(table: Path) -> None:
    """Read a table, then divide it, and print peak MiB and s of both."""
    from affecthub.datasets_scripts.clips.corpus import Clips
    from affecthub.datasets_scripts.corpus import load_corpus

    data, begin = Clips(root=str(table)), time.perf_counter()
    for work in (lambda: data.build(["text"]), lambda: load_corpus(data, ["text"])):
        work()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.perf_counter() - begin)


def _measure(folder: Path, rows: int) -> dict[str, float]:
    table = folder / f"{rows}.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["text", "participant", "label"])
        lines.writerows([f"some words of a person {i}", f"p{i % 1000}", LABELS[i % 3]] for i in range(rows))
    environment = os.environ | {"AFFECTHUB_CACHE": str(folder / "cache")}
    command = [sys.executable, __file__, "--one", str(table)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    (peak, seconds), (divided, _) = (map(float, line.split()) for line in done.stdout.splitlines()[-2:])
    table.unlink()
    return {"rows": rows, "peak MiB, read": peak, "s, read": seconds, "peak MiB, divided too": divided}


if __name__ == "__main__":
    main()
