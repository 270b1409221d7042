"""The recipe's values in the stock Trainer: arguments, schedule, precision, accumulation, losses, metrics."""

import shutil
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    log_loss,
    roc_auc_score,
)
from transformers import EvalPrediction, TrainerCallback, set_seed

from affecthub.datasets_scripts.corpus import MULTI, REGRESSION, SINGLE, Target, load_corpus
from affecthub.training import trackers
from affecthub.training.checkpoints import clear_checkpoints
from affecthub.training.evaluate import predict
from affecthub.training.from_recipe import (
    FOCAL_GAMMA,
    POS_WEIGHT_LIMIT,
    SCRATCH_VOCABULARY,
    build_model,
    build_processor,
    check_config_keys,
    imbalance_values,
    positive_weights,
    train_tokenizer,
)
from affecthub.training.recipe import Phase, TrainingRecipe, load_recipe
from affecthub.training.trainer import Metrics, choose_precision, completed, training_arguments

LATE = ("--model.architecture=trimodal_late_fusion", "--model.config.dropout=0", "--model.config.modality_dropout=0")
NARROW = "--model.config={hidden_size: 16, classifier_hidden_size: 16, initializer_range: 0.1}"


class Rates(TrainerCallback):
    """The highest learning rate as each epoch begins."""

    def __init__(self):
        self.seen = []

    def on_epoch_begin(self, args, state, control, optimizer, **kwargs):
        self.seen.append(max(group["lr"] for group in optimizer.param_groups))


def test_every_value_reaches_the_trainer_under_its_name(tmp_path):
    recipe = TrainingRecipe(
        epochs=7,
        batch_size=5,
        gradient_accumulation=3,
        learning_rate=0.01,
        weight_decay=0.2,
        scheduler="cosine_with_min_lr",
        scheduler_options={"min_lr": 1e-6},
        warmup=0.25,
        max_gradient_norm=0.5,
        best_metric="f1_macro",
        precision="bf16",
        gradient_checkpointing=True,
        num_workers=3,
        seed=11,
    )
    found = training_arguments(recipe, tmp_path, preloaded=False)
    assert found.num_train_epochs == 7
    assert found.per_device_train_batch_size == found.per_device_eval_batch_size == 5
    assert found.gradient_accumulation_steps == 3
    assert (found.learning_rate, found.weight_decay, found.max_grad_norm) == (0.01, 0.2, 0.5)
    assert (found.lr_scheduler_type, found.lr_scheduler_kwargs) == ("cosine_with_min_lr", {"min_lr": 1e-6})
    assert found.get_warmup_steps(80) == 20
    assert (found.metric_for_best_model, found.greater_is_better, found.load_best_model_at_end) == (
        *("f1_macro", True),
        True,
    )
    assert (found.fp16, found.bf16, found.activation_checkpointing) == (False, True, True)
    assert (found.seed, found.dataloader_num_workers) == (11, 3)
    assert found.output_dir == str(tmp_path / "checkpoints")
    assert training_arguments(recipe, tmp_path, preloaded=True).dataloader_num_workers == 0


def test_the_best_by_loss_is_the_lowest(tmp_path):
    recipe = TrainingRecipe(best_metric="loss", precision="fp32")
    assert training_arguments(recipe, tmp_path, True).greater_is_better is False


def test_a_last_batch_of_one_utterance_is_learned_from_too(trainer_for, tiny):
    trainer = trainer_for(tiny("--training.batch_size=47", "--training.epochs=1"))
    trainer.train()
    assert trainer.state.global_step == 2
    assert all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters())


def test_precision_by_capability(monkeypatch):
    for wanted in ("fp32", "bf16"):
        assert choose_precision(wanted) == wanted
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="training.precision=fp16 needs a CUDA GPU.*use auto, bf16 or fp32"):
        choose_precision("fp16")
    for capability, chosen in (
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"avx2": True}, "fp32"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capability: found)
        assert choose_precision("auto") == chosen
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_precision("auto") == choose_precision("fp16") == "fp16"


def test_a_metric_that_the_model_has_not_is_refused_before_training(trainer_for, tiny):
    with pytest.raises(
        ValueError, match="best_metric=acuracy: this model is measured by accuracy, balanced_accuracy, f1"
    ):
        trainer_for(tiny("--training.best_metric=acuracy"))
    with pytest.raises(ValueError, match="best_metric=sentiment_accuracy"):
        trainer_for(tiny("--training.best_metric=sentiment_accuracy"))
    two = tiny("--training.best_metric=sentiment_accuracy", "--data.targets=[emotion,sentiment]")
    trainer_for(two, corpus=load_corpus(two.data, ["text", "audio", "video"]))
    with pytest.raises(ValueError, match="model.task_weights: 'valence' is not learned; the targets are"):
        trainer_for(tiny("--model.task_weights.valence=0.5"))


