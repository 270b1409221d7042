"""The held-out rows of a model's folds, as one table: each row judged once a seed, by the model that never saw it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from .answers import Answers, joined, known_rows
from .clusters import Clusters, clustered, people_apart, usual_clusters
from .predictions import ABOUT_ROWS, Predictions
from .runs import Model, Run


@dataclass(frozen=True)
class Pool:
    """The held-out rows of a model's folds, those whose truth is known, in the order of their keys."""

    name: str
    """Of the model."""
    data: str
    """Of the data set."""
    task: str
    split: str
    keys: np.ndarray
    """str (rows,), each once."""
    folds: np.ndarray
    """int (rows,): which fold held a row out."""
    clusters: Clusters
    answers: dict[int, Answers]
    """Seed -> what was answered to the rows."""
    participants: np.ndarray | None = None
    """str or None (rows,); None: nothing is known of them."""
    test_to_train: float | None = None
    """Judged rows over rows that learned, the mean of the folds; None: how many learned is not known."""
    notes: tuple[str, ...] = field(default=())
    """What a reader has to know, such as a fold that is missing."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def first(self) -> Answers:
        """Of the first seed."""
        return next(iter(self.answers.values()))

    def take(self, rows: np.ndarray) -> "Pool":
        """Of some rows, by their places."""
        return replace(
            self,
            keys=self.keys[rows],
            folds=self.folds[rows],
            clusters=self.clusters.take(rows),
            answers={seed: answers.take(rows) for seed, answers in self.answers.items()},
            participants=None if self.participants is None else self.participants[rows],
        )

    def noting(self, note: str) -> "Pool":
        """The same, with something more that a reader has to know."""
        return replace(self, notes=(*self.notes, note))


def pooled(model: Model, split: str, task: str | None = None, by: str | None = None, seeds: int | None = None) -> Pool:
    """The rows of a split, over all folds.

    A seed that lacks a fold which another seed has is left out, and that is noted.

    Args:
        model: its runs.
        split: "test"; of several folds "validation" may hold a row twice, which is refused.
        task: name of the target; None: the main one.
        by: what clusters are by, one of `clusters.BY`; None: by the rule of `clusters.usual_clusters`.
        seeds: use the first so many; None: all.

    Raises:
        ValueError: no such split, task or clusters; a logit that is NaN; rows without a key, or with the same;
            seeds that judged other rows.
    """
    table, notes = _complete(model)
    if seeds is not None and seeds > len(table):
        raise ValueError(f"{model.name}: {len(table)} seeds and not {seeds}: train the others, or ask for fewer.")
    table = dict(list(table.items())[:seeds])
    runs = list(next(iter(table.values())).values())
    by = by or _usual(runs, split)
    pools = {seed: _of_seed(model, list(folds.values()), split, task, by) for seed, folds in table.items()}
    seed, first = next(iter(pools.items()))
    for other, pool in pools.items():
        if (where := difference(first, pool)) is not None:
            raise ValueError(f"{model.name}, seeds {seed} and {other}: {where}; train both on the same data.")
    answers = {seed: pool.first for seed, pool in pools.items()}
    leaks = _leaks([run for folds in table.values() for run in folds.values()], split)
    return replace(first, answers=answers, notes=(*notes, *_missing(runs, split), *leaks))


def difference(one: Pool, other: Pool) -> str | None:
    """Why rows of two pools cannot be paired, as a clause; None: they can."""
    if (one.data, one.task) != (other.data, other.task):
        return f"one is of {one.task} in {one.data!r}, the other of {other.task} in {other.data!r}"
    if (one.first.kind, one.first.labels) != (other.first.kind, other.first.labels):
        shown = [f"{pool.first.kind} {pool.first.labels}" for pool in (one, other)]
        return f"their labels are {shown[0]} and {shown[1]}"
    if not np.array_equal(one.keys, other.keys):
        gone, more = np.setdiff1d(one.keys, other.keys), np.setdiff1d(other.keys, one.keys)
        example = (gone if len(gone) else more)[0]
        return f"{len(gone):,} rows are in the first alone and {len(more):,} in the second, such as {str(example)!r}"
    if (moved := one.folds != other.folds).any():
        row = int(np.argmax(moved))
        return f"row {str(one.keys[row])!r} was held out by fold {one.folds[row]} and by fold {other.folds[row]}"
    references = one.first.references, other.first.references
    if not np.allclose(*references, equal_nan=True):
        wrong = ~np.isclose(*references, equal_nan=True).reshape(len(one), -1).all(axis=1)
        row = int(np.argmax(wrong))
        return (
            f"{int(wrong.sum()):,} rows have another truth, as {str(one.keys[row])!r}: "
            f"{references[0][row].tolist()} and {references[1][row].tolist()}"
        )
    return None


def _complete(model: Model) -> tuple[dict[int, dict[int, Run]], list[str]]:
    """Seed -> fold -> run, of the seeds that have all folds which any has; and what is left out."""
    table = model.by_seed()
    most = max(table.values(), key=len)
    whole = {seed: runs for seed, runs in table.items() if runs.keys() == most.keys()}
    notes = [f"{folder} is not finished" for folder in model.unfinished]
    for seed in table.keys() - whole.keys():
        lacks = ", ".join(map(str, sorted(most.keys() - table[seed].keys()))) or "none of those of the others"
        notes.append(f"seed {seed} is left out: of its folds there lacks {lacks}")
    return whole, notes


def _missing(runs: Sequence[Run], split: str) -> list[str]:
    """Which rows no run judged, where rows were divided into folds."""
    first = runs[0].predictions
    protocol = first.facts["protocol"].partition(",")[0]
    if protocol.startswith("fixed") or split != "test" or "key" not in first.table.column_names:
        return []
    every = pa.concat_arrays([run.predictions.table["key"].unique() for run in runs]).unique()
    judged = pa.concat_arrays([run.predictions.of(split).table["key"].unique() for run in runs]).unique()
    lacking = len(every) - len(judged)
    if not lacking:
        return []
    count = runs[0].recipe["split"].get("folds")
    if protocol == "leave_one_participant_out":
        count = len(first.table["participant"].unique())
    gone = sorted(set(range(count or 0)) - {run.fold for run in runs})
    names = f"fold{'s' if len(gone) > 1 else ''} {', '.join(map(str, gone))} of {count}" if gone else "some folds"
    return [f"without {names}: {lacking:,} of {len(every):,} rows are judged by no model"]


def _leaks(runs: Sequence[Run], split: str) -> list[str]:
    """Rows that a run judged although it learned from them, and leaks that its recipe accepted."""
    known: dict[str, int] = {}
    for run in runs:
        if "train" in run.predictions.splits and split != "train" and run.predictions.column("key") is not None:
            learned = set(run.predictions.of("train").table["key"].to_pylist())
            judged = run.predictions.of(split).table["key"].drop_null().to_pylist()
            count = sum(key in learned for key in judged)
            if count:
                known[f"{run.folder.name}: {count:,} rows that judge are rows that it learned from: train anew"] = 1
        for row in run.results.get("audit", []):
            if row["severity"] == "severe":
                name = "a severe finding of the audit was accepted, so the figures may flatter: "
                known[f"{name}{row['check']}"] = 1
    return list(known)


def _usual(runs: Sequence[Run], split: str) -> str:
    """What the rows of some folds are drawn by."""
    apart = all(people_apart(run.predictions, split) for run in runs)
    return usual_clusters(runs[0].predictions.of(split), apart)


def _of_seed(model: Model, runs: Sequence[Run], split: str, task: str | None, by: str) -> Pool:
    """Of one seed, as if there were no other."""
    parts = [(run, *part) for run in runs if (part := _of_run(run, split, task))]
    if not parts:
        raise ValueError(f"{model.name}: no row of {split} has a known {task or 'truth'}: there is nothing to judge.")
    tables = [
        rows.table.select([name for name in ABOUT_ROWS if name in rows.table.column_names]) for _, rows, _ in parts
    ]
    facts = parts[0][0].predictions.facts
    rows = Predictions(pa.concat_tables(tables, promote_options="permissive"), facts)
    ratios = [ratio for run, _, _ in parts if (ratio := _test_to_train(run, split)) is not None]
    keys = _keys(model, rows, split)
    pool = Pool(
        *(model.name, facts["data"], task or next(iter(facts["tasks"])), split, keys),
        folds=np.concatenate([np.full(len(answers), run.fold) for run, _, answers in parts]),
        clusters=clustered(rows, by),
        answers={runs[0].seed: joined([answers for _, _, answers in parts])},
        participants=rows.column("participant"),
        test_to_train=float(np.mean(ratios)) if len(ratios) == len(parts) else None,
    )
    return pool.take(np.argsort(keys, kind="stable"))


def _of_run(run: Run, split: str, task: str | None) -> tuple[Predictions, Answers] | None:
    """Rows of a fold whose truth is known, and the answers to them; None: there is no such row."""
    try:
        rows = run.predictions.of(split)
        task = task or next(iter(rows.tasks))
        if task not in rows.tasks:
            raise ValueError(f"there is no target {task!r}; those there are: {', '.join(rows.tasks)}.")
        known = known_rows(rows.tasks[task]["kind"], rows.references(task))
        if not known.any():
            return None
        rows = rows.take(known)
        return rows, rows.answers(task)
    except ValueError as error:
        raise ValueError(f"{run.folder}: {error}") from error


def _keys(model: Model, rows: Predictions, split: str) -> np.ndarray:
    """The keys of rows, str; ValueError where one is not there, or is that of two."""
    keys = rows.column("key")
    if keys is None or rows.table["key"].null_count:
        raise ValueError(f"{model.name}: rows of {split} have no key, by which they are found again: give each one.")
    names, counts = np.unique(keys.astype(str), return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{model.name}: {int((counts > 1).sum()):,} keys of {split} stand for several rows, as "
            f"{str(names[counts.argmax()])!r}: a row is judged once; of several folds take the split test."
        )
    return keys.astype(str)


def _test_to_train(run: Run, split: str) -> float | None:
    """How many rows were judged for one that learned; None: it is not known how many learned."""
    said = run.results.get("data", {}).get("splits", {}).get("train")
    splits = run.predictions.table["split"].to_pandas().value_counts()
    learned = splits.get("train", said)
    return float(splits[split] / learned) if learned else None
