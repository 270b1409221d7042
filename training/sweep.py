"""A recipe, trained for each fold, several seeds and shares of the people.

Every run has a folder of its own, and what is complete is kept. The runs are processes of their own, one after
another; under `accelerate launch` each process of the launch takes its share of them, on a GPU of its own where there
are any.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate.utils import get_int_from_env
from tqdm.auto import tqdm

from affecthub.datasets_scripts.corpus import fold_names
from affecthub.evaluation.runs import ENVIRONMENT_FILE
from affecthub.media.files import alone
from affecthub.media.processes import PARENT
from affecthub.training.checkpoints import CHECKPOINTS, newest_checkpoint
from affecthub.training.from_recipe import modalities_of
from affecthub.training.launch import ASKED
from affecthub.training.recipe import Recipe, load_recipe, write_recipe

SWEEP_FILE = "sweep.yaml"
"""In a sweep's folder: the recipe that all of its runs share."""

OF_LAUNCH = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_", "ACCELERATE_", "FSDP_")
"""How names of the environment begin by which a launch tells its processes of each other; a run is alone."""


OF_SWEEP = {
    "--split.fold": "--folds",
    "--split.share": "--shares",
    "--training.seed": "--seeds",
    "--output_dir": "--output-dir",
}
"""Options of a run that a sweep sets, and by which of its own."""


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep."""

    fold: int
    seed: int
    folder: Path
    share: float = 1.0

    @property
    def complete(self) -> bool:
        """Whether everything that a run leaves is there; its model's folder is renamed to its place at the end."""
        return (self.folder / ENVIRONMENT_FILE).is_file() and (self.folder / "model" / "metrics.json").is_file()


class SweepError(ValueError):
    """Some runs failed; which ones, and where to read why."""


def sweep(
    name: str,
    options: Sequence[str],
    folder: Path,
    folds: Sequence[int] | None,
    seeds: Sequence[int],
    shares: Sequence[float] = (1.0,),
) -> None:
    """Train what is not complete yet; every process of a launch does its share.

    Args:
        name: of the recipe, or its file.
        options: that override it, as `--data.root=PATH`.
        folder: for all runs.
        folds: which ones judge in turn; None: all that the protocol makes.
        seeds: of the training.
        shares: of the people who learn, as `SplitOptions.share`.

    Raises:
        OSError: another sweep is at work in the folder.
        ValueError: the folder holds runs of another recipe; a fold that there is not.
        SweepError: runs failed; all others were trained.
    """
    if wrong := [option for option in options if option.partition("=")[0] in OF_SWEEP]:
        raise ValueError(f"{wrong[0]}: a sweep sets it for each run; use {OF_SWEEP[wrong[0].partition('=')[0]]}.")
    recipe = load_recipe(name, *options)
    process, processes = int(os.environ.get("RANK", 0)), get_int_from_env(ASKED, 1)
    with alone(folder, "sweeps") if process == 0 else nullcontext():
        _sweep(recipe, name, options, folder, planned(recipe, folder, folds, seeds, shares), process, processes)


def _sweep(
    recipe: Recipe,
    name: str,
    options: Sequence[str],
    folder: Path,
    runs: Sequence[SweptRun],
    process: int,
    processes: int,
) -> None:
    keep_recipe(recipe, folder)
    mine = runs[process::processes]
    open_runs = [run for run in mine if not run.complete]
    failed = []
    for run in tqdm(open_runs, desc="sweep", unit="run", initial=len(mine) - len(open_runs), total=len(mine)):
        if train(run, name, options):
            failed.append(run)
    if failed:
        named = ", ".join(f"{run.folder} ({_last_line(run)})" for run in failed)
        raise SweepError(f"{len(failed)} of {len(mine)} runs failed: {named}; the same command tries them again.")


def planned(
    recipe: Recipe,
    folder: Path,
    folds: Sequence[int] | None,
    seeds: Sequence[int],
    shares: Sequence[float] = (1.0,),
) -> list[SweptRun]:
    """The runs of a sweep, whose arguments are those of `sweep`: seed by seed, and the whole of the people first."""
    count = len(fold_names(recipe.data, modalities_of(recipe.model), recipe.split))
    wanted = list(range(count)) if folds is None else list(folds)
    if wrong := [fold for fold in wanted if not 0 <= fold < count]:
        raise ValueError(f"--folds: there is no fold {wrong[0]}: the rows make {count}, from 0 to {count - 1}.")
    if wrong := [share for share in shares if not 0 < share <= 1]:
        raise ValueError(f"--shares: {wrong[0]:g} is none: they are above 0, up to 1.")
    return [
        SweptRun(fold, seed, folder / (f"fold{fold}-seed{seed}" + (f"-share{share:g}" if share < 1 else "")), share)
        for seed in seeds
        for share in sorted(shares, reverse=True)
        for fold in wanted
    ]


def keep_recipe(recipe: Recipe, folder: Path) -> None:
    """Note what is swept; ValueError where the folder holds runs of another recipe."""
    whole = replace(recipe, split=replace(recipe.split, fold=0, share=1.0), training=replace(recipe.training, seed=0))
    kept = folder / SWEEP_FILE
    if kept.is_file() and load_recipe(str(kept)).to_dict() != whole.to_dict():
        raise ValueError(
            f"{folder} holds runs of another recipe ({kept}): sweep into another --output-dir, or delete the folder."
        )
    write_recipe(whole, folder, SWEEP_FILE)


def train(run: SweptRun, name: str, options: Sequence[str]) -> int:
    """Train one run from its last checkpoint on, its output in `log.txt` beside its model; returns the status."""
    run.folder.mkdir(parents=True, exist_ok=True)
    checkpoints = run.folder / CHECKPOINTS
    resumed = ["--resume"] if newest_checkpoint(checkpoints) else []
    own = [f"--split.fold={run.fold}", f"--split.share={run.share}", f"--training.seed={run.seed}"]
    own += [f"--output_dir={run.folder}", *resumed]
    with (run.folder / "log.txt").open("a", encoding="utf-8") as log:
        command = [sys.executable, "-m", "affecthub.train", "--recipe", name, *options, *own]
        return subprocess.run(command, env=_alone(), stdout=log, stderr=log, check=False).returncode


def _alone() -> dict[str, str]:
    """The environment of a run: without the launch's, and with one GPU where the launch has several processes."""
    found = {key: value for key, value in os.environ.items() if not key.startswith(OF_LAUNCH)}
    found[PARENT] = str(os.getpid())
    place = os.environ.get("LOCAL_RANK")
    if place is not None and torch.cuda.is_available():
        found["CUDA_VISIBLE_DEVICES"] = _gpus()[int(place) % len(_gpus())]
    return found


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]


def _last_line(run: SweptRun) -> str:
    """What a run said last."""
    lines = (run.folder / "log.txt").read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[-300:]
