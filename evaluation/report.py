"""Everything there is to say of some runs, as plain data: what the page shows, and what a program reads.

    report_of(["runs/a", "runs/b"])       # folders of runs, or folders of such; one model or several

A model is what one recipe gave over its folds and seeds. Figures are by the rule of `figures`; confusions, errors and
groups are those of its first seed, over all folds.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa

from ..media.files import write_file
from ..media.forms import VERSION
from .answers import Kind
from .comparison import Comparison, check_comparable, compare
from .comparison_table import verdict
from .errors import Measured, by_group, confused_pairs, worst_group, worst_rows
from .figures import figures
from .importance import modality_importance
from .learning_curve import LearningCurve, families, learning_curve
from .metrics import METRICS, PERCENT, main_metric, metrics_of, percent
from .overfitting import overfitting
from .pictures import panels_of
from .pools import Pool, pooled
from .predictions import Predictions
from .private import SORTS, Pseudonyms, public_words, roots_of
from .results import figures_table, interval_note
from .runs import Model, Run, open_models
from .scores import report as scores_of

FEW_CLUSTERS = 10
"""People, dialogues or recordings, below which a claim about others is called weak."""

FAR_BELOW = 0.15
"""Of a share: a group that lies so far below the whole is named."""

RULES = (
    "A model's figure: of each seed the held-out rows of all folds are pooled, each judged once by the model that "
    "never saw it, and the metric is computed over the pool (what ranks rows or judges probabilities: the mean of "
    "folds); then the mean over seeds. The spread is their standard deviation.",
    "Intervals (95 %) draw whole clusters; those over rows stand beside them, and are too narrow where rows of one "
    "person resemble one another.",
)
CHEAPEST = (
    "Rule: of the models that beat the baseline and are not shown to be worse than the best one, the one that takes "
    "the least time for a clip is recommended. A model beats the baseline where its whole interval does."
)

OF_RUN = ("reliability", "coverage", "calibration", "agreement", "always_yes", "among_raters")
"""Of a run's own scores, what is shown where it is the only one."""


class CardPart(TypedDict):
    """What a card says of a report, as text."""

    name: str
    """Of the model, in the lines."""
    rules: list[str]
    tables: list[dict[str, Any]]
    """caption, head, lines and notes, one a target."""
    lines: list[str]
    """Against the other models, and what somebody who deploys it has to know."""


Extra = Callable[[Run], Mapping[str, Any]]
"""What only the model itself can tell, of a run: its cost, what it looks at."""


def report_of(
    paths: Sequence[str | Path],
    *,
    metric: str | None = None,
    task: str | None = None,
    extra: Extra | None = None,
    for_others: bool = False,
) -> dict[str, Any]:
    """A report of the models of some runs.

    Args:
        paths: folders of runs, and folders of such, as for `runs.open_models`.
        metric: by which models and groups are compared, a key of `METRICS`; None: by which the epoch was chosen.
        task: that models are compared by; None: the main one.
        extra: asked for the first run of each model: "cost", "attention", "attribution", "robustness", and "measures"
            of its rows by which errors are shown, as far as it gives them.
        for_others: with pseudonyms for people, recordings and rows, see `private`; without paths, and without the
            examples, which show people and what they said.

    Raises:
        FileNotFoundError, ValueError: as `runs.open_models`, `pools.pooled` and `comparison.compare`.
    """
    of_family, unsaid = families(open_models(paths)), []
    models = [family[-1] for family in of_family]
    tested = all("test" in run.predictions.splits for model in models for run in model.runs)
    split = "test" if tested else "validation"
    if not tested:
        unsaid.append(
            "There is no test split: figures are of validation, which also chose the epoch, and are too kind."
        )
    pools = [pooled(model, split, task) for model in models] if len(models) > 1 else []
    for other in pools[1:]:  # before anything that takes long
        check_comparable(pools[0], other)
    said = [_model(model, split, metric, extra(model.runs[0]) if extra else {}, unsaid) for model in models]
    for model, family in zip(said, of_family, strict=True):
        model["learning_curves"] = _learning_curves(model, family, split, unsaid)
    compared = compare(pools, _chosen(models[0], pools[0].first.kind, metric)) if pools else None
    first = models[0].runs[0]
    facts = first.predictions.facts
    worse = {
        pair[name]
        for pair in (compared or {"pairs": []})["pairs"]
        for name in ("first", "second")
        if pair["better"] not in (None, pair[name])
    }
    report = {
        "version": VERSION,
        "for_others": for_others,
        "title": f"{facts['data']}: {_count(len(models), 'model')}"
        if len(models) > 1
        else f"{models[0].name} on {facts['data']}",
        "synthetic": bool(facts["synthetic"]),
        "lead": _lead(said, compared),
        "rules": list(RULES),
        "models": said,
        "comparison": compared,
        "advice": _advice(said, worse),
        "data": first.results.get("data", {"name": facts["data"], "splits": {}}),
        "audit": first.results.get("audit", []),
        "environment": _environment(first),
        "unsaid": unsaid,
    }
    return _for_others(report, models) if for_others else report


