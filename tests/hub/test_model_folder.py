"""The model folder is written whole or not at all, and what is not written says why."""

import errno
import os
import re
import stat
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from affecthub.hub.model_folder import replacing_folder
from affecthub.training.checkpoints import clear_checkpoints

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from affecthub.hub.model_folder import replacing_folder
from affecthub import UnimodalBaselineConfig
from transformers import AutoModelForVideoClassification

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is then an OSError, as on a full disk
torch.manual_seed(0)
config = UnimodalBaselineConfig(modalities=["audio"], hidden_size=64)
model = AutoModelForVideoClassification.from_config(config)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with replacing_folder(Path(sys.argv[1])) as beside:
        model.save_pretrained(beside)
except OSError as error:
    print(error)
else:
    sys.exit("the weights fitted")
"""


@pytest.fixture
def folder(tmp_path):
    """A model folder of an earlier run."""
    path = tmp_path / "run" / "model"
    path.mkdir(parents=True)
    (path / "config.json").write_text("the old one")
    return path


def files_of(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_success_replaces_the_folder_whole(folder):
    (folder / "stale.py").touch()
    with replacing_folder(folder) as beside:
        (beside / "config.json").write_text("the new one")
        assert files_of(folder)["config.json"] == "the old one"  # until all is written
    assert files_of(folder) == {"config.json": "the new one"}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_first_run_makes_the_folders_above(tmp_path):
    with replacing_folder(tmp_path / "runs" / "mine" / "model") as beside:
        (beside / "config.json").touch()
    assert (tmp_path / "runs" / "mine" / "model" / "config.json").is_file()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "No space left on device"),
        (OSError("a library's own words"), "a library's own words"),
    ],
)
def test_a_failed_write_keeps_the_old_folder_and_names_it_with_the_remedy(folder, error, reason):
    with pytest.raises(OSError, match=re.escape(str(folder))) as caught, replacing_folder(folder) as beside:
        (beside / "config.json").write_text("half of the new one")
        raise error
    assert reason in str(caught.value)
    assert "free space there, or choose another --output_dir" in str(caught.value)
    assert "is untouched" in str(caught.value)
    assert files_of(folder) == {"config.json": "the old one"}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_any_other_error_passes_and_leaves_nothing_beside(folder):
    with pytest.raises(KeyError), replacing_folder(folder):
        raise KeyError("a bug")
    assert files_of(folder) == {"config.json": "the old one"}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_place_where_no_folder_can_be_made_is_named(tmp_path):
    (tmp_path / "run").write_text("a file, not a folder")
    target = tmp_path / "run" / "model"
    with pytest.raises(OSError, match=re.escape(f"{target} was not written")), replacing_folder(target):
        pass


def test_a_disk_that_fills_up_while_the_weights_are_written(folder):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    message = done.stdout.strip().splitlines()[-1]
    assert message.startswith(("[Errno", str(folder))) and f"{folder} was not written" in message
    assert "File too large" in message or "os error 27" in message
    assert "free space there, or choose another --output_dir" in message
    assert files_of(folder) == {"config.json": "the old one"}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_checkpoints_of_a_complete_run_are_removed(tmp_path):
    (tmp_path / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    clear_checkpoints(tmp_path / "checkpoints")
    clear_checkpoints(tmp_path / "checkpoints")  # none there: fine
    assert list(tmp_path.iterdir()) == []
    assert stat.S_ISDIR(tmp_path.stat().st_mode)
