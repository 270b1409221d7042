"""The turns around a row: by its place in its conversation, and by nothing else."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from affecthub.datasets_scripts.conversations import NOBODY, turns_around
from affecthub.datasets_scripts.meld.corpus import Meld

REAL = Path(__file__).resolve().parents[2].parent / "shared/data/meld"


def rows_of(*places):
    """Rows of (dialogue, turn)."""
    dialogues, turns = zip(*places, strict=True)
    return Dataset.from_dict({"key": [f"r{i}" for i in range(len(places))], "dialogue": dialogues, "turn": turns})


def test_turns_come_in_the_order_of_their_numbers_not_of_the_rows():
    turns = turns_around(rows_of(("a", 5), ("b", 1), ("a", 1), ("a", 9), ("b", 0)), 2, 1)
    assert turns.places.tolist() == [
        [NOBODY, 2, 0, 3],
        [NOBODY, 4, 1, NOBODY],
        [NOBODY, NOBODY, 2, 0],
        [2, 0, 3, NOBODY],
        [NOBODY, NOBODY, 4, 1],
    ]
    assert turns.history(3) == [2, 0] and turns.following(3) == [] and turns.following(0) == [3]


def test_a_dialogue_of_one_turn_and_one_of_500():
    rows = rows_of(("a", 0), *(("b", i) for i in range(500)))
    turns = turns_around(rows, 8)
    assert turns.history(0) == [] and turns.history(500) == list(range(492, 500))


def test_rows_whose_place_is_not_known_have_no_turns_around_them_and_are_none():
    turns = turns_around(rows_of(("a", 0), ("a", None), (None, 0), (None, 1), ("a", 1)), 3, 3)
    assert turns.history(4) == [0] and turns.following(0) == [4]
    assert all(turns.history(i) == turns.following(i) == [] for i in (1, 2, 3))


def test_recordings_that_number_their_dialogues_alike_are_kept_apart():
    rows = rows_of(("1", 0), ("1", 1), ("1", 0), ("1", 1)).add_column("recording", ["x", "x", "y", "y"])
    turns = turns_around(rows, 1)
    assert [turns.history(i) for i in range(4)] == [[], [0], [], [2]]


def test_a_turn_that_two_rows_claim_is_refused_by_name():
    with pytest.raises(ValueError, match="the rows r1 and r3 are both turn 2 of the dialogue a"):
        turns_around(rows_of(("a", 1), ("a", 2), ("b", 2), ("a", 2)), 1)


def test_rows_without_conversations_are_refused_with_the_option_that_names_them():
    with pytest.raises(ValueError, match="no column dialogue and no turn: name it .*--data.columns.dialogue=COLUMN"):
        turns_around(Dataset.from_dict({"text": ["a"]}), 1)


def test_the_control_has_as_many_turns_of_any_other_rows():
    turns = turns_around(rows_of(*(("a", i) for i in range(100))), 4, 1)
    control = turns.shuffled(0)
    assert ((control.places == NOBODY) == (turns.places == NOBODY)).all()
    assert (control.places[:, 4] == np.arange(100)).all()
    assert (control.places == turns.places)[:, :4].mean() < 0.1
    assert (control.places == turns.shuffled(0).places).all() and (control.places != turns.shuffled(1).places).any()


@pytest.mark.skipif(not REAL.is_dir(), reason="the MELD annotations are not here")
def test_the_dialogues_of_meld(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path))
    data = Meld(root=str(REAL))
    rows = data.describe(data.build(["text"])).splits["train"]
    turns, keys = turns_around(rows, 100), rows["key"]
    sizes = rows.to_pandas().sort_values("turn").groupby("dialogue").cumcount().sort_index()
    assert [len(turns.history(i)) for i in range(len(rows))] == sizes.tolist()
    last = [key for key in keys if key.startswith("train/dia0_")][-1]
    assert [keys[i] for i in turns.history(list(keys).index(last))] == [f"train/dia0_utt{i}" for i in range(13)]
