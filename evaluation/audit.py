"""The leakage audit: what a split lets through, before anything is trained on it.

    findings = audit(train, held_out, AuditColumns(recording="recording", participant="participant"))
    print(findings_table(findings))
    enforce(findings, accepted=["same_participant"])

A figure on a split with a severe finding says nothing about new recordings. `docs/leakage.md` shows one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import pandas as pd

from affecthub.datasets_scripts.corpus import AuditColumns

from .affdex import circular_inputs
from .audit_labels import same_tracks, telling_features
from .audit_media import media_findings
from .findings import (
    EXAMPLES,
    Finding,
    LeakageError,
    Severity,
    by_severity,
    enforce,
    findings_table,
    merged,
    unchecked,
)
from .sides import Sides
from .texts import LONG_TEXT, bare_text, plain_name, similar_texts

__all__ = ["AuditColumns", "Finding", "LeakageError", "audit", "audit_splits", "enforce", "findings_table"]

MIN_ROWS = 5
"""Rows that a participant needs before a constant label says anything; two rows agree by chance too often."""

MIN_LAMBDA = 0.9
"""Goodman and Kruskal's lambda (JASA 49, 1954) from which on a label counts as a function of the participant."""


def audit(
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    columns: AuditColumns,
    *,
    inputs: Sequence[str] = (),
    targets: Sequence[str] = (),
    fitted_on: Collection[str] | None = None,
    synthetic: bool = False,
) -> list[Finding]:
    """Look for every kind of leakage between two sides of a split.

    Args:
        train: rows that learn.
        held_out: rows that judge, or that choose the epoch.
        columns: which columns say what.
        inputs: names of the numeric features that the model sees, as "Brow Furrow".
        targets: names of what it predicts, as "Joy".
        fitted_on: keys of the rows that the processor's statistics were fitted on.
        synthetic: whether people were drawn, and voices computed; see `audit_media`.

    Returns:
        Findings, the most severe first; a clean, fully checked split gives an empty list. Checks that lack their
        columns come last, as "unchecked".

    Raises:
        ValueError: a side without rows, or a column that is not there.
    """
    _check_sides(train, held_out, columns)
    findings = [
        *_overlaps(Sides(train, held_out, columns, synthetic)),
        *_labels_from_participant(train, held_out, columns),
        *same_tracks(pd.concat([train, held_out], ignore_index=True), columns),
        _target_from_inputs(inputs, targets),
        telling_features(train, columns, inputs),
        _statistics_outside(train, columns.key, fitted_on),
    ]
    return by_severity(filter(None, findings))


def audit_splits(splits: Mapping[str, pd.DataFrame], columns: AuditColumns, **options: Any) -> list[Finding]:
    """As `audit`: what learns against all that judges, and what chooses the epoch against the test.

    Args:
        splits: "train", and "validation", "test" or both.
        columns: which columns say what.
        options: further arguments of `audit`.

    Returns:
        One finding a check, of both comparisons where both say something.
    """
    judging = [rows for name, rows in splits.items() if name != "train"]
    findings = audit(splits["train"], pd.concat(judging, ignore_index=True), columns, **options)
    if {"validation", "test"} <= set(splits):
        sides = Sides(
            *(splits["validation"], splits["test"], columns, options.get("synthetic", False)),
            known="validation",
            judged="test",
        )
        findings = merged([*findings, *filter(None, _overlaps(sides))])
    return by_severity(findings)


def _overlaps(sides: Sides) -> list[Finding | None]:
    """What is on both sides."""
    return [
        _same_row(sides),
        _same_recording(sides),
        *media_findings(sides),
        _same_participant(sides),
        _spelled_twice(sides),
        _same_text(sides),
        _similar_text(sides),
    ]


def _check_sides(train: pd.DataFrame, held_out: pd.DataFrame, columns: AuditColumns) -> None:
    named = [name for value in astuple(columns) for name in (value if isinstance(value, tuple) else [value])]
    for side, table in (("training", train), ("held-out", held_out)):
        if not len(table):
            raise ValueError(f"the {side} side has no rows; there is nothing to audit: check the split")
        missing = [name for name in named if name is not None and name not in table]
        if missing:
            raise ValueError(
                f"the {side} rows have no column {', '.join(missing)}, only {', '.join(map(str, table.columns))}: "
                "correct AuditColumns, or set the field to None to leave its checks out"
            )


