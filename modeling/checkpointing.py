"""Gradient checkpointing for convolutional stages, whose batch statistics must not be counted twice."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Within it, the batch norms of `module` leave their running statistics as they are.

    By a momentum of 0: switching the statistics off would save other tensors than the first run did, and
    checkpointing refuses that.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)


class CheckpointedStage(nn.Module):
    """Runs a stage, checkpointed where transformers' `activation_checkpointing_enable` asked for it.

    It has no parameters, so a stage keeps the names of its own. Backward runs the stage a second time; only the first
    run moves the running statistics.
    """

    gradient_checkpointing = False  # transformers sets this, and `_gradient_checkpointing_func` with it

    def forward(self, stage: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        """`stage(hidden)`."""
        if not (self.gradient_checkpointing and self.training):
            return stage(hidden)
        runs = count()

        def run(values: torch.Tensor) -> torch.Tensor:
            with still_statistics(stage) if next(runs) else nullcontext():
                return stage(values)

        return self._gradient_checkpointing_func(run, hidden)
