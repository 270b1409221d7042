"""Publishing a model folder: checked for what is missing and for what must not go, then pushed in one commit."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import yaml
from transformers import AutoModelForVideoClassification, AutoProcessor, PreTrainedModel
from transformers.dynamic_module_utils import get_relative_imports

from affecthub.evaluation.private import roots_of
from affecthub.evaluation.runs import RECIPE_FILE
from affecthub.hub.push import Content, push, refuse_places, require_repo_id
from affecthub.hub.space import space_files
from affecthub.inference.model_check import (
    REMEDY,
    check_example,
    check_export,
    check_files,
    check_finite,
    explaining,
    read_json,
    weights_of,
)
from affecthub.inference.onnx_model import ONNX_FILES
from affecthub.media.for_processor import Processor

logger = logging.getLogger(__name__)

REQUIRED = ("config.json", "processor_config.json", "README.md", "metrics.json", "handler.py", "requirements.txt")
"""What every model folder has, besides weights, code and the card's pictures."""

SUFFIXES = {".json", ".jinja", ".md", ".model", ".png", ".py", ".safetensors", ".txt", ".yaml"}
"""All that a model folder may hold, with "LICENSE" and what was exported: no recording of a person, no pickle,
nothing by accident."""

PICTURES = re.compile(r"!\[[^\]]*\]\(([^)\s:]+)\)")
"""Pictures that a card shows from its own folder."""

MODEL_ID = re.compile(r'^model_id = ".*$', re.MULTILINE)
"""The line of the card's snippet that names the model."""


def publish_model(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    message: str | None = None,
    with_space: bool = False,
    trust_remote_code: bool = False,
) -> str:
    """Publish a model folder: everything in one commit, or nothing.

    What the repository held before is replaced; its history stays on the Hub. The card's snippet is made to name
    `repo_id`; the folder itself is not touched. Hidden files and compiled Python stay behind.

    Args:
        folder: as `train.py` writes it; weights may be sharded.
        repo_id: "owner/name"; it is made where it does not exist.
        private: whether a new repository is private.
        token: of the Hub; by default that of `hf auth login` or HF_TOKEN.
        message: of the commit.
        trust_remote_code: whether the folder's own code may run here, to check an architecture that is none of this
            package's.
        with_space: whether to make the Space "owner/name-demo" as well, a page on which to try the model.

    Returns:
        The address of the model's commit.

    Raises:
        FileNotFoundError: the folder lacks something; it is named.
        ValueError: the folder holds something that must not be published, or a model that does not answer as when it
            was saved; or `repo_id` is none, or it is public
            although `private` was asked for.
        OSError: there is no token, or the Hub refuses or cannot be reached; with the remedy.
    """
    require_repo_id(repo_id)
    files = model_files(Path(folder), repo_id, trust_remote_code=trust_remote_code)
    url = push(files, repo_id, "model", private=private, token=token, message=message)
    if with_space:
        push(space_files(repo_id), f"{repo_id}-demo", "space", private=private, token=token, message=message)
        if private:
            logger.warning(
                "The Space %s-demo cannot read the private model until its settings hold a read token as the secret "
                "HF_TOKEN.",
                repo_id,
            )
    return url


