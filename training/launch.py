"""A launch: how many processes really run, and what that makes of batches and learning rates."""

import os
from dataclasses import replace
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import get_int_from_env, parse_flag_from_env
from transformers import TrainingArguments

from affecthub.media.processes import end_with_launch
from affecthub.training.recipe import TrainingRecipe

ASKED = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where torchrun, accelerate and MPI leave how many processes they started."""

LONGEST_WAIT = timedelta(hours=2)
"""For the other processes of a launch, one of which may be preparing a data set; then the run fails."""


def runs_on_cpu() -> bool:
    """Whether there is no accelerator, so that several processes have to be told to talk through the CPU."""
    return not torch.accelerator.is_available()


def join_launch() -> PartialState:
    """Meet the other processes of a launch.

    Raises:
        ValueError: another number of processes runs than was asked for, or the model is to be divided in a way that
            is not supported.
    """
    end_with_launch()
    check_sharding()
    state = PartialState(cpu=runs_on_cpu(), timeout=LONGEST_WAIT)
    check_processes(state.num_processes)
    return state


def is_sharded() -> bool:
    """Whether the launch leaves each process a part of the model (FSDP)."""
    return parse_flag_from_env("ACCELERATE_USE_FSDP")


def check_sharding() -> None:
    """ValueError when the launch divides the model in another way than accelerate_configs/fsdp.yaml does."""
    wrong = ""
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        wrong = "DeepSpeed is not supported"
    elif is_sharded() and runs_on_cpu():
        wrong = "FSDP needs GPUs: on CPUs, accelerate would leave every process the whole model and not say so"
    elif is_sharded() and os.environ.get("FSDP_VERSION") != "2":
        wrong = "FSDP is supported in its version 2 alone (fsdp_version: 2)"
    elif is_sharded() and parse_flag_from_env("FSDP_CPU_RAM_EFFICIENT_LOADING"):
        wrong = "fsdp_cpu_ram_efficient_loading is not supported: the first process alone would have the weights"
    if wrong:
        raise ValueError(f"{wrong}; launch with accelerate_configs/fsdp.yaml, or ddp.yaml (cpu.yaml on CPUs).")


def check_divisible(eval_only: bool, compiled: bool) -> None:
    """ValueError when a launch divides the model of a run that nothing is trained in, or that torch compiles."""
    if is_sharded() and (eval_only or compiled):
        option = "--eval_only" if eval_only else "training.compile"
        raise ValueError(f"{option}: not under FSDP; leave it out, or launch with accelerate_config.yaml.")


def check_processes(running: int) -> None:
    """ValueError when another number of processes runs than the environment says was asked for.

    `accelerate launch --num_processes 2` starts a single one where neither its configuration nor its options name a
    distributed type that it can start; all that tells is the address at which the processes were to meet.

    Args:
        running: processes that found each other.
    """
    asked = get_int_from_env(ASKED, 0)
    several = not asked and running == 1 and "MASTER_ADDR" in os.environ
    if several or asked not in (0, running):
        raise ValueError(
            f"{asked or 'Several'} processes were asked for and {running} found each other: launch with a "
            "configuration that starts them, accelerate_configs/ddp.yaml for GPUs or accelerate_configs/cpu.yaml; "
            "--num_processes says how many."
        )


def global_batch(arguments: TrainingArguments) -> int:
    """Rows whose gradients make one update, over all processes and accumulated steps."""
    return arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size


def scaled_rates(recipe: TrainingRecipe, batch: int) -> TrainingRecipe:
    """The recipe with its learning rates multiplied by `batch / batch_size`, where it says so (Goyal et al. 2017).

    Args:
        recipe: the values.
        batch: rows an update, as `global_batch` gives them.
    """
    if not recipe.scale_learning_rate:
        return recipe
    factor = batch / recipe.batch_size
    rates = {name: getattr(recipe, name) * factor for name in ("learning_rate", "encoder_learning_rate")}
    return replace(recipe, **rates)


def describe_batches(arguments: TrainingArguments, recipe: TrainingRecipe) -> str:
    """Processes, batches and learning rates of a run.

    Args:
        arguments: of its Trainer.
        recipe: with the rates that it learns by, as `scaled_rates` gives them.
    """
    processes = arguments.world_size
    batch = global_batch(arguments)
    scaled = f", scaled by {batch / recipe.batch_size:g}" if recipe.scale_learning_rate else ""
    return (
        f"global batch {batch} = {processes} process(es) x {arguments.train_batch_size} rows "
        f"x {arguments.gradient_accumulation_steps} accumulated step(s); "
        f"learning rate {recipe.learning_rate:g}, of encoders {recipe.encoder_learning_rate:g}{scaled}"
    )
