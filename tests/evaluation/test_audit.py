"""On a planted set the audit finds every leak; on clean sets it is silent."""

import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import pandas as pd
import pytest

from affecthub.datasets_scripts.splits import make_folds
from affecthub.evaluation.audit import AuditColumns, LeakageError, audit, audit_splits, enforce, findings_table
from affecthub.evaluation.frame_signatures import sign_frames
from affecthub.media.colour import COLOUR_VARIANTS

COLUMNS = AuditColumns("key", "recording", "participant", "signature", "text", ("label",))
WORDS = ("blue", "cup", "door", "early", "five", "green", "house", "ink")


def scene(rng):
    return cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (96, 72), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def rows():
    """Six people with two recordings of six frames each; labels, texts and pictures are drawn for every row."""
    rng = np.random.default_rng(0)
    keys = [f"P{p}/{r}/{f}" for p in range(6) for r in "ab" for f in range(6)]
    return pd.DataFrame(
        {
            "key": keys,
            "participant": [key.split("/")[0] for key in keys],
            "recording": [key.rsplit("/", 1)[0] for key in keys],
            "label": rng.integers(0, 2, len(keys)),
            "text": [" ".join(rng.choice(WORDS, 8)) for _ in keys],
            "frame": [scene(rng) for _ in keys],
        }
    ).assign(signature=lambda table: sign_frames(table.frame))


def by_check(findings):
    return {found.check: found for found in findings}


@pytest.mark.parametrize("protocol", ["leave_one_participant_out", "grouped_k_fold"])
def test_clean_sets_raise_no_alarm(protocol, rows):
    for fold in make_folds(protocol, rows):
        train = rows.iloc[fold.train]
        found = audit(
            train,
            rows.iloc[fold.held_out],
            COLUMNS,
            inputs=["gsr_peak_count", "fixation_density"],
            targets=["Joy", "Attention"],
            fitted_on=train.key.tolist(),
        )
        assert found == []
    assert findings_table([]) == "Leakage audit: every check ran, nothing was found."


def test_every_planted_leak_is_found_and_counted(rows):
    train, held_out = rows.iloc[:48].copy(), rows.iloc[48:].copy()
    rng = np.random.default_rng(5)
    variants = sign_frames(change(train.frame.iloc[i]) for i, change in enumerate(COLOUR_VARIANTS.values()))
    held_out.iloc[:4, held_out.columns.get_loc("signature")] = variants
    held_out.iloc[4:7, held_out.columns.get_loc("recording")] = "P0/a"
    held_out.iloc[4:9, held_out.columns.get_loc("participant")] = "P1"
    held_out.iloc[9:11, held_out.columns.get_loc("text")] = f"  {train.text.iloc[0].upper()}"
    held_out.iloc[11, held_out.columns.get_loc("key")] = train.key.iloc[3]
    both = pd.concat([train, held_out])
    train["trait"], held_out["trait"] = (side.participant.isin(["P1", "P4"]).astype(int) for side in (train, held_out))
    found = audit(
        train,
        held_out,
        replace(COLUMNS, labels=("trait", "label")),
        inputs=["brow_furrow", "Smile", "GSR Peak Count"],
        targets=["Joy", "Confusion", "Something"],
        fitted_on=rng.permutation(both.key)[:60].tolist() + ["P5/b/5", "P5/b/4"],
    )
    checks = by_check(found)
    severe = {"same_row", "same_recording", "near_duplicate_frames", "label_from_participant", "target_from_inputs"}
    assert {name for name, f in checks.items() if f.severity == "severe"} == severe | {"statistics_outside_training"}
    assert {name for name, f in checks.items() if f.severity == "warning"} == {"same_participant", "same_text"}
    counts = {name: checks[name].count for name in checks}
    assert counts["same_recording"] == 3
    assert counts["near_duplicate_frames"] == 4
    assert counts["same_participant"] == 5
    assert counts["same_text"] == 2
    assert counts["same_row"] == 1
    assert counts["target_from_inputs"] == 2
    assert checks["near_duplicate_frames"].examples[0].startswith(f"{held_out.key.iloc[0]} = {train.key.iloc[0]} ")
    assert checks["target_from_inputs"].examples[0] == "Joy from brow_furrow, Smile"
    assert [f.severity for f in found] == sorted([f.severity for f in found], key=["severe", "warning"].index)
    assert json.loads(json.dumps([asdict(f) for f in found])) == [asdict(f) for f in found]


def test_each_leak_alone_raises_its_own_alarm_alone(rows):
    train, held_out = rows.iloc[:48], rows.iloc[48:]
    for column, value, check in (
        ("recording", "P0/a", "same_recording"),
        ("participant", "P0", "same_participant"),
        ("key", "P0/a/0", "same_row"),
        ("signature", rows.signature[0], "near_duplicate_frames"),
        ("text", rows.text[0], "same_text"),
    ):
        planted = held_out.copy()
        planted.loc[planted.index[0], column] = value
        (found,) = audit(train, planted, COLUMNS)
        assert (found.check, found.count) == (check, 1)


