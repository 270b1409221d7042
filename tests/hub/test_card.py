"""The card parses, keeps its figures, says what it must, and leaves out what is not known."""

import ast
import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from huggingface_hub import ModelCard

from affecthub.architectures import architecture_names
from affecthub.datasets_scripts.corpus import DataCard
from affecthub.datasets_scripts.meld.corpus import Meld
from affecthub.evaluation.scores import ablation_figures, judged, score
from affecthub.hub import cli
from affecthub.hub.card import CARDS, CardFacts, keep_card, main, read_facts, render_card, write_card

from ..evaluation.studies import write_sweep
from .test_stranger import build

LABELS = ["neutral", "joy", "fear"]
KEPT = sorted(CARDS.glob("*.json"))
SECTIONS = ["Use it", "Training data", "Results", "Limits and misuse"]


ROWS = Dataset.from_dict(
    {"key": ["a"], "recording": ["S01E01"], "emotion": [0]},
    features=Features(key=Value("string"), recording=Value("string"), emotion=ClassLabel(names=["neutral", "joy"])),
)


@pytest.fixture
def scores():
    references = np.array([0, 0, 0, 1, 1, 2] * 20)
    logits = np.eye(3)[[0, 0, 1, 1, 0, 2] * 20]
    return score(references, logits, [0, 0, 1], LABELS, "single_label", seed=0)


@pytest.fixture
def bare(scores):
    """As little as a run can know."""
    results = {
        "data": {"name": "MELD", "synthetic": False, "splits": {"train": 300, "test": 120}, "unit": "utterances"},
        "task": {"emotion": LABELS},
        "results": {"test": {"emotion": scores}},
    }
    return CardFacts(
        model_name="text-baseline",
        architecture="unimodal_baseline",
        description="One encoder and one classifier.",
        modalities=("text",),
        results=results,
        license="other",
        language=("en",),
    )


@pytest.fixture
def full(bare, tmp_path):
    """Everything filled in, on the synthetic corpus, with what must never come out."""
    results = copy.deepcopy(bare.results)
    results["data"] |= {"name": "Sample corpus", "synthetic": True, "skipped": {"no label": 3}}
    results["results"]["validation"] = copy.deepcopy(results["results"]["test"])
    results["ablation"] = [
        {
            "modalities": ["text"],
            "rows": 120,
            "figures": {"accuracy": 0.5, "f1_weighted": 0.4},
            "bayes_accuracy": 0.79,
        },
        {"modalities": ["text", "audio", "video"], "rows": 120, "figures": {"accuracy": 0.875, "f1_weighted": 0.86}},
    ]
    results["data"] |= {"protocol": "fixed: by its authors", "unit": "utterances"}
    finding = {"count": 3, "examples": ["Ludmilla"], "remedy": "a recording column"}
    results["audit"] = [
        finding | {"check": "same_row", "severity": "severe", "message": "3 rows on both sides", "accepted": True},
        finding | {"check": "same_text", "severity": "note", "message": "3 texts on both sides", "accepted": False},
        finding | {"check": "same_recording", "severity": "unchecked", "message": "not checked", "accepted": False},
    ]
    results["model"] = {"modality_weights": {"early": 0.625, "late": 0.5}}
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
        data=DataCard(notes=("Clips were read from file:///srv/clips/train.",)),
        physio_size=33,
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
        log=({"epoch": 1, "loss": 0.9, "eval_accuracy": 0.5}, {"epoch": 2, "loss": 0.8, "eval_loss": 0.7}),
        authors=("J[a]ne", "Lab 7"),
        contact="https://example.org/lab7",
    )


def headings(card: ModelCard) -> list[str]:
    return re.findall(r"^## (.+)$", card.content, flags=re.MULTILINE)