def _for_others(report: dict[str, Any], models: Sequence[Model]) -> dict[str, Any]:
    """A report that names nobody and no place."""
    runs = [run for model in models for run in model.runs]
    study, called = runs[0].predictions.facts["data"], report["data"]["name"]
    found = {
        sort: [name for run in runs for name in run.predictions.table[sort].drop_null().to_pylist()]
        for sort in SORTS
        if all(sort in run.predictions.table.column_names for run in runs)
    }
    names = Pseudonyms(study).table(found)
    for model in report["models"]:
        model["folder"] = ""
        for looked in filter(None, (model.get("attention"), model.get("attribution"))):
            looked["examples"] = []
            looked["fields"] = [
                {key: value for key, value in each.items() if "picture" not in key}
                for each in looked.get("fields", [])
            ]
        for of in model["tasks"].values():
            people = [group for group in [*of["groups"], *of["worst_groups"].values()] if group["by"] == "participant"]
            for row, keys in [(row, ("key", "participant")) for row in of["worst"]] + [(g, ("name",)) for g in people]:
                row |= {key: names.get(row[key], row[key]) for key in keys}
    places = [str(run.folder.absolute()) for run in runs] + [place for run in runs for place in roots_of(run.recipe)]
    return public_words(report, names | {study: called}, places)


def _model(
    model: Model, split: str, metric: str | None, extra: Mapping[str, Any], unsaid: list[str]
) -> dict[str, Any]:
    """What there is to say of one model."""
    first, results = model.runs[0], model.runs[0].results
    of_seed = [run for run in model.runs if run.seed == first.seed]
    rows = _together([run.predictions for run in of_seed], split)
    tasks, measures = {}, extra.get("measures")
    for task, facts in rows.tasks.items():
        try:
            pool = pooled(model, split, task)
            tasks[task] = _task(model, rows, pool, _chosen(model, facts["kind"], metric), measures)
        except ValueError as error:
            unsaid.append(f"{model.name}, {task}: {error}")
    if not tasks:
        raise ValueError(f"There is nothing to judge: {'; '.join(unsaid)}")
    if first.history is None:
        unsaid.append(f"{model.name}: no history of its training was kept.")
    return {
        "name": model.name,
        "architecture": rows.facts["architecture"],
        "modalities": rows.facts["modalities"],
        "tasks": tasks,
        "curves": curves_of(first.history),
        "ablation": results.get("ablation", []) if len(of_seed) == 1 else [],
        "runs": [
            {
                "name": run.folder.name,
                "fold": run.fold,
                "seed": run.seed,
                "seconds": run.results.get("training", {}).get("seconds"),
            }
            for run in model.runs
        ],
        "folder": str(first.folder),
        "unfinished": [folder.name for folder in model.unfinished],
        **{name: found for name, found in extra.items() if name != "measures"},
    }


def _learning_curves(
    model: Mapping[str, Any], family: Sequence[Model], split: str, unsaid: list[str]
) -> list[LearningCurve]:
    """Of each target, where there are models that learned from fewer."""
    found = []
    for task, of in model["tasks"].items() if len(family) > 1 else ():
        try:
            found.append(learning_curve(family, split, task, of["metric"]))
        except ValueError as error:
            unsaid.append(f"{model['name']}, {task}, learning curve: {error}")
    return found


def _chosen(model: Model, kind: Kind, metric: str | None) -> str:
    """By which a target is judged: what was asked for, else what chose the epoch, else the first that curves show."""
    wanted = metric or model.recipe["training"].get("best_metric", "")
    return wanted if wanted in metrics_of(kind) else main_metric(kind)


