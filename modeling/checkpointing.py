"""Gradient checkpointing for layers that nothing learned precedes, and for stages with batch statistics."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


def asking_for_gradients(values: Tensor, module: nn.Module) -> Tensor:
    """`values`, or where `module` learns and they need no gradient, the same values that need one.

    Reentrant checkpointing (`use_reentrant=True`) passes gradients to parameters only if an input needs some.
    """
    if values.requires_grad or not any(parameter.requires_grad for parameter in module.parameters()):
        return values
    return values.detach().requires_grad_()


class CheckpointedLayer(GradientCheckpointingLayer):
    """A layer whose parameters learn under checkpointing even when what goes in is what the model was given."""

    def __call__(self, values: Tensor, *args) -> Any:
        """The layer on `values` and what else it takes."""
        if self.gradient_checkpointing and self.training:
            values = asking_for_gradients(values, self)
        return super().__call__(values, *args)


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Within it, the batch norms of `module` leave their running statistics as they are.

    By a momentum of 0: switching the statistics off would save other tensors than the first run did, and
    checkpointing refuses that.
    """
    before = [
        (part, part.momentum, part.num_batches_tracked, part.num_batches_tracked.clone())
        for part in module.modules()
        if isinstance(part, _BatchNorm) and part.num_batches_tracked is not None
    ]
    for norm, *_ in before:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, counter, batches in before:
            norm.momentum = momentum
            counter.copy_(batches)


def run_stages(
    model: PreTrainedModel,
    stages: Iterable[nn.Module],
    hidden: Tensor,
    output_hidden_states: bool = False,
    output_attentions: bool = False,
) -> tuple[Tensor, dict[str, tuple[Tensor, ...]]]:
    """Run convolutional stages one after the other.

    Each is checkpointed where transformers' `activation_checkpointing_enable` asked it of `model`: backward then runs
    it a second time, and only the first run moves the running statistics.

    Args:
        model: a trunk with an attribute `gradient_checkpointing`, which transformers sets.
        stages: its parts, which may hold batch norms.
        hidden: what the first of them takes.
        output_hidden_states: also return what every stage made.
        output_attentions: nothing attends here.

    Returns:
        what the last stage made, and the fields of the output that were asked for.
    """
    made = []
    for stage in stages:
        hidden = _run_stage(model, stage, hidden)
        made += [hidden] if output_hidden_states else []
    return hidden, {"vision_hidden_states": tuple(made)} if made else {}


def _run_stage(model: PreTrainedModel, stage: nn.Module, hidden: Tensor) -> Tensor:
    if not (model.gradient_checkpointing and model.training):
        return stage(hidden)
    runs = count()

    def run(values: Tensor) -> Tensor:
        with still_statistics(stage) if next(runs) else nullcontext():
            return stage(values)

    return model._gradient_checkpointing_func(run, asking_for_gradients(hidden, stage))
