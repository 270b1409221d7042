"""What rows name is found, looked at, and given a status."""

import numpy as np
import pandas as pd
import pytest

from affecthub.datasets_scripts.clips.corpus import Clips


@pytest.fixture
def one(tmp_path, sound, table):
    """A folder with a sound of 2 s; a function writes its table, of rows that name it unless they say otherwise."""
    sound(tmp_path / "d" / "a.wav", seconds=2)

    def write(*rows, **common):
        return table(tmp_path / "d" / "t.csv", [{"file": "a.wav", "label": "joy", **common, **row} for row in rows])

    return write


def test_segments_of_a_recording(one, rows_of, statuses):
    path = one(
        {"start": 0.5, "end": 1.25},
        {"start": 1.5, "end": ""},
        {"start": 1.5, "end": 9},
        {"start": 2.5, "end": 3},
        {"start": 1.5, "end": 1.0},
        {"start": -1, "end": 1.0},
    )
    rows = rows_of(path)
    assert [row["key"] for row in rows][:2] == ["a.wav#0.5-1.25", "a.wav#1.5"]
    assert [row["duration"] for row in rows] == [0.75, 0.5, 0.5, None, None, None]
    assert [row["audio_present"] for row in rows] == [True, True, True, False, False, False]
    assert (rows[0]["clip_start"], rows[0]["clip_end"], rows[1]["clip_end"]) == (0.5, 1.25, None)
    assert {row["recording"] for row in rows} == {"a.wav"}
    assert list(statuses(path).values()) == ["used", "used", "cut_short", "beyond_end", "bad_span", "bad_span"]


@pytest.mark.parametrize("cell", ["/etc/hostname", "../../secret.wav", "..\\..\\secret.wav"])
def test_nothing_outside_the_folder_is_read(one, tmp_path, sound, rows_of, statuses, cell):
    sound(tmp_path / "secret.wav")
    path = one({"file": cell}, {})
    assert [row["audio_path"] is None for row in rows_of(path)] == [True, False]
    assert statuses(path)[cell] == "outside"


def test_a_folder_for_the_files_elsewhere(tmp_path, sound, table, rows_of):
    sound(tmp_path / "disk" / "a.wav")
    path = table(tmp_path / "d" / "t.csv", [{"file": "a.wav", "label": "x"}])
    assert rows_of(path, media_root=str(tmp_path / "disk"))[0]["audio_present"]
    absolute = table(tmp_path / "d" / "u.csv", [{"file": str(tmp_path / "disk" / "a.wav"), "label": "x"}])
    assert rows_of(absolute, media_root=str(tmp_path / "disk"))[0]["audio_present"]
    assert not rows_of(absolute)[0]["audio_present"]


def test_missing_broken_and_foreign_files_stay_as_rows_with_a_status(one, tmp_path, rows_of, statuses):
    (tmp_path / "d" / "broken.wav").write_bytes(b"RIFF" + b"x" * 100)
    (tmp_path / "d" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "d" / "folder.wav").mkdir()
    names = ["gone.wav", "broken.wav", "broken.png", "folder.wav", "https://example.org/a.wav", "C:/x/a.wav"]
    path = one(*({"file": name} for name in names), text="hello")
    assert statuses(path) == dict(
        zip(names, ["missing", "broken", "broken", "missing", "missing", "missing"], strict=True)
    )
    assert [row["text"] for row in rows_of(path)] == ["hello"] * 6
    assert not any(row["audio_present"] or row["video_present"] for row in rows_of(path))


def test_windows_separators_are_understood(tmp_path, sound, table, rows_of):
    sound(tmp_path / "d" / "audio" / "a.wav")
    assert rows_of(table(tmp_path / "d" / "t.csv", [{"file": "audio\\a.wav", "label": "x"}]))[0]["audio_present"]