@pytest.mark.parametrize(
    ("kind", "metric", "greater"),
    [
        (Target("x", "x", list("abc"), SINGLE), "accuracy", True),
        (Target("x", "x", ["a"], MULTI), "accuracy", True),
        (Target("x", "x", list("abc"), MULTI), "f1_macro", True),
        (Target("x", "x", ["x"], REGRESSION), "mae", False),
        (Target("x", "x", list("abc"), SINGLE, soft=True), "kl_divergence", False),
    ],
)
def test_where_a_recipe_names_no_metric_the_main_target_does(kind, metric, greater, tmp_path):
    recipe = completed(TrainingRecipe(precision="fp32"), Metrics([kind, Target("y", "y", ["y"], REGRESSION)]))
    assert recipe.best_metric == metric
    assert training_arguments(recipe, tmp_path, True).greater_is_better is greater
    assert completed(TrainingRecipe(best_metric="loss"), Metrics([kind])).best_metric == "loss"


def test_trackers_are_off_unless_they_are_named_and_there(tmp_path, monkeypatch):
    assert training_arguments(TrainingRecipe(best_metric="loss"), tmp_path, True).report_to == []
    names = ["tensorboard", "wandb"]
    monkeypatch.setattr(trackers, "get_available_reporting_integrations", lambda: ["tensorboard"])
    with pytest.raises(ValueError, match="training.report_to: wandb is not installed: install its package, or leave"):
        trackers.check_trackers(names)
    monkeypatch.setenv("COMET_API_KEY", "")
    with pytest.raises(ValueError, match="training.report_to: comet_ml needs its key: set COMET_API_KEY"):
        trackers.check_trackers(["comet_ml"])
    monkeypatch.setattr(trackers, "get_available_reporting_integrations", lambda: ["tensorboard", "wandb"])
    monkeypatch.setattr(trackers, "_wandb_can_start", lambda: False)
    with pytest.raises(ValueError, match="training.report_to: wandb has no login: run `wandb login`, set WANDB_MODE"):
        trackers.check_trackers(names)
    found = training_arguments(TrainingRecipe(best_metric="loss", report_to=names), tmp_path / "mine", True)
    assert (found.report_to, found.run_name) == (["tensorboard", "wandb"], "mine")


def test_what_a_tracker_wrote_stays_when_the_checkpoints_go(tmp_path):
    for name in ("checkpoint-3/model.safetensors", "checkpoint-6/model.safetensors", "runs/events"):
        (tmp_path / "checkpoints" / name).parent.mkdir(parents=True)
        (tmp_path / "checkpoints" / name).write_text("")
    clear_checkpoints(tmp_path / "checkpoints")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["runs"]
    shutil.rmtree(tmp_path / "checkpoints" / "runs")
    clear_checkpoints(tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def test_bf16_trains_on_a_cpu(trainer_for, tiny):
    trainer = trainer_for(tiny("--training.precision=bf16", "--training.epochs=1"))
    dtypes = []
    trainer.model.early_classifier.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    trainer.train()
    assert set(dtypes) == {torch.bfloat16}
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in trainer.model.parameters())


def test_the_rate_falls_when_the_validation_metric_stays(trainer_for, tiny):
    recipe = tiny(
        *("--training.scheduler=reduce_lr_on_plateau", "--training.epochs=5", "--training.warmup=0"),
        # nothing is better by 10
        "--training.scheduler_options={mode: max, factor: 0.5, patience: 0, threshold: 10, threshold_mode: abs}",
        *("--training.learning_rate=1e-3", "--training.encoder_learning_rate=1e-4"),
    )
    trainer = trainer_for(recipe)
    rates = Rates()
    trainer.add_callback(rates)
    trainer.train()
    # torch compares the first figure with -inf, so only the second epoch counts as bad
    assert rates.seen == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4])
    assert {group["lr"] for group in trainer.optimizer.param_groups} == {6.25e-5, 6.25e-6}


def test_training_stops_early_and_the_best_weights_are_kept(trainer_for, tiny):
    recipe = tiny(
        "--training.epochs=8", "--training.patience=2", "--training.min_delta=1", "--training.best_metric=loss"
    )
    trainer = trainer_for(recipe)
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    # min_delta 1 makes no later epoch count: the first is the best, and two more are waited for
    assert len(losses) == 3 == trainer.state.epoch
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses), abs=1e-5)


