"""Every shape in which labelled recordings lie about is read."""

import json
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pytest

LABELS = ("anger", "joy", "joy", "calm")


@pytest.fixture
def clips(tmp_path, sound):
    """A folder of four sounds."""
    for i in range(4):
        sound(tmp_path / "data" / "audio" / f"{i}.wav", seed=i)
    return tmp_path / "data"


def listing(column="file"):
    return [{column: f"audio/{i}.wav", "label": label} for i, label in enumerate(LABELS)]


def labels_of(rows, names=("anger", "calm", "joy")):
    return {row["key"]: names[row["label"]] for row in rows}


EXPECTED = {f"audio/{i}.wav": label for i, label in enumerate(LABELS)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_of_any_separator(clips, table, rows_of, delimiter):
    rows = rows_of(table(clips / "mine.csv", listing("audio"), delimiter))
    assert labels_of(rows) == EXPECTED
    assert all(row["audio_present"] and row["audio_path"].endswith(".wav") for row in rows)
    assert [row["duration"] for row in rows] == [0.5] * 4 and "video_path" not in rows[0]


def test_tsv_json_lines_and_parquet_give_the_same_rows(clips, table, rows_of):
    table(clips / "a.tsv", listing(), "\t")
    (clips / "a.jsonl").write_text("\n".join(map(json.dumps, listing())))
    pd.DataFrame(listing()).to_parquet(clips / "a.parquet")
    read = [rows_of(clips / f"a.{suffix}") for suffix in ("tsv", "jsonl", "parquet")]
    assert labels_of(read[0]) == EXPECTED
    assert read[0] == read[1] == read[2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_excel_writes_is_read(clips, rows_of, encoding):
    lines = ["file;label;text", *(f"audio/{i}.wav;{label};Grüße {i}" for i, label in enumerate(LABELS))]
    (clips / "a.csv").write_bytes("\r\n".join(lines).encode(encoding))
    rows = rows_of(clips / "a.csv")
    assert labels_of(rows) == EXPECTED and rows[2]["text"] == "Grüße 2"


def test_metadata_beside_the_files_as_datasets_has_it(clips, table, rows_of):
    table(clips / "metadata.csv", listing("file_name"))
    assert labels_of(rows_of(clips)) == EXPECTED


def test_metadata_in_folders_of_splits(tmp_path, sound, table, rows_of):
    for place in ("train", "dev", "test"):
        sound(tmp_path / "d" / place / "x.wav")
        table(tmp_path / "d" / place / "metadata.csv", [{"file_name": "x.wav", "label": "joy"}])
    parts = rows_of(tmp_path / "d")
    assert {name: [row["key"] for row in rows] for name, rows in parts.items()} == {
        "train": ["train/x.wav"],
        "validation": ["dev/x.wav"],
        "test": ["test/x.wav"],
    }


def test_tables_whose_names_say_the_split(tmp_path, table, rows_of):
    for name in ("train_sent_emo", "dev_sent_emo"):
        table(tmp_path / "d" / f"{name}.csv", [{"text": name, "label": "a"}, {"text": "x", "label": "b"}])
    parts = rows_of(tmp_path / "d")
    assert {name: rows[0]["text"] for name, rows in parts.items()} == {
        "train": "train_sent_emo",
        "validation": "dev_sent_emo",
    }
    assert [row["key"] for row in parts["train"]] == ["train_sent_emo/1", "train_sent_emo/2"]


def test_a_folder_a_class(tmp_path, sound, picture, rows_of, statuses):
    sound(tmp_path / "d" / "joy" / "a.wav")
    sound(tmp_path / "d" / "joy" / "deeper" / "b.flac", seed=1)
    picture(tmp_path / "d" / "anger" / "c.jpg")
    (tmp_path / "d" / "calm").mkdir()
    (tmp_path / "d" / "joy" / "._a.wav").write_bytes(b"Mac OS X")
    (tmp_path / "d" / "notes.txt").write_text("x")
    rows = rows_of(tmp_path / "d")
    assert labels_of(rows, ("anger", "joy")) == {
        "anger/c.jpg": "anger",
        "joy/a.wav": "joy",
        "joy/deeper/b.flac": "joy",
    }
    assert [bool(row["image_paths"]) for row in rows] == [True, False, False]
    assert [row["video_present"] for row in rows] == [True, False, False]
    found = statuses(tmp_path / "d")
    assert found["calm/"] == "empty_class" and found["joy/._a.wav"] == "junk" and found["notes.txt"] == "junk"


def test_folders_of_splits_with_a_folder_a_class(tmp_path, sound, rows_of):
    for i, place in enumerate(("train/joy", "train/anger", "valid/joy")):
        sound(tmp_path / "d" / place / "a.wav", seed=i)
    parts = rows_of(tmp_path / "d")
    assert {name: labels_of(rows, ("anger", "joy")) for name, rows in parts.items()} == {
        "train": {"train/anger/a.wav": "anger", "train/joy/a.wav": "joy"},
        "validation": {"valid/joy/a.wav": "joy"},
    }


@pytest.mark.parametrize("on_disk", ["folder", "parquet"])
def test_a_data_set_of_datasets_with_embedded_bytes(tmp_path, sound, picture, rows_of, on_disk):
    features = datasets.Features(
        {
            "clip": datasets.Audio(),
            "face": datasets.Image(),
            "emotion": datasets.ClassLabel(names=["joy", "anger"]),
            "who": datasets.Value("string"),
        }
    )
    rows = {
        "clip": [{"bytes": sound(tmp_path / f"{i}.wav", seed=i).read_bytes(), "path": None} for i in range(3)],
        "face": [{"bytes": picture(tmp_path / f"{i}.png", seed=i).read_bytes(), "path": None} for i in range(3)],
        "emotion": [1, 0, 1],
        "who": ["ada", "ben", "ada"],
    }
    data = datasets.Dataset(pa.Table.from_pydict(rows, features.arrow_schema))
    root = tmp_path / "set"
    if on_disk == "folder":
        datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(root)
    else:
        (root / "data").mkdir(parents=True)
        data.to_parquet(root / "data" / "train-00000-of-00001.parquet")
        data.select([0]).to_parquet(root / "data" / "test-00000-of-00001.parquet")
    parts = rows_of(root, targets=["emotion"], columns={"participant": "who"})
    assert [row["emotion"] for row in parts["train"]] == [1, 0, 1]
    assert [row["participant"] for row in parts["train"]] == ["ada", "ben", "ada"]
    for i, row in enumerate(parts["train"]):
        assert Path(row["audio_path"]).read_bytes() == rows["clip"][i]["bytes"]
        assert Path(row["image_paths"][0]).read_bytes() == rows["face"][i]["bytes"]


def test_a_data_set_on_the_hub_that_cannot_be_reached(rows_of, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="nobody/nothing: neither a folder here nor a data set of the Hub"):
        rows_of("nobody/nothing")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no such file or folder"),
        ("nowhere.csv", "there is no such table"),
        ("empty", r"no table \(.csv, .*\) and no folder of recordings"),
        ("film.mp4", "no table by its name"),
        ("deep", "no table .* in it, only deeper, as a/b/prices.csv; give a table as data.root"),
        ("holiday", "recordings in one folder alone, 'pictures', which would be the label of all"),
    ],
)
def test_what_is_no_data_set_is_named(tmp_path, rows_of, name, message):
    for folder in ("empty", "deep/a/b", "holiday/pictures/2020"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "deep/a/b/prices.csv").write_text("name,cost\ntea,2\n")
    for file in ("film.mp4", "holiday/pictures/2020/beach.jpg"):
        (tmp_path / file).write_bytes(b"")
    with pytest.raises((ValueError, FileNotFoundError), match=f"{tmp_path / name}.*{message}"):
        rows_of(tmp_path / name)


def test_tables_of_which_only_some_say_their_split_are_refused(tmp_path, table, rows_of):
    for name in ("train", "rest"):
        table(tmp_path / "d" / f"{name}.csv", [{"text": "x", "label": "a"}])
    with pytest.raises(ValueError, match=r"rest.csv: its name says no split"):
        rows_of(tmp_path / "d")


def test_two_descriptions_of_one_folder_are_refused(clips, table, rows_of):
    table(clips / "metadata.csv", listing("file_name"))
    (clips / "metadata.jsonl").write_text("{}")
    with pytest.raises(ValueError, match="describe the same folder"):
        rows_of(clips)