def test_rows_of_one_file(one, sound, tmp_path, rows_of, statuses):
    for name in ("b", "c"):
        sound(tmp_path / "d" / f"{name}.wav")
    path = one({}, {}, {"file": "b.wav"}, {"file": "b.wav", "label": "anger"}, {"file": "c.wav"})
    assert [row["key"] for row in rows_of(path)] == ["a.wav", "c.wav"]
    data = Clips(root=str(path))
    skipped = data.describe(data.build(["audio"])).skipped
    assert {reason.split(":")[0]: count for reason, count in skipped.items()} == {
        "clips rows, contradicted": 2,
        "clips rows, repeated": 1,
    }
    assert "not used" in data.manifest() and "repeated: 1" in data.manifest() and "row 1" in data.manifest()


def test_keys_that_come_twice_are_refused(one, rows_of, tmp_path, sound):
    sound(tmp_path / "d" / "b.wav")
    with pytest.raises(ValueError, match=r"row 2: the key 'k' is also that of .*row 1"):
        rows_of(one({"key": "k"}, {"key": "k", "file": "b.wav"}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"start": "soon"}, "row 1: start, s, is 'soon', which is no number"),
        ({"weight": "-1"}, "row 1: weight is '-1': 0 or more"),
        ({"turn": "1.5"}, "row 1: turn is '1.5': a whole number"),
        ({"split": "holdout"}, "row 1: the split is 'holdout'; write train, validation or test"),
        ({"split": ""}, "row 1: the split is None"),
    ],
)
def test_values_that_no_row_can_hold_are_refused(one, rows_of, row, message):
    with pytest.raises(ValueError, match=message):
        rows_of(one(row))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["lable"]}, r"no column 'lable' \(the target 'lable'.*; did you mean 'label'"),
        ({"columns": {"audio": "fiel"}}, r"no column 'fiel' \(data.columns.audio=fiel\); did you mean 'file'"),
        ({"columns": {"adio": "file"}}, "data.columns.adio: no such role; did you mean 'audio'"),
        ({"features": ["au_*"]}, r"no column 'au_\*' \(data.features"),
        ({"raters": {"label": ["r1"]}}, r"no column 'r1' \(a rater's"),
        ({"targets": []}, "name what is to be learned"),
        ({"targets": ["text"]}, "'text' is the name of a role of a column"),
    ],
)
def test_columns_that_are_not_there_are_named_with_the_nearest(one, rows_of, options, message):
    with pytest.raises(ValueError, match=message):
        rows_of(one({}), **options)


def test_roles_by_name_by_alias_and_by_word(tmp_path, table, rows_of):
    path = table(
        tmp_path / "t.csv",
        [{"Text": "hi", "speaker": "ada", "conv": "d1", "turn": "3", "split": "dev", "weight": "0.5", "label": "x"}],
    )
    (row,) = rows_of(path, columns={"dialogue": "conv"})["validation"]
    assert {name: row[name] for name in ("text", "participant", "dialogue", "turn", "weight")} == {
        "text": "hi",
        "participant": "ada",
        "dialogue": "d1",
        "turn": 3,
        "weight": 0.5,
    }


def test_a_target_is_not_taken_for_a_role(tmp_path, table, rows_of):
    (row,) = rows_of(table(tmp_path / "t.csv", [{"text": "hi", "speaker": "ada"}]), targets=["speaker"])
    assert row["speaker"] == 0 and "participant" not in row


