"""Freezing, gradual unfreezing, the two learning rates of a fine-tuned encoder, and when to stop."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.training.recipe import Phase, TrainingRecipe

ALL = "all"

START_EPOCH = "start_epoch"
PEAK = "peak"
ENCODER = "is_encoder"
"""Keys of a parameter group in the optimizer: the first epoch in which it learns, its rate then, and whether it is of
an encoder."""


def split_encoders(model: AffectPreTrainedModel) -> tuple[list[nn.Module], set[str]]:
    """The pretrained encoders of a model, and the names of their parameters.

    Args:
        model: names what its encoders are called in `encoder_prefixes`.
    """
    modules: dict[str, nn.Module] = dict(model.base_model.named_modules())
    encoders = [modules[prefix.rstrip(".")] for prefix in model.encoder_prefixes if prefix.rstrip(".") in modules]
    owned = {id(parameter) for encoder in encoders for parameter in encoder.parameters()}
    return encoders, {name for name, parameter in model.named_parameters() if id(parameter) in owned}


def encoder_layers(encoder: nn.Module) -> nn.ModuleList:
    """The layers of an encoder, from its input to its output: of its ModuleLists, that with the most parameters.

    Not the longest: what encodes sound may have more convolutions, at its input, than layers.
    """
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=lambda layers: sum(parameter.numel() for parameter in layers.parameters()))


def encoder_stages(encoder: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of an encoder from its input to its output: what precedes its layers, then layer by layer.

    What follows the layers (a last norm, a projection) belongs to the topmost.
    """
    layers = [list(layer.parameters()) for layer in encoder_layers(encoder)]
    inside = {id(parameter) for layer in layers for parameter in layer}
    parameters = list(encoder.parameters())
    first = next(i for i, parameter in enumerate(parameters) if id(parameter) in inside)
    after = [parameter for parameter in parameters[first:] if id(parameter) not in inside]
    return [parameters[:first], *layers[:-1], layers[-1] + after]


def phase_of(phases: Iterable[Phase], epoch: int) -> Phase | None:
    """The phase that an epoch lies in; None before the first."""
    started = [phase for phase in phases if phase.start_epoch <= epoch]
    return max(started, key=lambda phase: phase.start_epoch, default=None)


def always_frozen(phases: Sequence[Phase]) -> bool:
    """Whether the encoders learn in no epoch."""
    return phase_of(phases, 0) is not None and all(phase.encoder_layers == 0 for phase in phases)


def free_stages(phase: Phase | None, stages: int) -> int:
    """How many of an encoder's stages learn in a phase, counted from its output; without a phase, all."""
    return stages if phase is None or phase.encoder_layers == ALL else phase.encoder_layers


def apply_phase(model: AffectPreTrainedModel, phase: Phase | None) -> None:
    """Freeze and unfreeze the encoders as the phase says; without one, everything learns."""
    for encoder in split_encoders(model)[0]:
        stages = encoder_stages(encoder)
        for depth, stage in enumerate(reversed(stages)):
            for parameter in stage:
                parameter.requires_grad_(depth < free_stages(phase, len(stages)))


def first_epochs(model: AffectPreTrainedModel, phases: Sequence[Phase]) -> dict[nn.Parameter, int]:
    """In which epoch each parameter of the encoders learns first; without those that learn in none."""
    spans = [(0, phase_of(phases, 0)), *((phase.start_epoch, phase) for phase in phases)]
    found = {}
    for encoder in split_encoders(model)[0]:
        stages = encoder_stages(encoder)
        for depth, stage in enumerate(reversed(stages)):
            starts = [epoch for epoch, phase in spans if depth < free_stages(phase, len(stages))]
            found |= dict.fromkeys(stage, min(starts)) if starts else {}
    return found


class PhaseCallback(TrainerCallback):
    """Applies the phase of each epoch; what it does follows from the epoch alone, so a resumed run is the same.

    It acts after the Trainer has wrapped the model: parameters that were frozen before would not be synchronised
    between processes once they are unfrozen.
    """

    def __init__(self, phases: list[Phase]):
        self.phases = phases

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        **kwargs,
    ) -> None:
        """Freeze and unfreeze for the epoch that begins; what learns for the first time does so at its full rate."""
        unwrapped: Any = getattr(model, "module", model)
        epoch = round(state.epoch or 0)
        apply_phase(unwrapped, phase_of(self.phases, epoch))
        for group in optimizer.param_groups if optimizer and epoch else ():
            if group[START_EPOCH] == epoch:
                group["lr"] = group[PEAK]  # which a plateau that came before may have lowered