def model_files(folder: Path, repo_id: str, *, trust_remote_code: bool = False) -> dict[str, Content]:
    """The files of a model folder as they go up: path in the repository -> content.

    Raises:
        FileNotFoundError, ValueError: as `publish_model`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the model folder of a run, such as RUN/model.")
    paths = {path.relative_to(folder).as_posix(): path for path in _visible(folder)}
    if missing := [name for name in _needed(folder, set(paths)) if name not in paths]:
        raise FileNotFoundError(
            f"{folder} is not a complete model folder, it lacks {', '.join(missing)}: publish one that train.py wrote."
        )
    known = [name for name, path in paths.items() if path.is_file() and _belongs(name)]
    if foreign := sorted(set(paths) - set(known)):
        raise ValueError(
            f"{folder} holds {', '.join(foreign)}, no part of a model: recordings, pickles and the like are never "
            "published with one, so move that elsewhere."
        )
    if links := sorted(name for name, path in paths.items() if path.is_symlink()):
        raise ValueError(
            f"{folder}: {', '.join(links)} is a link, which may lead anywhere: put a copy of the file there instead."
        )
    check_model(folder, trust_remote_code=trust_remote_code)
    card = MODEL_ID.sub(f'model_id = "{repo_id}"', paths["README.md"].read_text(encoding="utf-8"))
    files = paths | {"README.md": card.encode()}
    refuse_places(files, _places_known(folder))
    return files


def _visible(folder: Path) -> Iterator[Path]:
    """What lies in a folder, and in the one with exports, but for hidden files and compiled Python."""
    for path in sorted(folder.iterdir()):
        if path.name[0] != "." and path.name != "__pycache__":
            exports = path.name in {name.partition("/")[0] for name in ONNX_FILES.values()}
            yield from _visible(path) if exports and path.is_dir() and not path.is_symlink() else [path]


def _belongs(name: str) -> bool:
    """Whether a model folder may hold a file."""
    return name in ("LICENSE", *ONNX_FILES.values()) or ("/" not in name and Path(name).suffix in SUFFIXES)


def _places_known(folder: Path) -> list[str]:
    """Paths that nobody is to read: the run's folder, the home folder, and those that its recipe names."""
    run = folder.absolute().parent
    with suppress(OSError, yaml.YAMLError, UnicodeDecodeError):
        return [f"{run}{os.sep}", *roots_of(yaml.safe_load((run / RECIPE_FILE).read_text(encoding="utf-8")))]
    return [f"{run}{os.sep}", *roots_of({})]


def _needed(folder: Path, names: set[str]) -> list[str]:
    """Names of what a model folder cannot do without, as far as its own files say."""
    needed = [*REQUIRED, *weights_of(folder)]
    for settings in names & {"config.json", "processor_config.json", "tokenizer_config.json"}:
        needed += code_named_in(read_json(folder / settings))
    if "config.json" in names and not {"auto_map", "custom_pipelines"} <= read_json(folder / "config.json").keys():
        raise ValueError(
            f"{folder / 'config.json'} has no auto_map or no custom_pipelines: save the model with affecthub "
            "imported, and complete its folder with add_travelling_code of affecthub.hub.remote_code."
        )
    if "processor_config.json" in names and "tokenizer" in read_json(folder / "processor_config.json").get(
        "parts", []
    ):
        needed += ["tokenizer.json", "tokenizer_config.json"]
    for name in sorted(name for name in names if name.endswith(".py")):
        needed += [f"{module}.py" for module in get_relative_imports(folder / name)]
    if "README.md" in names:
        needed += PICTURES.findall((folder / "README.md").read_text(encoding="utf-8"))
    return list(dict.fromkeys(needed))


def code_named_in(settings: object) -> Iterator[str]:
    """Python files that a configuration names: "auto_map" at any depth, and the pipeline's "impl"."""
    if not isinstance(settings, dict):
        return
    for key, value in settings.items():
        if key == "auto_map":
            for reference in value.values():
                names = reference if isinstance(reference, list) else [reference]
                yield from (f"{name.rpartition('.')[0]}.py" for name in names if name)
        elif key == "impl":
            yield f"{value.rpartition('.')[0]}.py"
        else:
            yield from code_named_in(value)


def check_model(folder: Path, *, trust_remote_code: bool = False) -> None:
    """Whether a complete folder holds a model that answers as when it was saved.

    Raises:
        FileNotFoundError, ValueError: as `publish_model`.
    """
    check_files(folder)
    model, processor = load_saved(folder, trust_remote_code=trust_remote_code)
    check_finite(model)
    with explaining(f"{folder}: processor_config.json"):
        check_example(model, processor, folder)
    for name in ONNX_FILES.values():
        if (folder / name).is_file():
            check_export(folder, name)


def load_saved(folder: Path, *, trust_remote_code: bool = False) -> tuple[PreTrainedModel, Processor]:
    """Model and processor of a folder, on the CPU.

    Raises:
        ValueError: what is there does not make a model; the file is named.
    """
    trust = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    with explaining(f"{folder}: processor_config.json"):
        processor = AutoProcessor.from_pretrained(folder, **trust)
    with explaining(f"{folder}: config.json, or its weights,"):
        model, told = AutoModelForVideoClassification.from_pretrained(folder, output_loading_info=True, **trust)
    if lacking := sorted(told["missing_keys"]):
        raise ValueError(
            f"{folder / weights_of(folder)[0]} lacks {len(lacking)} of the model's tensors, such as {lacking[0]}, "
            f"which would be made up: {REMEDY}."
        )
    return model, processor


__all__ = ["check_model", "load_saved", "model_files", "publish_model"]
