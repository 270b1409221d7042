"""Launches of several processes: their configurations, how many really run, and that they learn what one learns."""

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from affecthub.training.launch import (
    ASKED,
    check_divisible,
    check_processes,
    check_sharding,
    describe_batches,
    global_batch,
    is_sharded,
    scaled_rates,
)
from affecthub.training.recipe import TrainingRecipe
from affecthub.training.trainer import training_arguments

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "accelerate_configs").glob("*.yaml"))
LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--config_file")
EQUAL = (  # a batch norm and dropout would see each process's own rows
    "--model.architecture=trimodal_late_fusion",
    "--model.config={hidden_size: 16, classifier_hidden_size: 16, initializer_range: 0.1, dropout: 0}",
    *("--data.train_rows=48", "--data.validation_rows=16", "--data.test_rows=16", "--inputs.num_frames=2"),
    *("--model.vision_config.image_size=32", "--training.epochs=2", "--training.precision=fp32"),
    *("--training.group_by_length=true", "--training.best_metric=loss"),
    "--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 1, encoder_layers: 1}]",
)


def launch(*command, **environment):
    """Exit status, stdout and stderr of a launch; one that takes too long is told to end its processes."""
    changes = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | changes, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            printed, complaints = process.communicate(timeout=240)
        finally:
            process.terminate()  # a launcher ends what it started; nothing happens where it has ended
    return process.returncode, printed, complaints


