import csv
import io
import os
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from affecthub.datasets_scripts.meld.annotations import COLUMNS, EMOTIONS, SENTIMENTS
from affecthub.datasets_scripts.meld.builder import load_meld, meld_manifest

REAL = Path(__file__).resolve().parents[3].parent / "shared/data/meld"
TEXT_COLUMNS = ["key", "dialogue_id", "utterance_id", "text", "speaker", "season", "episode", "start", "end"]
TEXT_COLUMNS += ["emotion", "sentiment"]


def write_table(path, rows):
    """Rows are (text, emotion, dialogue, utterance)."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([t, "Ana", e, "neutral", d, u, 1, 1, "0:00:01,000", "0:00:02,500"] for t, e, d, u in rows)


@pytest.fixture
def corpus(tmp_path):
    """A train split of three rows, of which one has a file (an empty one), and a dev split of one row."""
    root = tmp_path / "MELD"
    (root / "train_splits").mkdir(parents=True)
    (root / "train_splits/dia0_utt1.mp4").touch()
    (root / "train_splits/._dia0_utt1.mp4").touch()
    write_table(root / "train_sent_emo.csv", [("Hi", "joy", 0, 0), ("No", "anger", 0, 1), ("So", "fear", 2, 5)])
    write_table(root / "dev_sent_emo.csv", [("It\x92s", "neutral", 0, 0)])
    return root


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_rows_and_columns(corpus, cache):
    meld = load_meld(corpus, cache_dir=cache)
    assert {split: len(rows) for split, rows in meld.items()} == {"train": 3, "validation": 1}
    train = meld["train"]
    assert train["key"] == ["train/dia0_utt0", "train/dia0_utt1", "train/dia2_utt5"]
    assert train["text"] == ["Hi", "No", "So"]
    assert train.features["emotion"].int2str(train["emotion"]) == ["joy", "anger", "fear"]
    assert train.features["emotion"].names == ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]
    assert train.features["sentiment"].names == ["neutral", "positive", "negative"]
    assert (train[0]["start"], train[0]["end"]) == (1.0, 2.5)
    assert train["video_status"] == ["missing", "broken", "missing"]
    assert train["audio_status"] == ["missing", "broken", "missing"]
    assert train["video_present"] == [False] * 3
    assert train["video_path"] == train["audio_path"] == [None] * 3
    assert meld["validation"]["text"] == ["It’s"]


def test_text_configuration_has_no_media_and_needs_none(corpus, cache):
    train = load_meld(corpus, "text", cache_dir=cache)["train"]
    assert train.column_names == TEXT_COLUMNS
    manifest = meld_manifest(corpus, "text", cache_dir=cache)
    assert set(manifest.status) == {"not_checked"}
    assert len(manifest) == 4


def test_manifest_has_every_row_and_every_stray(corpus, cache):
    manifest = meld_manifest(corpus, cache_dir=cache)
    assert list(manifest.status) == ["missing", "broken", "missing", "junk", "missing"]
    assert list(manifest.mended_characters) == [0, 0, 0, 0, 1]
    assert "empty" in manifest.detail[1]
    summary = next(cache.rglob("manifest.md")).read_text()
    assert "| broken | 1 | 0 |" in summary
    assert "- dev: 1 Windows-1252 characters mended, in 1 texts" in summary
    assert "| anger | 1 | 0 |" in summary
    assert "twin_policy prefer_final" in summary


def test_mended_text_is_said(corpus, cache, caplog):
    load_meld(corpus, cache_dir=cache)
    assert [record.getMessage()[:60] for record in caplog.records if "meld" in record.name] == [
        "dev_sent_emo.csv: 1 characters were Windows-1252, not UTF-8,"
    ]


def test_the_cache_is_used_and_notices_an_edit(corpus, cache, monkeypatch):
    load_meld(corpus, cache_dir=cache)
    with monkeypatch.context() as patch:
        patch.setattr("affecthub.datasets_scripts.meld.builder.read_annotations", None)  # a second reading would fail
        load_meld(os.path.relpath(corpus), cache_dir=cache)
        assert len(meld_manifest(corpus, cache_dir=cache)) == 5
    table, state = corpus / "train_sent_emo.csv", (corpus / "train_sent_emo.csv").stat()
    table.write_bytes(table.read_bytes().replace(b"Hi", b"Yo"))
    os.utime(table, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load_meld(corpus, cache_dir=cache)["train"]["text"][0] == "Yo"
    (corpus / "train_splits/dia0_utt0.mp4").touch()
    assert load_meld(corpus, cache_dir=cache)["train"]["video_status"][0] == "broken"


def test_several_processes_write_the_same_rows(corpus, cache, tmp_path):
    one = load_meld(corpus, cache_dir=cache)["train"]
    two = load_meld(corpus, cache_dir=tmp_path / "other", num_proc=2)["train"]
    assert one.to_list() == two.to_list()


def test_archives_are_enough(corpus, cache, tmp_path):
    root = tmp_path / "download"
    root.mkdir()
    with tarfile.open(root / "train.tar.gz", "w:gz") as archive:
        archive.add(corpus / "train_splits", "train_splits")
        archive.add(corpus / "train_sent_emo.csv", "train_sent_emo.csv")
    assert load_meld(root, cache_dir=cache)["train"]["video_status"] == ["missing", "broken", "missing"]
    assert (root / "train/train_splits/dia0_utt1.mp4").is_file()


def test_a_folder_of_clips_without_a_table_is_listed(corpus, cache):
    (corpus / "output_repeated_splits_test").mkdir()
    (corpus / "output_repeated_splits_test/dia0_utt0.mp4").touch()
    assert set(load_meld(corpus, cache_dir=cache)) == {"train", "validation"}
    manifest = meld_manifest(corpus, cache_dir=cache)
    assert list(manifest[manifest.split == "test"].status) == ["unannotated"]


def test_errors_reach_the_caller_unwrapped_and_leave_no_half_cache(corpus, cache):
    write_table(corpus / "dev_sent_emo.csv", [("Hi", "hapy", 0, 0)])
    with pytest.raises(ValueError, match=r"dev_sent_emo.csv, line 2: unknown emotion 'hapy'"):
        load_meld(corpus, cache_dir=cache)
    assert not list(cache.rglob("manifest.*"))
    (corpus / "dev_sent_emo.csv").unlink()
    with pytest.raises(ValueError, match="unknown twin_policy 'best'; choose one of"):
        load_meld(corpus, twin_policy="best", cache_dir=cache)
    with pytest.raises(ValueError, match=r"'audio' not found. Available: \['multimodal', 'text'\]"):
        load_meld(corpus, "audio", cache_dir=cache)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_meld(corpus / "nowhere", cache_dir=cache)


def test_parquet_holds_no_media(corpus, cache):
    buffer = io.BytesIO()
    load_meld(corpus, cache_dir=cache)["train"].to_parquet(buffer)
    assert pd.read_parquet(io.BytesIO(buffer.getvalue())).video_path.isna().all()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not REAL.is_dir():
        pytest.skip("MELD's real annotations are not beside the repository (shared/data/meld)")
    cache = tmp_path_factory.mktemp("cache")
    return load_meld(REAL, cache_dir=cache), meld_manifest(REAL, cache_dir=cache)


@pytest.mark.parametrize(("split", "published", "count"), [("train", "train", 9989), ("validation", "dev", 1109)])
def test_real_annotations_are_all_there_and_intact(real, split, published, count):
    rows = real[0][split].to_pandas()
    table = pd.read_csv(REAL / f"{published}_sent_emo.csv", keep_default_na=False)
    assert len(rows) == len(table) == count
    for column, source in {"text": "Utterance", "speaker": "Speaker", "season": "Season", "episode": "Episode",
                           "dialogue_id": "Dialogue_ID", "utterance_id": "Utterance_ID"}.items():  # fmt: skip
        assert rows[column].tolist() == table[source].tolist()
    assert [EMOTIONS[label] for label in rows.emotion] == table.Emotion.tolist()
    assert [SENTIMENTS[label] for label in rows.sentiment] == table.Sentiment.tolist()
    assert rows.key.is_unique
    assert set(rows.video_status) == set(rows.audio_status) == {"missing"}
    assert not rows.video_present.any() and not rows.audio_present.any()
    lengths = pd.to_timedelta(table.EndTime.str.replace(",", ".")) - pd.to_timedelta(
        table.StartTime.str.replace(",", ".")
    )
    assert (rows.end - rows.start).tolist() == pytest.approx(lengths.dt.total_seconds().tolist(), abs=1e-6)


def test_real_label_counts_and_gaps(real):
    train, dev = (real[0][split].to_pandas() for split in ("train", "validation"))
    assert train.emotion.value_counts().sort_index().tolist() == [4710, 1205, 268, 683, 1743, 271, 1109]
    assert dev.emotion.value_counts().sort_index().tolist() == [470, 150, 40, 111, 163, 22, 153]
    assert 60 not in set(train.dialogue_id) and {59, 61} <= set(train.dialogue_id)


def test_real_manifest_drops_nothing(real):
    manifest = real[1]
    assert manifest.groupby("split").size().to_dict() == {"dev": 1109, "train": 9989}
    assert set(manifest.status) == {"missing"}
    assert manifest.mended_characters.sum() == 0
    assert set(manifest.detail) == {"no folder train_splits", "no folder dev_splits_complete"}
