"""A broken model folder is refused in one sentence, by the command line and before it is published."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from affecthub.hub.model_folder import write_check
from affecthub.hub.publish import check_model
from affecthub.inference.model_check import CHECK_FILE, REMEDY, check_loaded
from affecthub.inference.predict import load_pipeline

from ..hub.tiny import write_folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "model"
    write_folder(folder, "unimodal_baseline", ["text"])
    write_check(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def change(name, **values):
    def edit(folder):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(content | values), encoding="utf-8")

    return edit


def weights(kind):
    def edit(folder):
        tensors = load_file(folder / "model.safetensors")
        name = next(name for name in tensors if name.endswith("weight"))
        if kind == "lost":
            del tensors[name]
        else:
            tensors[name].view(-1)[0] = float("nan") if kind == "nan" else 7.0
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        if kind != "changed":  # as if it had been saved so
            (folder / CHECK_FILE).unlink()

    return edit


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:100])


def without(name):
    return lambda folder: (folder / name).unlink()


BROKEN = {
    "cut weights": (cut("model.safetensors"), "model.safetensors is broken"),
    "weights of another save": (weights("changed"), "model.safetensors is not the file that was saved"),
    "NaN": (weights("nan"), r"hold NaN or infinity \("),
    "no tokenizer": (without("tokenizer.json"), "tokenizer.json: no such file"),
    "no weights": (without("model.safetensors"), "model.safetensors: no such file"),
    "half a configuration": (cut("config.json"), "config.json is no JSON object"),
    "a size that does not fit": (change("config.json", hidden_size=7), "config.json"),
    "a type that does not fit": (change("config.json", hidden_size="x"), "config.json"),
    "another kind of processor": (change("processor_config.json", turns_before=["x"]), "processor_config.json"),
    "another pooling": (change("config.json", layer_norm_eps=9.0, pooling="cls"), "config.json|does not answer"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_neither_answers_nor_is_published(case, folder):
    edit, said = BROKEN[case]
    edit(folder)
    for ask in (check_model, lambda path: load_pipeline(str(path))):
        with pytest.raises((ValueError, OSError), match=said) as caught:
            ask(folder)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_lost_tensor_is_named_before_it_is_made_up(folder):
    weights("lost")(folder)
    with pytest.raises(ValueError, match=f"model.safetensors lacks 1 of .* made up: {REMEDY}"):
        check_model(folder)


def test_a_whole_folder_states_its_files_and_what_it_says(whole):
    stated = json.loads((whole / CHECK_FILE).read_text(encoding="utf-8"))
    assert stated["files"].keys() == {"model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert len(stated["example"]["logits"]) == 7 and 0 < stated["example"]["tolerance"] < 0.1
    check_model(whole)
    assert load_pipeline(str(whole))("hello")["label"]


def test_the_pipeline_itself_looks_at_weights(whole):
    pipe = load_pipeline(str(whole))
    with torch.no_grad():
        next(pipe.model.parameters()).view(-1)[0] = np.inf
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        check_loaded(pipe.model)
