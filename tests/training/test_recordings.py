"""Recipes of recordings: the study's rows, samples and labels; the gate; every architecture learns and is judged."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import TrainerCallback, set_seed

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.genex.corpus import Genex
from affecthub.datasets_scripts.genex.study import FEATURES, TARGETS
from affecthub.evaluation.audit import LeakageError, enforce
from affecthub.media.decode import read_clip
from affecthub.media.pictures import read_image
from affecthub.modeling.modalities import PHYSIO
from affecthub.processing.feature_extraction_physio import row_digest
from affecthub.training import split_audit
from affecthub.training.collator import Collator
from affecthub.training.data import make_dataset
from affecthub.training.evaluate import answer, evaluate
from affecthub.training.from_recipe import build_model, build_processor, imbalance_values, modalities_of, settled
from affecthub.training.recipe import load_recipe, recipe_names
from affecthub.training.split_audit import as_results, audit_corpus, audit_once
from affecthub.training.trainer import make_trainer

from ..tiny_configs import TINY_CONFIGS, tiny_overrides

OF_RECORDINGS = [name for name in recipe_names() if isinstance(load_recipe(name).data, Genex)]
"""Every recipe whose data are recordings."""


def small(name):
    """Options that make a recipe small: its architecture tiny, few frames and steps."""
    recipe = load_recipe(name)
    frames, steps = min(recipe.inputs.num_frames, 3), min(recipe.inputs.physio_steps, 3)
    return (
        *("--model.vision_encoder=null", *tiny_overrides(recipe.model.architecture)),
        *(f"--inputs.num_frames={frames}", f"--inputs.physio_steps={steps}"),
    )


@pytest.fixture(scope="module")
def tiny_study(study_options):
    """A function: a recipe of recordings on the tiny study, at reduced size, with overrides."""

    def make(name, *overrides):
        return load_recipe(
            name,
            *study_options,
            *small(name),
            *("--training.epochs=1", "--training.precision=fp32", "--training.num_workers=0"),
            *overrides,
        )

    return make


@pytest.fixture(scope="module")
def loaded(tiny_study):
    """A function: the corpus of a recipe, kept for all tests."""
    kept = {}

    def load(recipe):
        modalities = modalities_of(recipe.model)
        key = repr((recipe.data, recipe.split, modalities))
        if key not in kept:
            kept[key] = load_corpus(recipe.data, modalities, recipe.split)
        return kept[key]

    return load


def samples_of(recipe, corpus, processor, split="train"):
    return make_dataset(corpus, split, processor, recipe.inputs.physio_steps)


def test_token_fusion_takes_frames_features_and_sound_of_a_study(tiny_study, loaded):
    fields = {name: TINY_CONFIGS["token_fusion"][name] for name in ("hidden_size", "num_attention_heads")}
    recipe = tiny_study(
        *("genex_quickstart", "--model.architecture=token_fusion", f"--model.config={fields}"),
        *(f"--model.vision_config={TINY_CONFIGS['token_fusion']['vision_config']}", "--inputs.physio_steps=3"),
    )
    corpus = loaded(recipe)
    recipe = settled(recipe, corpus)
    processor = build_processor(recipe, corpus)
    assert (
        audit_corpus(corpus, processor).findings == []
    )  # by the digest of the rows that the statistics come from, too
    model = build_model(recipe, corpus, processor).eval()
    assert model.config.modalities == ["audio", "video", "physio"] and model.config.physio_size == len(FEATURES)
    samples = samples_of(recipe, corpus, processor)
    batch = Collator(processor, recipe.augmentation.features)([samples[place] for place in (0, 5)])
    assert batch["physio_values"].shape == (2, 3, len(FEATURES))
    labels = batch.pop("labels")
    with torch.no_grad():
        assert torch.isfinite(model(**batch, labels=labels).loss)


@pytest.mark.parametrize("name", OF_RECORDINGS)
def test_every_recipe_learns_and_is_judged_on_the_sample_study(name, tiny_study, loaded, tmp_path):
    recipe = tiny_study(name)
    corpus = loaded(recipe)
    processor = build_processor(recipe, corpus)
    findings = audit_corpus(corpus, processor).findings
    enforce(findings, recipe.split.accept)
    set_seed(0)
    model = build_model(recipe, corpus, processor)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    data = {split: samples_of(recipe, corpus, processor, split) for split in corpus.splits}
    trainer = make_trainer(model, recipe, tmp_path, corpus, data["train"], data["validation"])
    trainer.train()
    assert any(not torch.equal(before[key], value.cpu()) for key, value in model.state_dict().items())
    results = evaluate(
        trainer, answer(trainer, data, corpus), data, corpus, recipe, as_results(findings, recipe.split.accept)
    )
    target = corpus.targets[0]
    scores = results["results"]["test"][target.name]
    assert scores["rows"] == len(corpus.splits["test"]) > 0
    assert scores["kind"] == {"attention": "binary", "affect": "multi_label"}[target.name]
    assert f"eval_{recipe.training.best_metric}" in trainer.state.log_history[-2]
    assert results["data"]["protocol"] == "leave_one_participant_out, fold 0"
    modalities = modalities_of(recipe.model)
    assert len(results.get("ablation", [])) == (3 if len(modalities) == 2 else 0)
    if name == "physio_pretrained_fusion":
        weights = results["model"]["modality_weights"]
        assert list(weights) == ["video", "physio"] and sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["frame_vit", "frame_resnet", "temporal_vit"])
def test_the_best_epoch_is_loaded_whole(name, tiny_study, loaded, tmp_path):
    recipe = tiny_study(name)
    corpus = loaded(recipe)
    processor = build_processor(recipe, corpus)
    data = {split: samples_of(recipe, corpus, processor, split) for split in corpus.splits}
    model = build_model(recipe, corpus, processor)
    trainer = make_trainer(model, recipe, tmp_path, corpus, data["train"], data["validation"])
    best = {key: value.clone() for key, value in model.state_dict().items()}
    trainer.save_model(tmp_path / "best")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    trainer.state.best_model_checkpoint = str(tmp_path / "best")
    trainer._load_best_model()
    assert all(torch.equal(best[key], value) for key, value in model.state_dict().items())
    again = type(model).from_pretrained(tmp_path / "best").state_dict()
    assert all(torch.equal(best[key].cpu(), value) for key, value in again.items())


def test_nobody_stands_on_two_sides_and_the_statistics_are_of_the_training_rows(tiny_study, loaded):
    recipe = tiny_study("physio_concat")
    corpus = loaded(recipe)
    people = {name: set(rows["participant"]) for name, rows in corpus.splits.items()}
    assert not people["train"] & (people["validation"] | people["test"]) and not people["validation"] & people["test"]
    extractor = build_processor(recipe, corpus).feature_extractor
    rows = corpus.splits["train"]
    assert extractor.fitted_digest == row_digest(rows["key"])
    measured = np.asarray(rows["physio_values"], dtype=np.float64)
    known = np.isfinite(measured).any(axis=0)  # of what the study's table never mentions, nothing is
    mean = np.asarray(extractor.mean)
    np.testing.assert_allclose(mean[known], np.nanmean(measured[:, known], axis=0), rtol=1e-6)
    assert (~known).any() and not mean[~known].any()


def test_rows_that_cannot_be_used_are_counted(tiny_study, loaded):
    corpus = loaded(tiny_study("frame_cnn"))
    kept = sum(len(rows) for rows in corpus.splits.values())
    assert kept + sum(corpus.skipped.values()) == len(corpus.all_rows)
    assert all(rows["attention_label"][0] in (0, 1) for rows in corpus.splits.values())


def test_a_sample_is_the_frame_with_what_leads_up_to_it(tiny_study, loaded):
    recipe = tiny_study("physio_cross_attention", "--inputs.num_frames=2")
    corpus = loaded(recipe)
    data = samples_of(recipe, corpus, build_processor(recipe, corpus))
    row = next(r for r in data.rows if r["position"] > 3 and r["frame_index"] >= 90 and shown(corpus, r, 2))
    index = data.rows["key"].index(row["key"])
    sample = data[index]
    frames, place = corpus.all_rows, row["position"]
    pictures = [read_image(frames[i]["image_path"]) for i in (place - 1, place)]
    np.testing.assert_array_equal(sample["video"], np.stack(pictures))
    expected = np.asarray([frames[i]["physio_values"] for i in range(place - 2, place + 1)], dtype=np.float32)
    np.testing.assert_array_equal(sample["physio"], expected)
    assert sample["physio"].shape == (3, len(FEATURES))
    np.testing.assert_array_equal(sample["labels"], np.asarray(row["targets"], dtype=np.float32))
    assert sample["labels"].shape == (len(TARGETS),)


def shown(corpus, row, count):
    """Whether the frames that lead up to a row are all there."""
    return all(corpus.all_rows[row["position"] - i]["video_present"] for i in range(count))


def test_the_sound_is_that_of_the_second_before_the_frame(tiny_study, loaded):
    recipe = tiny_study("audio_visual_fusion")
    corpus = loaded(recipe)
    data = samples_of(recipe, corpus, build_processor(recipe, corpus))
    row = data.rows[1]
    end = row["time_ms"] / 1000
    clip = read_clip(row["recording_path"], video=False, start=end - 1, max_seconds=1.0)
    assert len(clip.audio) == pytest.approx(16_000, abs=200)
    np.testing.assert_array_equal(data[1]["audio"], clip.audio)


def test_sound_that_cannot_be_decoded_is_counted_and_the_pictures_are_used(tiny_study, loaded, tmp_path):
    recipe = tiny_study("audio_visual_fusion")
    corpus = loaded(recipe)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all" * 100)
    broken = corpus.splits["train"].select([1]).map(lambda row: {"recording_path": str(tmp_path / "broken.mp4")})
    processor = build_processor(recipe, corpus)
    data = samples_of(recipe, replace(corpus, splits={"train": broken}), processor)
    assert data[0]["audio"] is None and data[0]["video"] is not None
    assert data.failures == 1


def test_a_number_can_be_learned_instead_of_a_class(tiny_study, loaded, tmp_path):
    recipe = tiny_study("frame_cnn", "--data.targets=[attention_level]", "--training.best_metric=mae")
    corpus = loaded(recipe)
    processor = build_processor(recipe, corpus)
    data = {split: samples_of(recipe, corpus, processor, split) for split in corpus.splits}
    trainer = make_trainer(
        build_model(recipe, corpus, processor), recipe, tmp_path, corpus, data["train"], data["validation"]
    )
    assert trainer.args.greater_is_better is False
    scores = evaluate(trainer, answer(trainer, data, corpus), data, corpus, recipe, [])["results"]["test"][
        "attention_level"
    ]
    assert scores["kind"] == "regression"
    levels = np.asarray(corpus.splits["train"]["attention"])
    assert scores["baseline"]["training_mean"] == pytest.approx(levels.mean(), abs=1e-4)
    with pytest.raises(ValueError, match="attention_level is a number, without classes"):
        imbalance_values("focal", corpus)


@pytest.mark.parametrize(("target", "labels"), [("attention", 1), ("affect", 17)])
def test_rare_labels_are_made_up_for_by_their_presence(target, labels, tiny_study, loaded):
    recipe = tiny_study("frame_cnn", f"--data.targets=[{target}]", "--model.imbalance=class_weights")
    corpus = loaded(recipe)
    processor = build_processor(recipe, corpus)
    model = build_model(recipe, corpus, processor).eval()
    weights, truth = model.config.pos_weight, corpus.targets[0].values(corpus.splits["train"]).reshape(-1, labels)
    present = np.nanmean(truth, axis=0)
    expected = [(1 - p) / p if 0 < p < 1 else 1 for p in present]
    assert weights == pytest.approx(np.clip(expected, 1 / 20, 20)) and model.config.class_weights is None
    samples = [samples_of(recipe, corpus, processor)[i] for i in (0, 3)]
    batch = Collator(processor, recipe.augmentation.features)(samples)
    with torch.no_grad():
        output = model(**batch)
    given = batch["labels"].view(2, labels).float()
    kept = ~given.isnan()
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        output.logits, given, pos_weight=torch.tensor(weights), reduction="none"
    )
    torch.testing.assert_close(output.loss, each[kept].mean())


def test_a_severe_finding_stops_the_run_unless_it_is_accepted_by_name(tiny_study, loaded):
    recipe = tiny_study("physio_concat", "--split.protocol=by_row")
    corpus = loaded(recipe)
    findings = audit_corpus(corpus, build_processor(recipe, corpus)).findings
    severe = {found.check for found in findings if found.severity == "severe"}
    assert {"same_recording", "target_from_inputs"} <= severe
    with pytest.raises(LeakageError, match="same_recording"):
        enforce(findings, ["target_from_inputs"])
    enforce(findings, severe)
    accepted = {row["check"]: row["accepted"] for row in as_results(findings, ["same_recording"])}
    assert accepted["same_recording"] and not accepted["target_from_inputs"]


def test_of_several_processes_the_first_alone_audits(tiny_study, loaded, monkeypatch):
    recipe = tiny_study("frame_cnn")
    corpus, sent = loaded(recipe), []
    processor = build_processor(recipe, corpus)
    expected = audit_corpus(corpus, processor)
    assert audit_once(corpus, processor).findings == expected.findings  # a run of one process
    monkeypatch.setattr(split_audit, "broadcast_object_list", lambda found: sent.append(found[0]) or [expected])
    monkeypatch.setattr(split_audit, "audit_corpus", lambda *_: pytest.fail("hashed again"))
    monkeypatch.setattr(split_audit, "PartialState", lambda: SimpleNamespace(is_main_process=False))
    assert audit_once(corpus, processor) == expected and sent == [None]


def test_statistics_of_other_rows_are_found(tiny_study, loaded):
    recipe = tiny_study("physio_concat")
    corpus = loaded(recipe)
    everything = replace(corpus, splits={"train": corpus.all_rows.filter(lambda row: row["physio_present"])})
    findings = audit_corpus(corpus, build_processor(recipe, everything)).findings
    assert "statistics_outside_training" in {found.check for found in findings if found.severity == "severe"}


def test_colour_variants_stay_on_the_side_of_their_recording(tiny_study, loaded):
    recipe = tiny_study("frame_cnn", "--data.colour_variants=true")
    corpus = loaded(recipe)
    assert len(corpus.all_rows) == 5 * len(loaded(tiny_study("frame_cnn")).all_rows)
    other = loaded(tiny_study("frame_cnn", "--data.colour_variants=true", "--data.every=60"))
    variants = [{r["image_path"] for r in c.all_rows if r["variant"] != "original"} for c in (corpus, other)]
    assert variants[0].isdisjoint(variants[1])  # another extraction has pictures of its own, under the same keys
    findings = audit_corpus(corpus, build_processor(recipe, corpus)).findings
    assert not [found for found in findings if found.severity == "severe"]


class Rates(TrainerCallback):
    """The learning rate after every update."""

    def __init__(self):
        self.seen = []

    def on_step_begin(self, args, state, control, optimizer, **kwargs):
        self.seen.append(optimizer.param_groups[0]["lr"])


def test_warm_restarts_follow_their_formula(tiny_study, loaded, tmp_path):
    overrides = ("--training.scheduler_options={T_0: 1, T_mult: 2, eta_min: 1.0e-6}", "--training.epochs=3")
    recipe = tiny_study("frame_cnn", *overrides, "--training.batch_size=8", "--training.gradient_accumulation=1")
    corpus = loaded(recipe)
    processor = build_processor(recipe, corpus)
    data = {split: samples_of(recipe, corpus, processor, split) for split in corpus.splits}
    model = build_model(recipe, corpus, processor)
    trainer, rates = make_trainer(model, recipe, tmp_path, corpus, data["train"], data["validation"]), Rates()
    trainer.add_callback(rates)
    trainer.train()
    steps = math.ceil(len(data["train"]) / 8)
    places = [(n, steps) if n < steps else (n - steps, 2 * steps) for n in range(3 * steps)]
    high, low = recipe.training.learning_rate, 1e-6
    expected = [low + (high - low) * (1 + math.cos(math.pi * at / length)) / 2 for at, length in places]
    assert rates.seen == pytest.approx(expected)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("--split.protocol=fixed",), "no row of the split 'train'.*choose a protocol"),
        (("--split.fold=9",), "fold 9 of leave_one_participant_out: there are 5"),
    ],
)
def test_what_a_study_does_not_have_is_refused(overrides, message, tiny_study):
    recipe = tiny_study("frame_cnn", *overrides)
    with pytest.raises(ValueError, match=message):
        load_corpus(recipe.data, ["video"], recipe.split)


def test_a_target_that_a_study_lacks_is_refused(tiny_study, capsys):
    with pytest.raises(SystemExit):
        tiny_study("frame_cnn", "--data.targets=[emotion]")
    assert "attention_level" in capsys.readouterr().err


def trained(recipe, output_dir):
    """The test figures of a short run, and the modalities that the model learned from."""
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
    recipe = settled(recipe, corpus)
    processor = build_processor(recipe, corpus)
    data = {split: samples_of(recipe, corpus, processor, split) for split in corpus.splits}
    set_seed(0)
    model = build_model(recipe, corpus, processor)
    trainer = make_trainer(model, recipe, output_dir, corpus, data["train"], data["validation"])
    trainer.train()
    return evaluate(trainer, answer(trainer, data, corpus), data, corpus, recipe, [])["results"][
        "test"
    ], processor.modalities


SHORT = ("--training.epochs=1", "--training.precision=fp32", "--training.num_workers=0", "--training.phases=[]")


@pytest.mark.parametrize("name", [n for n in OF_RECORDINGS if PHYSIO not in modalities_of(load_recipe(n).model)])
def test_an_architecture_of_recordings_learns_from_clips(name, tiny, tmp_path):
    data = tiny().data
    recipe = load_recipe(
        name,
        *("--data=SampleMeld", f"--data.root={data.root}", "--data.train_rows=48", "--data.validation_rows=16"),
        *("--data.test_rows=16", "--split.protocol=fixed", "--inputs.frame_size=32", *SHORT, *small(name)),
        *("--model.imbalance=none", "--training.best_metric=accuracy"),
    )
    scores, learned = trained(recipe, tmp_path)
    assert (scores["emotion"]["kind"], scores["emotion"]["rows"]) == ("single_label", 16)
    assert learned == modalities_of(recipe.model)


def test_an_architecture_of_utterances_learns_from_recordings(tiny_study, study_options, tmp_path):
    recipe = load_recipe(
        *("quickstart", *study_options, "--split.protocol=leave_one_participant_out", *SHORT),
        *("--model.vision_config.image_size=32", "--model.config.hidden_size=16", "--training.best_metric=auc"),
    )
    scores, learned = trained(recipe, tmp_path)
    assert (scores["attention"]["kind"], learned) == ("binary", ["audio", "video"])


def test_data_without_what_an_architecture_needs_are_refused(tiny):
    data = tiny().data
    recipe = load_recipe("physio_concat", "--data=SampleMeld", f"--data.root={data.root}", "--data.train_rows=48")
    corpus = load_corpus(tiny().data, ["video"])
    with pytest.raises(ValueError, match="physio_concat is to learn from video, physio, and .* there is no physio"):
        build_processor(recipe, corpus)


def test_a_corpus_with_splits_of_its_own_can_be_divided_anew(tiny):
    recipe = tiny("--split.protocol=by_recording", "--split.folds=4")
    corpus = load_corpus(recipe.data, ["text"], recipe.split)
    episodes = [set(rows["recording"]) for rows in corpus.splits.values()]
    assert not set.intersection(*episodes) and sum(map(len, corpus.splits.values())) == 80
    assert corpus.protocol == "by_recording, fold 0"
