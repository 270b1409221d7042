"""Checkpoints are whole or gone, and no process outlives the one that started it."""

import errno
import os
import subprocess
import sys
import time

import pytest

from affecthub.training.checkpoints import mark_complete, newest_checkpoint, remove_broken, writing


def make(folder, step, complete=True):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    if complete:
        mark_complete(path)
    return path


def test_the_newest_whole_one_is_gone_on_from_and_broken_ones_go(tmp_path):
    assert newest_checkpoint(tmp_path / "none") is None
    whole, broken = make(tmp_path, 9), make(tmp_path, 10, complete=False)
    make(tmp_path, 3)
    assert newest_checkpoint(tmp_path) == whole
    remove_broken(tmp_path)
    assert not broken.exists() and whole.exists()


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("PytorchStreamWriter failed: No space left")],
)
def test_a_full_disk_leaves_the_last_good_one_and_says_so(error, tmp_path):
    make(tmp_path, 3)
    said = "checkpoint-6 was not written .*checkpoint-3 is good: .*--resume"
    with pytest.raises(OSError, match=said), writing(tmp_path / "checkpoint-6"):
        make(tmp_path, 6, complete=False)
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]


def test_what_is_no_fault_of_writing_passes(tmp_path):
    with pytest.raises(RuntimeError, match="shapes"), writing(tmp_path / "checkpoint-6"):
        raise RuntimeError("shapes do not fit")


CHILD = """
import time
from affecthub.media.processes import end_with_parent
end_with_parent()
print("up", flush=True)
time.sleep(60)
"""
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes there")
def test_no_process_outlives_its_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 5
    while running(child):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a parent's number says nothing")
@pytest.mark.parametrize(("parent", "status"), [(os.getpid, 0), (lambda: 1, 1)])
def test_a_run_whose_sweep_has_ended_does_not_begin(parent, status):
    code = "from affecthub.media.processes import end_with_launch as end; end()"
    assert (
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"AFFECTHUB_PARENT": f"{parent()}"}).returncode
        == status
    )


def running(pid):
    """Whether a process is there that has not ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
