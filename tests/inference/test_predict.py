"""What `affecthub predict` writes of answers: a table, JSON or CSV."""

import csv
import io
import json

from affecthub.inference.predict import render

ANSWER = {
    "start": 0.0,
    "end": 5.0,
    "label": "joy",
    "scores": {"joy": 0.75, "fear": 0.25},
    "tasks": {
        "sentiment": {"label": "positive", "scores": {"negative": 0.25, "positive": 0.75}},
        "valence": {"label": None, "scores": {"valence": -0.5}},
        "label": {"label": "not smiling", "scores": {"smiling": 0.125}},
    },
    "modalities": ["audio", "video"],
    "missing": ["text"],
    "warnings": ["it was cut off"],
}
JUDGED = {"a/clip.mp4": [ANSWER]}


def test_csv_has_every_score_and_those_of_further_tasks_by_their_name():
    (row,) = csv.DictReader(io.StringIO(render(JUDGED, "csv", "model")))
    assert row == {
        "input": "a/clip.mp4",
        "start": "0.0",
        "end": "5.0",
        "label": "joy",
        "score_joy": "0.75",
        "score_fear": "0.25",
        "sentiment_label": "positive",
        "sentiment_score_negative": "0.25",
        "sentiment_score_positive": "0.75",
        "valence_label": "",
        "valence_score_valence": "-0.5",
        "label_label": "not smiling",
        "label_score_smiling": "0.125",
        "modalities": "audio+video",
        "missing": "text",
        "warnings": "it was cut off",
    }


def test_json_has_everything():
    answers = json.loads(render(JUDGED, "json", "model"))
    stated = {"version": 1, "synthetic": False, "model": "model"}
    assert answers == {**stated, "inputs": [{"input": "a/clip.mp4", "answers": [ANSWER]}]}


def test_the_table_has_a_column_a_task_whatever_it_is_called():
    header, row = (" ".join(line.split()) for line in render(JUDGED, "table", "model").splitlines())
    assert header == "input from s to s label scores sentiment valence task label judged by missing warning"
    assert (
        row == "clip.mp4 0.0 5.0 joy joy 0.75, fear 0.25 positive -0.50 not smiling audio + video text it was cut off"
    )
