"""Candidates timed side by side: round by round in one process, so that a busy moment meets all of them alike."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from affecthub.media.files import write_file

Times = dict[str, list[float]]
"""Candidate -> s of each round."""


@dataclass(frozen=True)
class Goal:
    """A figure and what it should be."""

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the figure lies within its bounds."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def __str__(self) -> str:
        bound = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        return f"{self.what}: {self.value:.3g} (goal: {bound}) {'met' if self.met else 'MISSED'}"


def parser_of(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has: --rounds, --quick and --output.

    Args:
        doc: the script's docstring, whose first line is the help's; None: Python was told to drop it.
        rounds: default of --rounds.
    """
    parser = argparse.ArgumentParser(description=doc and doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    parser.add_argument("--quick", action="store_true", help="small and once: only to see that it runs")
    parser.add_argument("--output", type=Path, help="write the figures here, as JSON")
    return parser


def time_paired(
    candidates: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Time each candidate once a round, after one call that is not timed; each round begins with another one.

    Args:
        candidates: name -> what to time.
        rounds: at least 1.
        clock: s; for work of one thread, `time.process_time` does not count what other processes took of the core.
    """
    names = list(candidates)
    for name in names:
        candidates[name]()
    times: Times = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            begin = clock()
            candidates[name]()
            times[name].append(clock() - begin)
    return times


def ratio(times: Times, one: str, other: str) -> float:
    """How many times as long `one` takes as `other`: the median over the rounds of each round's ratio."""
    return float(np.median(np.divide(times[one], times[other])))


def table(times: Times, ours: str, unit: str = "ms") -> pd.DataFrame:
    """Median, quartiles and the ratio to `ours` of each candidate; `unit` is "ms" or "s"."""
    scale = {"ms": 1000.0, "s": 1.0}[unit]
    quartiles = {name: np.percentile(values, [50, 25, 75]) * scale for name, values in times.items()}
    return pd.DataFrame(
        [
            {
                "": name,
                f"median {unit}": round(median, 2),
                "quartiles": f"{low:.4g} to {high:.4g}",
                "times ours": round(ratio(times, name, ours), 2),
            }
            for name, (median, low, high) in quartiles.items()
        ]
    )


def machine() -> dict[str, str | int | float | None]:
    """What the figures were measured on, and how busy it was (load: processes that wanted a core, last minute)."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "av", "opencv-python-headless", "librosa")},
        "load": round(psutil.getloadavg()[0], 1),
    }


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def report(
    title: str,
    figures: pd.DataFrame,
    goals: list[Goal],
    output: Path | None,
    *,
    times: Times | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Print a table, its goals and the machine, and write them with every single time.

    Args:
        title: of the benchmark.
        figures: the table.
        goals: what should have come out.
        output: JSON file; None writes nothing.
        times: of the rounds, s.
        notes: what a reader has to know, such as a library that was left out and why.
    """
    facts = machine()
    print(f"\n## {title}\n\n{figures.to_string(index=False)}\n")
    for line in (*goals, *(f"{name}: {note}" for name, note in (notes or {}).items())):
        print(f"- {line}")
    print(f"- machine: {', '.join(f'{name} {value}' for name, value in facts.items())}")
    if output is not None:
        content = {
            "title": title,
            "machine": facts,
            "figures": figures.to_dict("records"),
            "goals": [asdict(goal) | {"met": goal.met} for goal in goals],
            "seconds": times or {},
            "notes": dict(notes or {}),
        }
        write_file(output, (json.dumps(content, indent=2) + "\n").encode())