def test_card_on_disk_parses_and_keeps_every_figure(full, tmp_path):
    card = ModelCard.load(write_card(tmp_path, full))
    kept = {(r.dataset_split, r.metric_type, r.metric_name): r.metric_value for r in card.data.eval_results}
    scores = full.results["results"]["test"]["emotion"]
    for split in ("test", "validation"):
        assert kept[split, "accuracy", "emotion: accuracy"] == round(scores["accuracy"], 4)
        assert kept[split, "f1", "emotion: weighted F1"] == round(scores["f1_weighted"], 4)
        assert kept[split, "f1", "emotion: macro F1"] == round(scores["f1_macro"], 4)
        for label in LABELS:
            assert kept[split, "f1", f"emotion: F1 {label}"] == round(scores["per_class"][label]["f1"], 4)
        assert kept[split, "cohen_kappa", "emotion: Cohen's kappa"] == round(scores["kappa"], 4)
    assert len(kept) == 2 * (10 + len(LABELS))
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
    assert (data.language, data.datasets, data.metrics) == (
        *(["en"], ["someone/sample"]),
        ["accuracy", "f1", "cohen_kappa", "roc_auc", "brier_score"],
    )
    assert data.base_model == ["google-bert/bert-base-uncased"]
    assert data["inference"] is False
    assert data.model_name == "quickstart"


def test_full_card_has_every_section(full):
    card = render_card(full)
    expected = ["What each modality contributes", "Limits and misuse", "Training", "Environmental Impact"]
    expected += ["Model Card Authors", "Model Card Contact"]
    assert headings(card) == [*SECTIONS[:2], "Protocol and leakage audit", "Results", *expected]
    for said in (
        "| accuracy | 66.7 |",
        "Figures are in percent, except Cohen's kappa, NLL and Brier score. An interval",
        "Intervals are by row",
        "| Cohen's kappa | 0.455 |",
        "majority (neutral)",
        "Split protocol: fixed: by its authors.",
        "- **severe**, `same_row`, accepted by the recipe: 3 rows on both sides",
        "- **note**, `same_text`: 3 texts on both sides",
        "Not checked: `same_recording` (a recording column).",
        "| text | 50.0 | 40.0 | 79.0 |",
        "| text + audio + video | 87.5 | 86.0 |  |",
        "![Confusion matrix, test](confusion.png)",
        "1,234,567 total, 1,000 trainable",
        "early 0.62, late 0.50",
        "unpublished weights: 2",
        "Left out: 3 (no label)",
        "Epochs: 12, train loss: 0.1235",
        "<details><summary>On validation, by",
        "| epoch | loss | validation accuracy | validation loss |\n|---:|---:|---:|---:|\n| 1 | 0.9 | 0.5 |  |\n",
        "<summary>Recipe <code>quickstart</code>, without what is so by default</summary>",
        "- Hours used: 0.0171 (61 s)",
        "J&#91;a&#93;ne, Lab 7",
        "learning_rate: 0.0001",
        "Article 5(1)(f)",
    ):
        assert said in card.content
    assert "Ludmilla" not in card.content  # examples may name people


def test_absent_data_leaves_its_section_out(bare):
    card = render_card(bare)
    assert headings(card) == SECTIONS
    assert "![" not in card.content
    assert "Bayes" not in card.content
    data = card.data.to_dict()
    assert not {"base_model", "datasets"} & set(data)
    assert data["pipeline_tag"] == "text-classification"
    assert "multimodal" not in data["tags"]
    assert data["model-index"][0]["results"][0]["dataset"]["type"] == "meld"


def test_results_without_a_unit_are_of_utterances(bare):
    del bare.results["data"]["unit"]
    assert "120 test utterances" in render_card(bare).text


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
    assert "8 local paths and tokens: blanked" in caplog.text


def test_synthetic_data_are_declared_before_anything_else(full, bare):
    body = render_card(full).text
    assert body.index("Synthetic training data") < body.index(full.description)
    assert "Sample corpus (synthetic)" in render_card(full).content
    assert "means nothing" in body
    assert "ynthetic" not in render_card(bare).content


