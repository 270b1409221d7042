"""A recipe's training values become a stock `Trainer`."""

from pathlib import Path

import numpy as np
import torch
from transformers import EarlyStoppingCallback, EvalPrediction, PreTrainedModel, Trainer, TrainingArguments

from affecthub.evaluation.metrics import EmotionMetrics
from affecthub.training.data import Collator, LengthGroupedSampler, UtteranceDataset
from affecthub.training.phases import PhaseCallback, make_optimizer
from affecthub.training.recipe import Recipe, TrainingRecipe

SCALARS = ("accuracy", "f1_weighted", "f1_macro")
"""What the Trainer logs of each task."""


def choose_precision(wanted: str) -> str:
    """The precision that a run really computes in: "fp32", "fp16" or "bf16".

    "auto" is fp16 on a CUDA GPU; elsewhere bf16 where the hardware multiplies in it, else fp32. ValueError for fp16
    on a CPU, which the libraries would silently run in fp32.
    """
    cuda = torch.cuda.is_available()
    if wanted == "fp16" and not cuda:
        raise ValueError("training.precision=fp16 needs a CUDA GPU, and there is none: use auto, bf16 or fp32.")
    if wanted != "auto":
        return wanted
    if cuda:
        return "fp16"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "fp32"


def training_arguments(recipe: TrainingRecipe, output_dir: Path, preloaded: bool) -> TrainingArguments:
    """The recipe's values under transformers' names.

    Args:
        recipe: the values.
        output_dir: where the checkpoints go.
        preloaded: whether the clips lie in memory, so that workers would only copy them.
    """
    precision = choose_precision(recipe.precision)
    workers = 0 if preloaded else recipe.num_workers
    return TrainingArguments(
        output_dir=str(output_dir / "checkpoints"),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        lr_scheduler_type=recipe.scheduler,
        lr_scheduler_kwargs=recipe.scheduler_options,
        warmup_steps=recipe.warmup,
        max_grad_norm=recipe.max_gradient_norm,
        fp16=precision == "fp16",
        bf16=precision == "bf16",
        use_cpu=precision == "bf16" and not torch.cuda.is_available(),  # bf16 on a CPU is refused unless it is named
        activation_checkpointing=recipe.gradient_checkpointing,
        torch_compile=recipe.compile,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=recipe.best_metric,
        greater_is_better=not recipe.best_metric.endswith("loss"),
        seed=recipe.seed,
        dataloader_num_workers=workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=True,  # a batch may lack a whole modality
        remove_unused_columns=False,
        restore_callback_states_from_checkpoint=True,  # else a resumed run forgets how long it has been patient
        report_to="none",
    )


def make_trainer(
    model: PreTrainedModel,
    recipe: Recipe,
    output_dir: Path,
    train: UtteranceDataset,
    validation: UtteranceDataset,
) -> Trainer:
    """A `Trainer` with the recipe's optimizer, phases, early stopping and metrics."""
    settings, multitask = recipe.training, model.config.sentiment_id2label is not None
    metrics = Metrics({"": model.config.id2label, "sentiment_": model.config.sentiment_id2label})
    if settings.best_metric not in [*metrics.names, "loss"]:
        names = ", ".join([*metrics.names, "loss"])
        raise ValueError(f"training.best_metric={settings.best_metric}: this model is measured by {names}.")
    arguments = training_arguments(settings, output_dir, recipe.data.preload)
    arguments.label_names = ["labels", "sentiment_labels"] if multitask else ["labels"]
    callbacks = [PhaseCallback(settings.phases)] if settings.phases else []
    if settings.patience is not None:
        callbacks.append(EarlyStoppingCallback(settings.patience, settings.min_delta))
    trainer_class = LengthGroupedTrainer if settings.group_by_length else Trainer
    return trainer_class(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=Collator(train.processor, multitask, recipe.augmentation.features),
        # saved with the checkpoints; the Trainer takes for granted that it has a tokenizer
        processing_class=train.processor if train.processor.tokenizer else None,
        compute_metrics=metrics,
        callbacks=callbacks,
        optimizers=(make_optimizer(model, settings), None),
    )


class LengthGroupedTrainer(Trainer):
    """The stock Trainer with batches of like lengths; its own option wants the lengths as a column of a table."""

    def _get_train_sampler(self, train_dataset: UtteranceDataset | None = None) -> LengthGroupedSampler:
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroupedSampler((train_dataset or self.train_dataset).lengths, batch, self.args.seed)


class Metrics:
    """The scalars that the Trainer logs and chooses by: accuracy, weighted and macro F1 of each task.

    Args:
        tasks: prefix of a task's metrics -> its labels by id (None: the model has no such task).
    """

    def __init__(self, tasks: dict[str, dict[int, str] | None]):
        self.modules = {prefix: EmotionMetrics(list(labels.values())) for prefix, labels in tasks.items() if labels}

    @property
    def names(self) -> list[str]:
        """Keys of what a call returns."""
        return [f"{prefix}{name}" for prefix in self.modules for name in SCALARS]

    def __call__(self, outputs: EvalPrediction) -> dict[str, float]:
        """Logits (rows, labels) and label ids (rows,), one of each a task -> metrics by name."""
        scalars = {}
        for (prefix, module), logits, ids in zip(
            self.modules.items(), as_tuple(outputs.predictions), as_tuple(outputs.label_ids), strict=True
        ):
            report = module.compute(predictions=logits.argmax(-1), references=ids)
            scalars |= {f"{prefix}{name}": report[name] for name in SCALARS}
        return scalars


def as_tuple(value: np.ndarray | tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """The Trainer gives an array for one task and a tuple for several; always a tuple."""
    return value if isinstance(value, tuple) else (value,)