def test_a_copy_names_the_recording_that_it_is_of(one, tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    path = one(
        {"start": 0}, {"start": 1, "recording": "b", "source_recording": "a"}, recording="a", source_recording=""
    )
    corpus = Clips(root=str(path))
    corpus = corpus.describe(corpus.build(["audio"]))
    (rows,) = corpus.splits.values()
    assert rows["recording"] == ["a", "b"] and rows["source_recording"] == ["a", "a"]
    assert corpus.audit.recording == "source_recording" and corpus.protocol == "by_recording"


def test_pictures_of_a_row(tmp_path, picture, table, rows_of):
    for i in range(3):
        picture(tmp_path / "d" / f"{i}.png", seed=i)
    path = table(tmp_path / "d" / "t.csv", [{"images": "0.png|1.png|2.png", "label": "x"}])
    (row,) = rows_of(path)
    assert [path.rsplit("/", 1)[1] for path in row["image_paths"]] == ["0.png", "1.png", "2.png"]
    data = Clips(root=str(path))
    assert data.describe(data.build(["video"])).unit == "images"


def test_features_in_columns_and_in_files(tmp_path, table, rows_of):
    path = table(
        tmp_path / "t.csv",
        [{"text": "a", "au_1": "0.5", "au_2": "", "gsr": "3", "label": "x"}, {"text": "b", "label": "x"}],
    )
    first, second = rows_of(path, features=["gsr", "au_*"])
    np.testing.assert_array_equal(first["physio_values"], [[3, 0.5, np.nan]])
    assert first["physio_present"] and not second["physio_present"] and second["physio_values"] is None
    data = Clips(root=str(path), features=["gsr", "au_*"])
    assert data.describe(data.build(["physio"])).feature_names == ("gsr", "au_1", "au_2")
    np.save(tmp_path / "a.npy", np.ones((4, 2), np.float32))
    pd.DataFrame({"smile": [0.1, 0.2], "gsr": [1, np.nan]}).to_csv(tmp_path / "b.csv", index=False)
    for name, names, steps in (("a.npy", ("feature 0", "feature 1"), 4), ("b.csv", ("smile", "gsr"), 2)):
        data = Clips(root=str(table(tmp_path / "u.csv", [{"features": name, "label": "x"}])))
        corpus = data.describe(data.build(["physio"]))
        assert corpus.feature_names == names and len(corpus.splits["clips"][0]["physio_values"]) == steps


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([[np.inf]]), "holds infinite values"),
        (np.array(["a"]), "numbers of .steps, features. or .features,. are needed"),
        (np.zeros((2, 2, 2)), "shape .2, 2, 2."),
        (np.zeros((0, 2)), "shape .0, 2."),
        (np.array([{}], dtype=object), "no array of numbers that can be read"),
    ],
)
def test_files_of_features_that_are_none(tmp_path, table, rows_of, content, message):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match=f"a.npy: .*{message}"):
        rows_of(table(tmp_path / "t.csv", [{"features": "a.npy", "label": "x"}]))


def test_files_of_other_features_are_refused(tmp_path, table, rows_of):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    np.save(tmp_path / "b.npy", np.zeros((2, 4)))
    path = table(tmp_path / "t.csv", [{"features": "a.npy", "label": "x"}, {"features": "b.npy", "label": "x"}])
    with pytest.raises(ValueError, match=r"row 2: b.npy holds 4 features .*, the first file 3"):
        rows_of(path)


def test_rows_whose_targets_are_all_unknown_and_rows_without_anything(tmp_path, table, rows_of, statuses):
    path = table(
        tmp_path / "t.csv", [{"text": "a", "label": "x"}, {"text": "b", "label": ""}, {"text": "", "label": "x"}]
    )
    assert statuses(path) == {"t/1": "used", "t/2": "no_target", "t/3": "empty"}
    assert [row["label"] for row in rows_of(path)] == [0, -1]


def test_a_label_in_one_row_alone_is_said(tmp_path, table):
    data = Clips(root=str(table(tmp_path / "t.csv", [{"text": i, "label": "x" if i else "y"} for i in range(3)])))
    assert any(
        "in one row alone" in note and note.endswith(": y.") for note in data.describe(data.build(["text"])).card.notes
    )


def test_what_is_unchanged_is_not_built_again_and_what_changed_is(one, tmp_path, sound, statuses, monkeypatch):
    path = one({}, {"file": "b.wav"})
    assert statuses(path)["b.wav"] == "missing"
    built = []
    monkeypatch.setattr("affecthub.datasets_scripts.clips.builder._build", lambda *a: built.append(a))
    assert statuses(path)["b.wav"] == "missing" and not built
    monkeypatch.undo()
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "d" / "b.wav").write_bytes(b"no sound")
    assert statuses(path)["b.wav"] == "broken"
    sound(tmp_path / "d" / "b.wav")
    assert statuses(path)["b.wav"] == "used"
    one({}, {"file": "b.wav", "label": "anger"})
    assert statuses(path)["b.wav"] == "used"


def test_a_build_that_fails_leaves_nothing_behind(one, tmp_path, rows_of):
    with pytest.raises(ValueError):
        rows_of(one({"weight": "x"}))
    assert not [p for p in (tmp_path / "cache" / "clips").iterdir() if p.is_dir()]
