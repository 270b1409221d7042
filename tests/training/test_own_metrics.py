"""A metric of one's own, shares of raters, and several numbers: trained, judged, saved and shown."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from transformers import AutoConfig, pipeline, set_seed

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.evaluation.metrics import METRICS
from affecthub.evaluation.results import results_table
from affecthub.evaluation.scores import headline
from affecthub.hub.model_folder import Finished, save_run
from affecthub.training.data import make_dataset
from affecthub.training.evaluate import answer, calibrate, evaluate
from affecthub.training.from_recipe import build_model, build_processor, modalities_of, settled
from affecthub.training.recipe import load_recipe
from affecthub.training.trainer import make_trainer

from ..pages import EXTENDING, fences

ROWS = 60
TINY = (
    *("--model.architecture=unimodal_baseline", "--model.modalities=[text]", "--model.imbalance=none"),
    *("--model.config={hidden_size: 16, classifier_hidden_size: 16, initializer_range: 0.1}", "--training.epochs=1"),
    *("--training.batch_size=16", "--training.precision=fp32", "--training.num_workers=0", "--training.phases=[]"),
)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A table of lines that were said, with gaps in every target."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("said") / "said.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "participant", "emotion", "valence", "arousal", "first", "second", "third"])
        for i in range(ROWS):
            glad = rng.random() < 0.6
            votes = ["joy" if (rng.random() < 0.8) == glad else "anger" for _ in range(3)]
            votes[2] = "" if i % 4 == 0 else votes[2]
            emotion = votes[0] if i % 6 else ""
            valence, arousal = round((glad - 0.5) * rng.random(), 3), round(rng.random(), 3)
            text = f"{'so glad' if glad else 'go away'} {i}"
            table.writerow(
                [text, f"p{i % 10}", emotion, valence if i % 5 else "", arousal if i % 3 else ""]
                + (votes if i % 11 else [""] * 3)
            )
    return path


@pytest.fixture
def trained(said, tmp_path):
    """A function: overrides of the recipe -> results, the log and the card of the model that it trained."""

    def train(*overrides):
        recipe = load_recipe("quickstart", "--data=Clips", f"--data.root={said}", *TINY, *overrides)
        corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
        recipe = settled(recipe, corpus)
        processor = build_processor(recipe, corpus)
        set_seed(0)
        model = build_model(recipe, corpus, processor)
        data = {split: make_dataset(corpus, split, processor, 1, None, 0, True) for split in corpus.splits}
        trainer = make_trainer(model, recipe, tmp_path, corpus, data["train"], data["validation"])
        trainer.train()
        predictions = answer(trainer, data, corpus)
        calibrate(trainer.model, predictions)
        results = evaluate(trainer, predictions, data, corpus, recipe, [])
        save_run(tmp_path / "model", Finished(trainer, model, processor, corpus, recipe, results, 1.0))
        kept = json.loads((tmp_path / "model" / "metrics.json").read_text(encoding="utf-8"))
        renamed = {"data": results["data"] | {"name": "own data"}}  # a folder's name may be somebody's
        assert kept == {"version": 1, **results, **renamed}
        return results, trainer, (tmp_path / "model" / "README.md").read_text(encoding="utf-8")

    return train


def test_a_metric_of_ones_own_goes_the_whole_way(trained, monkeypatch):
    """The one that docs/extending.md shows, as if less of it were better."""
    monkeypatch.setitem(METRICS, "lowest_recall", None)
    exec(fences(EXTENDING)[2], {})
    shown = METRICS.pop("lowest_recall")
    monkeypatch.setitem(METRICS, "toy", replace(shown, unit="of 1", lower_is_better=True, hub="toy"))
    results, trainer, card = trained(
        "--data.targets=[emotion]", "--training.best_metric=toy", "--card.authors=[Lab 7]"
    )
    assert trainer.args.greater_is_better is False
    scores = results["results"]["validation"]["emotion"]
    assert trainer.state.best_metric == pytest.approx(scores["toy"])
    assert scores["clusters"] == {"by": "participant", "number": 1} and scores["intervals"] == {}
    low, high = scores["intervals_by_row"]["toy"]
    assert low <= scores["toy"] <= high and scores["baseline"]["toy"] == 0
    shown = f"{scores['toy']:.3f}"
    lines = results_table(results).splitlines()
    line = next(line for line in lines if line.startswith("lowest recall (of 1)"))
    assert line.split()[4] == shown
    assert f"| lowest recall (of 1) | {shown} |  |" in card and "No interval: all rows are of one participant" in card
    assert "| epoch | loss | validation loss | validation toy |" in card and "\n\nLab 7\n" in card
    assert "metric" in card and "- type: toy\n" in card
    assert "in percent, except Cohen's kappa, NLL, Brier score and lowest recall." in card


def test_unknown_labels_are_counted_and_not_judged(trained):
    results, _, card = trained("--data.targets=[emotion,valence]", "--training.best_metric=valence_mae")
    for split, tasks in results["results"].items():
        rows = results["data"]["splits"][split]
        assert all(scores["rows"] + scores.get("unknown", 0) == rows for scores in tasks.values())
        assert all(scores["rows"] == scores["baseline"]["rows"] for scores in tasks.values())
    assert any("unknown" in scores for tasks in results["results"].values() for scores in tasks.values())
    assert "are not judged, as nobody knows their truth" in card


def test_shares_of_raters_are_learned_and_judged(trained):
    raters = "--data.raters={mood: [first, second, third]}"
    results, trainer, card = trained("--data.targets=[mood]", raters, "--training.best_metric=kl_divergence")
    scores = results["results"]["validation"]["mood"]
    assert scores["kind"] == "soft" and trainer.args.greater_is_better is False
    assert list(headline(scores))[:3] == ["kl_divergence", "js_distance", "accuracy"]
    loss = next(entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry)
    logged = next(entry["eval_kl_divergence"] for entry in trainer.state.log_history if "eval_loss" in entry)
    assert scores["kl_divergence"] == pytest.approx(logged)
    assert loss == pytest.approx(logged, rel=0.2)  # the mean of batches, of which the last one is smaller
    assert sum(scores["baseline"]["training_shares"].values()) == pytest.approx(1)
    assert "| KL divergence (nats) |" in card and "between the shares of the raters" in card


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """Lines that hint at feelings, none of which is likelier than not."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("rare") / "rare.csv"
    cues = {"joy": ("gladly", 0.5, 0.45), "fear": ("trembling", 0.25, 0.4), "envy": ("green", 0.2, 0.35)}
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "participant", "feelings"])
        for i in range(700):
            hinted = {label: rng.random() < often for label, (_, often, _) in cues.items()}
            held = [label for label, (*_, right) in cues.items() if hinted[label] and rng.random() < right]
            words = [word for label, (word, *_) in cues.items() if hinted[label]]
            table.writerow([" ".join(words) or "nothing", f"p{i % 20}", "|".join(held) or "|"])
    return path