def _shared(train: pd.DataFrame, held_out: pd.DataFrame, column: str) -> pd.Series:
    """Value that is on both sides -> its held-out rows, the most frequent first; empty cells match nothing."""
    values = held_out[column].dropna()
    return values.loc[values.isin(train[column].dropna().tolist())].value_counts()


def _overlap(check: str, severity: Severity, shared: pd.Series, sides: Sides, of: str, remedy: str) -> Finding | None:
    """The finding that values are on both sides, or None where none is."""
    if shared.empty:
        return None
    rows = int(shared.sum())
    message = (
        f"{sides.share(rows, len(sides.held_out), 'rows')} are of {len(shared):,} {of} that the {sides.known} side "
        "holds too"
    )
    examples = [f"{str(value)[:60]} ({count} rows)" for value, count in shared.head(EXAMPLES).items()]
    return Finding(check, severity, rows, message, examples, remedy)


def _same_row(sides: Sides) -> Finding | None:
    key = sides.columns.key
    if key is None:
        return unchecked("same_row", "a column that names each row")
    remedy = "give each row one side; make_folds does"
    return _overlap("same_row", "severe", _shared(sides.train, sides.held_out, key), sides, "keys", remedy)


def _same_recording(sides: Sides) -> Finding | None:
    recording = sides.columns.recording
    if recording is None:
        return unchecked("same_recording", "a column with the source recording of each row")
    remedy = "split by_recording, or by participant; by_row is for comparison with published figures only"
    shared = _shared(sides.train, sides.held_out, recording)
    return _overlap("same_recording", "severe", shared, sides, "recordings", remedy)


def _same_participant(sides: Sides) -> Finding | None:
    """A warning alone: models for known people are legitimate, as long as nobody claims more."""
    participant = sides.columns.participant
    if participant is None:
        return unchecked("same_participant", "a column with the participant or speaker of each row")
    remedy = "split by leave_one_participant_out or grouped_k_fold, or claim nothing about people who are new"
    shared = _shared(sides.train, sides.held_out, participant)
    return _overlap("same_participant", "warning", shared, sides, "participants", remedy)


def _spelled_twice(sides: Sides) -> Finding | None:
    """People who are on both sides, but for how their names are written."""
    participant = sides.columns.participant
    if participant is None:
        return None  # said by same_participant
    names = [set(side[participant].dropna()) for side in (sides.train, sides.held_out)]
    known: dict[str, list] = {}
    for name in sorted(names[0], key=str):
        known.setdefault(plain_name(name), []).append(name)
    twice = {name: known[plain_name(name)] for name in names[1] - names[0] if plain_name(name) in known}
    rows = sides.held_out[participant].map(lambda name: twice[name][0] if name in twice else None, na_action="ignore")
    shared = sides.held_out[participant].loc[rows.notna()].value_counts()
    shared.index = [f"{name} = {twice[name][0]}" for name in shared.index]
    remedy = "write each participant's name in one way, in the tables or by the study's settings, and split again"
    return _overlap("participant_spelled_twice", "warning", shared, sides, "participants, otherwise spelled,", remedy)


def _similar_text(sides: Sides) -> Finding | None:
    """Long texts that are nearly one of the other side; equal ones are `same_text`."""
    if sides.columns.text is None:
        return None
    (places, known), (rows, asked) = sides.holding(sides.columns.text)
    bare = [
        {place: bare_text(text) for place, text in zip(of, texts, strict=True) if len(text.split()) >= LONG_TEXT}
        for of, texts in ((places, known), (rows, asked))
    ]
    equal = set(bare[0].values())
    bare[1] = {row: text for row, text in bare[1].items() if text not in equal}
    first, second = ([(place, text) for place, text in side.items() if text] for side in bare)
    found = similar_texts([text for _, text in first], [text for _, text in second])
    if not found:
        return None
    pairs = [(second[row][0], first[other][0]) for row, other, _ in found]
    message = (
        f"{sides.share(len(found), len(sides.held_out), 'rows')} have a text that is nearly one of the {sides.known} "
        f"side's, of {LONG_TEXT} words or more"
    )
    examples = [sides.pair(*pair) for pair in pairs[:EXAMPLES]]
    remedy = "leave the repeated rows out of one side, or report the figures without them too"
    return Finding("similar_text", "warning", len(found), message, examples, remedy)


