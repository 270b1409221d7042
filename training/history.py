"""What a run went through, epoch by epoch: losses, metrics, learning rates, seconds and memory."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import psutil
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from affecthub.evaluation.runs import HISTORY_FILE
from affecthub.media.files import replacing

SUMMARY = "train_runtime"
"""In the last entry of a Trainer's log, which is of the whole run."""


class EpochCosts(TrainerCallback):
    """Measures what an epoch of learning takes of the process."""

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def until_now(self) -> dict[str, float]:
        """`seconds` since the epoch began, and `memory_mib`: of a GPU the most that the epoch held, of a CPU what the
        process holds now."""
        gpu = torch.cuda.is_available()
        held = torch.cuda.max_memory_allocated() if gpu else psutil.Process().memory_info().rss
        return {"seconds": round(time.perf_counter() - self._began, 3), "memory_mib": round(held / 2**20, 1)}


def history_of(log: Iterable[Mapping[str, float]]) -> pd.DataFrame:
    """A row an epoch, with what a Trainer's log holds of it.

    Args:
        log: `trainer.state.log_history`.

    Returns:
        epoch, from 1; loss, grad_norm, learning_rate, lr_encoders..., seconds and memory_mib of the learning;
        eval_loss and the metrics on validation, each with eval_ before its name.
    """
    epochs: dict[int, dict[str, float]] = {}
    for entry in log:
        if SUMMARY not in entry:
            epoch = round(entry["epoch"])
            epochs.setdefault(epoch, {"epoch": epoch}).update(
                {name: value for name, value in entry.items() if name not in ("epoch", "step")}
            )
    return pd.DataFrame(list(epochs.values()))


def write_history(log: Iterable[Mapping[str, float]], folder: Path) -> None:
    """Write `history.parquet` into a run's folder, whole or not at all."""
    with replacing(folder / HISTORY_FILE) as temporary:
        history_of(log).to_parquet(temporary)
