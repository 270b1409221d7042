"""The architecture that docs/extending.md shows is trained by a recipe, saved and loaded like those of the package."""

import importlib.util
import json
import sys

import pytest
import torch
from transformers import AutoModel, AutoModelForVideoClassification, AutoProcessor

from affecthub import architectures
from affecthub.architectures import architecture_named, architecture_names, register
from affecthub.training.from_recipe import modalities_of
from affecthub.training.recipe import load_recipe

from ..pages import EXTENDING, ROOT, fences


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The module that the page shows, as it can be imported."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mean_colour.py").write_text(fences(EXTENDING)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(architectures, "_registered", {})
        yield importlib.import_module("mean_colour")
    del sys.modules["mean_colour"]


@pytest.fixture
def classes(page):
    """What it registers."""
    names = ("MeanColourConfig", "MeanColourModel", "MeanColourForVideoClassification", "FrameProcessor")
    return [getattr(page, name) for name in names]


@pytest.fixture
def own(monkeypatch, classes):
    """It is registered for one test."""
    monkeypatch.setattr(architectures, "_registered", {})
    return register(*classes)


def test_it_is_trained_saved_and_loaded_without_remote_code(own, classes, sample_root, tmp_path, monkeypatch):
    assert architecture_named("mean_colour") == own == register(*classes) and "mean_colour" in architecture_names()
    sizes = ("--data.train_rows=48", "--data.validation_rows=16", "--data.test_rows=16", "--inputs.num_frames=2")
    (tmp_path / "mine.yaml").write_text("name: mine\nmodel: {architecture: mean_colour, config: {width: 5}}\n")
    arguments = (f"--data.root={sample_root}", *sizes, "--inputs.frame_size=32", "--training.epochs=1")
    command = [
        f"--recipe={tmp_path / 'mine.yaml'}",
        *arguments,
        "--training.num_workers=0",
        "--split.accept=[same_recording]",
    ]
    monkeypatch.setattr(sys, "argv", ["train.py", *command, f"--output_dir={tmp_path / 'run'}"])
    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    train.main()
    folder = tmp_path / "run" / "model"
    model = AutoModelForVideoClassification.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    assert [type(model), type(processor)] == classes[2:]
    assert model.config.width == 5 and len(model.config.id2label) == 7
    batch = processor(videos=[torch.zeros(2, 32, 32, 3, dtype=torch.uint8).numpy()])
    embeddings = AutoModel.from_pretrained(folder)(**batch).embeddings
    torch.testing.assert_close(model.head(embeddings), model(**batch).logits)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["results"]["test"]["emotion"]["rows"] == 16
    assert "Sees nothing but the mean colour of frames." in (folder / "README.md").read_text()


def test_a_module_that_registers_one_is_named_on_the_command_line(page, monkeypatch):
    monkeypatch.setattr(architectures, "_registered", {})
    monkeypatch.delitem(sys.modules, "mean_colour")
    recipe = load_recipe("quickstart", "--model.architecture=mean_colour.mean_colour")
    assert modalities_of(recipe.model) == ["video"]
    with pytest.raises(ValueError, match="no architecture in toy_absent, which cannot be imported"):
        architecture_named("toy_absent.mean_colour")


def test_a_name_that_is_taken_and_one_that_is_none_are_refused(own, classes):
    with pytest.raises(ValueError, match="FrameCnnConfig.model_type='frame_cnn': there is such an architecture"):
        register(architecture_named("frame_cnn").config_class, *classes[1:])
    with pytest.raises(ValueError, match="'frame_cn'; did you mean frame_cnn. Architectures: .*mean_colour"):
        architecture_named("frame_cn")
