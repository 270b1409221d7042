"""An architecture that is defined here is trained by a recipe, saved and loaded like those of the package."""

import importlib.util
import json
import sys
from dataclasses import field
from pathlib import Path

import pytest
import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForVideoClassification, AutoProcessor

from affecthub import architectures
from affecthub.architectures import architecture_named, architecture_names, register
from affecthub.modeling.configuration_recording import RecordingConfig
from affecthub.modeling.modalities import VIDEO
from affecthub.modeling.modeling_recording import RecordingForVideoClassification, RecordingModel
from affecthub.processing.processing_frame import FrameProcessor
from affecthub.training.from_recipe import modalities_of
from affecthub.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[2]


@strict
class MeanColourConfig(RecordingConfig):
    """A configuration whose only own field is a width."""

    model_type = "mean_colour"
    allowed_modalities = (VIDEO,)
    width: int = 4
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.0])

    @property
    def stream_size(self) -> int:
        """Width of a frame's vector."""
        return self.width


class MeanColourModel(RecordingModel):
    """The mean colour of each frame, projected."""

    config_class = MeanColourConfig
    _supports_sdpa = False
    encoder_prefixes = ()

    def build(self) -> None:
        self.projection = nn.Linear(3, self.config.width)

    def get_input_embeddings(self) -> nn.Module:
        return self.projection

    def encode_frames(self, pixel_values: Tensor, **requests) -> tuple[Tensor, dict]:
        return self.projection(pixel_values.mean(dim=(2, 3))).unsqueeze(1), {}


class MeanColourForVideoClassification(RecordingForVideoClassification):
    """Sees nothing but the mean colour of frames."""

    config_class = MeanColourConfig
    _supports_sdpa = False
    trunk_class = MeanColourModel
    encoder_prefixes = ()


CLASSES = (MeanColourConfig, MeanColourModel, MeanColourForVideoClassification, FrameProcessor)


@pytest.fixture
def own(monkeypatch):
    """It is registered for one test."""
    monkeypatch.setattr(architectures, "_registered", {})
    return register(*CLASSES)


def test_it_is_trained_saved_and_loaded_without_remote_code(own, sample_root, tmp_path, monkeypatch):
    assert architecture_named("mean_colour") == own == register(*CLASSES) and "mean_colour" in architecture_names()
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
    assert type(model) is MeanColourForVideoClassification and type(processor) is FrameProcessor
    assert model.config.width == 5 and len(model.config.id2label) == 7
    batch = processor(videos=[torch.zeros(2, 32, 32, 3, dtype=torch.uint8).numpy()])
    embeddings = AutoModel.from_pretrained(folder)(**batch).embeddings
    torch.testing.assert_close(model.head(embeddings), model(**batch).logits)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["results"]["test"]["emotion"]["rows"] == 16
    assert "Sees nothing but the mean colour of frames." in (folder / "README.md").read_text()


def test_a_module_that_registers_one_is_named_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(architectures, "_registered", {})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "toy_classes", sys.modules[__name__])
    source = "import toy_classes\nfrom affecthub.architectures import register\nregister(*toy_classes.CLASSES)\n"
    (tmp_path / "toy_registered.py").write_text(source)
    recipe = load_recipe("quickstart", "--model.architecture=toy_registered.mean_colour")
    assert modalities_of(recipe.model) == ["video"]
    with pytest.raises(ValueError, match="no architecture in toy_absent, which cannot be imported"):
        architecture_named("toy_absent.mean_colour")


def test_a_name_that_is_taken_and_one_that_is_none_are_refused(own):
    with pytest.raises(ValueError, match="FrameCnnConfig.model_type='frame_cnn': there is such an architecture"):
        register(architecture_named("frame_cnn").config_class, *CLASSES[1:])
    with pytest.raises(ValueError, match="'frame_cn'; did you mean frame_cnn. Architectures: .*mean_colour"):
        architecture_named("frame_cn")
