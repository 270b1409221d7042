"""A Hub on loopback, and model folders that can be published there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import close_session, constants

from affecthub.hub import push
from affecthub.hub.remote_code import add_travelling_code

from .hub_server import HubServer
from .test_stranger import build

CARD = """---
library_name: transformers
pipeline_tag: video-classification
license: apache-2.0
tags: [affecthub]
---
# A tiny model

```python
model_id = "tiny"  # this folder, wherever you put it
```
"""


def connect(hub, monkeypatch, home):
    """Let this very process use `hub`: what huggingface_hub reads from the environment at its import is set anew."""
    close_session()
    for name, value in hub.environment(home).items():
        monkeypatch.setenv(name, value)
    pages = {"ENDPOINT": hub.url, "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}"}
    flags = {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "HF_TOKEN_PATH": str(home / "token")}
    for name, value in (pages | flags).items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(push, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub that is empty, and that this process is logged in to."""
    with HubServer() as server:
        connect(server, monkeypatch, tmp_path / "hf_home")
        yield server
        close_session()


def write_model_folder(folder, model_type="frame_cnn", modalities=None, **options):
    """A complete, untrained model folder; returns the model and its processor."""
    model, processor = build(model_type, modalities)
    model.save_pretrained(folder, **options)
    processor.save_pretrained(folder)
    add_travelling_code(folder)
    (folder / "README.md").write_text(CARD)
    (folder / "metrics.json").write_text(json.dumps({"results": {}}))
    return model, processor


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    write_model_folder(folder)
    return folder


@pytest.fixture
def model_folder(saved_model, tmp_path):
    """A complete model folder, to be changed at will."""
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


@pytest.fixture(scope="session")
def raw_inputs():
    """One recording, as `call_for` of the stranger's tests takes it."""
    rng = np.random.default_rng(0)
    return {
        "audio": rng.normal(0, 0.1, 16_000).astype(np.float32),
        "video": rng.integers(0, 256, (9, 20, 24, 3), dtype=np.uint8),
        "physio": rng.normal(2, 3, (4, 2)),
    }