def test_accumulated_steps_equal_one_large_batch(trainer_for, tiny):
    gradients = {}
    for batch, steps in ((8, 1), (4, 2)):
        recipe = tiny(
            *(NARROW, *LATE, f"--training.batch_size={batch}", f"--training.gradient_accumulation={steps}"),
            *("--training.epochs=1", "--training.max_gradient_norm=1e9", "--training.scheduler=constant"),
        )
        trainer, seen = trainer_for(recipe), []

        class First(TrainerCallback):
            def on_pre_optimizer_step(self, args, state, control, model, seen=seen, **kwargs):
                if not seen:
                    seen.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
                control.should_training_stop = True

        trainer.add_callback(First())
        trainer.train()
        gradients[batch] = seen[0]
    assert gradients[4].keys() == gradients[8].keys()
    assert max(gradient.abs().max() for gradient in gradients[8].values()) > 1e-3
    for name, reference in gradients[8].items():
        torch.testing.assert_close(gradients[4][name], reference, rtol=1e-4, atol=1e-6, msg=name)


def test_gradients_are_clipped(trainer_for, tiny):
    norms = []

    class Norms(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            norms.append(float(torch.linalg.vector_norm(torch.stack([g.norm() for g in grads]))))

    trainer = trainer_for(tiny("--training.max_gradient_norm=0.01", "--training.epochs=1"))
    trainer.add_callback(Norms())
    trainer.train()
    assert norms == pytest.approx([0.01] * 3, rel=1e-2)


def test_class_weights_are_inverse_frequencies_of_mean_one(corpus):
    weights = imbalance_values("class_weights", corpus)["class_weights"]
    counts = Counter(corpus.splits["train"]["emotion"])
    assert np.mean(weights) == pytest.approx(1)
    products = [weights[i] * counts[i] for i in range(7)]
    assert products == pytest.approx([products[0]] * 7)
    assert imbalance_values("focal", corpus) == {"focal_gamma": FOCAL_GAMMA} == {"focal_gamma": 2.0}
    assert imbalance_values("none", corpus) == {}


def test_a_label_that_no_training_row_has_gets_no_weight(tiny, corpus):
    few = type(corpus)(**(vars(corpus) | {"splits": {"train": corpus.splits["train"].select([0])}}))
    name = corpus.targets[0].labels[corpus.splits["train"][0]["emotion"]]
    with pytest.raises(ValueError, match="No class weight for .*the training split has none") as error:
        imbalance_values("class_weights", few)
    assert name not in str(error.value).split(":")[0] and "Choose another imbalance" in str(error.value)


def test_the_presence_of_a_label_counts_by_negatives_over_positives(caplog):
    rows = np.zeros((100, 6))
    rows[:5, 0] = rows[:60, 1] = rows[:1, 2] = rows[:, 4] = 1
    rows[50:, 0] = rows[:, 5] = np.nan  # 5 of the 50 that are known
    names = ["rare", "common", "single", "never", "always", "unknown"]
    assert positive_weights(rows, names) == pytest.approx([9, 40 / 60, POS_WEIGHT_LIMIT, 1, 1, 1])
    assert "holds ['never', 'always', 'unknown'] always or never: no imbalance is made good" in caplog.text
    assert positive_weights(rows[:, 1], names[1:2]) == pytest.approx([40 / 60])
    assert positive_weights(1 - rows[:, 2:3], names[2:3]) == [1 / POS_WEIGHT_LIMIT]


@pytest.mark.parametrize("imbalance", ["class_weights", "focal"])
def test_imbalance_reaches_the_loss(tiny, corpus, processor, imbalance):
    set_seed(0)
    model = build_model(tiny(f"--model.imbalance={imbalance}"), corpus, processor).eval()
    labels = torch.tensor([0, 1, 4])
    batch = processor(text=["hello", "oh no", "well"])
    with torch.no_grad():
        output = model(**batch, labels=labels)
    log_p = output.logits.log_softmax(-1)[torch.arange(3), labels]
    if imbalance == "focal":
        expected = -((1 - log_p.exp()) ** 2 * log_p).mean()
    else:
        weights = torch.tensor(imbalance_values(imbalance, corpus)["class_weights"])[labels]
        expected = -(weights * log_p).sum() / weights.sum()
    torch.testing.assert_close(output.loss, expected)


def test_the_same_texts_give_the_same_vocabulary(corpus):
    texts = list(corpus.splits["train"]["text"])
    first, again = (train_tokenizer(lines) for lines in (texts, texts[::-1]))
    assert first.get_vocab() == again.get_vocab()
    assert first.unk_token not in {token for text in texts for token in first.tokenize(text)}
    assert first.tokenize("☃") == [first.unk_token] and first("so").keys() == {"input_ids", "attention_mask"}
    assert len(train_tokenizer([f"w{n}" for n in range(5_000)])) == SCRATCH_VOCABULARY


def test_a_vision_encoder_of_no_stated_kind_is_clips(tiny, corpus):
    recipe = tiny("--model.vision_config={image_size: 40, patch_size: 20}")
    assert build_processor(recipe, corpus).video_processor.crop_size["height"] == 40


def test_a_misspelled_field_of_the_model_is_refused(tiny, corpus, processor):
    with pytest.raises(ValueError, match="trimodal_ensemble has no 'fusion_size'; did you mean fusion_sizes"):
        build_model(tiny("--model.config.fusion_size=[8, 8]"), corpus, processor)
    check_config_keys(
        {"modality_dropout": 0.1, "problem_type": "regression"}, type(build_config(tiny, corpus, processor))
    )


def build_config(tiny, corpus, processor):
    return build_model(tiny(), corpus, processor).config


def test_metrics_of_one_and_two_tasks_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    emotion, sentiment = rng.integers(0, 4, 50), rng.integers(0, 3, 50)
    logits = rng.normal(size=(50, 4)), rng.normal(size=(50, 3))
    tasks = [Target(name, name, list(labels), SINGLE) for name, labels in (("emotion", "abcd"), ("sentiment", "xyz"))]
    one, two = Metrics(tasks[:1]), Metrics(tasks)
    expected = {}
    for prefix, ids, scores in (("", emotion, logits[0]), ("sentiment_", sentiment, logits[1])):
        chosen = scores.argmax(-1)
        expected |= {
            f"{prefix}accuracy": accuracy_score(ids, chosen),
            f"{prefix}balanced_accuracy": balanced_accuracy_score(ids, chosen),
            f"{prefix}f1_weighted": f1_score(ids, chosen, average="weighted"),
            f"{prefix}f1_macro": f1_score(ids, chosen, average="macro"),
            f"{prefix}kappa": cohen_kappa_score(ids, chosen),
            f"{prefix}auc": roc_auc_score(ids, softmax(scores, axis=1), multi_class="ovr"),
            f"{prefix}nll": log_loss(ids, softmax(scores, axis=1)),
            f"{prefix}brier": ((softmax(scores, axis=1) - np.eye(scores.shape[1])[ids]) ** 2).sum(axis=1).mean(),
        }
    scores = {"emotion": logits[0], "sentiment": logits[1]}
    labels = {"emotion": emotion, "sentiment": sentiment}
    found = two(EvalPrediction(predictions=(logits[0], scores), label_ids=labels))
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert list(found) == list(two.targets)
    single = one(EvalPrediction(predictions=logits[0], label_ids=emotion))
    assert single == pytest.approx({key: found[key] for key in one.targets})


def test_two_tasks_train_and_are_judged(trainer_for, tiny):
    recipe = tiny("--data.targets=[emotion,sentiment]", "--training.epochs=1", "--model.task_weights.sentiment=0.5")
    corpus = load_corpus(recipe.data, ["text", "audio", "video"])
    trainer = trainer_for(recipe, corpus=corpus)
    assert [task.weight for task in trainer.model.config.tasks] == [1.0, 0.5]
    trainer.train()
    evaluated = next(entry for entry in trainer.state.log_history if "eval_loss" in entry)
    assert {
        "eval_accuracy",
        "eval_f1_weighted",
        "eval_sentiment_accuracy",
        "eval_sentiment_f1_macro",
    } < evaluated.keys()
    judged = predict(trainer, trainer.eval_dataset, corpus.targets)
    rows = trainer.eval_dataset.rows
    assert list(judged) == ["emotion", "sentiment"]
    for task, (references, logits) in judged.items():
        assert references.tolist() == rows[task]
        assert accuracy_score(references, logits.argmax(-1)) == pytest.approx(
            evaluated[f"eval_{'' if task == 'emotion' else 'sentiment_'}accuracy"]
        )


def test_the_epoch_reaches_the_augmentation(trainer_for, tiny):
    trainer = trainer_for(tiny())
    epochs = []
    original = type(trainer.train_dataset).set_epoch
    trainer.train_dataset.set_epoch = lambda epoch: (epochs.append(epoch), original(trainer.train_dataset, epoch))
    trainer.train()
    assert sorted(set(epochs)) == [0, 1] and epochs == sorted(epochs)


def test_plain_values_of_a_recipe_hold_its_phases():
    recipe = load_recipe("meld_ensemble")
    assert recipe.to_dict()["training"]["phases"] == [asdict(Phase(0, 0))]
