import pytest

from affecthub.datasets_scripts.meld.annotations import Utterance
from affecthub.datasets_scripts.meld.clips import choose_clips, mark_shared, split_records
from affecthub.datasets_scripts.meld.files import SplitFiles

TEST = "output_repeated_splits_test"


@pytest.fixture
def folder(tmp_path):
    """Make empty files in the test split's folder and return the split."""

    def make(*names):
        for name in names:
            path = tmp_path / TEST / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return SplitFiles("test", tmp_path / TEST / "test_sent_emo.csv", tmp_path / TEST)

    return make


def utterance(split="test", dialogue=0, number=0, text="Hi", start=1.0):
    return Utterance(split, dialogue, number, text, "Ana", 1, 1, start, start + 1.5, "joy", "positive")


KEYS = {"test/dia0_utt0", "test/dia0_utt1", "test/dia0_utt2"}


@pytest.mark.parametrize(
    ("policy", "first"), [("prefer_final", "final_videos_testdia0_utt0.mp4"), ("plain", "dia0_utt0.mp4")]
)
def test_twins(folder, tmp_path, policy, first):
    files = folder(
        "dia0_utt0.mp4", "final_videos_testdia0_utt0.mp4", "dia0_utt1.mp4", "final_videos_testdia0_utt2.mp4"
    )
    clips, strays = choose_clips(files, KEYS, tmp_path, policy)
    assert clips == {
        "test/dia0_utt0": f"{TEST}/{first}",
        "test/dia0_utt1": f"{TEST}/dia0_utt1.mp4",
        "test/dia0_utt2": f"{TEST}/final_videos_testdia0_utt2.mp4",  # a twin alone is the clip under both policies
    }
    (stray,) = strays
    assert (stray.status, stray.key) == ("superseded", None)
    assert stray.file != f"{TEST}/{first}" and first in stray.detail


def test_strays(folder, tmp_path):
    files = folder(
        "._dia0_utt0.mp4", ".DS_Store", "dia9_utt9.mp4", "dia0_utt0.avi", "deep/dia0_utt1.mp4", "test_sent_emo.csv"
    )
    clips, strays = choose_clips(files, KEYS, tmp_path, "plain")
    assert clips == {"test/dia0_utt1": f"{TEST}/deep/dia0_utt1.mp4"}
    assert {(s.file.removeprefix(f"{TEST}/"), s.status) for s in strays} == {
        ("._dia0_utt0.mp4", "junk"),
        (".DS_Store", "junk"),
        ("dia0_utt0.avi", "junk"),
        ("dia9_utt9.mp4", "unannotated"),
    }


def test_a_second_copy_deeper_down_is_superseded(folder, tmp_path):
    clips, strays = choose_clips(folder("a/dia0_utt0.mp4", "dia0_utt0.mp4"), KEYS, tmp_path, "prefer_final")
    assert clips == {"test/dia0_utt0": f"{TEST}/dia0_utt0.mp4"}
    assert [(s.file, s.status) for s in strays] == [(f"{TEST}/a/dia0_utt0.mp4", "superseded")]


def test_unknown_policy(folder, tmp_path):
    with pytest.raises(ValueError, match="unknown twin_policy 'final'; choose one of prefer_final, plain"):
        choose_clips(folder("dia0_utt0.mp4"), KEYS, tmp_path, "final")


def test_no_folder_and_no_look(folder, tmp_path):
    rows = [utterance(number=0), utterance(number=1)]
    absent = SplitFiles("test", tmp_path / "test_sent_emo.csv", None)
    assert [r.findings for r in split_records(absent, rows, tmp_path, "plain", True)] == [("missing",)] * 2
    unseen = split_records(folder("dia0_utt0.mp4", "._x"), rows, tmp_path, "plain", False)
    assert [(r.key, r.findings, r.file) for r in unseen] == [
        ("test/dia0_utt0", ("not_checked",), None),
        ("test/dia0_utt1", ("not_checked",), None),
    ]


def test_rows_come_first_and_in_order(folder, tmp_path):
    rows = [utterance(number=2), utterance(number=0)]
    found = split_records(folder("dia0_utt0.mp4", "._x", "dia7_utt0.mp4"), rows, tmp_path, "plain", True)
    assert [r.key for r in found] == ["test/dia0_utt2", "test/dia0_utt0", None, None]
    assert [r.status for r in found] == ["missing", "broken", "junk", "unannotated"]


def test_an_utterance_of_two_splits_is_flagged_in_both():
    utterances = {
        "train": [
            utterance("train", 12, 7),
            utterance("train", 12, 8, start=5.0),
            utterance("train", 12, 9, start=5.0),
        ],
        "test": [utterance("test", 85, 0), utterance("test", 85, 1, text="Hi!")],
    }
    absent = {split: SplitFiles(split, None, None) for split in utterances}
    records = {s: split_records(absent[s], rows, None, "plain", False) for s, rows in utterances.items()}
    marked = mark_shared(records, utterances)
    shared = {r.key: r.detail for found in marked.values() for r in found if "in_two_splits" in r.findings}
    assert shared == {
        "train/dia12_utt7": "the same utterance as test/dia85_utt0",
        "test/dia85_utt0": "the same utterance as train/dia12_utt7",
    }
