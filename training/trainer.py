"""A recipe's training values become a stock `Trainer`."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, PredictionOutput

from affecthub.datasets_scripts.corpus import Corpus, Target
from affecthub.evaluation.answers import Kind, kind_of, known_rows
from affecthub.evaluation.metrics import direction_of, main_metric, metrics_of
from affecthub.evaluation.scores import headline, judged
from affecthub.media.processes import end_with_parent
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.training.checkpoints import CHECKPOINTS, mark_complete, writing
from affecthub.training.clips import StreamedDataset
from affecthub.training.collator import BATCH_LIMIT, Collator, LengthGroupedSampler
from affecthub.training.fsdp import blank_sample, shard_by_layers
from affecthub.training.history import EpochCosts
from affecthub.training.launch import global_batch, runs_on_cpu, scaled_rates
from affecthub.training.phases import PhaseCallback, early_stopping, make_optimizer, rates_that_learn, split_encoders
from affecthub.training.recipe import BY_METRIC, WARM_RESTARTS, Recipe, TrainingRecipe
from affecthub.training.samples import SampleDataset
from affecthub.training.schedule import check_schedule, make_schedule


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
        recipe: the values; without `best_metric` the loss chooses.
        output_dir: where the checkpoints go.
        preloaded: whether the clips lie in memory, so that workers would only copy them.
    """
    precision, best_metric = choose_precision(recipe.precision), recipe.best_metric or "loss"
    workers = 0 if preloaded else recipe.num_workers
    return TrainingArguments(
        output_dir=str(output_dir / CHECKPOINTS),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        lr_scheduler_type="constant" if recipe.scheduler == WARM_RESTARTS else recipe.scheduler,
        lr_scheduler_kwargs={} if recipe.scheduler == WARM_RESTARTS else recipe.scheduler_options,
        warmup_steps=recipe.warmup,
        max_grad_norm=recipe.max_gradient_norm,
        fp16=precision == "fp16",
        bf16=precision == "bf16",
        use_cpu=runs_on_cpu(),  # unless it is named, bf16 is refused there and processes do not find each other
        activation_checkpointing=recipe.gradient_checkpointing,
        torch_compile=recipe.compile,
        eval_strategy="epoch",
        label_names=["labels"],
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=best_metric,
        greater_is_better=direction_of(best_metric) == "max",
        seed=recipe.seed,
        dataloader_num_workers=workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=True,  # a batch may lack a whole modality
        remove_unused_columns=False,
        restore_callback_states_from_checkpoint=True,  # else a resumed run forgets how long it has been patient
        report_to=recipe.report_to or "none",
        run_name=output_dir.name,
    )


def completed(recipe: TrainingRecipe, metrics: "Metrics") -> TrainingRecipe:
    """The recipe with what it leaves to the targets: the metric that chooses, and the direction of a plateau.

    Args:
        recipe: the values.
        metrics: by which the model is measured.

    Raises:
        ValueError: the plateau's direction is not that of the metric, so that each gain would lower the rate.
    """
    best_metric = recipe.best_metric or metrics.main
    recipe = replace(recipe, best_metric=best_metric)
    if recipe.scheduler not in BY_METRIC:
        return recipe
    direction, options = direction_of(best_metric), recipe.scheduler_options
    if options.get("mode", direction) != direction:
        raise ValueError(
            f"training.scheduler_options.mode={options['mode']}: of {best_metric} the {direction} is best; "
            "leave mode out."
        )
    return replace(recipe, scheduler_options={"mode": direction, **options})


def make_trainer(
    model: AffectPreTrainedModel,
    recipe: Recipe,
    output_dir: Path,
    corpus: Corpus,
    train: SampleDataset,
    validation: SampleDataset,
) -> "AffectTrainer":
    """A `Trainer` with the recipe's optimizer, schedule, phases, early stopping and metrics."""
    metrics = Metrics(corpus.targets)
    settings = completed(recipe.training, metrics)
    assert settings.best_metric is not None
    check_known(corpus, metrics, settings.best_metric)
    if settings.group_by_length and isinstance(train, StreamedDataset):
        raise ValueError("training.group_by_length: a stream is read in the order of its shards; set one to false.")
    arguments = training_arguments(settings, output_dir, recipe.inputs.preload)
    settings = scaled_rates(settings, global_batch(arguments))
    arguments.learning_rate = settings.learning_rate
    encoder_rates = [settings.encoder_learning_rate] if split_encoders(model)[0] else []
    check_schedule(settings, [settings.learning_rate, *encoder_rates])
    if settings.attention != "auto":
        model.set_attn_implementation(settings.attention)
    callbacks: list[TrainerCallback] = [PhaseCallback(settings.phases)] if settings.phases else []
    if stopping := early_stopping(settings):
        callbacks.append(stopping)
    return AffectTrainer(
        settings,
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=Collator(train.processor, recipe.augmentation.features),
        # saved with the checkpoints; the Trainer takes for granted that it has a tokenizer
        processing_class=train.processor if getattr(train.processor, "tokenizer", None) else None,
        compute_metrics=metrics,
        callbacks=callbacks,
    )


