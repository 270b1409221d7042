"""A search for the values of a recipe, by Optuna: each trial trains once and is judged on validation alone.

`Trainer.hyperparameter_search` changes `TrainingArguments` of one Trainer; a recipe's values also decide data, inputs,
model and augmentation, so each trial here builds its own, and Optuna is asked directly. The test split is taken away
before anything is built.
"""

import gc
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from transformers import set_seed

from affecthub.datasets_scripts.corpus import Corpus, load_corpus
from affecthub.datasets_scripts.yaml_files import read_yaml
from affecthub.evaluation.audit import enforce
from affecthub.evaluation.metrics import direction_of
from affecthub.media.faults import FAULTS, sentence_of
from affecthub.media.files import alone, write_file
from affecthub.media.forms import VERSION
from affecthub.training.assembly import prepare
from affecthub.training.checkpoints import CHECKPOINTS, clear_checkpoints
from affecthub.training.encoder_cache.run import use_encoder_cache
from affecthub.training.from_recipe import build_model, build_processor, modalities_of, settled
from affecthub.training.recipe import Recipe, read_run, write_recipe
from affecthub.training.split_audit import audit_once
from affecthub.training.trackers import check_trackers
from affecthub.training.trainer import Metrics, completed

if TYPE_CHECKING:
    import optuna

STORAGE = "search.db"
"""In a search's folder: Optuna's SQLite file, by which it goes on."""

BEST = "best.yaml"
"""Beside it: the best trial's recipe."""

DECIDED = ("split.", "training.best_metric", "data.root", "training.report_to")
"""How values begin that are no part of a search: the rows that judge, and by what, have to be the same for all."""

Space = dict[str, list | dict[str, Any]]
"""Dotted name of a recipe's value -> the values to choose from, or {low, high}, with `log: true` or `step`."""


