"""Finished runs on disk: a run's folder, or a folder of runs, such as a sweep's.

    recipe.yaml            what was asked for
    predictions.parquet    what the model answered
    history.parquet        what each epoch gave and took
    environment.json       what the run was made by
    model/metrics.json     what the run said of itself

Runs whose recipes differ in `split.fold` and `training.seed` alone are one model, tried several times; those that
differ in `split.share` too are one family, which has learned from more people or fewer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from affecthub.datasets_scripts.text_files import of_form, read_json
from affecthub.datasets_scripts.yaml_files import read_yaml
from affecthub.media.forms import check_version

from . import RECIPE_FILE
from .predictions import PREDICTIONS_FILE, Predictions, read_predictions
from .results import AblationRow, AuditRow, DataFacts
from .scores import Agreement, Calibrated

HISTORY_FILE = "history.parquet"
"""Beside it: what each epoch gave and took."""

ENVIRONMENT_FILE = "environment.json"
"""Beside it: by what system, hardware and packages the run was made."""

TRIED = ("split.fold", "training.seed")
"""Keys of a recipe in which runs of one model differ."""

SHARE = "split.share"
"""The key in which models of a family differ."""

CARD = "card"
"""The part of a recipe that says what stands on the card, and changes no model."""

DEPTH = 2
"""How far below a folder its runs may lie."""


class StatedScores(TypedDict, total=False):
    """Of a run's own `scores.Scores`, what reports take over."""

    baseline: dict[str, Any]
    reliability: dict[str, list[list[float]]]
    coverage: list[list[float]]
    calibration: Calibrated
    agreement: Agreement
    always_yes: dict[str, Any]
    among_raters: float
    intervals: dict[str, list[float]]
    intervals_by_row: dict[str, list[float]]


class Stated(TypedDict, total=False):
    """Of `results.Results`, the same."""

    data: DataFacts
    results: dict[str, dict[str, StatedScores]]
    ablation: list[AblationRow]
    audit: list[AuditRow]
    training: dict[str, float | int | str]


class Environment(TypedDict):
    """What a run was made by; `training.environment` writes it."""

    python: str
    system: str
    cores: int | None
    threads: int
    accelerator: str | None
    gpus: list[str]
    cuda: str | None
    packages: dict[str, str]


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    recipe: dict[str, Any]
    """As `recipe.yaml` has it."""

    @property
    def fold(self) -> int:
        """Which fold was the test."""
        return self.recipe["split"]["fold"]

    @property
    def seed(self) -> int:
        """Of its training."""
        return self.recipe["training"]["seed"]

    @cached_property
    def predictions(self) -> Predictions:
        """What the model answered to every row; errors as those of `read_predictions`."""
        return read_predictions(self.folder)

    @cached_property
    def results(self) -> dict[str, Any]:
        """What the run said of itself, as far as reports take it over; empty where that is not there.

        Raises:
            ValueError: `metrics.json` is no JSON, of a newer version, or in part not of the form in `results.Results`.
        """
        path = self.folder / "model" / "metrics.json"
        stated = self._stated(path)
        check_version(stated, path)
        found = _taken_over(stated, Stated)
        if isinstance(splits := found.get("results"), dict):
            found["results"] = {
                split: {task: _taken_over(scores, StatedScores) for task, scores in tasks.items()}
                for split, tasks in splits.items()
                if isinstance(tasks, dict)
            }
        return {**of_form(found, Stated, path, "train anew")}

    @cached_property
    def history(self) -> pd.DataFrame | None:
        """A row an epoch of its training; None where that was not kept."""
        path = self.folder / HISTORY_FILE
        return pd.read_parquet(path) if path.is_file() else None

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What it was made by; empty where that was not kept."""
        path = self.folder / ENVIRONMENT_FILE
        found = self._stated(path)
        return {**of_form(found, Environment, path, "train anew")} if found else {}

    @staticmethod
    def _stated(path: Path) -> dict[str, Any]:
        """What a JSON file of the run holds; empty where there is none."""
        return read_json(path, "train anew") if path.is_file() else {}


def _taken_over(stated: Any, form: type) -> Any:
    """Of a mapping the keys that a form has; anything else as it is."""
    return {key: stated[key] for key in form.__annotations__ if key in stated} if isinstance(stated, dict) else stated


@dataclass(frozen=True)
class Model:
    """What one recipe gave, over its folds and seeds."""

    name: str
    """For a reader: its folder, or in which words its recipe differs from the others."""
    runs: tuple[Run, ...]
    """By seed, then fold; of each pair one."""
    unfinished: tuple[Path, ...] = field(default=())
    """Folders of runs that have no predictions."""
    family: str = ""
    """Of the models whose recipes differ in `SHARE` alone, the name."""

    @property
    def share(self) -> float:
        """Of the people who might learn, how many do, 0..1."""
        return _share(self.runs[0])

    @property
    def recipe(self) -> dict[str, Any]:
        """Of its first run."""
        return self.runs[0].recipe

    def by_seed(self) -> dict[int, dict[int, Run]]:
        """Seed -> fold -> run."""
        found: dict[int, dict[int, Run]] = {}
        for run in self.runs:
            found.setdefault(run.seed, {})[run.fold] = run
        return found


def open_models(paths: Sequence[str | Path]) -> list[Model]:
    """The models of some runs, in the order in which they are first named; of a family that of all people first.

    Args:
        paths: folders of runs, and folders of such folders, `DEPTH` deep at most.

    Raises:
        FileNotFoundError: no such folder, no run in it, or one without predictions.
        ValueError: a recipe that cannot be read, or two runs of the same recipe, fold and seed.
    """
    groups: dict[str, list[tuple[Path, Run]]] = {}
    for path in map(Path, paths):
        for folder in _run_folders(path):
            run = _open(folder)
            groups.setdefault(_signature(run.recipe), []).append((path, run))
    names = _names(list(groups.values()))
    return [
        _model(name, [run for _, run in group if _share(run) == share], share)
        for name, group in zip(names, groups.values(), strict=True)
        for share in sorted({_share(run) for _, run in group}, reverse=True)
    ]


def _run_folders(path: Path) -> list[Path]:
    """A run's own folder, or those below a folder that have a recipe."""
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder; pass the folder of a run, or one of runs.")
    path = path.parent if path.name == "model" and (path.parent / RECIPE_FILE).is_file() else path
    if (path / RECIPE_FILE).is_file():
        return [path]
    found = [file.parent for depth in range(DEPTH) for file in path.glob("*/" * (depth + 1) + RECIPE_FILE)]
    if not found:
        raise FileNotFoundError(f"{path}: no run in it, as no folder there has a {RECIPE_FILE}; train first.")
    return sorted(found)