@pytest.mark.parametrize("path", [ROOT / "accelerate_config.yaml", *CONFIGS], ids=lambda path: path.stem)
def test_every_configuration_loads(path):
    config = load_config_from_file(str(path))
    alone = path.parent == ROOT
    assert config.num_processes == 1 if alone else config.num_processes > 1
    several = DistributedType.FSDP if path.stem == "fsdp" else DistributedType.MULTI_GPU
    assert config.distributed_type == (DistributedType.NO if alone else several)
    assert config.mixed_precision == "no"  # the recipe decides
    head = path.read_text(encoding="utf-8").split("compute_environment")[0]
    assert alone or (f"--config_file accelerate_configs/{path.name}" in head and "Edit: " in head)
    assert alone or path.name in (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")


def test_of_a_launch_that_starts_fewer_processes_than_asked_for_the_address_alone_tells():
    status, printed, _ = launch(*LAUNCH, "accelerate_config.yaml", "--num_processes=2", "--no_python", "env")
    exported = {line.partition("=")[0] for line in printed.splitlines()}
    assert status == 0 and "MASTER_ADDR" in exported and not exported & {*ASKED, "RANK", "LOCAL_RANK"}


def test_the_number_that_was_asked_for_is_the_number_that_runs(monkeypatch):
    for name in (*ASKED, "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    check_processes(1)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(ValueError, match="Several processes were asked for and 1 found"):
        check_processes(1)
    monkeypatch.setenv("WORLD_SIZE", "4")
    check_processes(4)
    with pytest.raises(ValueError, match="4 processes were asked for and 2 found each other: launch with a conf"):
        check_processes(2)


FSDP2 = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


@pytest.mark.parametrize(
    ("variables", "gpus", "refused"),
    [
        ({}, False, None),
        (FSDP2, True, None),
        (FSDP2, False, "FSDP needs GPUs: on CPUs,"),
        (FSDP2 | {"FSDP_VERSION": "1"}, True, r"version 2 alone \(fsdp_version: 2\)"),
        (FSDP2 | {"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, True, "fsdp_cpu_ram_efficient_loading is not"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, True, "DeepSpeed is not supported"),
    ],
)
def test_a_launch_that_would_divide_the_model_in_another_way_is_refused(monkeypatch, variables, gpus, refused):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpus)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{refused}.*; launch with acc") if refused else nullcontext():
        check_sharding()
    assert is_sharded() == ("FSDP_VERSION" in variables)


@pytest.mark.parametrize(("eval_only", "compiled"), [(False, False), (True, False), (False, True)])
def test_what_is_not_divided_is_refused(monkeypatch, eval_only, compiled):
    check_divisible(eval_only, compiled)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    refused = eval_only or compiled
    with pytest.raises(ValueError, match="(eval_only|compile): not under FSDP") if refused else nullcontext():
        check_divisible(eval_only, compiled)


@pytest.fixture
def arguments(tmp_path):
    """A function: the Trainer's arguments of a recipe, as in a launch of so many processes."""

    def make(recipe, processes):
        found = training_arguments(recipe, tmp_path, preloaded=True)
        found.__class__ = type("Launched", (type(found),), {"world_size": processes})
        return found

    return make


def test_rates_grow_with_the_global_batch_where_the_recipe_says_so(arguments):
    recipe = TrainingRecipe(
        batch_size=8, gradient_accumulation=2, learning_rate=0.01, encoder_learning_rate=0.001, precision="fp32"
    )
    launched = arguments(recipe, 4)
    assert global_batch(launched) == 64
    assert scaled_rates(recipe, 64) == recipe
    assert describe_batches(launched, recipe) == (
        "global batch 64 = 4 process(es) x 8 rows x 2 accumulated step(s); learning rate 0.01, of encoders 0.001"
    )
    scaled = scaled_rates(replace(recipe, scale_learning_rate=True), 64)
    assert (scaled.learning_rate, scaled.encoder_learning_rate) == pytest.approx((0.08, 0.008))
    assert describe_batches(launched, scaled).endswith("learning rate 0.08, of encoders 0.008, scaled by 8")


def test_scaled_rates_reach_the_optimizer(trainer_for, tiny):
    options = ("--training.learning_rate=1e-3", "--training.encoder_learning_rate=1e-4", "--training.batch_size=8")
    trainer = trainer_for(tiny(*options, "--training.gradient_accumulation=2", "--training.scale_learning_rate=true"))
    assert {group["lr"] for group in trainer.create_optimizer().param_groups} == {2e-3, 2e-4}
    assert trainer.args.learning_rate == 2e-3


def test_the_encoders_attend_as_the_recipe_says(trainer_for, tiny):
    for attention, expected in (("eager", "eager"), ("sdpa", "sdpa"), ("auto", "sdpa")):
        trunk = trainer_for(tiny(f"--training.attention={attention}")).model.base_model
        found = {encoder.config._attn_implementation for encoder in (trunk.text_model, trunk.vision_model)}
        assert found == {expected}


@pytest.fixture(scope="module")
def options(sample_root, tmp_path_factory):
    """Of train.py, for a run whose result does not depend on the number of processes; its caches are its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        yield "--recipe=quickstart", f"--data.root={sample_root}", *EQUAL


@pytest.fixture(scope="module")
def alone(options, tmp_path_factory):
    """The model folder of one process."""
    folder = tmp_path_factory.mktemp("one")
    spec = importlib.util.spec_from_file_location("train_script", ROOT / "train.py")
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *options, "--training.batch_size=16", f"--output_dir={folder}"])
        patch.setattr(torch.accelerator, "is_available", lambda: False)
        train.main()
    return folder / "model"


def figures_of(value, name=""):
    """Every figure of nested results, by where it stands; words with it, as they have to be the same."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: of for at, entry in entries for key, of in figures_of(entry, f"{name}/{at}").items()}
    return {name: value} if not isinstance(value, str) else {f"{name}={value}": 1}


def assert_equal(alone, folder):
    """The figures, the weights and the configuration of two processes are those of one."""
    one, two = (json.loads((path / "metrics.json").read_text()) for path in (alone, folder))
    assert (one["training"]["processes"], two["training"]["processes"]) == (1, 2)
    assert figures_of(two["results"]) == pytest.approx(figures_of(one["results"]), abs=1e-4)
    assert two["ablation"] == one["ablation"] and two["model"] == one["model"]
    expected, found = (load_file(path / "model.safetensors") for path in (alone, folder))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    assert (folder / "config.json").read_text() == (alone / "config.json").read_text()


def test_two_processes_learn_what_one_does(alone, options, tmp_path):
    command = (*LAUNCH, "accelerate_configs/cpu.yaml", "train.py", *options, "--training.batch_size=8")
    status, printed, complaints = launch(*command, f"--output_dir={tmp_path}")
    assert status == 0, complaints[-3000:]
    assert "2 process(es) on cpu, fp32" in printed
    assert "global batch 16 = 2 process(es) x 8 rows x 1 acc" in printed
    assert printed.count("Load it:") == 1  # one process speaks for both
    assert_equal(alone, tmp_path / "model")


def test_a_model_in_parts_learns_what_a_whole_one_does_also_when_resumed(alone, options, tmp_path):
    command = (*LAUNCH, "accelerate_configs/fsdp.yaml", "--num_processes=2", "tests/training/sharded_train.py")
    command += (*options, "--training.batch_size=8", f"--output_dir={tmp_path}")
    status, printed, complaints = launch(*command, INTERRUPT="true")
    assert status == 1 and "train.py: interrupted" in complaints, complaints[-3000:]
    assert "2 process(es) on cpu, a part of the model on each, fp32" in printed
    status, printed, complaints = launch(*command, "--resume")
    assert status == 0, complaints[-3000:]
    assert_equal(alone, tmp_path / "model")
