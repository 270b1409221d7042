"""Every protocol keeps apart what it promises, the same way each time."""

import numpy as np
import pandas as pd
import pytest

from affecthub.datasets_scripts.splits import PROTOCOLS, SplitOptions, make_folds, share_of, train_validation_test


@pytest.fixture
def rows():
    """Six participants with two recordings each, ten frames a recording."""
    participant = np.repeat([f"P{i}" for i in range(6)], 20)
    session = np.tile(np.repeat(["a", "b"], 10), 6)
    return pd.DataFrame(
        {
            "participant": participant,
            "recording": [f"{p}/{s}" for p, s in zip(participant, session, strict=True)],
            "frame": np.tile(np.arange(10), 12),
            "split": np.repeat(["train", "validation", "test"], [80, 20, 20]),
            "label": np.tile([0, 1], 60),
        }
    )


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "fixed"])
def test_every_row_is_held_out_once(protocol, rows):
    folds = make_folds(protocol, rows)
    assert sorted(np.concatenate([fold.held_out for fold in folds])) == list(range(len(rows)))
    for fold in folds:
        assert sorted([*fold.train, *fold.held_out]) == list(range(len(rows)))
        assert len(fold.train) and len(fold.held_out)


@pytest.mark.parametrize(
    ("protocol", "column"),
    [("by_recording", "recording"), ("leave_one_participant_out", "participant"), ("grouped_k_fold", "participant")],
)
@pytest.mark.parametrize("label", [None, "label"])
def test_groups_stay_whole(protocol, column, label, rows):
    rows = rows.sample(frac=1, random_state=3)
    for fold in make_folds(protocol, rows, label=label):
        assert not set(rows[column].iloc[fold.train]) & set(rows[column].iloc[fold.held_out])


def test_by_row_and_by_recording_do_not_promise_more(rows):
    frame, recording = make_folds("by_row", rows)[0], make_folds("by_recording", rows)[0]
    assert set(rows.recording[frame.train]) & set(rows.recording[frame.held_out])
    assert set(rows.participant[recording.train]) & set(rows.participant[recording.held_out])


def test_seed_decides(rows):
    for protocol in ("by_row", "by_recording", "grouped_k_fold"):
        first, again, other = (make_folds(protocol, rows, seed=seed)[0].held_out for seed in (1, 1, 2))
        assert (first == again).all()
        assert list(first) != list(other)


def test_participants_name_their_folds(rows):
    folds = make_folds("leave_one_participant_out", rows)
    assert [fold.name for fold in folds] == [f"P{i}" for i in range(6)]
    assert all(set(rows.participant[fold.held_out]) == {fold.name} for fold in folds)


def test_variants_stay_with_their_source(rows):
    rows["source_recording"] = rows.recording.str.replace("b", "a")
    for fold in make_folds("by_recording", rows):
        assert not set(rows.source_recording[fold.train]) & set(rows.source_recording[fold.held_out])


def test_label_is_balanced_over_whole_people():
    rows = {"participant": np.repeat(np.arange(8), 5), "label": np.repeat([0, 0, 0, 0, 1, 1, 1, 1], 5)}
    for fold in make_folds("grouped_k_fold", rows, folds=4, label="label"):
        assert np.mean(rows["label"][fold.held_out]) == 0.5


def test_fixed_follows_the_column(rows):
    folds = {fold.name: fold for fold in make_folds("fixed", rows)}
    assert {name: len(fold.held_out) for name, fold in folds.items()} == {"validation": 20, "test": 20}
    assert all(list(fold.train) == list(range(80)) for fold in folds.values())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_three_ways_share_no_group(protocol, rows):
    parts = train_validation_test(protocol, rows, fold=1)
    assert list(parts) == ["train", "validation", "test"]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(rows)))
    column = {"by_row": "none", "by_recording": "recording"}.get(protocol, "participant")
    if column in rows:
        seen = [set(rows[column].iloc[part]) for part in parts.values()]
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


@pytest.mark.parametrize("protocol", ["grouped_k_fold", "by_recording", "by_row"])
def test_a_smaller_share_is_part_of_a_larger_one_and_takes_whole_groups(protocol, rows):
    shares = [share_of(protocol, rows, share, seed=3) for share in (0.01, 0.5, 1)]
    assert 0 < len(shares[0]) < len(shares[1]) < len(shares[2]) == len(rows)
    assert set(shares[0]) < set(shares[1])
    if protocol != "by_row":
        groups = rows[{"by_recording": "recording"}.get(protocol, "participant")]
        kept = groups.iloc[shares[1]]
        assert len(kept) == groups.isin(kept).sum() and kept.nunique() == round(groups.nunique() / 2)
    assert list(share_of(protocol, rows, 0.5, seed=4)) != list(shares[1])


def test_a_share_outside_its_range_is_refused():
    for share in (0, -0.5, 1.01):
        with pytest.raises(ValueError, match="split.share=.*above 0, up to 1"):
            SplitOptions(share=share)


@pytest.mark.parametrize("groups", range(2, 8))
def test_as_many_folds_as_groups_and_none_is_empty(groups):
    rows = {"participant": np.repeat(np.arange(groups), 3), "label": np.repeat(np.arange(groups) % 2, 3)}
    for label in (None, "label"):
        folds = make_folds("grouped_k_fold", rows, folds=5, label=label)
        assert len(folds) == min(5, groups)
        assert all(len(fold.held_out) for fold in folds)


@pytest.mark.parametrize(
    ("protocol", "change", "message"),
    [
        ("by_person", {}, "unknown split protocol 'by_person'.*by_recording"),
        ("by_recording", {"recording": None}, "needs the column 'recording'"),
        ("leave_one_participant_out", {"participant": "P0"}, r"'participant' holds 1 value \(P0\) in 120 rows"),
        ("by_recording", {"source_recording": "one.mp4"}, "with one source_recording nothing can be held out"),
        ("fixed", {"split": ["test", "validation"] * 60}, "name the rows that learn 'train'"),
    ],
)
def test_what_cannot_be_split_says_why(protocol, change, message, rows):
    for name, value in change.items():
        rows = rows.drop(columns=name) if value is None else rows.assign(**{name: value})
    with pytest.raises(ValueError, match=message):
        make_folds(protocol, rows)


def test_row_without_a_group_is_named(rows):
    rows.loc[[7, 9], "participant"] = None
    with pytest.raises(ValueError, match=r"row 7: no participant \(2 rows in all\)"):
        make_folds("grouped_k_fold", rows)


def test_too_few_rows_or_folds(rows):
    with pytest.raises(ValueError, match="3 rows cannot make 5 folds"):
        make_folds("by_row", rows.head(3))
    with pytest.raises(ValueError, match="fold 6 of leave_one_participant_out: there are 6, from 0 to 5"):
        train_validation_test("leave_one_participant_out", rows, fold=6)
    with pytest.raises(ValueError, match="needs train, validation and test"):
        train_validation_test("fixed", rows[rows.split != "test"])
