"""The gate before any training: what the split lets through is found, said, and accepted by name or refused."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from transformers import ProcessorMixin

from affecthub.datasets_scripts.genex.study import FEATURES, TARGETS
from affecthub.evaluation.audit import AuditColumns, Finding, audit
from affecthub.evaluation.perceptual_hash import sign_files, sign_frames
from affecthub.media.pictures import decode_image
from affecthub.modeling.modalities import PHYSIO, VIDEO
from affecthub.processing.feature_extraction_physio import row_digest
from affecthub.training.corpus import Corpus, Target


def audit_once(corpus: Corpus, processor: ProcessorMixin) -> list[Finding]:
    """As `audit_corpus`, by the first process of a launch for all: they have the same rows, and hashing takes time."""
    found = [audit_corpus(corpus, processor) if PartialState().is_main_process else None]
    return broadcast_object_list(found)[0]


def audit_corpus(corpus: Corpus, processor: ProcessorMixin) -> list[Finding]:
    """The findings on a corpus as a model with this processor would learn from it.

    What learns is compared with all that judges, validation and test together. MELD's recordings are its episodes.
    Pictures are compared where a row is a picture; the clips of utterances are not decoded for it.
    """
    train, held_out = [corpus.splits["train"]], [rows for name, rows in corpus.splits.items() if name != "train"]
    if corpus.frames is None:
        columns = AuditColumns("key", "episode", "speaker", text="text", labels=("emotion",))
        return audit(_utterances(train), _utterances(held_out), columns)
    target, pictures = corpus.targets[0], VIDEO in processor.modalities
    labels = tuple(TARGETS) if target.name == "affect" else ("attention_label",)
    columns = AuditColumns(
        "key", "source_recording", "participant", signature="signature" if pictures else None, labels=labels
    )
    measured = PHYSIO in processor.modalities
    sides = [_frames(parts, target, pictures) for parts in (train, held_out)]
    return audit(
        *sides,
        columns,
        inputs=FEATURES if measured else (),
        targets=TARGETS if target.name == "affect" else ("Attention",),
        fitted_on=_fitted_on(processor, sides[0].key) if measured else None,
    )


def as_results(findings: Sequence[Finding], accepted: Collection[str]) -> list[dict]:
    """The findings as the metrics file and the card hold them: without examples, which may name people."""
    return [asdict(finding) | {"examples": [], "accepted": finding.check in accepted} for finding in findings]


def _fitted_on(processor: ProcessorMixin, keys: pd.Series) -> list[str]:
    """Keys of the rows that the statistics were fitted on, which the processor remembers as a digest alone."""
    digest = processor.feature_extractor.fitted_digest
    return list(keys) if digest == row_digest(keys) else [f"rows with the digest {digest}"]


def _utterances(parts: list[Dataset]) -> pd.DataFrame:
    columns = ["key", "speaker", "text", "season", "episode", "emotion"]
    table = pd.concat([rows.select_columns(columns).to_pandas() for rows in parts], ignore_index=True)
    return table.assign(episode=[f"S{s:02}E{e:02}" for s, e in zip(table.season, table.episode, strict=True)])


def _frames(parts: list[Dataset], target: Target, pictures: bool) -> pd.DataFrame:
    columns = ["key", "participant", "source_recording", "attention_label"]
    table = pd.concat([rows.select_columns(columns).to_pandas() for rows in parts], ignore_index=True)
    if pictures:
        table["signature"] = _signatures(parts)
    if target.name == "affect":
        table[list(TARGETS)] = np.concatenate([target.values(rows) for rows in parts])
    return table


def _signatures(parts: list[Dataset]) -> list[bytes | None]:
    """What each row's picture shows, which lies in a file of its own, or was prepared and lies in the row."""
    if "image_path" in parts[0].column_names:
        return sign_files([path for rows in parts for path in rows["image_path"]])
    frames = (decode_image(picture) for rows in parts for (picture,) in rows["video_jpeg"])
    return sign_frames(frames, total=sum(len(rows) for rows in parts))