def _task(
    model: Model, rows: Predictions, pool: Pool, metric: str, measures: Mapping[str, Measured] | None = None
) -> dict[str, Any]:
    """What there is to say of one target of a model; ValueError where the metric is not defined for its rows."""
    first, kind = model.runs[0], pool.first.kind
    of_kind = {name: figures(pool, one) for name, one in metrics_of(kind).items()}
    if "value" not in of_kind[metric]:
        raise ValueError(f"{METRICS[metric].name} is not defined for these rows: choose another --metric.")
    groups = by_group(rows, pool.task, metric, measures)
    by_sort = {
        sort: [group for group in groups if group["by"] == sort] for sort in dict.fromkeys(g["by"] for g in groups)
    }
    worst = {sort: worst_group(found, metric) for sort, found in by_sort.items()}
    stated = [run.results.get("results", {}).get(pool.split, {}).get(pool.task, {}) for run in model.runs]
    kept = {name: stated[0][name] for name in OF_RUN if len(model.runs) == 1 and name in stated[0]}
    found = {
        "kind": kind,
        "split": pool.split,
        "metric": metric,
        "figures": of_kind,
        "baseline": _baselines(stated),
        "report": scores_of(pool.first) | kept,
        "notes": list(pool.notes),
        "groups": groups,
        "worst_groups": {sort: group for sort, group in worst.items() if group},
        "pairs": confused_pairs(rows, pool.task),
        "worst": worst_rows(rows, pool.task),
        "overfitting": overfitting(
            first.predictions, pool.task, first.history, first.recipe["training"].get("best_metric") or metric
        ),
    }
    if len(model.runs) == 1:  # as its results and card have them
        for name, figure in found["figures"].items():
            own = {"interval": "intervals", "interval_by_row": "intervals_by_row"}
            figure |= {ours: stated[0][key][name] for ours, key in own.items() if name in stated[0].get(key, {})}
    if rows.facts["subsets"] and "train" in first.predictions.splits:
        known = first.predictions.of("train").references(pool.task)
        groups = pool.clusters.ids if len(pool.clusters) > 1 else None
        of_pool = rows.take(_places(rows, pool))
        found["importance"] = modality_importance(of_pool, pool.task, metric, known, seed=0, groups=groups)
    return found


def of_card(report: Mapping[str, Any], place: int) -> CardPart:
    """What a card says of a report.

    Args:
        report: of `report_of`, for others.
        place: of the model among its models.
    """
    model = report["models"][place]
    tables = []
    for task, of in model["tasks"].items():
        head, lines = figures_table(of["figures"], of["baseline"])
        main = of["figures"][of["metric"]]
        notes = [interval_note(main), *of["notes"]]
        caption = f"{of['split'].capitalize()}, {task}, {main['rows']:,} rows, {_count(len(model['runs']), 'run')}"
        tables.append({"caption": caption, "head": head, "lines": lines, "notes": notes})
    pairs = [pair for pair in (report["comparison"] or {"pairs": []})["pairs"] if model["name"] in pair.values()]
    said = [verdict(pair, METRICS[report["comparison"]["metric"]]) for pair in pairs]
    said += [line for line in report["advice"]["lines"] if line.startswith(f"{model['name']}: ")]
    return {"name": model["name"], "rules": report["rules"], "tables": tables, "lines": said}


def _places(rows: Predictions, pool: Pool) -> np.ndarray:
    """Where the rows of a pool are in a table, in the pool's order."""
    place = {key: i for i, key in enumerate(rows.keys)}
    return np.array([place[str(key)] for key in pool.keys])


def _together(parts: Sequence[Predictions], split: str) -> Predictions:
    """The rows of a split of several runs as one table."""
    tables = [part.of(split).table for part in parts]
    return Predictions(pa.concat_tables(tables, promote_options="permissive"), parts[0].facts)


