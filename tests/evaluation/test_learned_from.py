"""What a model learned from is found again by what its rows hold, and by nothing that names anybody."""

import json

import pandas as pd
import pytest

from affecthub.evaluation.audit import AuditColumns
from affecthub.evaluation.learned_from import LEARNED_FILE, LearnedFrom, learned_finding

COLUMNS = AuditColumns("key", "recording", "participant", text="text", features="features")


@pytest.fixture
def rows():
    """Four people with two recordings of five rows each; half of the texts are of one word."""
    keys = [f"Jane Doe {p}/{r}/{i}" for p in range(4) for r in "ab" for i in range(5)]
    table = pd.DataFrame({"key": keys, "participant": [key.split("/")[0] for key in keys]})
    table["recording"] = [key.rsplit("/", 1)[0] for key in keys]
    table["text"] = [f"What I said that day was {i}" if i % 2 else "Yes!" for i in range(len(keys))]
    table["features"] = [f"measured {i}".encode() for i in range(len(keys))]
    return table


def split(rows, fold):
    """Two people learn, one chooses the epoch, one judges."""
    parts = [rows[rows.participant == f"Jane Doe {(person + fold) % 4}"] for person in range(4)]
    return {"train": pd.concat(parts[:2]), "validation": parts[2], "test": parts[3]}


def test_another_fold_is_found_and_its_own_is_not(rows, tmp_path):
    own = split(rows, 0)
    LearnedFrom.of(own, COLUMNS).write(tmp_path)
    learned = LearnedFrom.read(tmp_path)
    assert learned_finding(learned, own, COLUMNS) is None
    found = learned_finding(learned, split(rows, 2), COLUMNS)
    assert (found.check, found.severity, found.count) == ("learned_from", "severe", 20)
    assert "20 of 20 rows that judge are rows that the model learned from" in found.message
    chosen = learned_finding(learned, split(rows, 3), COLUMNS)  # the test chose the epoch, the validation was learned
    assert chosen.count == 20
    assert learned_finding(None, own, COLUMNS).severity == "unchecked"
    learned.form = "of another version"
    assert learned_finding(learned, split(rows, 2), COLUMNS).severity == "unchecked"


def test_new_rows_of_known_people_are_found_by_their_other_rows(rows):
    learned = LearnedFrom.of(split(rows[rows.recording.str.endswith("a")], 0), COLUMNS)
    new = split(rows, 2)
    new["test"] = new["test"][new["test"].recording.str.endswith("b")]
    new["validation"] = new["validation"].iloc[:0]
    found = learned_finding(learned, new, COLUMNS)
    assert found is None  # nobody knows that they are these people: no row of them is known
    new["validation"] = split(rows, 2)["validation"]
    whole = split(rows, 2)
    found = learned_finding(learned, whole, COLUMNS)
    assert found.count == 10 and "10 more are of a participant of which it did" in found.message


def test_what_travels_names_nobody(rows, tmp_path):
    LearnedFrom.of(split(rows, 0), COLUMNS).write(tmp_path)
    text = (tmp_path / LEARNED_FILE).read_text()
    assert "Jane" not in text and set(json.loads(text)["splits"]["train"]) == {"features", "text"}
    text_only = AuditColumns("key", text="text")
    short = LearnedFrom.of({"train": rows.assign(text="Yes!")}, text_only)
    assert not short.splits["train"]["text"].size  # anybody could guess it