def _same_text(sides: Sides) -> Finding | None:
    """Long texts are a warning; short ones are how people talk."""
    text = sides.columns.text
    if text is None:
        return None  # not every data set has words; the column's absence needs no remedy
    known, asked = (
        side[[text]].assign(bare=side[text].map(bare_text, na_action="ignore"))
        for side in (sides.train, sides.held_out)
    )
    spaced = asked.dropna().drop_duplicates("bare").set_index("bare")[text]
    shared = _shared(known, asked, "bare")
    texts = spaced.loc[shared.index].str.strip()
    shared.index = texts
    long = shared.loc[[len(value.split()) >= LONG_TEXT for value in texts]]
    remedy = "leave the repeated rows out of one side, or report the figures without them too"
    if long.empty:
        return _overlap("same_text", "note", shared, sides, f"texts, all under {LONG_TEXT} words,", remedy)
    return _overlap("same_text", "warning", long, sides, f"texts of {LONG_TEXT} words or more", remedy)


def _labels_from_participant(
    train: pd.DataFrame, held_out: pd.DataFrame, columns: AuditColumns
) -> list[Finding | None]:
    if columns.participant is None or not columns.labels:
        return [unchecked("label_from_participant", "a column with the participant, and the columns of the labels")]
    rows = pd.concat([train, held_out], ignore_index=True)
    shared = not _shared(train, held_out, columns.participant).empty
    return [_label_from_participant(rows, columns.participant, label, shared) for label in columns.labels]


def _label_from_participant(rows: pd.DataFrame, participant: str, label: str, shared: bool) -> Finding | None:
    """Severe where people are on both sides, so that recognising them is enough; else each person is one sample."""
    counts = rows.groupby([participant, label]).size()  # not a crosstab: a label may have a value for every row
    counts = counts.loc[counts.groupby(level=0).transform("sum").ge(MIN_ROWS)]
    total, majority = int(counts.sum()), int(counts.groupby(level=1).agg("sum").max()) if len(counts) else 0
    if majority == total:  # nobody has rows enough, or there is one label: nothing to know
        return None
    best = counts.groupby(level=0).agg("max")
    strength = (int(best.sum()) - majority) / (total - majority)
    if strength < MIN_LAMBDA:
        return None
    message = (
        f"{label}: who it is gives the label of {best.sum():,} of {total:,} rows, where the most frequent label is "
        f"right in {majority:,} (lambda {strength:.2f}, {len(best)} participants)"
    )
    examples = [f"{name}: {label} {counts.loc[name].idxmax()} in {best[name]} rows" for name in best.index[:EXAMPLES]]
    remedy = (
        "split by participant and take each of them as one sample"
        if shared
        else f"claim no more than {len(best)} independent labels allow"
    )
    severity: Severity = "severe" if shared else "warning"
    return Finding("label_from_participant", severity, int(best.sum()), message, examples, remedy)


def _target_from_inputs(inputs: Sequence[str], targets: Sequence[str]) -> Finding | None:
    circular = circular_inputs(inputs, targets)
    if not circular:
        return None
    message = f"{len(circular)} of {len(targets)} targets were computed by AFFDEX from inputs, or are inputs"
    examples = [f"{target} from {', '.join(names[:4])}" for target, names in list(circular.items())[:EXAMPLES]]
    remedy = "leave these inputs out, or accept this by name and call the task a re-computation of AFFDEX"
    return Finding("target_from_inputs", "severe", len(circular), message, examples, remedy)


def _statistics_outside(train: pd.DataFrame, key: str | None, fitted_on: Collection[str] | None) -> Finding | None:
    if fitted_on is None:
        return None  # a processor without fitted statistics has nothing to check
    if key is None:
        return unchecked("statistics_outside_training", "a column that names each row")
    outside = sorted(set(fitted_on) - set(train[key]))
    if not outside:
        return None
    message = (
        f"{len(outside):,} of the {len(set(fitted_on)):,} rows that the processor's statistics were fitted on are not "
        "among the training rows"
    )
    remedy = "fit the processor again, on the training rows alone"
    return Finding("statistics_outside_training", "severe", len(outside), message, outside[:EXAMPLES], remedy)
