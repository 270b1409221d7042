"""The whole way of train.py: from a recipe to a model folder; interrupted, resumed, judged again, loaded elsewhere."""

import errno
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import av
import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoModelForVideoClassification, AutoProcessor, TrainerCallback

from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.evaluation.predictions import read_predictions
from affecthub.media.files import alone
from affecthub.training import assembly

ROOT = Path(__file__).resolve().parents[1]
ROWS = {"train": 48, "dev": 16, "test": 16}
SMALL = (
    *("--inputs.num_frames=2", "--model.vision_config.image_size=32", "--model.config.hidden_size=16"),
    *("--training.batch_size=16", "--training.precision=fp32", "--training.num_workers=0"),
)
TINY = ("--data.train_rows=48", "--data.validation_rows=16", "--data.test_rows=16", *SMALL)
LONG = (
    *(*TINY, "--training.epochs=5", "--training.patience=2", "--training.min_delta=1"),  # stops after the fourth
    *("--augmentation.frames.flip=0.5", "--augmentation.features.time_masks=2"),
    "--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 1, encoder_layers: 1}]",
)
LEFT = {".lock", "predictions.parquet", "history.parquet", "environment.json"}
"""What a run leaves beside its model."""
STRANGER = """
import sys
sys.modules["affecthub"] = None  # from here on, importing it is an ImportError
import numpy as np, torch
from transformers import AutoModelForVideoClassification, AutoProcessor
folder, raw = sys.argv[1], np.load(sys.argv[2])
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForVideoClassification.from_pretrained(folder, trust_remote_code=True).eval()
count = len(raw["text"])
batch = processor(text=raw["text"].tolist(), audio=[raw[f"audio{i}"] for i in range(count)],
                  videos=[raw[f"video{i}"] for i in range(count)], sampling_rate=16000)
with torch.no_grad():
    np.save(sys.argv[3], model(**batch).logits.numpy())
"""


@pytest.fixture(scope="module")
def train():
    """train.py as a module."""
    spec = importlib.util.spec_from_file_location("train_script", ROOT / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder for everything, with caches of its own."""
    root = tmp_path_factory.mktemp("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(root / "cache"))
        patch.setenv("HF_DATASETS_CACHE", str(root / "datasets"))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", root / "datasets")
        render_sample_meld(**ROWS)
        yield root


@pytest.fixture(scope="module")
def run(train, place):
    """A function: train.py's main with arguments, in this process; gives the Trainer that it saved, if it did."""

    def call(*arguments, stop_after=None):
        saved = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["train.py", *arguments])
            patch.setattr(
                train, "save_run", lambda folder, run, save=train.save_run: (save(folder, run), saved.append(run))
            )
            if stop_after:
                patch.setattr(assembly, "make_trainer", interrupted(assembly.make_trainer, stop_after))
            train.main()
        return saved[0].trainer if saved else None

    return call


