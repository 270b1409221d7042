"""Folders of runs as train.py leaves them, of models that have learned nothing."""

import datasets
import pytest
import torch

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.insight.opened import open_run
from affecthub.training.from_recipe import build_model, build_processor, modalities_of, settled
from affecthub.training.recipe import load_recipe, write_recipe

from ..tiny_configs import tiny_overrides

SIZES = ("--data.train_rows=12", "--data.validation_rows=6", "--data.test_rows=6")
CORPUS = (*SIZES, "--inputs.num_frames=2", "--model.vision_config.image_size=32")
STUDY = ("--data=SampleGenex", "--data.seconds=6", "--data.crop_faces=false", "--inputs.frame_size=16")
FRAMES = ("--inputs.num_frames=2", "--inputs.physio_steps=3", "--split.accept=[target_from_inputs]")
RUNS = {
    "trimodal_ensemble": ("quickstart", *CORPUS),
    "dialogue": (
        *("quickstart", *CORPUS, "--model.architecture=dialogue", "--inputs.turns_before=2", "--inputs.turns_after=1"),
        "--model.config={hidden_size: 16, num_attention_heads: 2, dialogue_size: 8}",
    ),
    "frame_cnn": ("frame_cnn", *tiny_overrides("frame_cnn"), *STUDY),
    "physio_cross_attention": (
        *("physio_cross_attention", *tiny_overrides("physio_cross_attention"), *STUDY, *FRAMES),
    ),
}


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """A function: the folder of a run by its name in `RUNS`."""
    root = tmp_path_factory.mktemp("insight")
    made = {}

    def make(name):
        if name not in made:
            base, *options = RUNS[name]
            recipe = load_recipe(base, *options, f"--data.root={root / base.partition('_')[0]}")
            corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
            recipe = settled(recipe, corpus)
            processor = build_processor(recipe, corpus)
            torch.manual_seed(0)
            made[name] = root / "runs" / name
            build_model(recipe, corpus, processor).save_pretrained(made[name] / "model")
            processor.save_pretrained(made[name] / "model")
            write_recipe(recipe, made[name])
        return made[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(root / "cache"))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", root / "datasets")
        yield make


@pytest.fixture(scope="session")
def run_of(folder_of):
    """A function: a run of `RUNS`, opened."""
    return lambda name: open_run(folder_of(name))