class AffectTrainer(Trainer):
    """The stock Trainer with what its options lack: a schedule a group, and batches of like lengths."""

    model: AffectPreTrainedModel
    train_dataset: SampleDataset
    data_collator: Collator

    def __init__(self, settings: TrainingRecipe, **kwargs):
        self.settings = settings
        super().__init__(**kwargs)
        self.costs = EpochCosts()
        self.add_callback(self.costs)
        if self.is_fsdp_enabled:
            shard_by_layers(self)
            self.data_collator.blank = blank_sample(self.train_dataset.processor)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The recipe's, over the whole parameters; accelerate puts their parts into it where the launch makes such."""
        if self.optimizer is None:
            self.optimizer = make_optimizer(self.model, self.settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        """The recipe's, for each group of parameters from the epoch in which it learns first."""
        if self.lr_scheduler is None:
            warmup = self.args.get_warmup_steps(num_training_steps)
            schedule = make_schedule(optimizer or self.optimizer, self.settings, num_training_steps, warmup)
            self.lr_scheduler, self._created_lr_scheduler = schedule, True
        return self.lr_scheduler

    def log(self, logs: dict[str, float], *args: Any) -> None:
        """As the base class; of an epoch of learning also the encoders' rates, as far as they learn, and its costs."""
        if "learning_rate" in logs:
            logs = logs | rates_that_learn(self.optimizer) | self.costs.until_now()
        super().log(logs, *args)

    def get_train_dataloader(self) -> DataLoader:
        """As the base class; of a stream each process reads its own part, which accelerate would divide again."""
        if not isinstance(self.train_dataset, StreamedDataset):
            return super().get_train_dataloader()
        settings, size = self.args, self._train_batch_size
        loader = DataLoader(
            self.train_dataset.part(settings.process_index, settings.world_size, size),
            size,
            collate_fn=self.data_collator,
            num_workers=settings.dataloader_num_workers,
            timeout=BATCH_LIMIT if settings.dataloader_num_workers else 0,
            worker_init_fn=end_with_parent,
            pin_memory=settings.dataloader_pin_memory,
        )
        undivided = {"num_processes": 1, "process_index": 0, "dispatch_batches": False}
        return prepare_data_loader(loader, self.accelerator.device, put_on_device=True, **undivided)

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> AbstractContextManager:
        """Around each forward pass; of a whole model, accelerate has changed the pass itself."""
        return self.accelerator.autocast() if self.is_fsdp_enabled else super().autocast_smart_context_manager()

    def _get_dataloader(self, *args, **kwargs) -> DataLoader:
        loader: Any = super()._get_dataloader(*args, **kwargs)
        if self.args.dataloader_num_workers:
            inner = loader.base_dataloader
            inner.timeout, inner.worker_init_fn = BATCH_LIMIT, partial(start_worker, inner.worker_init_fn)
        return loader

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        with writing(folder):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                mark_complete(folder)

    def _get_train_sampler(self, train_dataset: SampleDataset | None = None) -> torch.utils.data.Sampler | None:
        if not self.settings.group_by_length:
            return super()._get_train_sampler(train_dataset)
        lengths = (train_dataset or self.train_dataset).lengths
        return LengthGroupedSampler(lengths, global_batch(self.args), self.args.seed)


def start_worker(then: Callable[[int], None] | None, number: int) -> None:
    """What a process of a data loader does first; then what the Trainer would have it do."""
    end_with_parent()
    if then:
        then(number)


class Metrics:
    """The scalars that the Trainer logs and chooses by: `headline` of each task.

    Args:
        tasks: what the model learns, the main one first; the names of the others' figures begin with their own.
    """

    def __init__(self, tasks: Sequence[Target]):
        self.tasks = {f"{task.name}_" if i else "": task for i, task in enumerate(tasks)}

    @property
    def main(self) -> str:
        """What the best model is chosen by where nothing is said."""
        return main_metric(kind_of_target(self.tasks[""]))

    @property
    def targets(self) -> dict[str, Target]:
        """Keys of what a call returns -> what is measured; those that the rows do not define are left out of it."""
        return {
            f"{prefix}{name}": task for prefix, task in self.tasks.items() for name in metrics_of(kind_of_target(task))
        }

    def __call__(self, outputs: EvalPrediction) -> dict[str, float]:
        """Logits (rows, labels) and labels (rows, ...), one of each a task -> metrics by name."""
        answers, scalars = by_task(outputs, list(self.tasks.values())), {}
        for prefix, task in self.tasks.items():
            (labels, logits), kind = answers[task.name], kind_of_target(task)
            if known_rows(kind, labels).any():
                report = judged(labels, logits, task.classes, kind)
                scalars |= {f"{prefix}{name}": value for name, value in headline(report).items()}
        return scalars


def kind_of_target(task: Target) -> Kind:
    """How a target is judged."""
    return kind_of(task.problem_type, len(task.labels), task.soft)


def check_known(corpus: Corpus, metrics: Metrics, best_metric: str) -> None:
    """ValueError, before anything is trained, where a target cannot be learned, or the best model not be chosen.

    Args:
        corpus: what is learned.
        metrics: by which it is measured.
        best_metric: by which the best model is chosen.
    """
    targets = metrics.targets
    if best_metric not in [*targets, "loss"]:
        raise ValueError(
            f"training.best_metric={best_metric}: this model is measured by {', '.join([*targets, 'loss'])}."
        )
    needed = [("train", target) for target in corpus.targets]
    needed += [("validation", targets[best_metric])] if best_metric in targets else []
    for split, target in needed:
        if not target.known(corpus.splits[split]).any():
            raise ValueError(
                f"{corpus.name}: no {split} row has a known {target.name}: leave it out of data.targets, or choose "
                "another split or training.best_metric."
            )


def by_task(
    outputs: EvalPrediction | PredictionOutput, tasks: Sequence[Target]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """References (rows, ...) and logits (rows, labels) of each task, by its name.

    Args:
        outputs: as the Trainer gives them: arrays of the one task, or by name of several, after the main one's logits.
        tasks: what the model learned.
    """
    logits: Any = outputs.predictions
    labels: Any = outputs.label_ids
    if len(tasks) == 1:
        return {tasks[0].name: (labels, logits)}
    return {task.name: (labels[task.name], logits[-1][task.name]) for task in tasks}
