"""Publishing a model folder: checked for what is missing and for what must not go, then pushed in one commit."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import yaml
from safetensors import SafetensorError, safe_open
from transformers.dynamic_module_utils import get_relative_imports

from affecthub.evaluation.private import roots_of
from affecthub.evaluation.runs import RECIPE_FILE
from affecthub.hub.push import Content, push, refuse_places, require_repo_id
from affecthub.hub.space import space_files

logger = logging.getLogger(__name__)

REQUIRED = ("config.json", "processor_config.json", "README.md", "metrics.json", "handler.py", "requirements.txt")
"""What every model folder has, besides weights, code and the card's pictures."""

SUFFIXES = {".json", ".jinja", ".md", ".model", ".png", ".py", ".safetensors", ".txt", ".yaml"}
"""All that a model folder may hold, and "LICENSE": no recording of a person, no pickle, nothing by accident."""

WEIGHTS_INDEX = "model.safetensors.index.json"

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
        with_space: whether to make the Space "owner/name-demo" as well, a page on which to try the model.

    Returns:
        The address of the model's commit.

    Raises:
        FileNotFoundError: the folder lacks something; it is named.
        ValueError: the folder holds something that must not be published, or `repo_id` is none, or it is public
            although `private` was asked for.
        OSError: there is no token, or the Hub refuses or cannot be reached; with the remedy.
    """
    require_repo_id(repo_id)
    files = model_files(Path(folder), repo_id)
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


def model_files(folder: Path, repo_id: str) -> dict[str, Content]:
    """The files of a model folder as they go up: path in the repository -> content.

    Raises:
        FileNotFoundError, ValueError: as `publish_model`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the model folder of a run, such as RUN/model.")
    visible = (path for path in sorted(folder.iterdir()) if path.name[0] != "." and path.name != "__pycache__")
    paths = {path.name: path for path in visible}
    if missing := [name for name in _needed(folder, set(paths)) if name not in paths]:
        raise FileNotFoundError(
            f"{folder} is not a complete model folder, it lacks {', '.join(missing)}: publish one that train.py wrote."
        )
    known = [name for name, path in paths.items() if path.is_file() and (path.suffix in SUFFIXES or name == "LICENSE")]
    if foreign := sorted(set(paths) - set(known)):
        raise ValueError(
            f"{folder} holds {', '.join(foreign)}, no part of a model: recordings, pickles and the like are never "
            "published with one, so move that elsewhere."
        )
    if links := sorted(name for name, path in paths.items() if path.is_symlink()):
        raise ValueError(
            f"{folder}: {', '.join(links)} is a link, which may lead anywhere: put a copy of the file there instead."
        )
    _check_weights([path for path in paths.values() if path.suffix == ".safetensors"])
    card = MODEL_ID.sub(f'model_id = "{repo_id}"', paths["README.md"].read_text(encoding="utf-8"))
    files = paths | {"README.md": card.encode()}
    refuse_places(files, _places_known(folder))
    return files


def _places_known(folder: Path) -> list[str]:
    """Paths that nobody is to read: the run's folder, the home folder, and those that its recipe names."""
    run = folder.absolute().parent
    with suppress(OSError, yaml.YAMLError, UnicodeDecodeError):
        return [f"{run}{os.sep}", *roots_of(yaml.safe_load((run / RECIPE_FILE).read_text(encoding="utf-8")))]
    return [f"{run}{os.sep}", *roots_of({})]


def _needed(folder: Path, names: set[str]) -> list[str]:
    """Names of what a model folder cannot do without, as far as its own files say."""
    needed = [*REQUIRED, WEIGHTS_INDEX if WEIGHTS_INDEX in names else "model.safetensors"]
    if WEIGHTS_INDEX in names:
        needed += sorted(set(_json(folder / WEIGHTS_INDEX).get("weight_map", {}).values())) or ["model.safetensors"]
    for settings in names & {"config.json", "processor_config.json", "tokenizer_config.json"}:
        needed += _code_named_in(_json(folder / settings))
    if "config.json" in names and not {"auto_map", "custom_pipelines"} <= _json(folder / "config.json").keys():
        raise ValueError(
            f"{folder / 'config.json'} has no auto_map or no custom_pipelines: save the model with affecthub "
            "imported, and complete its folder with add_travelling_code of affecthub.hub.remote_code."
        )
    if "processor_config.json" in names and "tokenizer" in _json(folder / "processor_config.json").get("parts", []):
        needed += ["tokenizer.json", "tokenizer_config.json"]
    for name in sorted(name for name in names if name.endswith(".py")):
        needed += [f"{module}.py" for module in get_relative_imports(folder / name)]
    if "README.md" in names:
        needed += PICTURES.findall((folder / "README.md").read_text(encoding="utf-8"))
    return list(dict.fromkeys(needed))


def _code_named_in(settings: object) -> Iterator[str]:
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
            yield from _code_named_in(value)


def _json(path: Path) -> dict:
    """A JSON object; ValueError naming the file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no JSON object ({error}): write the model folder again.") from None


def _check_weights(paths: list[Path]) -> None:
    """ValueError when a file of weights was cut short or is something else."""
    for path in paths:
        try:
            with safe_open(path, "np"):
                pass
        except SafetensorError as error:
            raise ValueError(f"{path} is broken ({error}): write the model folder again.") from None


__all__ = ["model_files", "publish_model"]
