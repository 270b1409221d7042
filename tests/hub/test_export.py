"""Models as ONNX: every architecture answers as in PyTorch, and a folder that carries an export is held to it."""

import importlib.util
import itertools
import shutil
from importlib.metadata import requires
from types import SimpleNamespace

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForVideoClassification, pipeline

from affecthub.architectures import PROCESSORS
from affecthub.hub import cli, export
from affecthub.hub.export import export_onnx, write_graph
from affecthub.hub.model_folder import write_check
from affecthub.hub.publish import model_files
from affecthub.inference.model_check import CHECK_FILE
from affecthub.inference.onnx_model import NEW, ONNX_FILES, OnnxModel
from affecthub.inference.predict import load_pipeline

from ..modeling.conftest import CONFIGS, batch_of, in_turns
from .conftest import write_model_folder

EXPORTED = [name for name in CONFIGS if name in PROCESSORS or name.startswith("unimodal")]

LAYERS = ("num_hidden_layers", "num_temporal_layers", "num_fusion_layers", "wavenet_layers")
"""Of which one is enough here: what takes time is to translate each."""

SHORTER = {"text": 5, "input_features": 7, "input_values": 16, "video": 1, "physio": 1}
"""Modality -> steps of the shorter batch."""


def by_modality(config):
    """Modality -> inputs of a batch with padding, and of a shorter one; as the exporter takes them."""
    audio = "input_values" if config.model_type == "audio_visual_fusion" else "input_features"
    long, short = {}, {}
    for name in config.modalities:
        steps = SHORTER[audio if name == "audio" else name]
        long[name] = batch_of([name], audio=audio)
        short[name] = {key: v[:, :steps] if v.dim() > 1 else v for key, v in long[name].items()}
    if config.model_type == "dialogue":
        return tuple({name: in_turns(part) for name, part in batch.items()} for batch in (long, short))
    return long, short


@pytest.mark.parametrize("name", EXPORTED)
def test_every_architecture_answers_as_in_pytorch(name, tmp_path):
    config = CONFIGS[name]()
    for part in (config, *(getattr(config, encoder) for encoder in config.sub_configs)):
        for layers in LAYERS:
            if hasattr(part, layers):
                setattr(part, layers, 1)
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_config(config).eval()
    long, short = by_modality(config)
    write_graph(tmp_path / "model.onnx", model, long, short, weights={})
    exported = OnnxModel(tmp_path / "model.onnx", config, "here")
    several = len(config.modalities) > 1
    for batch, size in ((long, 3), (short, 1)):
        for held in itertools.chain(*(itertools.combinations(batch, n) for n in range(1, len(batch) + 1))):
            inputs = {key: value[:size] for name in held for key, value in batch[name].items()}
            if len(held) > 1:  # sample 0 lacks the first of them, and so on
                for row, modality in enumerate(held[:size]):
                    inputs[f"{modality}_present"] = inputs[f"{modality}_present"].clone()
                    inputs[f"{modality}_present"][row] = 0
            with torch.no_grad():
                expected = model(**inputs, output_modality_logits=several)
            found = exported(**inputs, output_modality_logits=several)
            assert found.keys() == expected.keys()
            for field, values in expected.items():
                torch.testing.assert_close(found[field], values, rtol=1e-4, atol=1e-4)


