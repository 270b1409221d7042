"""Preparation and training by two processes of one thread, against one process of one thread.

    python benchmarks/processes.py [--clips N] [--rounds N] [--output FILE]

The corpus is the synthetic one with a clip of 3 s at 640 x 360 behind each row. What is measured is a whole command,
and the work alone: of a preparation without what the same command takes when all shards are there, of a training what
its metrics file says. Two learn with half the batch each. Time is the clock's: nothing else should be running.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Goal, Times, parser_of, ratio, report, table
from sample_media import write_clip

from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = {1: "accelerate_config.yaml", 2: "accelerate_configs/cpu.yaml"}
"""Processes -> what launches them."""

ROWS, BATCH = 64, 16
"""Of a shard, so that there are several for each process; and of an update, over all processes."""

WIDE = "hidden_size: 192, num_hidden_layers: 2, num_attention_heads: 3, intermediate_size: 768"
MODEL = (
    f"--model.text_config={{model_type: modernbert, max_position_embeddings: 128, {WIDE}}}",
    f"--model.vision_config={{model_type: clip_vision_model, image_size: 96, patch_size: 16, {WIDE}}}",
)


def main(arguments: list[str] | None = None) -> None:
    """Prepare and train by one process and by two, round by round."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--clips", type=int, default=512, help="to learn from; 32 more validate")
    options = parser.parse_args(arguments)
    clips, rounds = (16, 1) if options.quick else (options.clips, options.rounds)
    times: Times = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = [clips, 32, 16]
        _with_real_sizes(render_sample_meld(folder / "data", train=sizes[0], dev=sizes[1], test=sizes[2]), folder)
        for _ in range(rounds):
            for count in CONFIGS:
                for what, seconds in _run(count, folder, sizes).items():
                    times.setdefault(f"{what}, {count} process(es)", []).append(seconds)
    goals = [
        Goal(f"{what}: one process over two", ratio(times, f"{what}, 1 process(es)", f"{what}, 2 process(es)"), 1.7)
        for what in ("preparation", "training")
    ]
    title = f"{clips} clips prepared and learned from, one thread a process"
    report(title, table(times, "preparation, 2 process(es)", "s"), goals, options.output, times=times)


def _with_real_sizes(corpus: Path, folder: Path) -> None:
    """Put one clip of a realistic size in the place of every drawn one."""
    clip = write_clip(folder / "clip.mp4")
    for path in corpus.rglob("*.mp4"):
        path.unlink()
        os.link(clip, path)


def _run(count: int, folder: Path, sizes: list[int]) -> dict[str, float]:
    """s of a preparation, of a training, and of the whole commands."""
    prepared, output = folder / "prepared", folder / "run"
    prepare = ["-m", "affecthub.hub.cli", "prepare", "sample_meld", str(folder / "data"), str(prepared)]
    prepare += ["--num-frames=4", "--frame-size=96", f"--shard-rows={ROWS}", "--sample-rows", *map(str, sizes)]
    train = ["train.py", "--recipe=quickstart", f"--data.root={prepared}", f"--output_dir={output}", *MODEL]
    train += ["--training.epochs=3", f"--training.batch_size={BATCH // count}", "--training.num_workers=0"]
    train += ["--inputs.preload=false", "--training.precision=fp32"]
    whole = _seconds(count, prepare, folder)
    again = _seconds(count, prepare, folder)
    trained = _seconds(count, train, folder)
    alone = json.loads((output / "model" / "metrics.json").read_text())["training"]["seconds"]
    shutil.rmtree(prepared)
    shutil.rmtree(output)
    return {
        "preparation": whole - again,
        "training": alone,
        "command of the preparation": whole,
        "command of the training": trained,
    }


def _seconds(count: int, command: list[str], folder: Path) -> float:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", CONFIGS[count]]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(folder / "hf")}
    begin = time.perf_counter()
    subprocess.run([*launch, *command], cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
