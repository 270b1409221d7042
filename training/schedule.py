"""How learning rates move over a run: each group of parameters by a schedule of its own."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import get_scheduler

from affecthub.training.phases import PEAK, START_EPOCH
from affecthub.training.recipe import BY_METRIC, WARM_RESTARTS, TrainingRecipe

FLOORS = ("min_lr", "eta_min", "lr_end")
"""What schedules call the rate that they end at."""


def make_schedule(optimizer: Optimizer, recipe: TrainingRecipe, steps: int, warmup: int) -> LRScheduler:
    """The recipe's schedule; each group of parameters goes through it from the epoch in which it learns first.

    Args:
        optimizer: of `phases.make_optimizer`.
        recipe: the values.
        steps: updates of the whole run.
        warmup: those of them that warm up what learns from the start; what learns later begins at its full rate.

    Raises:
        ValueError: a floor above a rate.
    """
    options = dict(recipe.scheduler_options)
    if recipe.scheduler in BY_METRIC:
        return get_scheduler(recipe.scheduler, optimizer, scheduler_specific_kwargs=options)
    if recipe.scheduler == WARM_RESTARTS:
        options["T_0"] = options.get("T_0", 10) * steps / recipe.epochs
    shares = []
    for group in optimizer.param_groups:
        start = round(group[START_EPOCH] * steps / recipe.epochs)
        warm, left = (0 if start else warmup), max(1, steps - start)
        shares.append(partial(_from, start, share_of_peak(recipe.scheduler, options, group[PEAK], warm, left)))
    return LambdaLR(optimizer, shares)


def share_of_peak(name: str, options: dict, peak: float, warmup: int, steps: int) -> Callable[[int], float]:
    """A schedule of one rate: updates done -> its share of the highest.

    transformers takes a floor for a share of the optimizer's default rate, and so of one rate for all groups: each
    rate gets an optimizer of its own here, of which it is the default.

    Args:
        name: of the schedule.
        options: its own.
        peak: the highest rate.
        warmup: updates up to it.
        steps: updates in all.

    Raises:
        ValueError: the floor is above the rate.
        TypeError: an option that the schedule does not have.
    """
    for floor in FLOORS:
        if options.get(floor, 0) > peak:
            raise ValueError(f"{floor}={options[floor]:g} is above a rate of {peak:g}: lower it, or raise the rate")
    if name == WARM_RESTARTS:
        return warm_restarts(peak, **options)
    schedule: Any = get_scheduler(name, SGD([torch.zeros(1)], lr=peak), warmup, steps, options)
    return schedule.lr_lambdas[0]


def warm_restarts(peak: float, T_0: float, T_mult: float = 1, eta_min: float = 0.0) -> Callable[[int], float]:
    """Cosine annealing whose cycles grow (Loshchilov & Hutter 2017, "SGDR"): updates done -> share of the rate.

    Args:
        peak: the highest rate.
        T_0: updates of the first cycle.
        T_mult: each further one is longer by this factor.
        eta_min: the rate at the end of a cycle.
    """
    floor = eta_min / peak

    def share(step: int) -> float:
        begin, length = 0.0, T_0
        while step >= begin + length:
            begin, length = begin + length, length * T_mult
        return floor + (1 - floor) * (1 + math.cos(math.pi * (step - begin) / length)) / 2

    return share


def check_schedule(recipe: TrainingRecipe, rates: Sequence[float]) -> None:
    """ValueError, before anything is trained, where a recipe's schedule cannot be made.

    Args:
        recipe: the values.
        rates: the highest of each group of parameters.
    """
    groups = [{"params": [torch.zeros(1)], "lr": rate, PEAK: rate, START_EPOCH: 0} for rate in rates]
    try:
        make_schedule(SGD(groups), recipe, steps=recipe.epochs, warmup=0)
    except (TypeError, ValueError) as error:
        values = f"scheduler={recipe.scheduler} with scheduler_options={recipe.scheduler_options}"
        raise ValueError(f"training.{values}: {error}.") from error


def _from(start: int, share: Callable[[int], float], step: int) -> float:
    """The share of the highest rate for what begins to learn at an update; before it, all of it."""
    return share(max(0, step - start))