def _open(folder: Path) -> Run:
    """A run whose recipe is read."""
    path = folder / RECIPE_FILE
    try:
        run = Run(folder, read_yaml(path))
        _ = run.fold, run.seed
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is no recipe of a run ({error!r}): it was changed or cut off; train anew."
        ) from error
    return run


def _share(run: Run) -> float:
    """Of the people who might learn, how many do; of a recipe that says nothing, all."""
    return run.recipe["split"].get("share", 1.0)


def _signature(recipe: dict[str, Any]) -> str:
    """What runs of one family have in common."""
    flat = _flat({name: value for name, value in recipe.items() if name != CARD})
    flat = {key: value for key, value in flat.items() if key not in (*TRIED, SHARE)}
    return json.dumps(flat, sort_keys=True, default=str)


def _flat(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys -> values."""
    found = {}
    for name, value in recipe.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _model(family: str, runs: list[Run], share: float) -> Model:
    """Of the finished runs of a recipe; ValueError where two are the same, or none is finished."""
    finished = [run for run in runs if (run.folder / PREDICTIONS_FILE).is_file()]
    if not finished:
        runs[0].predictions  # noqa: B018 - its error says what to do
    seen: dict[tuple[int, int], Run] = {}
    for run in finished:
        other = seen.setdefault((run.seed, run.fold), run)
        if other.folder.resolve() != run.folder.resolve():
            raise ValueError(
                f"{other.folder} and {run.folder} are runs of the same recipe, fold {run.fold} and seed {run.seed}: "
                "pass one of them, or train with another name or seed."
            )
    unfinished = tuple(run.folder for run in runs if run not in finished)
    name = family if share == 1 else f"{family}, {100 * share:g} % of those who learn"
    return Model(name, tuple(seen[key] for key in sorted(seen)), unfinished, family)


def _names(groups: list[list[tuple[Path, Run]]]) -> list[str]:
    """A name for each model, no two alike: the folder's where it holds one, else what its recipe says otherwise."""
    folders = [{path.resolve() for path, _ in group} for group in groups]
    recipes = [_flat(group[0][1].recipe) for group in groups]
    names = []
    for held, recipe in zip(folders, recipes, strict=True):
        alone = len(held) == 1 and sum(bool(held & others) for others in folders) == 1
        names.append(next(iter(held)).name if alone else str(recipe.get("name")))
    for name in {name for name in names if names.count(name) > 1}:
        same = [i for i, other in enumerate(names) if other == name]
        keys = dict.fromkeys(key for i in same for key in recipes[i] if key not in (*TRIED, SHARE, "name"))
        keys = [key for key in keys if len({json.dumps(recipes[i].get(key), default=str) for i in same}) > 1]
        for i in same:
            names[i] = " ".join([name, *(f"{key.rpartition('.')[2]}={recipes[i].get(key)}" for key in keys)])
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]