class EarlyStopping(TrainerCallback, ExportableState):
    """Ends training after so many epochs of the last phase without a better figure.

    Only the last phase is judged, against its own best: a head whose figure has settled says nothing of the encoder
    that is yet to be unfrozen, and an encoder just unfrozen may lose at first what it gains later. The epoch that is
    kept in the end is the best of all phases nevertheless. The state is saved with the checkpoints.

    Args:
        patience: epochs without a better figure.
        min_delta: what counts as better.
        first_epoch: where the last phase begins.
    """

    def __init__(self, patience: int, min_delta: float = 0.0, first_epoch: int = 0):
        self.patience, self.min_delta, self.first_epoch = patience, min_delta, first_epoch
        self.best: float | None = None
        self.waited = 0

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict, **kwargs
    ) -> None:
        """Count an epoch of the last phase."""
        if round(state.epoch) <= self.first_epoch:
            return
        value = metrics[f"eval_{args.metric_for_best_model}"]
        gain = math.inf if self.best is None else (value - self.best) * (1 if args.greater_is_better else -1)
        if gain > self.min_delta and not math.isnan(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        control.should_training_stop |= self.waited >= self.patience

    def state(self) -> dict:
        """What a checkpoint keeps, as the Trainer restores it."""
        args = {name: getattr(self, name) for name in ("patience", "min_delta", "first_epoch")}
        return {"args": args, "attributes": {"best": self.best, "waited": self.waited}}


def early_stopping(recipe: TrainingRecipe) -> EarlyStopping | None:
    """That of a recipe with patience; phases that begin after its last epoch count for nothing."""
    if recipe.patience is None:
        return None
    reached = [phase.start_epoch for phase in recipe.phases if phase.start_epoch < recipe.epochs]
    return EarlyStopping(recipe.patience, recipe.min_delta, max(reached, default=0))


def epochs_until_stopped(checkpoint: str) -> int | None:
    """After how many epochs the run of a checkpoint was stopped early; None where it goes on."""
    state = TrainerState.load_from_json(str(Path(checkpoint, "trainer_state.json")))
    callbacks: Any = state.stateful_callbacks
    kept = callbacks.get(EarlyStopping.__name__)
    stopped = kept is not None and kept["attributes"]["waited"] >= kept["args"]["patience"]
    return round(state.epoch) if stopped else None


def make_optimizer(model: AffectPreTrainedModel, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """AdamW over all parameters that learn in any phase, in groups: everything but the encoders, then the encoders by
    the epoch in which they learn first; of each the matrices, which decay, and the vectors (biases, norms), which do
    not.

    Frozen parameters that a later phase unfreezes are in it from the start: AdamW passes over what has no gradient.
    """
    encoder_names, starts = split_encoders(model)[1], first_epochs(model, recipe.phases)
    groups: dict[tuple[bool, int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        is_encoder = name in encoder_names
        if not is_encoder or parameter in starts:
            key = (is_encoder, starts.get(parameter, 0), parameter.dim() > 1)
            groups.setdefault(key, []).append(parameter)
    rates = {False: recipe.learning_rate, True: recipe.encoder_learning_rate}
    settings = [
        {
            "params": groups[is_encoder, start, is_decayed],
            "lr": rates[is_encoder],
            PEAK: rates[is_encoder],
            START_EPOCH: start,
            ENCODER: is_encoder,
            "weight_decay": recipe.weight_decay if is_decayed else 0.0,
        }
        for is_encoder, start, is_decayed in sorted(groups, key=lambda key: (*key[:2], not key[2]))
    ]
    return torch.optim.AdamW(settings, lr=recipe.learning_rate, fused=True)


def rates_that_learn(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The rates of what learns now, by the names that a log gives them; of frozen encoders there is none."""
    rates = {}
    for group in optimizer.param_groups:
        if any(parameter.requires_grad for parameter in group["params"]):
            later = f"_from_epoch_{group[START_EPOCH]}" if group[START_EPOCH] else ""
            rates[f"lr_encoders{later}" if group[ENCODER] else "learning_rate"] = group["lr"]
    return rates
