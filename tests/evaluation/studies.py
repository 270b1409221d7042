"""Finished runs of a made-up study, without any training: people with skills of their own, dealt to folds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from affecthub.evaluation.predictions import PredictionFacts, list_column, predictions_of

PEOPLE, ROWS, FOLDS = 8, 6, 4
"""People, rows of each, folds."""

LABELS = {"single_label": ["a", "b", "c"], "binary": ["low", "high"], "multi_label": ["x", "y"]}


def truth_of(kind: str, rng: np.random.Generator, rows: int) -> np.ndarray:
    """References as a file of predictions has them."""
    if kind == "single_label":
        return rng.integers(3, size=rows)
    if kind in ("binary", "multi_label"):
        return rng.integers(2, size=(rows, len(LABELS[kind]) - (kind == "binary"))).astype(np.float32)
    return rng.multinomial(5, [0.5, 0.3, 0.2], rows) / 5 if kind == "soft" else rng.random((rows, 1))


def logits_of(kind: str, truth: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Outputs that follow the truth, the less the more noise."""
    exact = np.eye(3)[truth] if kind == "single_label" else np.asarray(truth, dtype=float)
    exact = exact if kind in ("single_label", "regression") else 2 * exact - 1
    return (exact + noise * rng.normal(size=exact.shape)).astype(np.float32)


def write_run(
    folder: Path,
    *,
    kind: str = "single_label",
    fold: int = 0,
    seed: int = 0,
    noise: float = 1.0,
    people: int = PEOPLE,
    folds: int = FOLDS,
    name: str = "study",
    data: str = "mine",
    shift: int = 0,
    drop: int = 0,
    share: float = 1.0,
    **recipe: object,
) -> Path:
    """A run's folder.

    Args:
        folder: of the run.
        kind: of the target.
        fold, seed: of the run.
        noise: of the model's outputs.
        people, folds: of the study.
        name, data: of recipe and data set.
        shift: of the seed by which the truth is drawn.
        drop: leave out so many rows, the first ones.
        share: of the people who learn, the first ones.
        recipe: further keys.
    """
    rows = people * ROWS
    who = np.repeat(np.arange(people), ROWS)
    truth = truth_of(kind, np.random.default_rng([1, shift]), rows)
    logits = logits_of(kind, truth, np.random.default_rng([2, seed, fold, int(1000 * noise)]), noise)
    parts = {}
    for split, at in {"train": None, "validation": (fold + 1) % folds, "test": fold}.items():
        chosen = who % folds == at if at is not None else ~np.isin(who % folds, [fold, (fold + 1) % folds])
        if at is None:
            chosen &= np.isin(who, np.unique(who[chosen])[: max(1, round(share * len(np.unique(who[chosen]))))])
        places = np.flatnonzero(chosen & (np.arange(rows) >= drop))
        values = truth[places]
        parts[split] = {
            "key": pa.array([f"clip {place}" for place in places]),
            "participant": pa.array([f"<b>Zoë</b> {who[place]}" for place in places]),
            "recording": pa.array([f"../{place // 2}" for place in places]),
            "present": pa.array([["text"]] * len(places), pa.list_(pa.string())),
            "reference.mood": pa.array(values) if values.ndim == 1 else list_column(values),
            "logits.mood": list_column(logits[places]),
        }
    labels = LABELS.get(kind, ["valence"] if kind == "regression" else ["a", "b", "c"])
    facts: PredictionFacts = {"data": data, "synthetic": True, "unit": "clips", "architecture": "x", "subsets": []}
    found = predictions_of(
        parts,
        {"mood": {"kind": kind, "labels": labels}},
        **facts | {"protocol": f"grouped_k_fold, fold {fold}", "modalities": ["text"]},
    )
    folder.mkdir(parents=True, exist_ok=True)
    found.write(folder / "predictions.parquet")
    split, training = {"fold": fold, "folds": folds, "protocol": None, "share": share}, {"seed": seed, "epochs": 3}
    content = {"name": name, "split": split, "training": training} | recipe
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return folder


def write_sweep(folder: Path, seeds: int = 2, folds: int = FOLDS, **options: object) -> Path:
    """Runs of all folds and seeds."""
    for seed in range(seeds):
        for fold in range(folds):
            write_run(folder / f"fold{fold}-seed{seed}", fold=fold, seed=seed, folds=folds, **options)
    return folder
