"""What all models share: saving, frozen parts, which sample holds which modality, and the tasks with their losses."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import can_return_tuple
from transformers.utils.output_capturing import maybe_install_capturing_hooks

from .configuration_base import AffectConfig
from .encoders import keep_frozen_in_eval
from .heads import classification_loss
from .modalities import MAIN_INPUTS, drop_modalities


class Requests(TypedDict, total=False):
    """What may be asked of a trunk's `forward`, or of the configuration, beside what is documented there."""

    output_attentions: bool
    output_hidden_states: bool


REQUESTS = tuple(Requests.__annotations__)


def on_request(forward: Callable) -> Callable:
    """Let a trunk's `forward` take `REQUESTS` and `return_dict` as transformers' own models do.

    Each is what was passed, else what the configuration says; `forward` gets both requests.

    Raises, when the trunk is called:
        TypeError: an argument that `forward` does not name.
        ValueError: attentions of an implementation that does not have them.
    """
    named = {*inspect.signature(forward).parameters, *REQUESTS}

    @can_return_tuple
    @wraps(forward)
    def wrapper(self: "AffectPreTrainedModel", *args, **kwargs):
        if unknown := [name for name, value in kwargs.items() if name not in named and value is not None]:
            raise TypeError(f"{type(self).__name__}.forward() got unexpected arguments {unknown}.")
        for name in REQUESTS:
            if kwargs.get(name) is None:
                kwargs[name] = getattr(self.config, name)
        if kwargs["output_attentions"]:
            self.refuse_hidden_attentions()
        if self._can_record_outputs and any(kwargs[name] for name in REQUESTS):
            maybe_install_capturing_hooks(self)  # before an encoder does so for itself: its hooks would be there twice
        return forward(self, *args, **kwargs)

    return wrapper


