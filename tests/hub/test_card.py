"""The card parses, keeps its figures, says what it must, and leaves out what is not known."""

import ast
import copy
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from affecthub.evaluation.report import score
from affecthub.hub.card import CardFacts, render_card, write_card

LABELS = ["neutral", "joy", "fear"]
SECTIONS = ["Use it", "Training data", "Results", "Limits and misuse"]


@pytest.fixture
def scores():
    references = np.array([0, 0, 0, 1, 1, 2] * 20)
    predictions = np.array([0, 0, 1, 1, 0, 2] * 20)
    return score(references, predictions, [0, 0, 1], LABELS, seed=0)


@pytest.fixture
def bare(scores):
    """As little as a run can know."""
    results = {
        "data": {"name": "MELD", "synthetic": False, "splits": {"train": 300, "test": 120}},
        "task": {"emotion": LABELS},
        "results": {"test": {"emotion": scores}},
    }
    return CardFacts(
        model_name="text-baseline",
        architecture="unimodal_baseline",
        description="One encoder and one classifier.",
        auto_model="AutoModelForVideoClassification",
        modalities=("text",),
        results=results,
        license="other",
    )


@pytest.fixture
def full(bare, tmp_path):
    """Everything filled in, on the synthetic corpus, with what must never come out."""
    results = copy.deepcopy(bare.results)
    results["data"] |= {"name": "Sample corpus", "synthetic": True, "skipped": {"no label": 3}}
    results["results"]["validation"] = copy.deepcopy(results["results"]["test"])
    results["ablation"] = [
        {"modalities": ["text"], "accuracy": 0.5, "f1_weighted": 0.4, "bayes_accuracy": 0.79},
        {"modalities": ["text", "audio", "video"], "accuracy": 0.875, "f1_weighted": 0.86},
    ]
    results["training"] = {"epochs": 12, "train_loss": 0.123456, "resumed_from": None}
    (tmp_path / "confusion.png").write_bytes(b"png")
    return replace(
        bare,
        model_name="quickstart",
        architecture="trimodal_ensemble",
        modalities=("text", "audio", "video"),
        results=results,
        license="apache-2.0",
        repo_id="someone/quickstart",
        base_models=("google-bert/bert-base-uncased", str(tmp_path), "../encoders/vit"),
        dataset_id="someone/sample",
        data_notes=("Clips were read from file:///srv/clips/train.",),
        parameters={"total": 1234567, "trainable": 1000},
        recipe_name="quickstart",
        recipe={
            "learning_rate": 1e-4,
            "resume": None,
            "data": {"root": Path("/srv/meld"), "cache": "~/cache/x", "other": "C:\\Users\\me", "rel": "../up/data"},
            "hub_token": "hf_" + "a1B2" * 8,
        },
        pictures={"Confusion matrix, test": "confusion.png"},
        versions={"torch": "2.15.0"},
        hardware="2 CPU cores",
        seconds=61.4,
    )


def headings(card: ModelCard) -> list[str]:
    return re.findall(r"^## (.+)$", card.content, flags=re.MULTILINE)


def test_card_on_disk_parses_and_keeps_every_figure(full, tmp_path):
    card = ModelCard.load(write_card(tmp_path, full))
    kept = {(r.dataset_split, r.metric_type, r.metric_name): r.metric_value for r in card.data.eval_results}
    scores = full.results["results"]["test"]["emotion"]
    for split in ("test", "validation"):
        assert kept[split, "accuracy", "emotion: accuracy"] == round(scores["accuracy"], 4)
        assert kept[split, "f1", "emotion: F1 weighted"] == round(scores["f1_weighted"], 4)
        assert kept[split, "f1", "emotion: F1 macro"] == round(scores["f1_macro"], 4)
        for label in LABELS:
            assert kept[split, "f1", f"emotion: F1 {label}"] == round(scores["per_class"][label]["f1"], 4)
    assert len(kept) == 2 * (4 + len(LABELS))
    assert {r.dataset_type for r in card.data.eval_results} == {"someone/sample"}
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_front_matter(full):
    data = render_card(full).data
    assert (data.library_name, data.pipeline_tag, data.license) == (
        "transformers",
        "video-classification",
        "apache-2.0",
    )
    assert {"affecthub", "emotion-recognition", "multimodal", "custom_code", "trimodal_ensemble"} <= set(data.tags)
    assert "synthetic" in data.tags
    assert (data.language, data.datasets, data.metrics) == (["en"], ["someone/sample"], ["accuracy", "f1"])
    assert data.base_model == ["google-bert/bert-base-uncased"]
    assert data["inference"] is False
    assert data.model_name == "quickstart"


