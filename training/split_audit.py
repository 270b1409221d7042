"""The gate before any training: what the split lets through is found, said, and accepted by name or refused."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset

from affecthub.datasets_scripts.corpus import MULTI, REGRESSION, SINGLE, Corpus, Target
from affecthub.evaluation.audit import Finding, audit_splits
from affecthub.evaluation.findings import by_severity
from affecthub.evaluation.learned_from import LearnedFrom, learned_finding
from affecthub.evaluation.results import AuditRow
from affecthub.modeling.modalities import PHYSIO, VIDEO
from affecthub.processing.feature_extraction_physio import row_digest
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.audited_media import MEDIA, with_media


@dataclass(frozen=True)
class Audited:
    """What there is to say of a corpus before a model learns from it, or is judged on it."""

    findings: list[Finding]
    learned: LearnedFrom
    """Digests of what learns, for the folder of the model."""


def audit_once(corpus: Corpus, processor: OptionalPartsProcessor, folder: Path | None = None) -> Audited:
    """As `audit_corpus`, by the first process of a launch for all: they have the same rows, and hashing takes time."""
    found: list[Any] = [audit_corpus(corpus, processor, folder) if PartialState().is_main_process else None]
    return broadcast_object_list(found)[0]


def audit_corpus(corpus: Corpus, processor: OptionalPartsProcessor, folder: Path | None = None) -> Audited:
    """The findings on a corpus as a model with this processor would learn from it.

    What learns is compared with all that judges, and the validation, which chooses the epoch, with the test; of
    media, what the processor takes.

    Args:
        corpus: divided.
        processor: of the model.
        folder: of a saved model that is to be judged: what it learned from is compared too.
    """
    parts = [[rows] for rows in corpus.splits.values()]
    measured = PHYSIO in processor.modalities
    tables = with_media([_table(part, corpus, measured) for part in parts], parts, corpus, processor.modalities)
    media = {name: name for name in (*MEDIA, "features") if name in tables[0]}
    splits = dict(zip(corpus.splits, tables, strict=True))
    columns = replace(corpus.audit, labels=_label_columns(corpus), numbers=_number_columns(corpus), **media)
    findings = audit_splits(
        splits,
        columns,
        inputs=corpus.feature_names if measured else (),
        targets=[name for target in corpus.targets for name in _said(target)],
        fitted_on=_fitted_on(processor, splits["train"].key) if measured else None,
        synthetic=corpus.synthetic,
    )
    if VIDEO not in processor.modalities:
        findings = [found for found in findings if found.check != "near_duplicate_frames"]
    if folder is not None and (known := learned_finding(LearnedFrom.read(folder), splits, columns)):
        findings = by_severity([known, *findings])
    return Audited(findings, LearnedFrom.of(splits, columns))


def as_results(findings: Sequence[Finding], accepted: Collection[str]) -> list[AuditRow]:
    """The findings as the metrics file and the card hold them: without examples, which may name people."""
    return [
        AuditRow(
            check=finding.check,
            severity=finding.severity,
            count=finding.count,
            message=finding.message,
            examples=[],
            remedy=finding.remedy,
            accepted=finding.check in accepted,
        )
        for finding in findings
    ]


def _fitted_on(processor: OptionalPartsProcessor, keys: pd.Series) -> list[str]:
    """Keys of the rows that the statistics were fitted on, which the processor remembers as a digest alone."""
    digest = processor.part_for(PHYSIO).fitted_digest
    return list(keys) if digest == row_digest(keys) else [f"rows with the digest {digest}"]


def _said(target: Target) -> list[str]:
    """What a target is about: its labels, or itself where it is one."""
    return target.labels if target.problem_type == MULTI and len(target.labels) > 1 else [target.column]


def _label_columns(corpus: Corpus) -> tuple[str, ...]:
    """Columns of the audit's table that hold classes: those that the corpus names, and those of its targets."""
    single = [t.column for t in corpus.targets if t.problem_type == SINGLE and not t.soft]
    several = [f"{t.name}: {label}" for t in corpus.targets if len(_said(t)) > 1 for label in t.labels]
    return tuple(dict.fromkeys([*corpus.audit.labels, *single, *several]))


def _number_columns(corpus: Corpus) -> tuple[str, ...]:
    """Columns of the audit's table that hold numbers to predict."""
    return tuple(target.column for target in corpus.targets if target.problem_type == REGRESSION)


def _table(parts: list[Dataset], corpus: Corpus, measured: bool) -> pd.DataFrame:
    """What the audit looks at besides media: the columns that the corpus names, the targets, and what was measured."""
    columns = corpus.audit
    names = dict.fromkeys([columns.key, columns.recording, columns.participant, columns.text, *columns.labels])
    table = pd.DataFrame({name: [value for rows in parts for value in rows[name]] for name in names if name})
    for target in corpus.targets:
        values = np.concatenate([target.values(rows) for rows in parts])
        if len(_said(target)) > 1:
            table[[f"{target.name}: {label}" for label in target.labels]] = values
        elif target.problem_type == REGRESSION:
            table[target.column] = values[:, 0]
        elif values.ndim == 1:
            table[target.column] = pd.Series(values).where(values >= 0)
    if measured:
        values = [value for rows in parts for value in rows["physio_values"]]
        table["features"] = [None if value is None else np.float32(value).tobytes() for value in values]
    return table
