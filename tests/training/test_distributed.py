"""Launches of several processes: their configurations, how many really run, and that they learn what one learns."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from affecthub.training.launch import (
    ASKED,
    SHARDING,
    check_processes,
    describe_batches,
    global_batch,
    join_launch,
    scaled_rates,
)
from affecthub.training.recipe import TrainingRecipe
from affecthub.training.run import training_arguments

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "accelerate_configs").glob("*.yaml"))
LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--config_file")
EQUAL = (  # a batch norm and dropout would see each process's own rows
    "--model.architecture=trimodal_late_fusion",
    "--model.config={hidden_size: 16, classifier_hidden_size: 16, initializer_range: 0.1, dropout: 0}",
    *("--data.train_rows=48", "--data.validation_rows=16", "--data.test_rows=16", "--data.num_frames=2"),
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
    assert config.distributed_type == (DistributedType.NO if alone else DistributedType.MULTI_GPU)
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


@pytest.mark.parametrize("name", SHARDING)
def test_a_launch_that_would_save_a_part_of_the_model_is_refused(monkeypatch, name):
    monkeypatch.setenv(SHARDING[name], "true")
    with pytest.raises(ValueError, match=f"{name} is not supported: .*launch with accelerate_configs/ddp.yaml"):
        join_launch()


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
    assert {group["lr"] for group in trainer.optimizer.param_groups} == {2e-3, 2e-4}
    assert trainer.args.learning_rate == 2e-3


def test_the_encoders_attend_as_the_recipe_says(trainer_for, tiny):
    for attention, expected in (("eager", "eager"), ("sdpa", "sdpa"), ("auto", "sdpa")):
        trunk = trainer_for(tiny(f"--training.attention={attention}")).model.base_model
        found = {encoder.config._attn_implementation for encoder in (trunk.text_model, trunk.vision_model)}
        assert found == {expected}


def test_two_processes_learn_what_one_does(sample_root, tmp_path, monkeypatch):
    options = ("--recipe=quickstart", f"--data.root={sample_root}", *EQUAL)
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    command = (*LAUNCH, "accelerate_configs/cpu.yaml", "train.py", *options, "--training.batch_size=8")
    cache = str(tmp_path / "datasets")
    status, printed, complaints = launch(*command, f"--output_dir={tmp_path / 'two'}", HF_DATASETS_CACHE=cache)
    assert status == 0, complaints[-3000:]
    assert "2 process(es) on cpu" in printed and "global batch 16 = 2 process(es) x 8 rows x 1 acc" in printed
    assert printed.count("Load it:") == 1  # one process speaks for both

    spec = importlib.util.spec_from_file_location("train_script", ROOT / "train.py")
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    arguments = ["train.py", *options, "--training.batch_size=16", f"--output_dir={tmp_path / 'one'}"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    train.main()

    one, two = (json.loads((tmp_path / n / "model" / "metrics.json").read_text()) for n in ("one", "two"))
    assert (one["training"]["processes"], two["training"]["processes"]) == (1, 2)
    assert two["results"] == one["results"] and two["ablation"] == one["ablation"]
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-5, msg=name)
