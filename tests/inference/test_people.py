"""Answers for each person, and windows that are not judged, with the reason."""

import csv
import io
import re

import numpy as np
import pytest

from affecthub.hub import cli
from affecthub.inference.predict import load_pipeline
from affecthub.media import faces, people
from affecthub.media.faces import Face

from ..hub.tiny import write_folder, write_long_clip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("people")
    write_folder(root / "model", max_seconds=5.0)
    write_folder(root / "listener", "unimodal_baseline", ["audio"])
    write_long_clip(root / "clip.mp4", seconds=8, sound=4)
    return root


class Brightness:
    """Sees two faces in dark pictures, one in lighter ones, none in bright ones."""

    def detect(self, image):
        """By how bright it is: the clip goes from black to white."""
        count = max(0, 2 - int(image.mean() / 86))
        return [Face((2 + 4 * n, 2, 24 + 4 * n, 24 + n), 0.99) for n in range(count)]


@pytest.fixture
def run(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    monkeypatch.setattr(people, "default_detector", Brightness)

    def call(*arguments):
        status = cli.main(["predict", "clip.mp4", "--window", "2", "--format", "csv", *arguments])
        told = capsys.readouterr()
        return status, list(csv.DictReader(io.StringIO(told.out))), told.err

    return call


def test_each_person_has_answers_and_windows_without_a_face_a_reason(run):
    status, rows, _ = run("--model", "model", "--people")
    assert status == 0
    assert [(row["start"], row["person"]) for row in rows] == [
        *[("0.0", "1"), ("0.0", "2"), ("2.0", "1"), ("2.0", "2"), ("4.0", "2"), ("6.0", "")],
    ]
    assert rows[-1]["not_judged"] == "no face" and rows[-1]["label"] == "" and rows[0]["not_judged"] == ""
    assert rows[0]["face_size"] == "22.0" and rows[0]["modalities"] == "audio+video"
    assert "speaks (estimate)" in rows[0]


def test_a_crowd_is_told_of(run):
    status, rows, err = run("--model", "model", "--people", "--faces", "1")
    assert status == cli.NOT_WHOLE and "more than 1 faces at once; the largest were followed" in err
    assert {row["person"] for row in rows} == {"1", ""}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "listener", "--people"], "--people needs one that takes pictures"),
        (["--model", "model", "--people", "--faces", "0"], "--faces 0: a number from 1 on"),
        (["--model", "model", "--quality", "face_size=40"], "judge people (--people)"),
        (["--model", "model", "--quality", "smell=1"], "quality 'smell': there is none of this name"),
        (["--model", "model", "--quality", "yaw=much"], "quality yaw='much': a number is needed"),
    ],
)
def test_bad_options_are_one_sentence(run, arguments, said):
    status, rows, err = run(*arguments)
    assert status == 2 and not rows and said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("quality", "reasons"),
    [
        ("brightness=30", ["brightness % of white, below 30", "", "", ""]),
        ("sound_level=-10", ["sound level dBFS, below -10"] * 3 + [""]),
        ("sharpness=1,brightness=0", ["sharpness grey levels, below 1"] * 4),
    ],
)
def test_poor_windows_are_not_judged(run, quality, reasons):
    status, rows, _ = run("--model", "model", "--quality", quality)
    assert status == 0
    found = [row.get("not_judged", "") for row in rows]
    assert [re.sub(r" -?[\d.]+ (?=.*,)", " ", reason) for reason in found] == reasons
    assert all(bool(row["label"]) != bool(row["not_judged"]) for row in rows)


def test_a_small_face_is_not_judged(run):
    _, rows, _ = run("--model", "model", "--people", "--quality", "face_size=23")
    assert rows[0]["not_judged"] == "face size 22 px, below 23" and rows[0]["person"] == "1"


def test_the_pipeline_takes_thresholds_of_a_clip_and_of_arrays(root):
    pipe = load_pipeline(str(root / "model"), device="cpu")
    tone = 0.001 * np.sin(np.arange(16_000) / 10)
    answer = pipe({"audio": tone, "sampling_rate": 16_000}, quality={"sound_level": -50})
    assert answer["not_judged"].startswith("sound level -63") and answer["scores"] == {}
    assert "not_judged" not in pipe({"audio": tone, "sampling_rate": 16_000})
    with pytest.raises(ValueError, match="a number is needed"):
        pipe({"audio": tone, "sampling_rate": 16_000}, quality={"sound_level": None})


def test_a_head_that_is_turned():
    points = {"left_eye": (10, 10), "right_eye": (30, 10), "nose": (20, 20)}
    turned = points | {"nose": (32, 20)}
    assert faces.Face((0, 0, 40, 40), 1.0, points).yaw == 0
    assert faces.Face((0, 0, 40, 40), 1.0, turned).yaw == pytest.approx(45)
