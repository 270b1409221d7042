"""A feature that is the target in disguise, tracks that are copies, names and texts that are written otherwise."""

import numpy as np
import pandas as pd
import pytest

from affecthub.evaluation.audit import AuditColumns, audit
from affecthub.evaluation.texts import plain_name

COLUMNS = AuditColumns("key", None, "participant", text="text", labels=("label",), features="features")
NAMES = [f"feature {i}" for i in range(8)]
WORDS = ("blue", "cup", "door", "early", "five", "green", "house", "ink", "joke", "kind")


@pytest.fixture
def rows():
    """Six people of 80 rows: a label that changes now and then, eight features of which one follows it a little."""
    rng = np.random.default_rng(0)
    keys = [f"P {p:02}/{i}" for p in range(6) for i in range(80)]
    table = pd.DataFrame({"key": keys, "participant": [key.split("/")[0] for key in keys]})
    table["label"] = (rng.random(len(keys)) < 0.2).astype(int)
    table["label"] = table.groupby("participant")["label"].cumsum() % 2
    table["text"] = [" ".join(rng.choice(WORDS, 12)) for _ in keys]
    values = rng.normal(size=(len(keys), 8)).astype(np.float32)
    values[:, 1] += 0.4 * table["label"]
    return table, values


def found_in(table, values, held_out=("P 04", "P 05"), **options):
    table = table.assign(features=[value.tobytes() for value in values])
    sides = table[~table.participant.isin(held_out)], table[table.participant.isin(held_out)]
    unchecked = ("near_duplicate_frames", "same_recording")
    return {f.check: f for f in audit(*sides, COLUMNS, inputs=NAMES, **options) if f.check not in unchecked}


def test_clean_rows_raise_no_alarm(rows):
    assert found_in(*rows) == {}


@pytest.mark.parametrize("kind", ["monotone and noisy", "late", "itself"])
def test_a_feature_that_is_the_target_in_disguise_is_named(rows, kind):
    table, values = rows
    label, rng = table["label"].to_numpy(), np.random.default_rng(1)
    disguised = {
        "monotone and noisy": np.exp(label + rng.normal(0, 0.7, len(label))),
        "late": np.roll(label, 5) + rng.normal(0, 0.3, len(label)),
        "itself": label,
    }
    values[:, 6] = disguised[kind]
    (found,) = found_in(table, values).values()
    assert (found.check, found.severity, found.count) == ("target_from_feature", "warning", 1)
    assert found.examples[0].startswith("label from feature 6")
    assert ("5 rows later" in found.examples[0]) == (kind == "late")


def test_tracks_of_labels_that_are_one_are_named(rows):
    table, values = rows
    first, last = (table.participant == name for name in ("P 01", "P 05"))
    table.loc[last, "label"] = table.loc[first, "label"].to_numpy()
    table.loc[table.index[last][::13], "label"] ^= 1  # not quite
    (found,) = found_in(table, values).values()
    assert (found.check, found.count) == ("same_label_track", 1) and "2 of 6 people" in found.message
    assert found.examples[0].startswith("P 01 = P 05 in 9")
    for name in table.participant.unique():
        table.loc[table.participant == name, "label"] = table.loc[first, "label"].to_numpy()
    (found,) = found_in(table, values).values()
    assert "6 of 6 people" in found.message and "what all of them saw" in found.message


@pytest.mark.parametrize("spelled", ["P-04", "p04", "P4", "p_4"])
def test_a_person_under_two_spellings_is_named(rows, spelled):
    table, values = rows
    table.loc[table.participant == "P 05", "participant"] = spelled
    (found,) = found_in(table, values, held_out=("P 04",)).values()
    assert (found.check, found.severity, found.count) == ("participant_spelled_twice", "warning", 80)
    assert found.examples == [f"P 04 = {spelled} (80 rows)"]


def test_different_names_stay_different():
    names = ["P1 11", "P11 1", "P111", "P07a", "P07b", "Anna", "Anne", "é", "e"]
    assert len(set(map(plain_name, names))) == len(names)
    assert plain_name("Ｐ０７") == plain_name("P 07") == "p7"


def test_a_text_with_another_word_is_named(rows):
    table, values = rows
    words = table.text[0].split()
    table.loc[400, "text"] = " ".join([*words[:-1], "other"])
    (found,) = found_in(table, values).values()
    assert (found.check, found.severity, found.count, found.examples) == (
        "similar_text",
        "warning",
        1,
        ["P 05/0 = P 00/0"],
    )
