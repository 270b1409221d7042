"""A trained model is evaluated: predictions of each split become the results that the evaluation room defines."""

import itertools
import logging
from collections.abc import Mapping

import numpy as np
from transformers import PreTrainedModel

from affecthub.datasets_scripts.corpus import Corpus, Target
from affecthub.evaluation.answers import known_rows
from affecthub.evaluation.report import AblationRow, Results
from affecthub.evaluation.scores import Scores, ablation_figures, judged, score
from affecthub.modeling.fusion import ModalityWeights, PathWeights
from affecthub.training.recipe import Recipe
from affecthub.training.samples import SampleDataset
from affecthub.training.trainer import AffectTrainer, by_task, choose_precision, kind_of_target

logger = logging.getLogger(__name__)


def evaluate(
    trainer: AffectTrainer, data: dict[str, SampleDataset], corpus: Corpus, recipe: Recipe, audit: list[dict]
) -> Results:
    """Figures on validation and test, beside the baseline, and for each subset of the modalities.

    Args:
        trainer: with the trained model.
        data: split -> its samples.
        corpus: where they come from.
        recipe: of the run.
        audit: the findings on the split, as `training.split_audit` gives them.
    """
    model, seed, tasks = trainer.model, recipe.training.seed, corpus.targets
    scores = {
        split: score_split(trainer, data[split], split, corpus, seed)
        for split in ("validation", "test")
        if split in data
    }
    parameters = {"parameters": model.num_parameters(), "trainable": model.num_parameters(only_trainable=True)}
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
        "results": scores,
        "audit": audit,
        "training": {
            "recipe": recipe.name,
            "seed": seed,
            **epochs_run(trainer),
            "precision": choose_precision(recipe.training.precision),
            "processes": trainer.args.world_size,
            "device": trainer.args.device.type,
        },
        "model": {"architecture": model.config.model_type, **parameters},
    }
    if weights := learned_weights(model):
        results["model"]["modality_weights"] = weights
    if len(model.config.modalities) > 1:
        rows = ablate(trainer, data.get("test", data["validation"]), tasks, corpus.bayes_accuracy)
        results |= {"ablation": rows} if rows else {}
    return results


def score_split(
    trainer: AffectTrainer, dataset: SampleDataset, split: str, corpus: Corpus, seed: int
) -> dict[str, Scores]:
    """Figures of a split by target; a target of which no row is known has none, and that is said.

    Args:
        trainer: with the trained model.
        dataset: the samples of the split.
        split: its name.
        corpus: with the training rows, for the baseline.
        seed: of the intervals.
    """
    answers, scores = predict(trainer, dataset, corpus.targets), {}
    for task in corpus.targets:
        (references, logits), kind = answers[task.name], kind_of_target(task)
        if known_rows(kind, references).any():
            usual = task.values(corpus.splits["train"])
            scores[task.name] = score(references, logits, usual, task.classes, kind, seed=seed)
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
    found = {"epochs": round(state.epoch), **found, "best_metric": trainer.args.metric_for_best_model}
    if state.best_global_step:
        found["best_epoch"] = round(state.best_global_step * state.epoch / state.global_step)
    return found


def learned_weights(model: PreTrainedModel) -> dict[str, float]:
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


def ablate(
    trainer: AffectTrainer, dataset: SampleDataset, tasks: tuple[Target, ...], bayes: Mapping[frozenset[str], float]
) -> list[AblationRow]:
    """The same model on every subset of its modalities, on the rows that hold any of them; its main task alone.

    Args:
        trainer: with the trained model.
        dataset: which rows.
        tasks: what it learned, the main one first.
        bayes: of a synthetic corpus: the best expected accuracy by subset.
    """
    names, main = trainer.model.config.modalities, tasks[0]
    kind, rows = kind_of_target(main), []
    for subset in (c for size in range(1, len(names) + 1) for c in itertools.combinations(names, size)):
        seen = dataset.only(subset)
        if not len(seen):
            continue
        references, logits = predict(trainer, seen, tasks)[main.name]
        if not known_rows(kind, references).any():
            continue
        report = judged(references, logits, main.classes, kind)
        row: AblationRow = {"modalities": list(subset), "rows": report["rows"], "figures": ablation_figures(report)}
        if frozenset(subset) in bayes:
            row["bayes_accuracy"] = bayes[frozenset(subset)]
        rows.append(row)
    return rows
