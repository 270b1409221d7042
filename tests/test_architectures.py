"""The list of architectures: each has all that belongs to one, and the package's face knows it before it is loaded."""

import importlib
import subprocess
import sys

import pytest
import yaml

import affecthub
from affecthub import architectures, auto_classes
from affecthub.architectures import architecture_named, architecture_names, register
from affecthub.hub import card
from affecthub.inference.pipeline_affect import TASK
from affecthub.modeling.modalities import MODALITIES
from affecthub.training import recipe

from . import tiny_configs


def missing_parts(name):
    """What an architecture lacks that every one has to have, and where to add it."""
    recipes = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in recipe.RECIPES.glob("*.yaml")]
    checks = {
        f"{name} has no tiny configuration: add one to TINY_CONFIGS in tests/tiny_configs.py": (
            name in tiny_configs.TINY_CONFIGS
        ),
        f"{name} has no recipe: add recipes/{name}.yaml with `model: {{architecture: {name}}}`": any(
            each["model"]["architecture"] == name for each in recipes
        ),
        f"{name} has no card: run python model_cards/refresh.py {name}": (card.CARDS / f"{name}.md").is_file(),
    }
    return [message for message, there in checks.items() if not there]


@pytest.mark.parametrize("name", architecture_names())
def test_every_architecture_has_a_tiny_configuration_a_recipe_and_a_card(name):
    assert not missing_parts(name), "\n".join(missing_parts(name))


def test_the_tables_of_tests_hold_no_architecture_that_is_none():
    assert tiny_configs.TINY_CONFIGS.keys() == set(architecture_names())


@pytest.fixture
def own(monkeypatch):
    """An architecture of somebody's own, with nothing beside its classes."""
    monkeypatch.setattr(architectures, "_registered", {})
    vit = architecture_named("frame_vit")
    config_class = type("FrameVitConfig", (vit.config_class,), {"model_type": "own_vit"})
    return register(config_class, vit.model_class, vit.classifier_class, vit.processor_class).model_type


def test_what_a_new_architecture_lacks_is_said(own, tmp_path, monkeypatch):
    config, its_recipe, its_card = missing_parts(own)
    assert (
        "tests/tiny_configs.py" in config and "recipes/own_vit.yaml" in its_recipe and "refresh.py own_vit" in its_card
    )
    monkeypatch.setitem(tiny_configs.TINY_CONFIGS, own, {})
    assert missing_parts(own) == [its_recipe, its_card]
    (tmp_path / "own_vit.yaml").write_text("model: {architecture: own_vit}\n")
    monkeypatch.setattr(recipe, "RECIPES", tmp_path)
    assert missing_parts(own) == [its_card]
    (tmp_path / "own_vit.md").write_text("# A card\n")
    monkeypatch.setattr(card, "CARDS", tmp_path)
    assert missing_parts(own) == []


@pytest.mark.parametrize("name", architecture_names())
def test_the_classes_of_an_architecture_go_together(name):
    found = architecture_named(name)
    assert found.model_type == name and set(found.modalities) <= set(MODALITIES)
    assert found.model_class.config_class is found.classifier_class.config_class is found.config_class
    assert found.classifier_class.trunk_class is found.model_class
    assert set(found.modalities) <= set(found.processor_class.part_of)


def test_the_face_gives_every_name_and_no_other():
    assert {"TrimodalEnsembleConfig", "FrameCnnModel", "TrimodalProcessor", "LogMelFeatureExtractor"} <= set(
        affecthub.NAMES
    )
    for name, module in affecthub.NAMES.items():
        assert getattr(affecthub, name) is getattr(importlib.import_module(module), name)
        assert name in dir(affecthub)
    with pytest.raises(AttributeError, match="module 'affecthub' has no attribute 'FrameVti'"):
        affecthub.FrameVti  # noqa: B018


def fresh(code, *arguments):
    """The output of a process that begins with nothing imported."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        "import affecthub",
        "import affecthub; dir(affecthub); affecthub.architectures.architecture_names()",
        "from affecthub.hub import cli; cli.make_parser().format_help()",
        "from affecthub.hub import cli\ntry: cli.main(['predcit'])\nexcept SystemExit: pass",
        "from affecthub.hub import cli\ntry: cli.main(['--version'])\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_asked_for(code):
    assert fresh(code + "\nimport sys; print(sorted({'torch', 'transformers', 'av'} & set(sys.modules)))")[-1] == "[]"


def test_transformers_loads_nothing_of_ours_for_models_of_its_own():
    code = """
import affecthub, sys
from transformers import AutoConfig, AutoModel, AutoProcessor, CLIPVisionModel, Trainer, pipeline
config = AutoConfig.for_model("bert", vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1)
AutoModel.from_config(config)
print("affecthub.modeling" in sys.modules, "affecthub.inference" in sys.modules)
"""
    assert fresh(code) == ["False", "False"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved model and its processor, untrained."""
    folder = tmp_path_factory.mktemp("saved")
    found = architecture_named("trimodal_late_fusion")
    config = tiny_configs.tiny_config("trimodal_late_fusion", modalities=["audio", "video"])
    found.classifier_class(config).save_pretrained(folder)
    parts = affecthub.ClipFramesVideoProcessor(num_frames=2), affecthub.LogMelFeatureExtractor()
    found.processor_class(None, *parts).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("imports", "calls"),
    [
        ("affecthub, transformers", ["AutoProcessor", "AutoModel", "AutoModelForVideoClassification", "pipeline"]),
        ("transformers.pipelines, affecthub", ["pipeline", "AutoConfig", "AutoVideoProcessor"]),
        ("transformers.models.auto.modeling_auto, affecthub", ["AutoModelForVideoClassification", "AutoProcessor"]),
    ],
)
def test_a_bare_import_lets_the_auto_classes_find_a_folder(folder, imports, calls):
    code = f"""
import {imports}, sys
for name in {calls}:
    if name == "pipeline":
        found = transformers.pipeline("affect-recognition", model=sys.argv[1])
    else:
        found = getattr(transformers, name).from_pretrained(sys.argv[1])
    print(type(found).__module__.partition(".")[0])
"""
    assert fresh(code, folder) == ["affecthub"] * len(calls)


def test_the_task_is_the_pipelines():
    assert auto_classes.TASK == TASK


@pytest.mark.parametrize("name", ["affecthub", "run", "tests"])
def test_what_lies_at_the_root_is_no_part_of_the_package(name):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"affecthub.{name}")