def interrupted(make_trainer, epochs):
    """`make_trainer`, whose run breaks off as soon as the checkpoint of so many epochs is written."""

    class Break(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if round(state.epoch) == epochs:
                raise KeyboardInterrupt

    def make(*arguments):
        trainer = make_trainer(*arguments)
        trainer.add_callback(Break())
        return trainer

    return make


@pytest.fixture(scope="module")
def launched(place):
    """The command of the README at tiny size: what it printed, and its model folder."""
    command = ["-m", "accelerate.commands.launch", "--config_file", "accelerate_config.yaml", "train.py"]
    options = ["--recipe", "quickstart", *TINY, "--training.epochs=2", f"--output_dir={place / 'launched'}"]
    done = subprocess.run(
        [sys.executable, *command, *options], cwd=ROOT, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, place / "launched" / "model"


@pytest.fixture(scope="module")
def undisturbed(run, place):
    """The Trainer of a run that nothing interrupted."""
    return run(*LONG, f"--output_dir={place / 'undisturbed'}")


def figures(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_launch_prints_majority_optimum_and_how_to_load(launched):
    printed, folder = launched
    assert "1 process(es) on " in printed and "global batch 16" in printed
    assert "SYNTHETIC DATA" in printed
    assert "majority (neutral)" in printed
    assert "Bayes-optimal accuracy" in printed
    assert "text + audio + video" in printed
    assert f'model = AutoModelForVideoClassification.from_pretrained("{folder}")' in printed


def test_the_folder_holds_everything_and_everyone_may_read_it(launched):
    _, folder = launched
    names = {path.name for path in folder.iterdir()}
    assert names > {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "README.md"}
    assert names > {"metrics.json", "curves.png", "ablation.png", "confusion_test_emotion.png"}
    assert names > {"modeling_trimodal_ensemble.py", "configuration_trimodal_ensemble.py", "processing_trimodal.py"}
    assert not any(name.startswith(".") for name in names)
    assert {path.name for path in folder.parent.iterdir()} == {"model", "recipe.yaml", *LEFT}  # no checkpoints
    assert not names & LEFT  # what is published does not name people
    modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
    assert set(modes.values()) == {modes["config.json"]}


def test_the_card_parses_and_carries_the_figures(launched):
    _, folder = launched
    card = ModelCard.load(folder / "README.md")
    results = figures(folder / "metrics.json")["results"]
    assert card.data.library_name == "transformers" and "synthetic" in card.data.tags
    found = {(r.dataset_split, r.metric_name): r.metric_value for r in card.data.eval_results}
    for split in ("validation", "test"):
        assert found[split, "emotion: accuracy"] == round(results[split]["emotion"]["accuracy"], 4)
    assert str(folder.parent) not in card.content


def test_metrics_say_what_was_trained_on(launched):
    results = figures(launched[1] / "metrics.json")
    assert results["data"]["synthetic"] is True
    assert results["data"]["splits"] == {"train": 48, "validation": 16, "test": 16}
    assert results["training"]["recipe"] == "quickstart" and results["training"]["processes"] == 1
    assert results["task"] == {"emotion": ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]}
    assert [row["modalities"] for row in results["ablation"]][-1] == ["text", "audio", "video"]
    assert all(row["bayes_accuracy"] < 0.8 for row in results["ablation"][:3])


def test_every_figure_can_be_made_again_from_the_predictions(launched):
    predictions, results = read_predictions(launched[1].parent), figures(launched[1] / "metrics.json")
    assert predictions.splits == ["train", "validation", "test"] and len(predictions) == 80
    assert len(set(predictions.column("key"))) == 80
    for split in ("validation", "test"):
        part, stated = predictions.of(split), results["results"][split]["emotion"]
        truth, said = part.references("emotion"), part.logits("emotion").argmax(1)
        assert stated["accuracy"] == pytest.approx(accuracy_score(truth, said))
        assert stated["f1_weighted"] == pytest.approx(f1_score(truth, said, average="weighted"))
    test = predictions.of("test")
    for row in results["ablation"]:
        seen = test.take(test.holding(row["modalities"]))
        said = seen.logits("emotion", row["modalities"]).argmax(1)
        assert row["rows"] == len(seen) and row["figures"]["accuracy"] == np.mean(said == seen.references("emotion"))


def test_the_history_and_the_environment_say_how_it_was_made(launched):
    run = launched[1].parent
    history = pd.read_parquet(run / "history.parquet")
    assert history["epoch"].tolist() == [1, 2]
    assert {"loss", "learning_rate", "seconds", "memory_mib", "eval_loss", "eval_accuracy"} < set(history.columns)
    assert not history.isna().any(axis=None) and (history["seconds"] > 0).all() and (history["memory_mib"] > 50).all()
    made = (run / "environment.json").read_text(encoding="utf-8")
    assert json.loads(made)["packages"]["torch"] == version("torch")
    assert not any(word in made for word in (f" {platform.node()} ", str(Path.home()), str(run)))


def test_eval_only_remembers_the_recipe_and_gives_the_same_figures(launched, run):
    folder = launched[1]
    run("--eval-only", f"--output-dir={folder.parent}")
    again, first = figures(folder.parent / "eval_metrics.json"), figures(folder / "metrics.json")
    tables = [read_predictions(folder.parent / f"{prefix}predictions.parquet").table for prefix in ("", "eval_")]
    assert tables[0].equals(tables[1])
    assert again["results"] == first["results"]
    assert again["ablation"] == first["ablation"]


def test_eval_only_uses_the_calibration_that_the_folder_holds_and_fits_none(launched, run, tmp_path):
    shutil.copytree(launched[1].parent, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "model" / "config.json"
    values, first = figures(config), figures(launched[1] / "metrics.json")["results"]["test"]["emotion"]
    assert values["calibration"] is None and "calibration" not in first  # so few rows are not fitted
    config.write_text(json.dumps(values | {"calibration": {"emotion": {"temperature": 3.0}}}), encoding="utf-8")
    run("--eval-only", f"--output-dir={tmp_path}")
    scores = figures(tmp_path / "eval_metrics.json")["results"]["test"]["emotion"]
    assert scores["calibration"]["temperature"] == 3 and scores["accuracy"] == first["accuracy"]
    assert scores["nll"] != first["nll"] == scores["calibration"]["before"]["nll"]
    predictions = read_predictions(tmp_path / "eval_predictions.parquet")
    assert predictions.tasks["emotion"]["calibration"] == {"temperature": 3.0}
    assert predictions.table.equals(read_predictions(launched[1].parent).table)  # the logits are raw
    config.write_text(json.dumps(values | {"calibration": {"emotion": {"temperature": 0}}}), encoding="utf-8")
    with pytest.raises(SystemExit, match="calibration of 'emotion': temperature=0: a number above 0 is needed."):
        run("--eval-only", f"--output-dir={tmp_path}")


def test_a_model_is_not_judged_on_what_it_learned_from(launched, run, tmp_path):
    shutil.copytree(launched[1].parent, tmp_path, dirs_exist_ok=True)
    held = (tmp_path / "model" / "learned_from.json").read_text(encoding="utf-8")
    rows = read_predictions(tmp_path).table.select(["key", "participant", "recording"]).to_pylist()
    assert not any(name in held for row in rows for name in row.values())
    other = ("--eval-only", f"--output-dir={tmp_path}", "--split.protocol=by_row", "--split.accept=[]")
    with pytest.raises(SystemExit, match="learned_from .* of 29 rows that judge are rows that the model learned from"):
        run(*other)
    (tmp_path / "model" / "learned_from.json").write_text(held[:99], encoding="utf-8")
    with pytest.raises(SystemExit, match="learned_from.json is broken"):
        run(*other)


def test_eval_only_without_a_model_says_what_to_do(run, place):
    with pytest.raises(SystemExit, match="nowhere/model: no model to evaluate; train it, or give another"):
        run(*TINY, "--eval-only", f"--output-dir={place / 'nowhere'}")


def test_a_resumed_run_ends_as_an_undisturbed_one(undisturbed, run, place):
    where = f"--output_dir={place / 'interrupted'}"
    with pytest.raises(KeyboardInterrupt):
        run(*LONG, where, stop_after=3)
    assert not (place / "interrupted" / "model").exists()
    with pytest.raises(SystemExit, match="holds checkpoints of an interrupted run: continue it with --resume, delete"):
        run(*LONG, where)
    resumed = run(*LONG, where, "--resume")
    assert undisturbed.state.epoch == resumed.state.epoch == 4  # its patience was not forgotten either
    timing = ("runtime", "per_second", "train_loss", "total_flos", "seconds", "memory_mib")

    def history(trainer):
        return [
            {key: value for key, value in entry.items() if not any(word in key for word in timing)}
            for entry in trainer.state.log_history
        ]

    assert history(resumed) == history(undisturbed)
    weights = [load_file(place / name / "model" / "model.safetensors") for name in ("undisturbed", "interrupted")]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    found = [figures(place / name / "model" / "metrics.json") for name in ("undisturbed", "interrupted")]
    assert found[0]["results"] == found[1]["results"]
    for training in (results["training"] for results in found):
        assert (training["epochs"], training["epochs_planned"], training["best_metric"]) == (4, 5, "accuracy")
        assert 1 <= training["best_epoch"] <= 4
    card = (place / "interrupted" / "model" / "README.md").read_text(encoding="utf-8")
    assert "epochs: 4, epochs planned: 5, best metric: accuracy" in card


def test_resume_without_a_checkpoint_says_what_to_do(run, place):
    with pytest.raises(SystemExit, match="empty/checkpoints: no checkpoint to resume; leave --resume out"):
        run("--data=Meld", "--data.root=nowhere", "--resume", f"--output_dir={place / 'empty'}")  # before any data


@pytest.mark.parametrize(
    ("lasting", "epochs"),
    [(("--training.epochs=1",), 1), (("--training.epochs=5", "--training.patience=1", "--training.min_delta=1"), 2)],
)
def test_a_full_disk_while_saving_keeps_the_checkpoints_and_resume_saves(run, place, monkeypatch, lasting, epochs):
    shutil.rmtree(place / "full", ignore_errors=True)
    where, options = f"--output_dir={place / 'full'}", (*TINY, *lasting)

    def no_space(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="full/model was not written.*free space"):
        patch.setattr("affecthub.hub.model_folder.write_results", no_space)
        run(*options, where)
    assert {path.name for path in (place / "full").iterdir()} == {".lock", "checkpoints", "recipe.yaml"}
    trainer = run(*options, where, "--resume", "true")
    assert trainer.state.global_step == 3 * epochs  # nothing was trained again
    assert {path.name for path in (place / "full").iterdir()} == {"model", "recipe.yaml", *LEFT}


def test_two_runs_into_one_folder_do_not_mix(run, place):
    with alone(place / "taken", "is training"), pytest.raises(SystemExit, match="taken: another launch is training"):
        run(*TINY, f"--output_dir={place / 'taken'}")


def test_a_stranger_gets_the_logits_of_the_trainers_own_model(undisturbed, place):
    folder, data = place / "undisturbed" / "model", undisturbed.eval_dataset
    samples = [data[i] for i in range(3)]
    raw = {"text": np.array([s["text"] for s in samples])}
    raw |= {f"{key}{i}": sample[key] for i, sample in enumerate(samples) for key in ("audio", "video")}
    np.savez(place / "raw.npz", **raw)
    environment = os.environ | {"HF_HOME": str(place / "hf_home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", STRANGER, str(folder), str(place / "raw.npz"), str(place / "logits.npy")]
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    batch = data.processor(
        text=[s["text"] for s in samples],
        audio=[s["audio"] for s in samples],
        videos=[s["video"] for s in samples],
        sampling_rate=16_000,
    )
    with torch.no_grad():
        expected = undisturbed.model.eval()(**batch.to(undisturbed.model.device)).logits.cpu().numpy()
    np.testing.assert_allclose(np.load(place / "logits.npy"), expected, rtol=0, atol=1e-5)


def test_a_text_of_ten_thousand_characters_is_cut_with_a_warning(launched, caplog):
    processor = AutoProcessor.from_pretrained(launched[1])
    model = AutoModelForVideoClassification.from_pretrained(launched[1]).eval()
    batch = processor(text="well, " * 1_667)
    assert batch["input_ids"].shape == (1, processor.max_text_tokens)
    assert any("is cut to max_text_tokens=128; raise it" in message for message in caplog.messages)
    with torch.no_grad():
        assert torch.isfinite(model(**batch).logits).all()


def test_a_finished_run_is_published_on_request(run, place, train, monkeypatch, capsys):
    published = []
    monkeypatch.setattr(train, "publish_model", lambda *a: published.append(a) or "https://hub/commit")
    where = f"--output_dir={place / 'published'}"
    with pytest.raises(SystemExit, match="'name' names no owner; give one such as owner/name"):
        run(*TINY, where, "--push-to-hub=name")
    assert not (place / "published").exists()
    run(*TINY, where, "--training.epochs=1", "--push-to-hub=owner/name")
    assert published == [(place / "published" / "model", "owner/name")]
    assert "Published: https://hub/commit" in capsys.readouterr().out


@pytest.fixture(scope="module")
def damaged(place):
    """The corpus with, in train: a clip of no bytes, one cut off; in test: one whose header is all that is left."""
    root = place / "damaged"
    shutil.copytree(render_sample_meld(**ROWS), root)
    clips = sorted((root / "train_splits").glob("*.mp4"))
    clips[0].write_bytes(b"")
    clips[1].write_bytes(clips[1].read_bytes()[:5_000])
    last = sorted((root / "output_repeated_splits_test").glob("*.mp4"))[0]
    header_first(last, place / "faststart.mp4")
    whole = (place / "faststart.mp4").read_bytes()
    last.write_bytes(whole[: whole.index(b"mdat") + 8])
    return root


def header_first(source, target):
    """Copy a clip's packets into a file that begins with the index."""
    with av.open(str(source)) as inside, av.open(str(target), "w", options={"movflags": "faststart"}) as outside:
        copies = {stream: outside.add_stream_from_template(stream) for stream in inside.streams}
        for packet in inside.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                outside.mux(packet)


@pytest.mark.parametrize("modalities", [["text", "audio", "video"], ["audio", "video"]])
def test_broken_clips_stop_nothing_and_are_counted(damaged, run, place, modalities):
    output = place / f"damaged_{len(modalities)}"
    options = (f"--data.root={damaged}", "--data=Meld", "--training.epochs=1")
    options += ("--split.accept=[same_recording, same_sound, near_duplicate_frames]",)  # drawn people are much alike
    run(*SMALL, *options, f"--model.modalities=[{','.join(modalities)}]", f"--output_dir={output}")
    data = figures(output / "model" / "metrics.json")["data"]
    counts = list(data["skipped"].values())
    if "text" in modalities:
        assert data["splits"] == {"train": 48, "validation": 16, "test": 16}
        assert counts == [1]  # the one that looked whole; the others are known to the manifest
    else:
        assert data["splits"] == {"train": 46, "validation": 16, "test": 16}
        assert counts == [2, 1]
        answered = read_predictions(output).of("test").column("key")
        assert len(answered) == 15 and "test/dia0_utt0" not in answered
    manifest = "".join(path.read_text() for path in (place / "datasets").rglob("manifest.md"))
    assert "broken" in manifest and "truncated" in manifest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data=Meld",), "needs its folder: pass --data.root=PATH"),
        (("--data=Meld", "--data.root=nowhere"), "nowhere: no such folder"),
        (("--model.config.fusion_size=[8]",), "has no 'fusion_size'; did you mean fusion_sizes"),
        (("--training.best_metric=f1",), "best_metric=f1: this model is measured by accuracy"),
        (("--training.scheduler_options={rate: 1}",), "scheduler=cosine with .*unexpected keyword argument 'rate'"),
        (("--model.modalities=[text, sound]",), "modalities=.*name one or more of"),
        (("--model.text_encoder=nowhere/bert",), "nowhere/bert"),
    ],
)
def test_wrong_values_end_in_one_message(run, place, options, message):
    with pytest.raises(SystemExit, match=message) as caught:
        run(*(SMALL if "--data=Meld" in options else TINY), f"--output_dir={place / 'wrong'}", *options)
    assert str(caught.value).startswith("train.py: ")
    assert not (place / "wrong" / "model").exists()
