"""A trained model is judged: predictions of each split become the results that the evaluation room defines."""

import itertools

import numpy as np
from transformers import Trainer

from affecthub.evaluation.metrics import classification_report
from affecthub.evaluation.report import AblationRow, Results, score
from affecthub.training.data import Corpus, UtteranceDataset
from affecthub.training.recipe import Recipe
from affecthub.training.run import as_tuple, choose_precision


def judge(trainer: Trainer, data: dict[str, UtteranceDataset], corpus: Corpus, recipe: Recipe) -> Results:
    """Figures on validation and test, beside the majority baseline, and for each subset of the modalities."""
    names = {"emotion": corpus.emotions, "sentiment": corpus.sentiments}
    judged = {name: predict(trainer, data[name]) for name in ("validation", "test") if name in data}
    scores = {
        split: {
            task: score(references, predicted, corpus.splits["train"][task], names[task], seed=recipe.training.seed)
            for task, (references, predicted) in tasks.items()
        }
        for split, tasks in judged.items()
    }
    model = trainer.model
    parameters = {"parameters": model.num_parameters(), "trainable": model.num_parameters(only_trainable=True)}
    results: Results = {
        "data": {
            "name": corpus.name,
            "synthetic": corpus.synthetic,
            "splits": {name: len(rows) for name, rows in corpus.splits.items()},
            "skipped": _skipped(corpus, data),
        },
        "task": {task: names[task] for task in judged["validation"]},
        "results": scores,
        "training": {
            "recipe": recipe.name,
            "seed": recipe.training.seed,
            "epochs": recipe.training.epochs,
            "precision": choose_precision(recipe.training.precision),
            "processes": trainer.args.world_size,
            "device": trainer.args.device.type,
        },
        "model": {"architecture": model.config.model_type, **parameters},
    }
    if len(model.config.modalities) > 1:
        results["ablation"] = ablate(trainer, data.get("test", data["validation"]), corpus.bayes_accuracy)
    return results


def _skipped(corpus: Corpus, data: dict[str, UtteranceDataset]) -> dict[str, int]:
    """Rows without any of the modalities, and clips that failed while they were decoded, by reason; none: left out."""
    counts = {f"{split} rows with none of the modalities": count for split, count in corpus.skipped.items()}
    counts["clips that could not be decoded, their rows used without them"] = sum(d.failures for d in data.values())
    return {reason: count for reason, count in counts.items() if count}


def predict(trainer: Trainer, dataset: UtteranceDataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """References and predictions, class ids (rows,), of each task: "emotion" and, with two tasks, "sentiment"."""
    output = trainer.predict(dataset)
    pairs = zip(as_tuple(output.label_ids), as_tuple(output.predictions), strict=True)
    return {
        task: (ids, logits.argmax(-1)) for task, (ids, logits) in zip(("emotion", "sentiment"), pairs, strict=False)
    }


def ablate(trainer: Trainer, dataset: UtteranceDataset, bayes: dict[str, float] | None) -> list[AblationRow]:
    """The same model on every subset of its modalities, on the rows that hold any of them.

    Args:
        bayes: of a synthetic corpus: the best expected accuracy by subset, "text+audio" and so on.
    """
    names = trainer.model.config.modalities
    rows = []
    for subset in (c for size in range(1, len(names) + 1) for c in itertools.combinations(names, size)):
        seen = dataset.only(subset)
        if not len(seen):
            continue
        report = classification_report(*predict(trainer, seen)["emotion"], dataset.emotions)
        row: AblationRow = {"modalities": list(subset), "rows": len(seen)}
        row |= {"accuracy": report["accuracy"], "f1_weighted": report["f1_weighted"]}
        rows.append(row | ({"bayes_accuracy": bayes["+".join(subset)]} if bayes else {}))
    return rows
