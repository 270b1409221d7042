"""A trained model is evaluated: predictions of each split become the results that the evaluation room defines."""

import itertools
import logging
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch

from affecthub.datasets_scripts.corpus import Corpus, Target, column_of
from affecthub.evaluation.answers import known_rows
from affecthub.evaluation.calibration import fit
from affecthub.evaluation.clusters import clusters_of
from affecthub.evaluation.predictions import ABOUT_ROWS, Predictions, TaskFacts, list_column, predictions_of
from affecthub.evaluation.results import AblationRow, AuditRow, Results
from affecthub.evaluation.scores import Scores, ablation_figures, score
from affecthub.evaluation.scores import report as scores_of
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.fusion import ModalityWeights, PathWeights
from affecthub.training.clips import StreamedDataset
from affecthub.training.recipe import Recipe
from affecthub.training.samples import SampleDataset
from affecthub.training.trainer import AffectTrainer, by_task, choose_precision, kind_of_target

logger = logging.getLogger(__name__)


def answer(trainer: AffectTrainer, data: dict[str, SampleDataset], corpus: Corpus) -> Predictions:
    """What a model says of every row, as evaluation sees it, and given each subset of its modalities.

    The subsets are asked for on the test split alone, and where there is none on validation. A training split that is
    streamed is left out.

    Args:
        trainer: with the trained model.
        data: split -> its samples.
        corpus: where they come from.
    """
    config, tasks = trainer.model.config, corpus.targets
    calibration: Any = config.calibration or {}
    judged_on = "test" if "test" in data else "validation"
    subsets = [c for size in range(1, len(config.modalities)) for c in itertools.combinations(config.modalities, size)]
    parts = {}
    for split, samples in data.items():
        if isinstance(samples, StreamedDataset):
            continue
        samples, answers = answered(trainer, samples.as_judged(), tasks)
        parts[split] = about_rows(samples, corpus) | {
            f"{what}.{name}": _column(values)
            for name, pair in answers.items()
            for what, values in zip(("reference", "logits"), pair, strict=True)
        }
        for subset in subsets if split == judged_on else ():
            seen = samples.only(subset)
            places = np.searchsorted(samples.places, seen.places)
            for name, (_, logits) in (predict(trainer, seen, tasks) if len(seen) else {}).items():
                parts[split][f"logits.{name}.{'+'.join(subset)}"] = list_column(logits, places, len(samples))
    told: dict[str, TaskFacts] = {}
    for task in tasks:
        told[task.name] = {"kind": kind_of_target(task), "labels": task.classes}
        if fitted := calibration.get(task.name):
            told[task.name]["calibration"] = fitted
    return predictions_of(
        parts,
        told,
        data=corpus.name,
        synthetic=corpus.synthetic,
        unit=corpus.unit,
        protocol=corpus.protocol,
        architecture=config.model_type,
        modalities=list(config.modalities),
        subsets=[list(subset) for subset in subsets],
    )


def calibrate(model: AffectPreTrainedModel, predictions: Predictions) -> None:
    """Fit temperature and thresholds of each task on validation; keep them in the configuration and beside the logits.

    A task with too few known rows there has none.

    Args:
        model: whose configuration it is.
        predictions: what it answered.
    """
    rows = predictions.of("validation")
    found: dict[str, Any] = {}
    for name, task in predictions.tasks.items():
        if fitted := fit(task["kind"], rows.references(name), rows.logits(name), task["labels"]):
            found[name] = task["calibration"] = fitted
    model.config.calibration = found or None


