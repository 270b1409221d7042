import pytest

from affecthub.datasets_scripts.files import existing_folder, files_in
from affecthub.datasets_scripts.meld.files import find_splits


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_everything_is_found_by_name_at_any_depth(tmp_path):
    table = put(tmp_path / "repo/data/MELD/train_sent_emo.csv")
    clips = put(tmp_path / "raw/deep/er/train_splits/dia0_utt0.mp4").parent
    inside = put(tmp_path / "raw/dev_splits_complete/dev_sent_emo.csv")
    put(tmp_path / "raw/output_repeated_splits_test/dia0_utt0.mp4")
    train, dev, test = find_splits(tmp_path)
    assert (train.split, train.annotations, train.clips) == ("train", table, clips)
    assert (dev.annotations, dev.clips) == (inside, inside.parent)
    assert (test.annotations, test.clips) == (None, tmp_path / "raw/output_repeated_splits_test")


def test_shadows_hidden_folders_and_a_folder_inside_its_namesake_do_not_count(tmp_path):
    put(tmp_path / "train_sent_emo.csv")
    put(tmp_path / "train_splits/train_splits/dia0_utt0.mp4")
    put(tmp_path / "__MACOSX/train_splits/._dia0_utt0.mp4")
    put(tmp_path / ".train-partial-x/train_splits/dia0_utt0.mp4")
    assert find_splits(tmp_path)[0].clips == tmp_path / "train_splits"


def test_the_same_table_twice_is_fine_and_two_different_ones_are_not(tmp_path):
    put(tmp_path / "a/dev_sent_emo.csv")
    put(tmp_path / "b/dev_sent_emo.csv")
    assert find_splits(tmp_path)[0].annotations == tmp_path / "a/dev_sent_emo.csv"
    put(tmp_path / "b/dev_sent_emo.csv", b"y")
    with pytest.raises(ValueError, match=r"a/dev_sent_emo.csv and .*b/dev_sent_emo.csv bear the same name.*keep one"):
        find_splits(tmp_path)


def test_two_folders_of_clips(tmp_path):
    put(tmp_path / "train_sent_emo.csv")
    for place in "ab":
        put(tmp_path / place / "train_splits/dia0_utt0.mp4")
    with pytest.raises(ValueError, match=r"a/train_splits and .*b/train_splits"):
        find_splits(tmp_path)


def test_no_table(tmp_path):
    put(tmp_path / "train_splits/dia0_utt0.mp4")
    with pytest.raises(FileNotFoundError, match=r"none of train_sent_emo.csv, .* copy the tables"):
        find_splits(tmp_path)


def test_missing_folder_and_a_file_instead(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder; give the folder that holds"):
        existing_folder(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"x.csv: a file; give the folder"):
        existing_folder(put(tmp_path / "x.csv"))


def test_files_nearest_to_the_top_come_first(tmp_path):
    deep, top, hidden = (put(tmp_path / n) for n in ("a/dia0_utt0.mp4", "dia0_utt0.mp4", "._dia0_utt0.mp4"))
    assert files_in(tmp_path) == [hidden, top, deep]
    assert files_in(None) == []