def test_full_card_has_every_section(full):
    card = render_card(full)
    expected = ["What each modality contributes", "Limits and misuse", "Training and compute"]
    assert headings(card) == [*SECTIONS[:3], *expected]
    for said in (
        "| accuracy | 66.7 |",
        'always "neutral"',
        "| text | 50.0 | 40.0 | 79.0 |",
        "| text + audio + video | 87.5 | 86.0 |  |",
        "![Confusion matrix, test](confusion.png)",
        "1,234,567 total, 1,000 trainable",
        "unpublished weights: 2",
        "Left out: 3 (no label)",
        "Train loss: 0.1235",
        "learning_rate: 0.0001",
        "Article 5(1)(f)",
    ):
        assert said in card.content


def test_absent_data_leaves_its_section_out(bare):
    card = render_card(bare)
    assert headings(card) == [*SECTIONS, "Citation"]
    assert "![" not in card.content
    assert "Bayes" not in card.content
    data = card.data.to_dict()
    assert not {"base_model", "datasets"} & set(data)
    assert data["pipeline_tag"] == "text-classification"
    assert "multimodal" not in data["tags"]
    assert data["model-index"][0]["results"][0]["dataset"]["type"] == "meld"


def test_no_filler_and_nothing_private(full, bare, caplog):
    for facts in (full, bare):
        content = render_card(facts).content
        assert "more information needed" not in content.lower()
        assert not re.search(r"\b(None|nan|null|Undefined)\b", content)
        assert not re.search(r"\n{4,}|[^\n]```$", content)
        assert content.endswith("\n") and not content.endswith("\n\n")
        for private in ("/srv", "/tmp", "file:", "~/", "Users", "../", "hf_a1B2"):
            assert private not in content
        assert set(re.findall(r"(\w+):/", content)) == {"https"}
    assert "1 tokens: blanked" in caplog.text


def test_synthetic_data_are_declared_before_anything_else(full, bare):
    body = render_card(full).text
    assert body.index("Synthetic training data") < body.index(full.description)
    assert "Sample corpus (synthetic)" in render_card(full).content
    assert "means nothing" in body
    assert "ynthetic" not in render_card(bare).content


def test_meld_is_cited_with_its_licence_and_its_limits(full, bare):
    content = render_card(bare).content
    for said in ("GPL-3.0", "Poria", "not speaker independent", "acted American television"):
        assert said in content
        assert said not in render_card(full).content


@pytest.mark.parametrize(
    "modalities", [("text",), ("audio",), ("video",), ("text", "audio"), ["text", "audio", "video"]]
)
def test_snippets_are_python_and_pass_only_these_modalities(full, modalities):
    content = render_card(replace(full, modalities=modalities)).content
    snippets = re.findall(r"```python\n(.*?)```", content, flags=re.DOTALL)
    assert len(snippets) == (1 if modalities == ("text",) else 2)
    for snippet in snippets:
        calls = [node for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Call)]
        (call,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "processor"]
        names = {"text": {"text"}, "audio": {"audio", "sampling_rate"}, "video": {"videos"}}
        assert {keyword.arg for keyword in call.keywords} == set().union(*(names[m] for m in modalities))
    assert 'model_id = "someone/quickstart"' in snippets[0]
    assert "trust_remote_code=True" in snippets[0]


def test_two_tasks_have_their_own_tables_and_figures(bare, scores):
    results = copy.deepcopy(bare.results)
    results["task"]["sentiment"] = LABELS
    results["results"]["test"]["sentiment"] = scores
    card = render_card(replace(bare, results=results))
    assert "### Test, sentiment: 120 utterances" in card.content
    assert {r.metric_name for r in card.data.eval_results} >= {"emotion: F1 weighted", "sentiment: F1 weighted"}


def test_a_picture_that_is_not_there_is_named(full, tmp_path):
    with pytest.raises(FileNotFoundError, match="no pictures \\['curves.png'\\]"):
        write_card(tmp_path, replace(full, pictures={"Curves": "curves.png"}))
    assert not (tmp_path / "README.md").exists()
