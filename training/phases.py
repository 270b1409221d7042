"""Freezing, gradual unfreezing and the two learning rates of a fine-tuned encoder."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from affecthub.training.recipe import Phase, TrainingRecipe

ALL = "all"


def split_encoders(model: PreTrainedModel) -> tuple[list[nn.Module], set[str]]:
    """The pretrained encoders of a model, and the names of their parameters.

    Args:
        model: names what its encoders are called in `encoder_prefixes`.
    """
    trunk = model.base_model
    encoders = [getattr(trunk, p.rstrip(".")) for p in model.encoder_prefixes if hasattr(trunk, p.rstrip("."))]
    owned = {id(parameter) for encoder in encoders for parameter in encoder.parameters()}
    return encoders, {name for name, parameter in model.named_parameters() if id(parameter) in owned}


def encoder_layers(encoder: nn.Module) -> nn.ModuleList:
    """The layers of an encoder, from its input to its output: its longest ModuleList."""
    return max((module for module in encoder.modules() if isinstance(module, nn.ModuleList)), key=len)


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


def apply_phase(model: PreTrainedModel, phase: Phase | None) -> None:
    """Freeze and unfreeze the encoders as the phase says; without one, everything learns."""
    for encoder in split_encoders(model)[0]:
        stages = encoder_stages(encoder)
        wanted = len(stages) if phase is None or phase.encoder_layers == ALL else phase.encoder_layers
        for depth, stage in enumerate(reversed(stages)):
            for parameter in stage:
                parameter.requires_grad_(depth < wanted)


class PhaseCallback(TrainerCallback):
    """Applies the phase of each epoch; what it does follows from the epoch alone, so a resumed run is the same.

    It acts after the Trainer has wrapped the model: parameters that were frozen before would not be synchronised
    between processes once they are unfrozen.
    """

    def __init__(self, phases: list[Phase]):
        self.phases = phases

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **kwargs
    ) -> None:
        """Freeze and unfreeze for the epoch that begins."""
        unwrapped = getattr(model, "module", model)
        apply_phase(unwrapped, phase_of(self.phases, round(state.epoch or 0)))


def make_optimizer(model: PreTrainedModel, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """AdamW over all parameters that learn in any phase, in four groups: encoders and the rest, matrices, which
    decay, and vectors (biases, norms), which do not.

    Frozen parameters that a later phase unfreezes are in it from the start: AdamW passes over what has no gradient.
    """
    encoder_names = split_encoders(model)[1]
    frozen = always_frozen(recipe.phases)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not (frozen and name in encoder_names):
            groups.setdefault((name in encoder_names, parameter.dim() > 1), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr": recipe.encoder_learning_rate if is_encoder else recipe.learning_rate,
            "weight_decay": recipe.weight_decay if is_decayed else 0.0,
        }
        for (is_encoder, is_decayed), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, fused=True)
