"""What was found in a GENEX-like study: one line a finding, with a count and a reason; nothing is skipped without one.

MELD's manifest has one record an utterance. A study is a few tables and a few long recordings, so that what matters
are counts: of rows, of frames, of participants.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from affecthub.datasets_scripts.genex.imotions_tables import Note
from affecthub.media.files import write_file

FINDINGS = {
    "broken": "a recording that cannot be opened or read; skipped",
    "unannotated": "a recording whose participant (and stimulus) is in no table; skipped",
    "second_recording": "a recording to which no annotation can be assigned, because they name no stimulus; skipped",
    "other_view": "a recording of a participant of whom another view is used; skipped",
    "unnamed": "a video whose name tells no participant; skipped",
    "truncated": "a recording that ends before its index says; what is there is used",
    "shorter_than_annotations": "annotations that begin after the recording's end; without use",
    "used": "a recording that is used; the count is its frames",
    "other_clock": "a table whose times are not the recording's; of this recording, what it would tell is unknown",
    "never_mentioned": "features and targets that no row of the table of expressions names; by an AFFDEX export, "
    "or else unknown",
    "missing_table": "a table that is not there; its features are unknown",
    "unreadable_table": "a table that cannot be read, lacks a column or holds another scale; its features are unknown",
    "other_table": "a table that is none of the four and no AFFDEX export; not read",
    "no_common_participant": "a table that names no participant of any recording; without use",
    "unfilmed": "participants of a table without a recording; their rows are without use",
    "unknown_expression": "rows of an expression type that is neither feature nor target; left out",
    "bad_row": "rows without a number where one is needed, or that end before they begin; left out",
    "out_of_range": "cells without a number that their column can hold; the row is left out, or the score unknown",
    "doubled_row": "rows that are the same as an earlier one; left out",
    "contradicted_sample": "AFFDEX samples of one participant and time that differ; left out",
    "unknown_stimulus": "rows of a stimulus of which there is no recording; without use",
    "out_of_order": "rows that stand before an earlier one; sorted by time",
    "short_row": "rows with too few cells; left out",
    "long_row": "rows with more cells than the header; left out",
    "forward_filled": "rows of other event sources that repeat or lack this sensor's values; left out",
    "duplicate_column": "a column name that occurs more than once; the first is used",
    "decimal_comma": "numbers with a decimal comma; read as such",
    "other_encoding": "a table that is not UTF-8; read as what it is",
    "no_face_found": "frames in which the detector found no face; whole frame, masked",
    "no_face_seen": "frames in whose window AFFDEX saw no face; their expressions and targets are unknown, not zero",
    "no_annotation": "frames in whose window nothing is annotated; their features or targets are unknown",
}
"""Every finding and what was done about it; recordings first, then tables, then frames."""


def as_table(notes: Sequence[Note]) -> pd.DataFrame:
    """Notes as a table: subject, finding, count, detail; in the order of `FINDINGS`."""
    order = list(FINDINGS)
    ranked = sorted(notes, key=lambda note: (order.index(note.finding), note.subject))
    return pd.DataFrame([asdict(note) for note in ranked], columns=["subject", "finding", "count", "detail"])


def write_study_manifest(notes: Sequence[Note], folder: Path) -> None:
    """Write `manifest.parquet` and `manifest.md` into a folder, which is made where absent."""
    folder.mkdir(parents=True, exist_ok=True)
    table, buffer = as_table(notes), io.BytesIO()
    table.to_parquet(buffer)
    write_file(folder / "manifest.parquet", buffer.getvalue())
    write_file(folder / "manifest.md", summarise_study(table).encode())


def summarise_study(manifest: pd.DataFrame) -> str:
    """The manifest in Markdown: one section a finding, with its meaning and every line."""
    lines = ["# Manifest of the study", ""]
    for finding, group in manifest.groupby("finding", sort=False):
        lines += [f"## {finding}: {group['count'].sum()}", "", FINDINGS[str(finding)] + ".", ""]
        for subject, count, detail in zip(group["subject"], group["count"], group["detail"], strict=True):
            lines.append(f"- `{subject}` {count}{f': {detail}' if detail else ''}")
        lines.append("")
    return "\n".join(lines)
