"""A model folder is checked before it answers: complete, whole, finite, and saying what it said when it was saved.

`check.json` states, of the files that decide an answer, bytes and SHA-256; and what the model answers to a made
sample, within which tolerance. A folder without it is held to the rest.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel
from transformers.utils import cached_file

from affecthub.media.for_processor import Processor

if TYPE_CHECKING:
    from affecthub.inference.onnx_model import OnnxModel

CHECK_FILE = "check.json"

INDEX = "model.safetensors.index.json"
"""Names the files of weights, where these are several."""

CONFIGS = ("config.json", "processor_config.json")

TOLERANCE = 1e-3
"""Of a logit, as a share of the largest that is stated, or of 1 where that is more."""

REMEDY = "restore it from a copy, or save the model again"


def check_files(folder: str | Path) -> None:
    """Whether the files of a model are there, readable and those that were saved.

    Args:
        folder: of the model.

    Raises:
        FileNotFoundError: a file is missing; it is named, with the remedy.
        ValueError: a file is cut off, changed or something else; likewise.
    """
    folder = Path(folder)
    stated = read_check(folder).get("files", {})
    for name in dict.fromkeys([*CONFIGS, *stated, *weights_of(folder), *_of_tokenizer(folder)]):
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, and the model needs it: {REMEDY}.")
        if name in CONFIGS:
            read_json(path)
        if path.suffix == ".safetensors":
            check_weights(path)
        if name in stated and stated[name] != facts_of(path):
            raise ValueError(f"{path} is not the file that was saved (bytes or SHA-256 of {CHECK_FILE}): {REMEDY}.")


def check_export(folder: Path, name: str) -> None:
    """ValueError when a file that was exported from a folder's weights is another one than its `check.json` states."""
    stated = read_check(folder).get("exports", {}).get(name)
    if stated is not None and stated != facts_of(folder / name):
        raise ValueError(
            f"{folder / name} is not the file that was exported (bytes or SHA-256 of {CHECK_FILE}): make it again by "
            "`affecthub export`."
        )


def check_weights(path: Path) -> None:
    """ValueError when a file of weights was cut short or is something else."""
    try:
        with safe_open(path, "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is broken ({error}): {REMEDY}.") from None


def check_finite(model: PreTrainedModel) -> None:
    """ValueError when a weight is NaN or infinite; the first such tensor is named."""
    for name, values in model.state_dict().items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise ValueError(
                f"{model.name_or_path or 'the model'}: its weights hold NaN or infinity ({name}), so that its answers "
                "would mean nothing: restore them from a copy, or train anew with a lower rate."
            )


def check_example(model: "PreTrainedModel | OnnxModel", processor: Processor, folder: str | Path) -> None:
    """ValueError when a model does not answer to the made sample as its folder states."""
    stated = read_check(Path(folder)).get("example")
    if stated is None:
        return
    expected, found = np.array(stated["logits"]), answer_to_example(model, processor)
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=stated["tolerance"]):
        raise ValueError(
            f"{folder}: the model does not answer as when it was saved ({np.round(found[:4], 4).tolist()} instead of "
            f"{np.round(expected[:4], 4).tolist()}, within {stated['tolerance']:g}): a configuration "
            f"or code was changed: {REMEDY}."
        )


def check_loaded(model: PreTrainedModel) -> None:
    """The cheap part, of a model that was loaded: its files and its weights; errors as those of the parts."""
    name, revision = model.name_or_path, getattr(model.config, "_commit_hash", None)
    if name and Path(name).is_dir():
        check_files(name)
    elif name and (kept := cached_file(name, CONFIGS[0], revision=revision, **_QUIET)):
        cached_file(name, CHECK_FILE, revision=revision, **_QUIET)
        check_files(Path(kept).parent)
    check_finite(model)


_QUIET = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors", "gated_repo")}


def made_sample(processor: Processor) -> dict[str, Any]:
    """A text, noise for sound (1 s) and frames (4), features around 0, of what a processor takes; nobody's data."""
    draw = np.random.RandomState(0)  # whose numbers stay the same in every release of NumPy
    held = processor.modalities
    sample: dict[str, Any] = {"text": "So glad you came!"} if "text" in held else {}
    if "audio" in held:
        sample["audio"] = (0.1 * draw.standard_normal(processor.sampling_rate)).astype(np.float32)
    if "video" in held:
        sample["video"] = draw.randint(0, 256, (4, 64, 64, 3)).astype(np.uint8)
    if "physio" in held:
        names = processor.part_for("physio").feature_names
        sample["physio"] = draw.standard_normal(len(names)).astype(np.float32)
    return sample


def answer_to_example(model: "PreTrainedModel | OnnxModel", processor: Processor) -> np.ndarray:
    """Logits (outputs,) of the made sample."""
    training = model.training
    with torch.no_grad():
        batch = {name: value.to(model.device) for name, value in processor.encode([made_sample(processor)]).items()}
        logits = model.eval()(**batch).logits[0]
    model.train(training)
    return logits.double().cpu().numpy()


def checks_of(folder: Path, model: PreTrainedModel, processor: Processor) -> dict[str, Any]:
    """What `check.json` states of a folder, as JSON holds it.

    Args:
        folder: with the saved model.
        model, processor: as they are loaded from it.
    """
    logits = answer_to_example(model, processor)
    names = [*weights_of(folder), *_of_tokenizer(folder)]
    return {
        "files": {name: facts_of(folder / name) for name in names},
        "example": {"logits": logits.tolist(), "tolerance": TOLERANCE * max(1.0, float(np.abs(logits).max()))},
    }


def read_check(folder: Path) -> dict[str, Any]:
    """What `check.json` states; empty where there is none."""
    return read_json(folder / CHECK_FILE) if (folder / CHECK_FILE).is_file() else {}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError naming the file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON object ({error}): {REMEDY}.") from None


def weights_of(folder: Path) -> list[str]:
    """Names of the files that hold the weights, as far as the folder says; the index first."""
    if not (folder / INDEX).is_file():
        return ["model.safetensors"]
    named = read_json(folder / INDEX).get("weight_map", {})
    return [
        INDEX,
        *(sorted(set(map(str, named.values()))) if isinstance(named, dict) and named else ["model.safetensors"]),
    ]


def _of_tokenizer(folder: Path) -> list[str]:
    """Files without which another tokenizer than the model's would be made up."""
    path = folder / "processor_config.json"
    parts = read_json(path).get("parts", []) if path.is_file() else []
    return ["tokenizer.json", "tokenizer_config.json"] if isinstance(parts, list) and "tokenizer" in parts else []


def facts_of(path: Path) -> dict[str, Any]:
    """Bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


@contextmanager
def explaining(place: str) -> Iterator[None]:
    """Whatever a library raises about a broken model, as one sentence.

    Args:
        place: of the model, and which of its files is read.

    Raises:
        OSError, ImportError, ValueError: as they are, if they name what is wrong; all else as ValueError.
    """
    try:
        yield
    except (OSError, ImportError, KeyboardInterrupt):
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or "no reason is given"
        if isinstance(error, ValueError) and REMEDY in said:
            raise
        what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{place} does not make a model ({what}{said[:400]}): {REMEDY}.") from error
