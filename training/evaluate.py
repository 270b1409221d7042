"""A trained model is evaluated: predictions of each split become the results that the evaluation room defines."""

import itertools
from collections.abc import Mapping

import numpy as np
from transformers import PreTrainedModel

from affecthub.datasets_scripts.corpus import Corpus, Target
from affecthub.evaluation.report import AblationRow, Results, ablation_figures, score
from affecthub.modeling.fusion import ModalityWeights, PathWeights
from affecthub.training.data import SampleDataset
from affecthub.training.recipe import Recipe
from affecthub.training.trainer import AffectTrainer, by_task, choose_precision


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
    model, seed = trainer.model, recipe.training.seed
    tasks, train = corpus.targets, corpus.splits["train"]
    scores = {}
    for split in ("validation", "test"):
        if split in data:
            answers = predict(trainer, data[split], tasks)
            scores[split] = {
                task.name: score(
                    *answers[task.name], task.values(train), task.classes, problem_type=task.problem_type, seed=seed
                )
                for task in tasks
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
            "epochs": recipe.training.epochs,
            "precision": choose_precision(recipe.training.precision),
            "processes": trainer.args.world_size,
            "device": trainer.args.device.type,
        },
        "model": {"architecture": model.config.model_type, **parameters},
    }
    if weights := learned_weights(model):
        results["model"]["modality_weights"] = weights
    if len(model.config.modalities) > 1:
        results["ablation"] = ablate(trainer, data.get("test", data["validation"]), tasks, corpus.bayes_accuracy)
    return results


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
    rows = []
    for subset in (c for size in range(1, len(names) + 1) for c in itertools.combinations(names, size)):
        seen = dataset.only(subset)
        if not len(seen):
            continue
        references, logits = predict(trainer, seen, tasks)[main.name]
        figures = ablation_figures(references, logits, main.classes, problem_type=main.problem_type)
        row: AblationRow = {"modalities": list(subset), "rows": len(seen), "figures": figures}
        if frozenset(subset) in bayes:
            row["bayes_accuracy"] = bayes[frozenset(subset)]
        rows.append(row)
    return rows
