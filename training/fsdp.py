"""Training a model of which each process holds a part (FSDP2 of torch, launched by accelerate).

A part is gathered from all processes when its layer runs, so all processes have to run the same layers: each batch
holds every modality then, be it as a blank.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.distributed.fsdp import FSDPModule
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from affecthub.architectures import architecture_named
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.modalities import AUDIO, MODALITIES, PHYSIO, TEXT, VIDEO
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.phases import encoder_layers, split_encoders

if TYPE_CHECKING:
    from affecthub.training.trainer import AffectTrainer


def shard_by_layers(trainer: Trainer) -> None:
    """Have each layer of the encoders gathered by itself, and all the rest at once.

    The layers are named here, because CLIP's own list of what is not to be split has classes that its vision half
    lacks. And the parts stay as precise as the whole is elsewhere: autocast chooses what is computed in fewer bits.

    Raises:
        ValueError: an encoder of sound takes clips of different lengths one after another, and so runs more often in
            one process than in another, which would wait for ever.
    """
    model: Any = trainer.model
    if getattr(getattr(model.base_model, "audio_model", None), "leaks", False):
        kind = model.config.audio_config.model_type
        raise ValueError(
            f"model.audio_encoder: this {kind} encodes clips of different lengths one after another: not under FSDP; "
            "launch with another configuration."
        )
    encoders, plugin = split_encoders(model)[0], trainer.accelerator.state.fsdp_plugin
    assert plugin is not None
    names = {type(layer).__name__ for encoder in encoders for layer in encoder_layers(encoder)}
    plugin.transformer_cls_names_to_wrap, plugin.mixed_precision_policy = sorted(names), None
    trainer.add_callback(FrozenParts)


class FrozenParts(TrainerCallback):
    """Keeps processes and checkpoints alike where a parameter gets no gradient: of a batch, or of a whole phase."""

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: FSDPModule,
        optimizer: torch.optim.Optimizer,
        **kwargs,
    ) -> None:
        """Once the model is sharded, and a checkpoint loaded."""
        model.set_reduce_scatter_unused_params(True)  # zeros, where only other processes have a gradient
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter not in optimizer.state:  # which a resumed run would miss once it is no longer frozen
                    moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                    optimizer.state[parameter] = {"step": torch.zeros((), device=parameter.device), **moments}


def whole_model(trainer: "AffectTrainer") -> AffectPreTrainedModel:
    """The trainer's model, with all of its weights on the first process; every process has to ask for it."""
    if not trainer.is_fsdp_enabled:
        return trainer.model
    weights = trainer.accelerator.get_state_dict(trainer.model)  # of the first process; the others get none
    with torch.device("meta"):
        model = architecture_named(trainer.model.config.model_type).classifier_class(trainer.model.config)
    model.load_state_dict(weights, strict=bool(weights), assign=True)
    return model


def blank_sample(processor: OptionalPartsProcessor) -> dict[str, str | np.ndarray | None]:
    """The least that a processor takes of each of its modalities; None for the others."""
    blank = {
        TEXT: lambda: "",
        AUDIO: lambda: np.zeros(processor.part_for(AUDIO).sampling_rate // 4, np.float32),
        VIDEO: lambda: np.zeros((1, 32, 32, 3), np.uint8),
        PHYSIO: lambda: np.zeros((1, len(processor.part_for(PHYSIO).feature_names)), np.float32),
    }
    return {name: blank[name]() if name in processor.modalities else None for name in MODALITIES}