def test_a_frame_is_encoded_once_while_it_is_seen(tmp_path, monkeypatch):
    config = CONFIGS["unimodal_video"]()
    config.vision_config.num_hidden_layers = 1
    model = AutoModelForVideoClassification.from_config(config).eval()
    write_graph(tmp_path / "model.onnx", model, *by_modality(config), weights={})
    graph, encoded = OnnxModel(tmp_path / "model.onnx", config, "here"), []
    run = graph.session.run
    monkeypatch.setattr(
        graph,
        "session",
        SimpleNamespace(run=lambda names, feeds: (encoded.append(len(feeds[NEW])), run(names, feeds))[1]),
    )
    frames = torch.randn(5, 3, 16, 16)
    for part in (frames[:3], frames[1:4], frames[1:4], frames[[4, 4, 3]], torch.cat([frames[3:4], frames[:2]])):
        inputs = {"pixel_values_videos": part[None], "video_attention_mask": torch.ones(1, len(part)).long()}
        inputs |= {"video_present": torch.ones(1).long()}
        with torch.no_grad():
            torch.testing.assert_close(graph(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-4)
    assert encoded == [3, 1, 1, 1, 2]  # of the third call the first anew, as no graph encodes none


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model folder, and what the command line made in it."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    write_model_folder(folder, "unimodal_baseline", ["text"])
    write_check(folder)
    assert cli.main(["export", str(folder), "--to", "onnx", "--int8"]) == 2  # so small a model has nothing to save
    assert not [*(folder / "onnx").iterdir()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "SMALLEST", 1)
        assert cli.main(["export", str(folder), "--to", "onnx", "--int8"]) == 0
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    """The same, to be changed at will."""
    return shutil.copytree(exported, tmp_path / "model")


def test_the_pipeline_and_the_endpoint_answer_by_it(exported, monkeypatch):
    expected = load_pipeline(str(exported))("hello world")
    handler = importlib.util.spec_from_file_location("handler", exported / "handler.py")
    module = importlib.util.module_from_spec(handler)
    handler.loader.exec_module(module)
    monkeypatch.setenv("AFFECTHUB_BACKEND", "onnx")
    served = module.EndpointHandler(str(exported))
    assert type(served.pipeline.model).__name__ == "OnnxModel"
    for answer in (
        load_pipeline(str(exported), backend="onnx")("hello world"),
        pipeline(model=str(exported), trust_remote_code=True, backend="onnx")("hello world"),
        served({"inputs": "hello world"}),
    ):
        assert answer.pop("scores") == pytest.approx(expected["scores"], abs=1e-5)
        assert answer == {key: value for key, value in expected.items() if key != "scores"}
    small = load_pipeline(str(exported), backend="onnx-int8")("hello world")["scores"]
    assert small == pytest.approx(expected["scores"], abs=0.02) and small != expected["scores"]


def test_a_published_folder_carries_it(exported, folder):
    files = model_files(exported, "owner/name")
    assert set(ONNX_FILES.values()) < files.keys()
    needed = (exported / "requirements.txt").read_text().splitlines()
    (torch_bound,) = [line for line in requires("affecthub") if line.startswith("torch<") and "extra" not in line]
    assert torch_bound in needed and [line for line in needed if line.startswith("onnxruntime")]  # not the exporter's
    (folder / "onnx" / "notes.json").write_text("{}")
    with pytest.raises(ValueError, match="holds onnx/notes.json, no part of a model"):
        model_files(folder, "owner/name")


def test_a_second_export_replaces_the_first_or_leaves_it_whole(folder, monkeypatch):
    before = {name: (folder / name).read_bytes() for name in (*ONNX_FILES.values(), CHECK_FILE)}

    def fail(*arguments):
        raise ValueError("answers otherwise")

    with monkeypatch.context() as patch:
        patch.setattr(export, "check_graph", fail)
        with pytest.raises(ValueError, match="answers otherwise"):
            export_onnx(folder)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert sorted(path.name for path in (folder / "onnx").iterdir()) == ["model.onnx", "model_int8.onnx"]
    (folder / ONNX_FILES["onnx"]).write_bytes(b"broken")
    export_onnx(folder)
    assert load_pipeline(str(folder), backend="onnx")("hello")["label"]


def cut(folder):
    path = folder / ONNX_FILES["onnx"]
    path.write_bytes(path.read_bytes()[:-1000])


def cut_without_digest(folder):
    cut(folder)
    (folder / CHECK_FILE).unlink()


def other_weights(folder):
    tensors = load_file(folder / "model.safetensors")
    save_file({name: values + 1 for name, values in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    (folder / CHECK_FILE).unlink()


def foreign_graph(folder):
    graph = onnx.load(folder / ONNX_FILES["onnx"])
    del graph.metadata_props[:]
    onnx.save(graph, folder / ONNX_FILES["onnx"])
    (folder / CHECK_FILE).unlink()


def other_notes(folder):
    """What the graph says of itself is no JSON."""
    graph = onnx.load(folder / ONNX_FILES["onnx"])
    graph.metadata_props[0].value = '{"weights": '
    onnx.save(graph, folder / ONNX_FILES["onnx"])
    (folder / CHECK_FILE).unlink()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (cut, "model.onnx is not the file that was exported"),
        (cut_without_digest, "model.onnx is broken"),
        (other_weights, "model.onnx was exported from other weights than the model's; make it by `affecthub export"),
        (foreign_graph, "model.onnx: no graph that this package exported"),
        (other_notes, "model.onnx: no graph that this package exported"),
        (lambda folder: shutil.rmtree(folder / "onnx"), "carries no onnx/model.onnx; make it by `affecthub export"),
    ],
)
def test_a_broken_export_is_refused(edit, said, folder, capsys):
    edit(folder)
    assert cli.main(["predict", "--text", "hello", "--model", str(folder), "--backend", "onnx"]) == cli.BAD_INPUT
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def other_code(folder):
    path = folder / "modeling_trimodal.py"
    path.write_text(path.read_text() + "\nSCALE = 2\n")


@pytest.mark.parametrize(
    ("edit", "options", "said"),
    [
        (other_code, [], "modeling_trimodal.py is other code than this version's of affecthub"),
        (lambda folder: None, ["--opset", "12"], "opset 12 is too old: 18 to 23 are written"),
        (lambda folder: (folder / "config.json").unlink(), [], "config.json: no such file"),
        (shutil.rmtree, [], "no such folder"),
    ],
)
def test_what_cannot_be_exported_is_refused(edit, options, said, folder, capsys):
    edit(folder)
    assert cli.main(["export", str(folder), "--to", "onnx", *options]) == cli.BAD_INPUT
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_without_the_libraries_it_says_how_to_get_them(exported, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *of: None if "onnx" in name else find(name, *of))
    for attempt in (lambda: export_onnx(exported), lambda: load_pipeline(str(exported), backend="onnx")):
        with pytest.raises(ImportError, match=r'onnxruntime.* not installed: pip install "affecthub\[onnx\]"'):
            attempt()


def test_half_a_modality_is_no_input(exported):
    config = load_pipeline(str(exported)).model.config
    model = OnnxModel.from_pretrained(exported, config)
    with pytest.raises(ValueError, match="No input: pass one or more of the modalities"):
        model()
    with pytest.raises(ValueError, match=r"text was passed without \['token_type_ids', 'attention_mask'"):
        model(input_ids=torch.ones(1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"\['pixel_values'\] passed to an exported model"):
        model(pixel_values=torch.ones(1))