def read_space(path: Path) -> Space:
    """A search space from a YAML file; ValueError that names the entry which is none."""
    space: dict[str, Any] = read_yaml(path)
    if not space:
        raise ValueError(f"{path} is no search space: write lines such as `training.learning_rate: [1.0e-4, 1.0e-3]`.")
    for key, entry in space.items():
        if key.startswith(DECIDED):
            raise ValueError(f"{path}: {key} is not searched: all trials have to be judged alike; take it out.")
        if isinstance(entry, dict):
            low, high = entry.get("low"), entry.get("high")
            known = entry.keys() <= {"low", "high", "log", "step"}
            if not known or not (_is_number(low) and _is_number(high)) or low > high:
                raise ValueError(
                    f"{path}: {key}: {entry}: give {{low: NUMBER, high: NUMBER}}, with `log: true` or `step: NUMBER`."
                )
        elif not isinstance(entry, list) or not entry:
            raise ValueError(f"{path}: {key}: {entry!r}: give a list of values, or {{low: NUMBER, high: NUMBER}}.")
    return space


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def search(name: str, options: Sequence[str], space: Space, trials: int, folder: Path) -> dict[str, Any]:
    """Try values until there are so many trials, those of an earlier call included.

    Args:
        name: of the recipe, or its file.
        options: that override it, as `--data.root=PATH`.
        space: what to try.
        trials: how many in all.
        folder: for the search; the same call goes on there.

    Returns:
        `trials.json`: version, metric, direction, synthetic, the best trial's number, and of each trial its number,
        state, value, parameters, seconds and, where it failed, the reason.

    Raises:
        OSError: another search is at work in the folder.
        ValueError: a value that the recipe does not take; a folder of another search; every trial failed.
        ImportError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("A search needs Optuna: pip install 'affecthub[search]'.") from error
    if trials < 1:
        raise ValueError(f"--trials {trials}: it has to be 1 or more.")
    for corner in _corners(space):
        recipe_of(name, options, corner)
    recipe = recipe_of(name, options, {})
    check_trackers(recipe.training.report_to)
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
    judges = judges_of(corpus)
    metric = completed(recipe.training, Metrics(corpus.targets)).best_metric
    assert metric is not None
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a failed trial is told of in the table
    with alone(folder, "searches"):
        study = optuna.create_study(
            storage=f"sqlite:///{folder / STORAGE}",
            study_name="search",
            load_if_exists=True,
            direction="maximize" if direction_of(metric) == "max" else "minimize",
        )
        _go_on(study, {"recipe": recipe.to_dict(), "space": space}, folder)
        # a sampler of the same seed would repeat its first draws when a search goes on
        study.sampler = optuna.samplers.TPESampler(seed=recipe.training.seed + len(study.trials))
        left = trials - sum(trial.state.is_finished() for trial in _counted(study))

        def objective(trial: "optuna.Trial") -> float:
            values = {key: _suggest(trial, key, entry) for key, entry in space.items()}
            try:
                return train_once(recipe_of(name, options, values), metric, judges, folder / f"trial-{trial.number}")
            except (*FAULTS, RuntimeError) as error:  # out of memory is a RuntimeError
                trial.set_user_attr("reason", sentence_of(error))
                raise
            except KeyboardInterrupt:
                trial.set_user_attr("interrupted", True)  # which Optuna counts as failed
                raise

        if left > 0:
            study.optimize(objective, n_trials=left, catch=(*FAULTS, RuntimeError))
        found = _summary(study, metric, corpus)
        write_file(folder / "trials.json", f"{json.dumps(found, indent=1)}\n".encode())
        write_file(folder / "trials.md", f"{trials_table(found)}\n".encode())
        if found["best"] is None:
            reason = found["trials"][0].get("reason", "it was stopped")
            raise ValueError(f"All {len(found['trials'])} trials failed; the first: {reason}")
        (best,) = (trial for trial in found["trials"] if trial["number"] == found["best"])
        write_recipe(recipe_of(name, options, best["parameters"]), folder, BEST)
        return found


def recipe_of(name: str, options: Sequence[str], values: Mapping[str, Any]) -> Recipe:
    """A recipe with overrides and with some values by their dotted names; ValueError where one is not taken."""
    written = [f"--{key}={json.dumps(value)}" for key, value in values.items()]  # which is YAML too
    return read_run([f"--recipe={name}", *options, *written]).recipe


def _corners(space: Space) -> list[dict[str, Any]]:
    """Values that show whether the recipe takes each entry: every choice, and both ends of every range."""
    ends = {key: e if isinstance(e, list) else [e["low"], e["high"]] for key, e in space.items()}
    return [{key: value} for key, values in ends.items() for value in values]


def _suggest(trial: "optuna.Trial", key: str, entry: list | dict[str, Any]) -> Any:  # noqa: ANN401 - any value
    if isinstance(entry, list):  # by its place: Optuna keeps plain values alone
        return entry[trial.suggest_categorical(key, list(range(len(entry))))]
    low, high, log, step = entry["low"], entry["high"], entry.get("log", False), entry.get("step")
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, log=log, step=step or 1)
    return trial.suggest_float(key, low, high, log=log, step=step)


def _go_on(study: "optuna.Study", what: dict[str, Any], folder: Path) -> None:
    """Note what is searched; a trial that was interrupted is tried again. ValueError for another search's folder."""
    import optuna

    noted = json.loads(json.dumps(what, default=str))
    if study.user_attrs.get("what", noted) != noted:
        raise ValueError(
            f"{folder} holds a search of another recipe or space: choose another --output-dir, or delete the folder."
        )
    study.set_user_attr("what", noted)
    for trial in _counted(study):
        killed = trial.state == optuna.trial.TrialState.RUNNING
        if killed:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if killed or "interrupted" in trial.user_attrs:
            study.enqueue_trial(trial.params, user_attrs={"again": trial.number})


