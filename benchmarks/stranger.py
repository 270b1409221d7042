"""A stranger has an environment with a folder's requirements.txt and nothing else; the snippets of its card run there.

python benchmarks/stranger.py                       # some kinds of model, untrained, each in an environment of its own
python benchmarks/stranger.py trimodal_ensemble --python 3.12

Needs uv (`pip install uv`) and a package registry.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from affecthub.hub.card import CARDS, read_facts, write_card
from affecthub.hub.model_folder import write_check
from tests.hub.tiny import write_clip, write_folder

KINDS = {
    "text": ("unimodal_baseline", ["text"]),
    "audio": ("unimodal_baseline", ["audio"]),
    "trimodal_ensemble": ("trimodal_ensemble", None),
    "physio_concat": ("physio_concat", None),
    "dialogue": ("dialogue", None),
    "audio_visual_fusion": ("audio_visual_fusion", None),
}


def make(folder: Path, architecture: str, modalities: list[str] | None) -> list[str]:
    """A folder with an untrained model and its card, and clips beside it; returns the card's snippets."""
    model, processor = write_folder(folder, architecture, modalities)
    facts = read_facts(CARDS / f"{architecture}.json")
    size = len(processor.part_for("physio").feature_names) if "physio" in processor.modalities else 0
    held = tuple(model.config.modalities)
    write_card(folder, replace(facts, model_name=folder.name, modalities=held, physio_size=size))
    write_check(folder)
    write_clip(folder.parent / "clip.mp4")
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(folder.parent / "speech.wav", noise, 16_000)
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def install(folder: Path, environment: Path, version: str, also: list[str]) -> Path:
    """An environment with what the folder asks for, and then other releases of some of it; returns its Python."""
    uv = [sys.executable, "-m", "uv"] if subprocess.run([sys.executable, "-m", "uv", "-V"]).returncode == 0 else ["uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", version, str(environment)], check=True)
    python = environment / "bin" / "python"
    wanted = ["--python", str(python), "-r", str(folder / "requirements.txt")]
    for packages in filter(None, (wanted, [*wanted[:2], *also] if also else [])):
        subprocess.run([*uv, "pip", "install", "--quiet", *packages], check=True)
    return python


def main() -> int:
    """Every kind; 1 where a snippet failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help=", ".join(KINDS))
    parser.add_argument("--python", default="3.11")
    parser.add_argument("--also", nargs="*", default=[], help="to install as well, such as transformers==5.20.0")
    options = parser.parse_args()
    failed = 0
    for kind in options.kinds or KINDS:
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root, f"affecthub-{kind}".replace("_", "-"))
            snippets = make(folder, *KINDS[kind])
            python = install(folder, Path(root, "venv"), options.python, options.also)
            wanted = (folder / "requirements.txt").read_text().split()
            print(kind, json.dumps(wanted))
            before = ""
            for number, snippet in enumerate(snippets, 1):
                # a later snippet goes on from an earlier one, as a reader does
                done = subprocess.run(
                    [str(python), "-c", before + snippet], cwd=root, capture_output=True, text=True, check=False
                )
                before = before + snippet if number > 1 else before
                failed += done.returncode != 0
                said = "runs" if done.returncode == 0 else f"FAILS: {done.stderr[-1200:]}"
                print(f"  snippet {number} of {len(snippets)}: {said}")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