def test_rare_labels_are_found_by_thresholds_fitted_on_validation(trained, rare, tmp_path):
    """T3 of the findings: with 0.5 for every label, rare ones are never given, and always-yes is better."""
    learn = (
        "--training.epochs=6",
        "--training.learning_rate=1e-2",
        "--training.encoder_learning_rate=1e-2",
        "--training.best_metric=loss",
    )
    results, trainer, card = trained(f"--data.root={rare}", "--data.targets=[feelings]", *learn)
    scores = results["results"]["test"]["feelings"]
    fitted, always = scores["calibration"], scores["always_yes"]["f1_macro"]
    assert fitted["before"]["f1_macro"] < always < scores["f1_macro"]
    assert fitted["before"]["nll"] > 0 and min(fitted["thresholds"]) < 0.4
    assert f"| macro F1 | {100 * scores['f1_macro']:.1f} |" in card and f" | {100 * always:.1f} |\n" in card
    assert card.count("Calibrated on validation: temperature") == 2
    assert card.count("so that its figures on validation are the best of many.") == 1
    folder = tmp_path / "model"
    saved = AutoConfig.from_pretrained(folder).calibration["feelings"]
    assert saved == {name: fitted[name] for name in ("temperature", "thresholds")}
    assert (folder / "reliability_test_feelings.png").is_file()
    answer = pipeline(model=str(folder), trust_remote_code=True)("gladly trembling")
    exceeded = zip(answer["scores"].items(), fitted["thresholds"], strict=True)
    assert answer["labels"] == [label for (label, score), least in exceeded if score > least]
    assert answer["calibrated"] is True and "fear" in answer["labels"] and answer["scores"]["fear"] < 0.5


def test_two_numbers_are_two_targets(trained):
    numbers = ("--data.targets=[valence,arousal]", "--data.kinds={valence: number, arousal: number}")
    results, trainer, card = trained(*numbers, "--training.best_metric=arousal_ccc")
    assert trainer.args.greater_is_better is True
    validation = results["results"]["validation"]
    assert {task: scores["kind"] for task, scores in validation.items()} == dict.fromkeys(
        ["valence", "arousal"], "regression"
    )
    assert trainer.state.best_metric == pytest.approx(validation["arousal"]["ccc"])
    assert "- Output, arousal: arousal (a number)" in card and "in percent" not in card
    assert "always answers with the mean of the training values." in card


def test_what_cannot_be_chosen_by_is_refused_before_training(said, trained, tmp_path):
    with pytest.raises(ValueError, match="best_metric=ccc: this model is measured by accuracy, .*, valence_ccc, loss"):
        trained("--data.targets=[emotion,valence]", "--training.best_metric=ccc")
    table = tmp_path / "gap.csv"
    lines = said.read_text(encoding="utf-8").splitlines()
    head, rows = lines[0].split(","), [line.split(",") for line in lines[1:]]
    valence = head.index("valence")
    gone = [[cell if i != valence else "" for i, cell in enumerate(row)] for row in rows[30:]]
    splits = ["train"] * 30 + ["validation"] * 30
    text = [[*row, split] for row, split in zip([*rows[:30], *gone], splits, strict=True)]
    table.write_text("\n".join(",".join(row) for row in [[*head, "split"], *text]), encoding="utf-8")
    options = (f"--data.root={table}", "--data.targets=[emotion,valence]")
    with pytest.raises(ValueError, match="gap: no validation row has a known valence: leave it out"):
        trained(*options, "--training.best_metric=valence_mae")
    results, *_ = trained(*options, "--training.best_metric=accuracy")
    assert list(results["results"]["validation"]) == ["emotion"]