def _baselines(stated: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Metric -> what the usual answer reaches, the mean of the runs; and in words which answer that is."""
    of_runs = [scores["baseline"] for scores in stated if "baseline" in scores]
    names = [name for name in METRICS if of_runs and all(_is_number(baseline.get(name)) for baseline in of_runs)]
    usual = sorted({str(baseline.get("majority_label", "")) for baseline in of_runs} - {""})
    return {
        "figures": {name: float(np.mean([baseline[name] for baseline in of_runs])) for name in names},
        "usual": ", ".join(usual),
    }


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def curves_of(history: pd.DataFrame | None) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """What is drawn over the epochs, as `pictures.panels_of` has it; nothing where no history was kept."""
    if history is None:
        return {}
    return panels_of([row.dropna().to_dict() for _, row in history.iterrows()])


def _environment(run: Run) -> dict[str, str]:
    """System, hardware, and the versions that matter most."""
    found = run.environment
    if not found:
        return {}
    packages = {name: found["packages"].get(name, "") for name in ("affecthub", "torch", "transformers", "datasets")}
    hardware = ", ".join(found["gpus"]) or f"{found['cores']} cores"
    return {"python": found["python"], "system": found["system"], "hardware": hardware} | packages


def _lead(models: Sequence[Mapping[str, Any]], compared: Comparison | None) -> list[str]:
    """The first sentences: how good, and which is better."""
    lines = []
    for model in models[:1] if compared is None else ():
        for task, of in model["tasks"].items():
            metric, figure = METRICS[of["metric"]], of["figures"][of["metric"]]
            ends = " to ".join(map(metric.shown, figure.get("interval", [])))
            usual = of["baseline"]["figures"].get(of["metric"])
            lines.append(
                f"{task}: {metric.title} {metric.shown(figure['value'])}"
                + (f" (95 % interval {ends}, by {figure['clusters']['by']})" if ends else "")
                + (f"; the baseline {metric.shown(usual)}" if usual is not None else "")
                + "."
            )
    if compared is not None:
        lines += [f"{verdict(pair, METRICS[compared['metric']])}." for pair in compared["pairs"]]
    return lines


def _advice(models: Sequence[Mapping[str, Any]], worse: set[str]) -> dict[str, list[str]]:
    """What to do, by rules that are stated."""
    lines, useful = [], []
    for model in models:
        task, of = next(iter(model["tasks"].items()))
        metric, figure, usual = (
            METRICS[of["metric"]],
            of["figures"][of["metric"]],
            of["baseline"]["figures"].get(of["metric"]),
        )
        low, high = figure.get("interval", [figure["value"]] * 2)
        if usual is not None and not (high < usual if metric.lower_is_better else low > usual):
            lines.append(f"{model['name']}: {metric.name} of {task} is not shown to beat the baseline; do not use it.")
        else:
            useful.append(model)
        lines += [f"{model['name']}: {caution}" for caution in _cautions(of)]
        lines += [f"{model['name']}: {said}" for curve in model["learning_curves"][:1] for said in _more_people(curve)]
    timed = [model for model in useful if model["name"] not in worse and model.get("cost")]
    if len(models) > 1 and timed:
        chosen = min(timed, key=lambda model: model["cost"]["batches"][0]["model_ms"])
        lines.insert(0, f"Recommended: {chosen['name']}.")
    return {"rules": [CHEAPEST] if len(models) > 1 else [], "lines": lines}


def _cautions(of: Mapping[str, Any]) -> list[str]:
    """What somebody who deploys a model has to know of one of its targets."""
    metric, figure = METRICS[of["metric"]], of["figures"][of["metric"]]
    lines, clusters = [], figure["clusters"]
    if of["overfitting"].get("overfits"):
        lines.append("it overfits; more people, augmentation or fewer epochs help more than a larger model.")
    if clusters["by"] != "row" and clusters["number"] < FEW_CLUSTERS:
        lines.append(f"judged on {_count(clusters['number'], clusters['by'])}; a claim about others needs more.")
    for sort in ("participant", "label"):
        worst = of["worst_groups"].get(sort)
        if worst and metric.unit == PERCENT and figure["value"] - worst["figure"] > FAR_BELOW:
            lines.append(
                f"of the {sort} {worst['name']}, {metric.name} is {metric.shown(worst['figure'])}, against "
                f"{metric.shown(figure['value'])} of all."
            )
    return lines


def _more_people(curve: LearningCurve) -> Iterator[str]:
    """Whether more people would help."""
    metric, gain, (before, last) = METRICS[curve["metric"]], curve["gain"], curve["steps"][-2:]
    if "interval" in gain:
        ends = " to ".join(map(metric.shown, gain["interval"]))
        step = f"from {percent(before['share'])} to {percent(last['share'])} % of those who learn, {metric.name}"
        told = "more people are likely to help" if gain["helps"] else "it is not shown that more people would help"
        yield f"{step} changes by {metric.shown(gain['value'])} ({ends}); {told}."


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def write_json(report: Mapping[str, Any], path: Path) -> Path:
    """Write a report as JSON, whole or not at all; what is not finite is null."""
    text = json.dumps(_plain(report), indent=2, ensure_ascii=False, allow_nan=False)
    write_file(path, f"{text}\n".encode())
    return path


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
