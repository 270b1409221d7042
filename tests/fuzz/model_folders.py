"""Edit a model folder at random and ask it: each edit is refused in one sentence, or changes no answer.

python tests/fuzz/model_folders.py --cases 300 --seed 0
"""

import argparse
import collections
import json
import random
import shutil
import tempfile
import traceback
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from affecthub.hub.card import keep_card
from affecthub.hub.model_folder import write_check
from affecthub.hub.publish import check_model
from affecthub.inference.model_check import REMEDY
from affecthub.inference.predict import is_synthetic, judge, load_pipeline
from tests.hub.conftest import write_model_folder

VALUES = (None, True, -1, 0, 1, 7, 10**9, 1e308, 0.5, "", "x", [], {}, [1, "a"], {"a": 1}, "\x00", ["text"], "../x")
FAULTS = (OSError, ValueError, ImportError)
EDITED = ("config.json", "processor_config.json", "tokenizer_config.json", "tokenizer.json", "card.json", "README.md")
WEIGHTS = "model.safetensors"


def edit_json(path: Path, dice: random.Random) -> str:
    """Replace, delete or add one value somewhere in a JSON file; returns what was done."""
    content = json.loads(path.read_text(encoding="utf-8"))
    places, todo = [], [(content, "")]
    while todo:
        value, where = todo.pop()
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, entry in pairs:
            places.append((value, key, f"{where}.{key}"))
            todo.append((entry, f"{where}.{key}"))
    holder, key, where = dice.choice(places)
    kind = dice.choice(("replace", "replace", "delete"))
    if kind == "delete":
        del holder[key]
    else:
        holder[key] = dice.choice(VALUES)
    path.write_text(json.dumps(content), encoding="utf-8")
    return f"{path.name}: {kind} {where} {holder[key] if kind == 'replace' else ''}"


def edit_bytes(path: Path, dice: random.Random) -> str:
    """Cut a file, flip a byte of it, empty it or take it away."""
    content, kind = bytearray(path.read_bytes()), dice.choice(("cut", "flip", "empty", "delete"))
    if kind == "delete":
        path.unlink()
        return f"{path.name}: delete"
    if kind == "flip":
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes({"cut": content[: dice.randrange(len(content))], "empty": b""}.get(kind, content))
    return f"{path.name}: {kind}"


def edit_weights(path: Path, dice: random.Random) -> str:
    """NaN or infinity in a tensor, a tensor that is lost, or of another shape."""
    tensors = load_file(path)
    name = dice.choice([name for name, value in tensors.items() if value.is_floating_point() and value.numel()])
    kind = dice.choice(("nan", "infinity", "lost", "shape", "zeros"))
    if kind == "lost":
        del tensors[name]
    elif kind == "shape":
        tensors[name] = torch.zeros(*tensors[name].shape, 2)
    elif kind == "zeros":
        tensors[name] = torch.zeros_like(tensors[name])
    else:
        tensors[name].view(-1)[0] = float(kind)
    save_file(tensors, path)
    return f"{path.name}: {kind} {name}"


def outcome(folder: Path, asked: object, before: list) -> tuple[str, str]:
    """What the four entrances make of a folder: "refused", "same", or what should not be."""
    said = []
    for name, call in {
        "publish": lambda: check_model(folder),
        "predict": lambda: _scores(judge(load_pipeline(str(folder)), None, asked)),
        "note": lambda: is_synthetic(str(folder)),
        "card": lambda: keep_card(folder, folder.parent / "cards"),
    }.items():
        try:
            found = call()
        except FAULTS as error:
            said.append((name, "refused", str(error)))
        except Exception:
            said.append((name, "TRACEBACK", traceback.format_exc()[-600:]))
        else:
            wrong = name == "predict" and not (len(found) == len(before) and np.allclose(found, before, atol=1e-4))
            said.append((name, "ANOTHER ANSWER" if wrong else "same", str(found)[:80] if wrong else ""))
    refused = any(kind == "refused" and name == "publish" for name, kind, _ in said)
    worst = next((s for s in said if s[1] == "TRACEBACK"), None) or next((s for s in said if s[1].isupper()), None)
    if worst and (worst[1] == "TRACEBACK" or not refused):
        return f"{worst[0]}: {worst[1]}", worst[2]
    return ("refused" if any(kind == "refused" for _, kind, _ in said) else "same"), " | ".join(s[2] for s in said)[
        :200
    ]


def _scores(answers: list[dict]) -> list[float]:
    return [score for answer in answers for score in answer["scores"].values()]


def main() -> int:
    """Run the cases; 1 where one of them ended in a traceback or an answer that nobody noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts, bad = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root, "whole")
        write_model_folder(whole, "unimodal_baseline", ["text"])
        shutil.copy(Path(__file__).parents[2] / "model_cards" / "unimodal_baseline.json", whole / "card.json")
        write_check(whole)
        Path(root, "cards").mkdir()
        before = _scores(judge(load_pipeline(str(whole)), None, "hello world"))
        for case in range(options.cases):
            dice = random.Random(f"{options.seed}/{case}")
            folder = Path(shutil.copytree(whole, Path(root, f"case{case}")))
            name = dice.choice([*EDITED, *EDITED[:2], WEIGHTS, WEIGHTS])
            edits = [edit_bytes, edit_weights if name == WEIGHTS else edit_json if name != "README.md" else edit_bytes]
            done = dice.choice([edits[0], edits[1], edits[1]])(folder / name, dice)
            kind, said = outcome(folder, "hello world", before)
            counts[kind] += 1
            if kind not in ("refused", "same"):
                bad += 1
                print(f"case {case}: {done}\n    {kind}: {said}")
            shutil.rmtree(folder)
    print(
        f"{options.cases} edits, seed {options.seed}: {dict(counts)}; each refusal ends in its remedy, as '{REMEDY}'"
    )
    return bool(bad)


if __name__ == "__main__":
    raise SystemExit(main())