def _counted(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """The trials without those that were interrupted and are tried again."""
    again = {trial.user_attrs.get("again") for trial in study.trials}
    return [trial for trial in study.trials if trial.number not in again]


def judges_of(corpus: Corpus) -> str:
    """What tells the rows that judge, and their truth, from others: SHA-256 of both."""
    rows, digest = corpus.splits["validation"], hashlib.sha256()
    if corpus.audit.key:
        digest.update(json.dumps(list(rows[corpus.audit.key])).encode())
    for target in corpus.targets:
        digest.update(json.dumps([target.name, target.classes, target.problem_type]).encode())
        digest.update(target.values(rows).tobytes())
    return digest.hexdigest()


def train_once(recipe: Recipe, metric: str, judges: str, folder: Path) -> float:
    """The best value of a metric on validation; the test split is not there.

    Args:
        recipe: of the trial.
        metric: by which the best epoch is chosen.
        judges: of the plain recipe, as `judges_of` gives it.
        folder: for checkpoints, which are removed, and trackers.

    Raises:
        ValueError: other rows judge, or by another truth.
    """
    set_seed(recipe.training.seed)
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
    if judges_of(corpus) != judges:
        raise ValueError(
            "its validation rows, or their truth, are others than the plain recipe's, and all trials have to be "
            "judged alike: take what decides them, such as data.targets, out of the space."
        )
    recipe = settled(recipe, corpus)
    processor = build_processor(recipe, corpus)
    enforce(audit_once(corpus, processor).findings, recipe.split.accept)
    corpus = replace(corpus, splits={name: rows for name, rows in corpus.splits.items() if name != "test"})
    trainer, data = prepare(recipe, corpus, processor, build_model(recipe, corpus, processor), folder)
    try:
        use_encoder_cache(trainer, data, recipe)
        trainer.train()
        best = trainer.state.best_metric
        assert best is not None
        return float(best)
    finally:
        clear_checkpoints(folder / CHECKPOINTS)
        del trainer, data
        gc.collect()


def _summary(study: "optuna.Study", metric: str, corpus: Corpus) -> dict[str, Any]:
    space = study.user_attrs["what"]["space"]
    trials = [_of_trial(trial, space) for trial in _counted(study)]
    values = {trial["number"]: trial["value"] for trial in trials if trial["state"] == "complete"}
    choose = max if study.direction.name == "MAXIMIZE" else min
    return {
        "version": VERSION,
        "metric": metric,
        "direction": study.direction.name.lower(),
        "split": "validation",
        "synthetic": corpus.synthetic,
        "best": choose(values, key=values.__getitem__) if values else None,
        "trials": trials,
    }


def _of_trial(trial: "optuna.trial.FrozenTrial", space: Space) -> dict[str, Any]:
    parameters = {
        key: space[key][value] if isinstance(space[key], list) else value for key, value in trial.params.items()
    }
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value,
        "parameters": parameters,
        "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
        **({"reason": trial.user_attrs["reason"]} if "reason" in trial.user_attrs else {}),
    }


def trials_table(found: dict[str, Any]) -> str:
    """The trials of a search as Markdown, the best first."""
    names = list(dict.fromkeys(name for trial in found["trials"] for name in trial["parameters"]))
    lines = ["| trial | " + " | ".join([f"validation {found['metric']}", *names, "s"]) + " |"]
    lines.append("|" + "---|" * (len(names) + 3))
    sign = -1 if found["direction"] == "maximize" else 1
    done = [trial for trial in found["trials"] if trial["value"] is not None]
    for trial in sorted(done, key=lambda trial: sign * trial["value"]):
        values = [trial["parameters"].get(name, "") for name in names]
        cells = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in (trial["value"], *values)]
        lines.append(f"| {trial['number']} | {' | '.join(cells)} | {trial['seconds']} |")
    failed = [trial for trial in found["trials"] if trial["value"] is None]
    lines += [f"\nTrial {trial['number']} failed: {trial.get('reason', 'it was stopped')}" for trial in failed]
    if found["synthetic"]:
        lines.append("\nSYNTHETIC DATA: these figures say nothing about people.")
    return "\n".join(lines)
