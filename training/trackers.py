"""Trackers of experiments: whether they can be used, and what they get beyond what a Trainer logs as it learns.

Losses, metrics and rates of each epoch go to any tracker that transformers knows, by its own callback. Once a model is
judged, TensorBoard and Weights & Biases also get the final figures and the pictures of its card.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import Trainer, TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    WandbCallback,
    get_available_reporting_integrations,
)

from affecthub.evaluation.results import Results
from affecthub.evaluation.scores import headline
from affecthub.media.pictures import read_image

KEYS = {"comet_ml": "COMET_API_KEY", "neptune": "NEPTUNE_API_TOKEN"}
"""Tracker -> the variable of the environment without which it refuses to start."""


def check_trackers(names: Sequence[str]) -> None:
    """ValueError for a tracker whose library is not installed, or that nobody has logged in to."""
    available = get_available_reporting_integrations() if names else []
    for name in names:
        if name in KEYS and not os.environ.get(KEYS[name]):
            raise ValueError(f"training.report_to: {name} needs its key: set {KEYS[name]}, or leave it out.")
        if name not in available:
            raise ValueError(f"training.report_to: {name} is not installed: install its package, or leave it out.")
        if name == "wandb" and not _wandb_can_start():
            raise ValueError(
                "training.report_to: wandb has no login: run `wandb login`, set WANDB_MODE=offline, or leave it out."
            )


def _wandb_can_start() -> bool:
    import wandb  # pyright: ignore[reportMissingImports]

    return os.environ.get("WANDB_MODE") in ("offline", "disabled") or bool(wandb.api.api_key)


def tell_trackers(trainer: Trainer, results: Results, model_folder: Path) -> None:
    """Give the trackers of a run the final figures of every split and task, and the pictures of its card.

    Args:
        trainer: of the run, after its training.
        results: of it.
        model_folder: where the pictures are.
    """
    figures = {
        f"final/{split}/{task}/{name}": value
        for split, tasks in results["results"].items()
        for task, scores in tasks.items()
        for name, value in headline(scores).items()
    }
    pictures = {f"final/{path.stem}": path for path in sorted(model_folder.glob("*.png"))}
    for callback in trainer.callback_handler.callbacks:
        for kind, tell in TELL.items():
            if isinstance(callback, kind):
                tell(callback, trainer, figures, pictures)


def _tell_tensorboard(
    callback: TensorBoardCallback, trainer: Trainer, figures: dict[str, float], pictures: dict[str, Path]
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(log_dir=callback.logging_dir) as writer:  # the callback has closed its own
        for name, value in figures.items():
            writer.add_scalar(name, value, trainer.state.global_step)
        for name, path in pictures.items():
            writer.add_image(name, read_image(path), trainer.state.global_step, dataformats="HWC")


def _tell_wandb(
    callback: WandbCallback, trainer: Trainer, figures: dict[str, float], pictures: dict[str, Path]
) -> None:
    import wandb  # pyright: ignore[reportMissingImports]

    if wandb.run is not None:
        wandb.run.summary.update(figures)
        wandb.run.log({name: wandb.Image(str(path)) for name, path in pictures.items()})


TELL: dict[type[TrainerCallback], Callable] = {TensorBoardCallback: _tell_tensorboard, WandbCallback: _tell_wandb}