def test_a_data_set_is_cited_with_what_it_says_of_itself_and_only_that_one(bare):
    meld = Meld("unread").describe({"train": ROWS}).card
    content = render_card(replace(bare, data=meld, license=meld.license)).content
    for said in (
        "GPL-3.0",
        "license: gpl-3.0",
        "@inproceedings{poria",
        "not speaker independent",
        "acted American television",
    ):
        assert said in content
        assert said not in render_card(bare).content, "by its name alone nothing is guessed"
    plain = render_card(replace(bare, data=DataCard(citation="Doe 2020, Clips."))).content
    assert "Doe 2020, Clips." in plain and "```bibtex" not in plain


FAMILIES = [
    ("unimodal_baseline", ["text"]),
    ("unimodal_baseline", ["audio"]),
    ("trimodal_ensemble", ["text", "audio", "video"]),
    ("frame_cnn", ["video"]),
    ("physio_concat", ["video", "physio"]),
    ("audio_visual_fusion", ["audio", "video"]),
    ("token_fusion", ["text", "audio", "video", "physio"]),
]


def snippets_of(facts):
    return re.findall(r"```python\n(.*?)```", render_card(facts).content, flags=re.DOTALL)


@pytest.mark.parametrize(("architecture", "modalities"), FAMILIES)
def test_snippets_run_and_pass_all_of_these_modalities(full, architecture, modalities, tmp_path, monkeypatch, capsys):
    facts = replace(full, modalities=tuple(modalities), repo_id=None, model_name="mine")
    predict, *rest = snippets_of(facts)
    assert "pipeline(model=model_id, trust_remote_code=True)" in predict
    assert len(rest) == (1 if modalities == ["text"] else 2)
    model, processor = build(architecture, modalities if "unimodal" in architecture else None)
    model.save_pretrained(tmp_path / "mine")
    processor.save_pretrained(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(rest[0].replace(", trust_remote_code=True", ""), names)  # which is tested where the package is hidden
    assert list(names["sample"]) == modalities
    assert len(capsys.readouterr().out.splitlines()) == 7
    for snippet in (predict, *rest):
        ast.parse(snippet)
    if len(rest) == 2:
        decoded = [key.value for node in ast.walk(ast.parse(rest[1])) for key in getattr(node, "keys", [])]
        assert decoded == [name for name in modalities if name != "physio"]


def test_snippets_name_the_repository(full):
    snippets = snippets_of(full)
    assert 'model_id = "someone/quickstart"' in snippets[0]
    assert 'model_id = "someone/quickstart"' in snippets[1]


def of_kind(bare, kind):
    """The card's facts of a frame model that is judged in this way."""
    rng = np.random.default_rng(0)
    marks, values = rng.integers(2, size=(60, 3)), rng.random((60, 1))
    references, labels = {
        "binary": (marks[:, :1], ["low", "high"]),
        "multi_label": (marks, LABELS),
        "regression": (values, ["attention"]),
        "soft": (np.where(rng.random((60, 1)) < 0.1, np.nan, rng.dirichlet(np.ones(3), 60)), LABELS),
    }[kind]
    outputs = np.nan_to_num(references) - 0.5 + rng.normal(size=references.shape)
    scores = score(references, outputs, references, labels, kind, seed=0)
    figures = ablation_figures(judged(references, outputs, labels, kind))
    results = {
        "data": {"name": "A study", "synthetic": False, "splits": {"train": 60, "test": 60}, "unit": "frames"},
        "task": {"attention": labels},
        "results": {"test": {"attention": scores}},
        "ablation": [{"modalities": given, "rows": 60, "figures": figures} for given in (["video"], ["physio"])],
    }
    return replace(bare, architecture="physio_concat", modalities=("video", "physio"), results=results), scores


@pytest.mark.parametrize(
    ("kind", "metrics", "said"),
    [
        (
            *("binary", ["accuracy", "f1", "roc_auc", "brier_score"]),
            ["AUC-ROC", "logits.sigmoid()", "majority (", "Its probabilities are the frequencies"],
        ),
        (
            *("multi_label", ["accuracy", "exact_match", "f1", "roc_auc", "brier_score"]),
            ["element accuracy", "logits.sigmoid()", "gives to every", "| always yes |"],
        ),
        (
            "regression",
            ["mae", "pearsonr"],
            ["Pearson r", "answers = logits ", "limits of agreement", "| MAE | CCC |"],
        ),
        (
            *("soft", ["accuracy", "f1", "brier_score"]),
            ["KL divergence (nats)", "logits.softmax(-1)", "mean shares (", "Left out: ", "no model's NLL can be"],
        ),
    ],
)
def test_card_of_every_kind_has_its_metrics_and_its_words(bare, kind, metrics, said, tmp_path):
    facts, scores = of_kind(bare, kind)
    card = ModelCard.load(write_card(tmp_path, facts))
    assert card.data.metrics == metrics
    kept = {result.metric_name: result.metric_value for result in card.data.eval_results}
    for name, key in {"accuracy": "accuracy", "element accuracy": "element_accuracy", "CCC": "ccc"}.items():
        assert kept.get(f"attention: {name}") == (round(scores[key], 4) if key in scores else None)
    types = {result.metric_type for result in card.data.eval_results}
    assert set(metrics) <= types
    assert all(
        words in card.content
        for words in [*said, f"{scores['rows']} frames", "Intervals are by row, as if", "labelled in the study"]
    )
    assert ("in percent" in card.content) == (kind != "regression")
    assert "MELD" not in card.content and "utterance" not in card.content


def test_widget_shows_a_text_and_nobody(full, bare):
    assert render_card(bare).data["widget"][0]["text"]
    assert "widget" not in render_card(full).data.to_dict()


def test_an_audit_that_found_nothing_says_so(bare):
    results = bare.results | {"audit": []}
    assert "nothing leaks, as far as it was checked." in render_card(replace(bare, results=results)).content


def test_facts_come_back_from_json_and_render_the_same_card(full, bare, tmp_path):
    for facts in (full, bare):
        write_card(tmp_path, facts)
        back = read_facts(tmp_path / "card.json")
        assert render_card(back).content == (tmp_path / "README.md").read_text(encoding="utf-8")
        assert read_facts(tmp_path / "card.json").to_json() == back.to_json()
    assert CardFacts.from_json(bare.to_json()) == bare


def test_facts_on_disk_hold_nothing_private(full, tmp_path):
    write_card(tmp_path, full)
    text = (tmp_path / "card.json").read_text(encoding="utf-8")
    for private in ("/srv", str(tmp_path), "file:", "~/", "Users", "../", "hf_a1B2"):
        assert private not in text
    assert json.loads(text)["base_models"] == ["google-bert/bert-base-uncased", "(local path)", "(local path)"]


def test_a_kept_card_has_no_pictures(full, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "confusion.png").write_bytes(b"png")
    write_card(tmp_path / "run", full)
    main([str(tmp_path / "run"), "--to", str(tmp_path)])
    kept = tmp_path / "trimodal_ensemble.md"
    assert capsys.readouterr().out == f"{kept}\n"
    assert "![" not in kept.read_text(encoding="utf-8")
    first = kept.read_text(encoding="utf-8")
    kept.write_text("stale", encoding="utf-8")
    main([str(kept.with_suffix(".json")), "--to", str(tmp_path)])
    assert kept.read_text(encoding="utf-8") == first


@pytest.mark.parametrize("text", ["[]", '{"colour": "red"}', "{"])
def test_what_holds_no_facts_is_named(text, tmp_path):
    with pytest.raises(FileNotFoundError, match="card.json: no facts of a card; give a model folder"):
        keep_card(tmp_path, tmp_path)
    (tmp_path / "card.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="card.json: "):
        keep_card(tmp_path, tmp_path)


def test_facts_state_their_version_and_older_ones_without_it_are_read(full):
    stated = json.loads(full.to_json())
    assert stated.pop("version") == 1
    assert CardFacts.from_json(json.dumps(stated)).to_json() == full.to_json()
    with pytest.raises(ValueError, match="of version 99, and this affecthub reads up to version 1: update affecthub"):
        CardFacts.from_json(json.dumps(stated | {"version": 99}))


@pytest.mark.parametrize("path", KEPT, ids=[path.stem for path in KEPT])
def test_kept_card_is_current(path):
    facts, kept = read_facts(path), path.with_suffix(".md").read_text(encoding="utf-8")
    assert render_card(facts).content == kept, (
        f"stale card {path.stem}.md: run python -m affecthub.hub.card model_cards/*.json"
    )
    assert facts.architecture == path.stem
    assert facts.synthetic and "synthetic" in ModelCard(kept).data.tags


@pytest.mark.skipif(not KEPT, reason="no card is kept yet")
def test_every_architecture_has_its_kept_card():
    assert {path.stem for path in KEPT} == set(architecture_names())


def test_two_tasks_have_their_own_tables_and_figures(bare, scores):
    results = copy.deepcopy(bare.results)
    results["task"]["sentiment"] = LABELS
    results["results"]["test"]["sentiment"] = scores
    results["task"]["valence"] = ["valence"]
    values = np.linspace(0, 1, 20)
    results["results"]["test"]["valence"] = score(values, values, values, ["valence"], "regression", seed=0)
    card = render_card(replace(bare, results=results))
    assert "### Test, sentiment: 120 utterances" in card.content
    assert {r.metric_name for r in card.data.eval_results} >= {
        "emotion: weighted F1",
        "sentiment: weighted F1",
        "valence: MAE",
    }
    for said in (
        "- Output, emotion: neutral, joy, fear\n",
        "- Output, valence: valence (a number)\n",
        "answers = logits.softmax(-1)",
        "in percent, except Cohen's kappa, NLL, Brier score, MAE, RMSE, Pearson r and CCC.",
        "the most frequent training label (emotion), the most frequent training label (sentiment), the mean of the "
        "training values (valence).",
    ):
        assert said in card.content


def test_a_picture_that_is_not_there_is_named(full, tmp_path):
    with pytest.raises(FileNotFoundError, match="no pictures \\['curves.png'\\]"):
        write_card(tmp_path, replace(full, pictures={"Curves": "curves.png"}))
    assert not (tmp_path / "README.md").exists()


def test_a_card_takes_the_figures_of_folds_and_seeds_from_the_report(bare, tmp_path, capsys):
    one, other = (
        write_sweep(tmp_path / name, folds=3, seeds=1, noise=noise, rate=noise)
        for name, noise in (("a", 0.5), ("b", 3))
    )
    folder = one / "fold1-seed0" / "model"
    folder.mkdir()
    write_card(folder, bare)
    command = [
        "report",
        str(other),
        str(one),
        "--no-cost",
        "--output",
        str(tmp_path / "page.html"),
        "--card",
        str(folder),
    ]
    assert cli.main(command) == 0
    told = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    figure = told["models"][1]["tasks"]["mood"]["figures"]["accuracy"]
    card = ModelCard.load(folder / "README.md").content
    ends = " to ".join(f"{100 * end:.1f}" for end in figure["interval"])
    assert f"| accuracy | {100 * figure['value']:.1f} | {ends} |" in card
    assert "Test, mood, 48 rows, 3 runs:" in card and "a is better than b" in card
    assert not re.search("Zoë|<b>", card) and render_card(read_facts(folder / "card.json")).content == card
    assert cli.main(["report", str(other), "--no-cost", "--card", str(folder)]) == 2
    assert "the model folder of none of these runs" in capsys.readouterr().err
