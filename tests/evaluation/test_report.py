"""The report: what it says of planted models; and the page: one file, nothing fetched, no markup of the data."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from sklearn.metrics import accuracy_score

from affecthub.evaluation.page import render_page
from affecthub.evaluation.predictions import list_column, predictions_of, read_predictions
from affecthub.evaluation.report import report_of, write_json
from affecthub.hub.cli import main

from .studies import write_sweep

LABELS = ["neutral", "joy <b>", "anger"]
PEOPLE = ["Ann", "<script>alert(1)</script>", "Çağrı", "Dot", "Eve", "Fay", "Gus", "Hal", "Ida", "Jo", "Kim", "Lu"]


def make_run(folder, *, fold=0, folds=2, seed=0, skill=2.0, blind=None, name="mine", noise=0, history=True):
    """A run's folder: people are dealt to folds, `blind` is judged at random, video tells all and audio nothing."""
    people = [person for i, person in enumerate(PEOPLE) if i % folds == fold]
    parts = {}
    for split, whom in (
        ("train", [p for p in PEOPLE if p not in people]),
        ("test", people),
        ("validation", people[:2]),
    ):
        rng = np.random.default_rng([seed, fold, len(split), noise])
        owners = np.repeat(whom, 20)
        truth = np.random.default_rng(5).integers(3, size=len(owners))
        # noise of a person's own: the rows of one resemble each other
        logits = rng.normal(size=(len(owners), 3)).astype(np.float32)
        logits[np.arange(len(owners)), truth] += np.where(owners == blind, 0, skill)
        parts[split] = {
            "key": pa.array([f"{split}/{owner}/{i}" for i, owner in enumerate(owners)]),
            "participant": pa.array(owners),
            "clip_end": pa.array(rng.uniform(1, 9, len(owners))),
            "present": pa.array([["audio", "video"]] * len(owners)),
            "reference.emotion": pa.array(truth),
            "logits.emotion": list_column(logits),
        }
    every = np.arange(len(parts["test"]["key"]))
    audio = np.random.default_rng(1).normal(size=(len(every), 3)).astype(np.float32)
    parts["test"] |= {
        "logits.emotion.audio": list_column(audio, every, len(every)),
        "logits.emotion.video": parts["test"]["logits.emotion"],
    }
    facts = {"data": "my <data>", "synthetic": False, "unit": "clips", "architecture": "trimodal"}
    tasks = {"emotion": {"kind": "single_label", "labels": LABELS}}
    subsets = {"modalities": ["audio", "video"], "subsets": [["audio"], ["video"]]}
    predictions = predictions_of(parts, tasks, protocol=f"grouped_k_fold, fold {fold}", **facts, **subsets)
    (folder / "model").mkdir(parents=True)
    predictions.write(folder / "predictions.parquet")
    recipe = {"name": name, "split": {"fold": fold, "folds": folds}, "training": {"seed": seed, "best_metric": None}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    if history:
        epochs = {
            "epoch": [1, 2, 3],
            "loss": [1.0, 0.6, 0.4],
            "eval_loss": [1.0, 0.8, 0.9],
            "learning_rate": [0.1] * 3,
        }
        pd.DataFrame(epochs | {"eval_accuracy": [0.4, 0.6, 0.5]}).to_parquet(folder / "history.parquet")
    return folder


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A good model and a poor one, two folds and two seeds each, and their report."""
    root = tmp_path_factory.mktemp("runs")
    for name, skill in (("good", 2.0), ("poor", 0.4)):
        for fold in (0, 1):
            for seed in (0, 1):
                make_run(
                    root / name / f"fold{fold}-seed{seed}", fold=fold, seed=seed, skill=skill, name=name, blind="Ida"
                )
    return root, report_of([root / "good", root / "poor"])


def test_folds_and_seeds_become_one_figure(compared):
    root, report = compared
    accuracy = report["models"][0]["tasks"]["emotion"]["figures"]["accuracy"]
    by_seed = []
    for seed in (0, 1):
        parts = [read_predictions(root / "good" / f"fold{fold}-seed{seed}").of("test") for fold in (0, 1)]
        truth = np.concatenate([part.references("emotion") for part in parts])
        said = np.concatenate([part.logits("emotion").argmax(1) for part in parts])
        by_seed.append(accuracy_score(truth, said))
    assert accuracy["value"] == pytest.approx(np.mean(by_seed))
    assert accuracy["clusters"] == {"by": "participant", "number": 12} and accuracy["rows"] == 240
    assert len(report["models"][0]["runs"]) == 4


def test_the_better_model_is_called_better_and_equal_ones_are_not(compared, tmp_path):
    _, report = compared
    (pair,) = report["comparison"]["pairs"]
    assert pair["better"] == pair["first"] == report["models"][0]["name"]
    assert "is better than" in report["lead"][0]
    for noise, name in enumerate(("one", "two")):
        make_run(tmp_path / name, name=name, skill=1.0, noise=noise)
    same = report_of([tmp_path / "one", tmp_path / "two"])
    assert same["comparison"]["pairs"][0]["better"] is None and "no difference shown" in same["lead"][0]


def test_what_was_planted_is_found(compared):
    of = compared[1]["models"][0]["tasks"]["emotion"]
    assert of["worst_groups"]["participant"]["name"] == "Ida"
    assert any("Ida" in line for line in compared[1]["advice"]["lines"])
    audio, video = of["importance"]
    assert audio["interval"][0] <= 0 <= audio["interval"][1] or audio["value"] < 0.1
    assert video["value"] > 0.3 and video["interval"][0] > 0.1
    assert of["overfitting"]["best_epoch"] == 2 and of["overfitting"]["last_epoch"] == 3
    assert {group["by"] for group in of["groups"]} == {"participant", "label", "duration", "held"}
    assert sum(pair["rows"] for pair in of["pairs"]) <= 240 and of["worst"]


def test_the_page_is_one_file_that_fetches_nothing_and_lets_no_markup_through(compared):
    page = render_page(compared[1])
    elements = Elements(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 1 and "alert(1)" in "".join(elements.words)  # as a text
    assert "<script>alert" not in page and "joy <b>" not in page and "my <data>" not in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', re.sub(r'xlink:href="#[^"]*"', "", page))
    assert "default-src 'none'" in page
    ids = [attributes["id"] for tag, attributes in elements.found if tag == "section"]
    links = [attributes["href"][1:] for tag, attributes in elements.found if tag == "a" and attributes.get("href")]
    assert set(ids) == set(links) - {"main"} and {"results", "comparison", "people-and-groups", "errors"} <= set(ids)


def test_who_cannot_see_it_is_told_what_is_drawn(compared):
    elements = Elements(render_page(compared[1])).found
    charts = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(charts) > 5 and all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    tags = [tag for tag, _ in elements]
    assert tags.count("caption") == tags.count("table") and tags.count("h1") == 1
    heads = [attributes for tag, attributes in elements if tag == "th"]
    assert heads and all(head.get("scope") in ("col", "row") for head in heads)
    assert ("html", {"lang": "en"}) in elements


def test_what_cannot_be_said_is_said(tmp_path):
    run = make_run(tmp_path / "run", history=False)
    (run / "model" / "metrics.json").unlink(missing_ok=True)
    report = report_of([run])
    assert any("no history" in line for line in report["unsaid"])
    of = report["models"][0]["tasks"]["emotion"]
    assert any("without fold 1 of 2" in note for note in of["notes"])
    page = render_page(report)
    assert "no history" in page and "without fold 1 of 2" in page
    path = write_json(report, tmp_path / "report.json")
    assert json.loads(path.read_text())["models"][0]["tasks"]["emotion"]["kind"] == "single_label"


def test_the_command_writes_both_files_and_names_what_is_wrong(compared, tmp_path, capsys):
    root, _ = compared
    page = tmp_path / "two.html"
    assert main(["report", str(root / "good"), str(root / "poor"), "--no-cost", "--output", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["comparison"]["metric"] == "accuracy"
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
    other = make_run(tmp_path / "other", name="other")
    assert main(["report", str(root / "good"), str(other), "--no-cost"]) == 2
    assert "cannot be compared" in capsys.readouterr().err


def test_what_is_not_finite_is_null_in_the_json(tmp_path):
    path = write_json(
        {"a": [float("nan"), np.float32(np.inf), np.array([1.5, np.nan])], "b": (1, True)}, tmp_path / "x"
    )
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {"a": [None, None, [1.5, None]], "b": [1, True]}


def test_a_report_for_others_names_nobody_and_no_place(tmp_path):
    run = make_run(tmp_path / "mine", blind="Ann")
    found = report_of([run], for_others=True)
    page, kept = render_page(found), write_json(found, tmp_path / "report.json").read_text(encoding="utf-8")
    for text in (page, kept):
        assert not re.search(r"\b(?:Ann|Eve|Ida|Kim|Çağrı)\b|alert|test/", text) and str(tmp_path) not in text
        assert re.search(r"K-[a-z2-7]{16}", text) and "P-" in text
    assert "have pseudonyms on this page" in page and "my <data>" not in page
    assert main(["report", str(run), "--no-cost", "--for-others"]) == 0
    assert json.loads((run / "report.json").read_text(encoding="utf-8"))["for_others"]


def test_a_family_is_one_model_with_a_learning_curve(tmp_path):
    for share in (0.5, 1.0):
        write_sweep(tmp_path / "s" / str(share), seeds=1, share=share, noise=1 / share)
    report = report_of([tmp_path / "s"])
    (model,) = report["models"]
    (curve,) = model["learning_curves"]
    assert [step["share"] for step in curve["steps"]] == [0.5, 1] and "Comparison" not in render_page(report)
    assert "participants that learn" in render_page(report)
    assert any("from 50.0 to 100.0 % of those who learn" in line for line in report["advice"]["lines"])
