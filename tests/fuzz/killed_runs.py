"""Kill prepare, cache, training, sweep and publish at random moments: afterwards the same command gives the same.

python tests/fuzz/killed_runs.py --kills 40 --seed 0
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from safetensors.numpy import load_file

from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from tests.hub.conftest import write_model_folder
from tests.hub.hub_server import HubServer

ROOT = Path(__file__).resolve().parents[2]
SIZES = ("--data.train_rows=24", "--data.validation_rows=8", "--data.test_rows=8")
TINY = (
    *("--model.config={hidden_size: 16, classifier_hidden_size: 16, initializer_range: 0.1}", *SIZES),
    *("--training.precision=fp32", "--training.epochs=3", "--training.batch_size=8", "--training.num_workers=1"),
    *("--inputs.preload=false", "--inputs.num_frames=2", "--inputs.frame_size=32"),
)
OUTLIVES = 5.0
"""s that a process may be there after the one that started it."""


def train(out: Path, data: Path) -> list[str]:
    """Training, gone on with where a whole checkpoint is there."""
    whole = any(out.glob("checkpoints/checkpoint-*/complete"))
    return [
        *("train.py", "--recipe", "quickstart", f"--data.root={data}", *TINY, f"--output_dir={out}"),
        *(["--resume"] if whole else []),
    ]


def cached(out: Path, data: Path) -> list[str]:
    """Training on frozen encoders, whose vectors are kept in a cache of its own."""
    return [*train(out, data), "--training.phases=[{start_epoch: 0, encoder_layers: 0}]"]


def sweep(out: Path, data: Path) -> list[str]:
    """Two seeds."""
    options = [f"--data.root={data}", *TINY, "--training.epochs=1"]
    return [
        "-m",
        "affecthub",
        "sweep",
        "quickstart",
        "--seeds",
        "2",
        "--folds",
        "0",
        "--output-dir",
        str(out),
        *options,
    ]


def prepare(out: Path, data: Path) -> list[str]:
    """Shards of eight rows."""
    form = ("--shard-rows", "8", "--num-frames", "2", "--frame-size", "32")
    return ["-m", "affecthub", "prepare", "meld", str(data), str(out), *form]


def publish(out: Path, data: Path) -> list[str]:
    """To the Hub on this machine."""
    return ["-m", "affecthub", "publish", str(data.parent / "model"), f"tester/{out.name}"]


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "prepare": prepare,
    "training": train,
    "cache": cached,
    "sweep": sweep,
    "publish": publish,
}


def result(kind: str, out: Path, hub: HubServer) -> dict[str, str]:
    """What a command left: file -> digest; of a model its weights, which hold no time."""
    if kind == "publish":
        files = hub.files(f"tester/{out.name}").items()  # whose card holds their repository's name
        return {name: hashlib.sha256(data.replace(out.name.encode(), b"")).hexdigest() for name, data in files}
    if kind == "prepare":
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.glob("*.parquet")}
    found = {}
    for path in out.rglob("model/model.safetensors"):
        values = b"".join(value.tobytes() for _, value in sorted(load_file(path).items()))
        found[str(path.relative_to(out))] = hashlib.sha256(values).hexdigest()
    return found


def half_written(out: Path) -> list[str]:
    """Names of files that a reader could take for whole ones although they are not; of models, any without its end."""
    return [str(path) for path in out.rglob("model") if path.is_dir() and not (path / "check.json").is_file()]


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen:
    """A process of ours."""
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def kill_once(command: list[str], environment: dict[str, str], after: float) -> tuple[bool, str]:
    """Run a command, kill it after so many s; returns whether it was still at work, and what outlived it."""
    process = start(command, environment)
    try:
        process.communicate(timeout=after)
        return False, ""
    except subprocess.TimeoutExpired:
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=OUTLIVES)
    alive = [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    said = ", ".join(" ".join(child.cmdline()[:4]) for child in alive)
    for child in alive:
        child.kill()
    return True, said


def main() -> int:
    """All kills; 1 where a result differed, something half-written was there, or a process lived on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=COMMANDS, default=list(COMMANDS))
    options = parser.parse_args()
    bad, dice = 0, random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, HubServer() as hub:
        root = Path(folder)
        data = root / "meld"
        render_sample_meld(data, train=24, dev=8, test=8)
        write_model_folder(root / "model", "unimodal_baseline", ["text"])
        share = max(1, options.kills // len(options.only))
        for kind in options.only:
            make, done = COMMANDS[kind], 0
            environment = os.environ | hub.environment(root / "hf") | {"OMP_NUM_THREADS": "1"}
            environment |= {
                "AFFECTHUB_CACHE": str(root / "cache"),
                "HF_HUB_OFFLINE": "0" if kind == "publish" else "1",
            }
            began = time.monotonic()
            undisturbed = start(make(root / f"{kind}-whole", data), environment)
            said = undisturbed.communicate()[1].decode()[-500:]
            seconds, expected = time.monotonic() - began, result(kind, root / f"{kind}-whole", hub)
            if undisturbed.returncode or not expected:
                print(f"{kind}: fails undisturbed: {said}")
                return 1
            while done < share:
                out = root / f"{kind}-{done}"
                own = environment | ({"AFFECTHUB_CACHE": str(root / f"cache{done}")} if kind == "cache" else {})
                at_work, kills = True, 0
                while at_work and done < share:
                    at_work, outlived = kill_once(make(out, data), own, dice.uniform(0.3, 1.0) * seconds)
                    done, kills = done + at_work, kills + at_work
                    for what in (outlived and f"lives on: {outlived}", *half_written(out)):
                        bad += bool(what)
                        print(f"{kind}: {what}") if what else None
                if at_work:
                    final = start(make(out, data), own)
                    said = final.communicate()[1].decode()[-500:]
                same = result(kind, out, hub) == expected
                bad += not same
                print(
                    f"{kind}: {kills} kills, then {'the same result' if same else f'ANOTHER RESULT: {said}'}",
                    flush=True,
                )
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