def answered(
    trainer: AffectTrainer, samples: SampleDataset, tasks: tuple[Target, ...]
) -> tuple[SampleDataset, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The samples that can be answered, and the answers, as `predict` gives them.

    Of which clips nothing can be decoded is known once they were asked for; if they were all that their samples had,
    the others are asked again by themselves.
    """
    answers = predict(trainer, samples, tasks)
    failed = samples.failed(range(len(samples))).to(trainer.args.device)
    everywhere = cast(torch.Tensor, trainer.accelerator.reduce(failed.int()))  # by whichever process decoded them
    samples.mark_failed(everywhere.cpu() > 0)
    seen = samples.only(samples.modalities)
    return (samples, answers) if len(seen) == len(samples) else (seen, predict(trainer, seen, tasks))


def about_rows(samples: SampleDataset, corpus: Corpus) -> dict[str, pa.Array]:
    """The columns that say which row, whose, and what it held."""
    rows, columns = samples.rows, corpus.audit
    named = {name: name for name in ABOUT_ROWS} | {
        name: column for name in ("key", "recording", "participant") if (column := getattr(columns, name))
    }
    found = {name: column_of(rows, column) for name, column in named.items() if column in rows.column_names}
    held = samples.held()
    present = [[name for name in held if held[name][i]] for i in range(len(rows))]
    return found | {"present": pa.array(present, pa.list_(pa.string()))}


def evaluate(
    trainer: AffectTrainer,
    predictions: Predictions,
    data: dict[str, SampleDataset],
    corpus: Corpus,
    recipe: Recipe,
    audit: list[AuditRow],
) -> Results:
    """Figures on validation and test, beside the baseline, and for each subset of the modalities.

    Args:
        trainer: with the trained model.
        predictions: what it answered.
        data: split -> its samples.
        corpus: where they come from.
        recipe: of the run.
        audit: the findings on the split, as `training.split_audit` gives them.
    """
    model, seed, tasks = trainer.model, recipe.training.seed, corpus.targets
    held_out = [split for split in ("validation", "test") if split in data]
    facts: dict[str, float | int | str | dict[str, float]] = {
        "architecture": model.config.model_type,
        "parameters": model.num_parameters(),
        "trainable": model.num_parameters(only_trainable=True),
    }
    if weights := learned_weights(model):
        facts["modality_weights"] = weights
    results: Results = {
        "data": {
            "name": corpus.name,
            "synthetic": corpus.synthetic,
            "splits": {name: len(rows) for name, rows in corpus.splits.items()},
            "skipped": _skipped(corpus, data),
            "protocol": corpus.protocol,
            "unit": corpus.unit,
        },
        "task": {task.name: task.classes for task in tasks},
        "results": {split: score_split(predictions, split, corpus, seed) for split in held_out},
        "audit": audit,
        "training": {
            "recipe": recipe.name,
            "seed": seed,
            **epochs_run(trainer),
            "precision": choose_precision(recipe.training.precision),
            "processes": trainer.args.world_size,
            "device": trainer.args.device.type,
        },
        "model": facts,
    }
    if len(model.config.modalities) > 1 and (rows := ablate(predictions.of(held_out[-1]), corpus.bayes_accuracy)):
        results["ablation"] = rows
    return results


def score_split(predictions: Predictions, split: str, corpus: Corpus, seed: int) -> dict[str, Scores]:
    """Figures of a split by target; a target of which no row is known has none, and that is said.

    Args:
        predictions: of the run.
        split: its name.
        corpus: with the training rows, for the baseline.
        seed: of the intervals.
    """
    scores, rows, clusters = {}, predictions.of(split), clusters_of(predictions, split)
    for task in corpus.targets:
        references, kind = rows.references(task.name), kind_of_target(task)
        if known_rows(kind, references).any():
            usual, logits = task.values(corpus.splits["train"]), rows.logits(task.name)
            options = {"clusters": clusters, "calibration": rows.tasks[task.name].get("calibration")}
            scores[task.name] = score(references, logits, usual, task.classes, kind, seed=seed, **options)
        else:
            logger.warning("No %s row has a known %s: it is not judged there.", split, task.name)
    return scores


def epochs_run(trainer: AffectTrainer) -> dict[str, int | str]:
    """How many epochs were planned, how many it learned for, which of them is kept, and by what it was chosen.

    Of a model that was only loaded the plan alone is known.
    """
    state = trainer.state
    found: dict[str, int | str] = {"epochs_planned": trainer.settings.epochs}
    if not state.global_step:
        return found
    found = {"epochs": round(state.epoch), **found, "best_metric": trainer.args.metric_for_best_model or "loss"}
    if state.best_global_step:
        found["best_epoch"] = round(state.best_global_step * state.epoch / state.global_step)
    return found


def learned_weights(model: AffectPreTrainedModel) -> dict[str, float]:
    """What a model learned to weigh its modalities (B.3) or its paths (C.3) by; they sum to 1; empty: it does not."""
    for module in model.modules():
        if isinstance(module, ModalityWeights):
            return dict(zip(model.config.modalities, module.scores.softmax(0).tolist(), strict=True))
        if isinstance(module, PathWeights):
            return dict(zip(("early", "late"), module().tolist(), strict=True))
    return {}


def _skipped(corpus: Corpus, data: dict[str, SampleDataset]) -> dict[str, int]:
    """Rows that were left out, and clips that failed while they were decoded, by reason; none: left out."""
    failed = sum(split.failures for split in data.values())
    counts = corpus.skipped | {"clips that could not be decoded, their rows used without them": failed}
    return {reason: count for reason, count in counts.items() if count}


def predict(
    trainer: AffectTrainer, dataset: SampleDataset, tasks: tuple[Target, ...]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """References (rows, ...) and logits (rows, labels) of each task, by its name."""
    return by_task(trainer.predict(dataset), tasks)


def ablate(predictions: Predictions, bayes: Mapping[frozenset[str], float]) -> list[AblationRow]:
    """The same model on every subset of its modalities, on the rows that hold any of them; its main task alone.

    Args:
        predictions: of one split.
        bayes: of a synthetic corpus: the best expected accuracy by subset.
    """
    facts, rows = predictions.facts, []
    name, task = next(iter(facts["tasks"].items()))
    for subset in [*facts["subsets"], facts["modalities"]]:
        seen = predictions.take(predictions.holding(subset))
        if not len(seen) or not known_rows(task["kind"], seen.references(name)).any():
            continue
        report = scores_of(seen.answers(name, subset))
        row: AblationRow = {"modalities": list(subset), "rows": report["rows"], "figures": ablation_figures(report)}
        if frozenset(subset) in bayes:
            row["bayes_accuracy"] = bayes[frozenset(subset)]
        rows.append(row)
    return rows


def _column(values: np.ndarray) -> pa.Array:
    """Ids as they are, and numbers by row as lists."""
    return pa.array(values) if values.ndim == 1 else list_column(values)