class AffectPreTrainedModel(PreTrainedModel):
    """Base of every trunk and classifier."""

    _auto_class = "AutoModel"  # saving copies the code, for those who do not have this package
    config: AffectConfig
    config_class: type[AffectConfig] = AffectConfig
    input_modalities: tuple[str, ...]
    base_model: PreTrainedModel
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _supports_sdpa = True
    main_inputs = MAIN_INPUTS
    """The forward argument that carries each modality."""

    takes_vectors = False
    """Of a trunk: whether what its encoders gave, one vector a sample, may be passed instead of what they take."""

    trunk_class: type | None = None
    """Of a classifier: the class of its trunk."""

    encoder_prefixes: tuple[str, ...] = ()
    """Parameters below these names belong to pretrained encoders; phases freeze and unfreeze by them."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.input_modalities = cls.config_class.allowed_modalities

    def __init__(self, config: AffectConfig):
        super().__init__(config)
        self.input_modalities = tuple(config.modalities)
        self.main_input_name = self.main_inputs[config.modalities[0]]

    @property
    def base_model_class(self) -> type:
        """The trunk's class, for `AutoModel`."""
        return self.trunk_class or type(self)

    def post_init(self) -> None:
        """As in transformers, but of what is not to be split all layers are named, and only what the model has.

        Some of transformers' encoders leave theirs out, and FSDP insists that what is named is there.
        """
        super().post_init()
        layers = {type(part).__name__ for part in self.modules() if isinstance(part, GradientCheckpointingLayer)}
        parts = {type(part).__name__ for part in self.modules()}
        self._no_split_modules = layers | parts.intersection(self._no_split_modules or ())

    def train(self, mode: bool = True) -> "AffectPreTrainedModel":
        """As in torch, but parts that are frozen stay in eval mode."""
        super().train(mode)
        if mode:
            keep_frozen_in_eval(self)
        return self

    def save_pretrained(self, save_directory: str | Path, *, save_original_format: bool = False, **kwargs) -> None:
        """As in transformers, with two differences.

        The folder's remote code also serves plain `AutoModel`, whatever class was saved. And weights keep the names
        that they have here: under the older names that transformers gives a ViT's by default, the Trainer, which
        renames nothing, would find none of them when it loads a checkpoint or the best epoch, and only warn.
        """
        if self._auto_class is not None:
            trunk = self.base_model_class
            own = {"AutoModel": f"{trunk.__module__.rpartition('.')[2]}.{trunk.__name__}"}
            self.config.auto_map = {**own, **(getattr(self.config, "auto_map", None) or {})}
        super().save_pretrained(save_directory, save_original_format=save_original_format, **kwargs)

    def presence_matrix(self, present: dict[str, Tensor]) -> Tensor:
        """Presence, bool (batch, modalities of the configuration), after modality dropout in training.

        Args:
            present: of each modality that was passed the samples that hold it, bool (batch,).

        Raises:
            ValueError: a modality that the model has no encoder for, or a sample without any modality.
        """
        if extra := [name for name in present if name not in self.config.modalities]:
            raise ValueError(
                f"{[self.main_inputs[name] for name in extra]} passed to a model with modalities "
                f"{self.config.modalities}."
            )
        if not present:
            raise ValueError(
                f"No input: pass one or more of {[self.main_inputs[name] for name in self.config.modalities]}."
            )
        absent = torch.zeros_like(next(iter(present.values())))
        presence = torch.stack([present.get(name, absent) for name in self.config.modalities], dim=1)
        if not torch.compiler.is_compiling() and not bool(presence.any(dim=1).all()):
            empty = (~presence.any(dim=1)).nonzero().flatten().tolist()
            raise ValueError(f"Samples {empty} of the batch have no modality at all: leave them out.")
        if self.training and self.config.modality_dropout:
            presence = drop_modalities(presence, self.config.modality_dropout)
        return presence

    def refuse_hidden_attentions(self) -> None:
        """ValueError where something attends in a way that gives no attentions, as SDPA does."""
        configs = [self.config, *(getattr(self.config, name) for name in self.config.sub_configs)]
        found = {config._attn_implementation for config in configs if config is not None} - {"eager"}
        if found:
            raise ValueError(
                f"output_attentions=True with attn_implementation={found.pop()!r}, which gives none: call "
                "model.set_attn_implementation('eager') before."
            )

    def to_record(self, output_attentions: bool = False, output_hidden_states: bool = False) -> dict[str, bool]:
        """Arguments of a method under `capture_outputs` that ask for what `_can_record_outputs` names."""
        requests = {
            f"output_{field}": output_hidden_states if field.endswith("hidden_states") else output_attentions
            for field in self._can_record_outputs or ()
        }
        return {"output_attentions": output_attentions, "return_dict": True, **requests}

    def by_task(self, outputs: Tensor) -> dict[str, Tensor]:
        """Outputs (..., outputs) of a classifier's last layer -> logits (..., labels) by task, the main one first."""
        tasks = self.config.tasks
        parts = outputs.split([len(task.labels) for task in tasks], dim=-1)
        return {task.name: part for task, part in zip(tasks, parts, strict=True)}

    def answers(
        self, outputs: Tensor, labels: Tensor | dict[str, Tensor] | None, sample_weights: Tensor | None
    ) -> dict[str, Any]:
        """The fields of an output that every classifier has: loss, logits and task_logits.

        Args:
            outputs (batch, outputs): of the last layer.
            labels, sample_weights: as the classifiers' `forward`.
        """
        logits = self.by_task(outputs)
        return {
            "loss": None if labels is None else self.loss_of(logits, labels, sample_weights),
            "logits": logits[self.config.task],
            "task_logits": logits if len(logits) > 1 else None,
        }

    def loss_of(
        self, logits: dict[str, Tensor], labels: Tensor | dict[str, Tensor], sample_weights: Tensor | None
    ) -> Tensor | None:
        """The weighted sum of the losses of the tasks whose labels were passed; None where there are none.

        Raises:
            ValueError: labels that belong to no task, or that do not say to which.
        """
        config, names = self.config, list(logits)
        if isinstance(labels, Tensor):
            if len(names) > 1:
                raise ValueError(f"labels: pass a dictionary by task, of one or more of {names}.")
            labels = {config.task: labels}
        if foreign := [name for name in labels if name not in names]:
            raise ValueError(f"labels of {foreign} passed to a model whose tasks are {names}.")
        main = {name: getattr(config, name) for name in ("class_weights", "pos_weight", "focal_gamma")}
        terms = []
        for task in config.tasks:
            if labels.get(task.name) is not None:
                loss = classification_loss(
                    logits[task.name],
                    labels[task.name],
                    task.problem_type,
                    sample_weights=sample_weights,
                    **(main if task.name == config.task else {}),
                )
                terms.append(task.weight * loss)
        return sum(terms[1:], terms[0]) if terms else None