def test_label_of_the_participant_is_severe_only_where_people_are_shared(rows):
    rows = rows.assign(label=(rows.participant > "P2").astype(int))
    (apart,) = audit(rows.iloc[:48], rows.iloc[48:], COLUMNS)
    assert (apart.check, apart.severity, apart.count) == ("label_from_participant", "warning", 72)
    shared = by_check(audit(rows.iloc[::2], rows.iloc[1::2], COLUMNS))
    assert shared["label_from_participant"].severity == "severe"


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_label_nearly_of_the_participant(noise, rows):
    flip = np.random.default_rng(2).random(len(rows)) < noise
    rows = rows.assign(label=np.where(flip, 2, (rows.participant > "P2").astype(int)))
    found = by_check(audit(rows.iloc[:48], rows.iloc[48:], COLUMNS))
    assert ("label_from_participant" in found) == (noise < 0.1)


def test_rare_labels_and_single_rows_are_no_function_of_the_participant(rows):
    rare = rows.assign(label=(np.arange(len(rows)) == 3).astype(int))
    assert audit(rare.iloc[:48], rare.iloc[48:], COLUMNS) == []
    single = rows.assign(participant=rows.key)
    assert audit(single.iloc[:48], single.iloc[48:], COLUMNS) == []


def test_short_texts_are_a_note(rows):
    rows = rows.assign(text="Oh no.")
    (found,) = audit(rows.iloc[:48], rows.iloc[48:], COLUMNS)
    assert (found.check, found.severity, found.count) == ("same_text", "note", 24)


def test_texts_that_differ_by_punctuation_case_or_blanks_alone_are_the_same(rows):
    train, held_out = rows.iloc[:48].copy(), rows.iloc[48:].copy()
    place = held_out.columns.get_loc("text")
    train.iloc[0, place], held_out.iloc[0, place] = "yes", "Yes!"
    (found,) = audit(train, held_out, COLUMNS)
    assert (found.check, found.severity, found.count, found.examples) == ("same_text", "note", 1, ["Yes! (1 rows)"])
    train.iloc[1, place] = "What are you doing here"
    held_out.iloc[1:3, place] = ["  what are you – doing here?!", "What are you doing, here..."]
    (found,) = audit(train, held_out, COLUMNS)
    assert (found.severity, found.count) == ("warning", 2)
    train.iloc[2:5, place] = ["...", None, "I am 5"]
    held_out.iloc[3:7, place] = ["?!", None, "...", "I am 6"]
    assert audit(train, held_out, COLUMNS) == [found]  # what holds no word is like nothing


def test_what_could_not_be_checked_is_said(rows):
    found = audit(rows.iloc[:48], rows.iloc[48:], AuditColumns())
    assert {f.severity for f in found} == {"unchecked"}
    assert {f.check for f in found} == {
        *("same_row", "same_recording", "near_duplicate_frames", "same_participant", "label_from_participant")
    }
    enforce(found)
    blank = rows.assign(signature=None)
    (found,) = audit(blank.iloc[:48], blank.iloc[48:], COLUMNS)
    assert (found.check, found.severity) == ("near_duplicate_frames", "unchecked")


def test_frames_without_a_picture_are_counted(rows):
    held_out = rows.iloc[48:].copy()
    held_out.loc[held_out.index[:5], "signature"] = None
    held_out.loc[held_out.index[5], "signature"] = rows.signature[0]
    (found,) = audit(rows.iloc[:48], held_out, COLUMNS)
    assert found.message.startswith("1 of 19 held-out frames")
    assert found.message.endswith("5 more are absent or flat, and were not compared")


def test_severe_findings_stop_unless_accepted_by_name(rows):
    found = audit(rows.iloc[::2], rows.iloc[1::2], COLUMNS)
    assert {f.check for f in found} == {"same_recording", "same_participant"}
    with pytest.raises(LeakageError, match=r"(?s)36 of 36 held-out rows.*accept by name .*\(same_recording\)"):
        enforce(found)
    enforce(found, ["same_recording"])
    with pytest.raises(ValueError, match="'same_recordings' is no check of the audit; did you mean 'same_recording'"):
        enforce(found, ["same_recordings"])


def test_sides_and_columns_that_are_not_there(rows):
    with pytest.raises(ValueError, match="the held-out side has no rows"):
        audit(rows, rows.iloc[:0], COLUMNS)
    with pytest.raises(ValueError, match="the training rows have no column source, only key"):
        audit(rows, rows, AuditColumns(recording="source"))


def test_what_chooses_the_epoch_is_compared_with_the_test(rows):
    splits = {"train": rows.iloc[:48], "validation": rows.iloc[48:60], "test": rows.iloc[60:].copy()}
    assert audit_splits(splits, COLUMNS) == []
    for column, check in (("signature", "near_duplicate_frames"), ("recording", "same_recording")):
        planted = splits["test"].copy()
        planted.loc[planted.index[0], column] = splits["validation"][column].iloc[0]
        (found,) = audit_splits(splits | {"test": planted}, COLUMNS)
        assert (found.check, found.severity, found.count) == (check, "severe", 1)
        assert "1 of 12 test" in found.message and "validation" in found.message
        planted.loc[planted.index[1], column] = rows[column].iloc[0]
        (both,) = audit_splits(splits | {"test": planted}, COLUMNS)
        assert both.count == 2 and "1 of 24 held-out" in both.message and "1 of 12 test" in both.message
