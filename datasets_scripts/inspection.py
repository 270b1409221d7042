"""What a data set holds, before anything is trained on it: `affecthub inspect`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from datasets import Dataset

from affecthub.datasets_scripts.corpus import MODALITIES, MULTI, SINGLE, SPLITS, Corpus, DataOptions, Target, holds
from affecthub.datasets_scripts.prepared.shards import open_prepared

SPANS = (("clip_start", "clip_end"), ("start", "end"))
"""Columns that say where a row begins and ends, s."""


def inspect(data: DataOptions) -> str:
    """What there is, as Markdown: rows and modalities, labels, durations, people, and what became of everything found.

    Args:
        data: which data set.

    Raises:
        FileNotFoundError, ValueError: what is wrong with it, by file, row and value.
    """
    if prepared := open_prepared(data.root):
        corpus = data.describe(prepared.splits(), prepared.manifest["settings"]["facts"])
        found = f"Prepared by `affecthub prepare`: {len(prepared.manifest['shards'])} shards."
    else:
        corpus = data.describe(data.build(MODALITIES))
        found = data.manifest()
    return "\n\n".join([describe(corpus), found.strip()]) + "\n"


def describe(corpus: Corpus) -> str:
    """Rows, modalities, labels, durations and people of a corpus, as Markdown."""
    synthetic = ", synthetic" if corpus.synthetic else ""
    undivided = not set(corpus.splits) & set(SPLITS)
    divided = f"not divided; by default by {corpus.protocol}" if undivided else "divided by the data set itself"
    lines = [f"# {corpus.name}{synthetic}", f"Licence: {corpus.card.license}. The {corpus.unit} are {divided}."]
    lines += [_table("rows", corpus.splits, _rows_by_modality)]
    lines += [_target_table(corpus, target) for target in corpus.targets]
    lines += [_table("s", corpus.splits, _durations), _table("people", corpus.splits, _participants)]
    if corpus.skipped:
        lines += ["\n".join(f"- left out: {count:,} ({reason})" for reason, count in corpus.skipped.items())]
    return "\n\n".join(line for line in lines if line)


def _target_table(corpus: Corpus, target: Target) -> str:
    kind = "shares of raters" if target.soft else target.problem_type.replace("_", " ")
    return _table(f"{target.name} ({kind})", corpus.splits, lambda rows: _counts(target, rows))


def _rows_by_modality(rows: Dataset) -> Iterator[tuple[str, str]]:
    yield "all", f"{len(rows):,}"
    for name in MODALITIES:
        if count := int(holds(rows, name).sum()):
            yield f"with {name}", f"{count:,}"


def _counts(target: Target, rows: Dataset) -> Iterator[tuple[str, str]]:
    """Each label's count and prevalence; of numbers, their spread; of shares, their mean."""
    values, known = target.values(rows), target.known(rows)
    if target.problem_type == SINGLE and not target.soft:
        for i, label in enumerate(target.labels):
            yield label, _share(int((values == i).sum()), int(known.sum()))
    elif target.problem_type == MULTI:
        for i, label in enumerate(target.labels):
            column = values[:, i][~np.isnan(values[:, i])]
            yield label, _share(int((column > 0.5).sum()), len(column))
    else:
        for i, label in enumerate(target.labels):
            yield label, _spread(values[known, i])
    yield "unknown", f"{int((~known).sum()):,}"


def _durations(rows: Dataset) -> Iterator[tuple[str, str]]:
    seconds = _seconds(rows)
    if len(seconds):
        yield "in all", f"{seconds.sum():,.1f}"
        yield "median", f"{np.median(seconds):.2f}"
        yield "shortest to longest", f"{seconds.min():.2f} to {seconds.max():.2f}"


def _seconds(rows: Dataset) -> np.ndarray:
    """How long the rows are, s, where that is known."""
    if "duration" in rows.column_names:
        values = np.array(rows["duration"], dtype=np.float64)
        return values[~np.isnan(values)]
    for begin, end in SPANS:
        if end in rows.column_names:
            pairs = zip(rows[begin], rows[end], strict=True)
            return np.array([last - (first or 0.0) for first, last in pairs if last is not None])
    return np.array([])


def _participants(rows: Dataset) -> Iterator[tuple[str, str]]:
    for name in ("participant", "recording", "dialogue"):
        if name in rows.column_names:
            counts = pd.Series(rows[name]).value_counts()
            if len(counts):
                each = f"{counts.min():,} to {counts.max():,} rows each, median {counts.median():g}"
                yield f"{name}s", f"{len(counts):,} ({each})"


def _table(title: str, splits: Mapping[str, Dataset], of: Callable[[Dataset], Iterable[tuple[str, str]]]) -> str:
    """A line a fact, a column a split; empty where there is nothing to say."""
    columns = {split: dict(of(rows)) for split, rows in splits.items() if len(rows)}
    names: Sequence[str] = list(dict.fromkeys(name for facts in columns.values() for name in facts))
    if not names:
        return ""
    head = [f"| {title} | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    return "\n".join(
        head + [f"| {name} | {' | '.join(facts.get(name, '') for facts in columns.values())} |" for name in names]
    )


def _share(count: int, known: int) -> str:
    return f"{count:,} ({100 * count / known:.1f} %)" if known else "0"


def _spread(values: np.ndarray) -> str:
    values = values[~np.isnan(values)]
    if not len(values):
        return "none"
    return f"{values.mean():.3f} ± {values.std():.3f}, {values.min():.3f} to {values.max():.3f}"
