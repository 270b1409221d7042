"""A page where one uploads or records a clip and sees what the model makes of it, over time and by modality.

The answer is that of the pipeline which travels with the model; nothing here touches the clip before it or the scores
of a window after it. `MODEL_ID` names the model: a repository on the Hub or a folder.
"""

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import gradio as gr
import numpy as np
from huggingface_hub import ModelCard
from transformers import pipeline

if __package__ or TYPE_CHECKING:  # in the package that writes the Space, where they lie in rooms of theirs
    from ...evaluation.emotion_colours import colours_of
    from .answer_page import Answer, details, mean_scores, score_table, verdict, written
else:
    from answer_page import Answer, details, mean_scores, score_table, verdict, written
    from emotion_colours import colours_of

MODEL_ID = os.environ.get("MODEL_ID", "owner/name")

MAX_FILE = "200mb"
"""Of an upload."""

MAX_SECONDS = 600
"""s of a clip that are looked at: one film must not keep everybody else waiting."""

WORK_SECONDS = 60
"""s that a clip may take, for the same reason."""

AT_ONCE = 2
"""Clips that are judged at the same time, so that a slow one does not stop the others."""

WAITING = 40
"""Visitors who may wait; whoever comes then is asked to come back."""

KEPT_SECONDS = 1800
"""s until an upload is deleted."""

LONGEST_NAME = 30
"""Characters before a colon that are the name of who speaks, and no words."""

WINDOWS_A_PAGE = 10
"""Windows after which the page is drawn again."""

INTRODUCTION = """# {title}

Upload or record a clip of yourself, or of somebody who has agreed to it. The model guesses how onlookers would *label*
the expression; it does not know what the person feels. {card}"""

CARD = "How well it does is on [its card](https://huggingface.co/{model_id})."

NO_CARD = "It has no card, so nobody says what it was trained on, nor how well it does."

SYNTHETIC = """

> ⚠️ **Trained on synthetic people.** This model has only seen drawn faces, computed voices and written lines.
> What it says about a real person means nothing."""

LIMITS = f"""## Limits

- Not for decisions about people: not in hiring, at work or in school, and not for any clinical purpose. In the
  European Union, inferring emotions at work and in education is prohibited (AI Act, Article 5(1)(f)).
- Consent must be informed, and can be withdrawn.
- Errors fall unevenly on groups: faces, voices and ways of speaking differ, and the model was not tested for that.
- Files of up to {MAX_FILE.upper()} are taken. They are deleted from this server after {KEPT_SECONDS // 60} minutes."""

BUTTON = {
    **{f"button_primary_{part}": "#0b5cad" for part in ("background_fill", "background_fill_dark", "border_color")},
    **{f"button_primary_background_fill_hover{dark}": "#084a8c" for dark in ("", "_dark")},
    **{f"button_primary_text_color{state}": "#ffffff" for state in ("", "_dark", "_hover", "_hover_dark")},
}
"""White on blue, 6.6 : 1."""

THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(**BUTTON, block_label_text_color="*neutral_700", block_info_text_color="*neutral_600")
"""The visitor's own fonts: the page asks no other server for anything."""

HERE = Path(__file__).resolve().parent

EXAMPLES = HERE / "examples"
"""Clips of drawn faces, and what is said in each (lines.json)."""

EXAMPLES_NOTE = "Examples: drawn faces with computed voices, no people"

EVERY = 0.5
"""s from one answer about the camera to the next."""

WATCHED = 4.0
"""s of the camera that an answer is about."""

MOST_PIXELS = 4_096_000
"""Of a picture of the camera: those of the last seconds are held, for every visitor."""

WATCHING = f"""<p>Start the camera: every {EVERY:g} s the answer about its last {WATCHED:g} s will stand here, for
{WORK_SECONDS} s. Without sound; pictures are only looked at, and none is kept.</p>"""

JUDGED_LIVE = f"<p>Judged by the pictures of the last {WATCHED:g} s.</p>"

Seen = tuple[float, np.ndarray]
"""A picture of the camera, and when it came, s."""

Shown = tuple[gr.HTML | str, gr.HTML]
"""What the page shows of an answer: the verdict, and table, timeline and downloads."""


class Judge(Protocol):
    """What the page asks of the pipeline that travels with a model."""

    model: Any
    processor: Any
    faults: tuple[type[Exception], ...]

    def __call__(self, inputs: dict[str, Any]) -> Answer:
        """Of a short clip."""
        ...

    def stream(self, inputs: dict[str, Any], *, limits: dict[str, float]) -> Iterator[Answer]:
        """Of a long one, window by window."""
        ...


def open_page(model_id: str = MODEL_ID, examples: Path = EXAMPLES) -> gr.Blocks:
    """The page for a model: a repository on the Hub, or a folder.

    Args:
        model_id: names it.
        examples: a folder of clips to try, with `lines.json`; none are offered where there is no such folder.

    Raises:
        OSError: there is no such model, or it may not be read with this token.
        ValueError: the folder is no model with its pipeline.
    """
    pipe = cast(Judge, pipeline(task=None, model=model_id, trust_remote_code=True))
    title = f"Emotion in a clip, as {name_of(model_id)} labels it"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gr.Markdown(introduction(model_id, title))
        with gr.Tabs():
            with gr.Tab("A clip"):
                clip_tab(pipe, examples)
            if "video" in pipe.processor.modalities:
                with gr.Tab("Camera, live"):
                    camera_tab(pipe)
        gr.Markdown(LIMITS)
    return page.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE)


def clip_tab(pipe: Judge, examples: Path) -> None:
    """A clip, or words, and the answer to it."""
    takes = pipe.processor.modalities
    with gr.Row():
        with gr.Column(min_width=320):
            clip = clip_input(takes)
            words = gr.Textbox(label="What is said (optional)", lines=2, max_length=2000, visible="text" in takes)
            before = gr.Textbox(
                label="What was said before (optional)",
                info="A line a turn, the oldest first; a name and a colon, here and above, say who speaks.",
                lines=3,
                max_length=4000,
                visible="text" in takes and pipe.processor.turns_before > 0,
            )
            button = gr.Button("Predict", variant="primary")
            if "video" in takes and (examples / "lines.json").is_file():
                lines = json.loads((examples / "lines.json").read_text(encoding="utf-8"))
                given = [[str(examples / name), line] for name, line in lines.items()]
                gr.Examples(given, [clip, words], label=EXAMPLES_NOTE, cache_examples=False)
        with gr.Column(min_width=320):
            said = gr.HTML("<p>The answer will stand here.</p>", elem_id="verdict", container=True, padding=True)
    more = gr.HTML(visible=False, elem_id="answer", container=True, padding=True)
    given = [clip, words, before]
    button.click(partial(judge, pipe), given, [said, more], api_visibility="private", show_progress_on=said)


def camera_tab(pipe: Judge) -> None:
    """The visitor's camera, and beside it what the model makes of the last seconds, again and again."""
    with gr.Row():
        with gr.Column(min_width=320):
            options = gr.WebcamOptions(mirror=False)
            camera = gr.Image(
                label="Camera", sources=["webcam"], streaming=True, format="jpeg", webcam_options=options
            )
        with gr.Column(min_width=320):
            now = gr.HTML(WATCHING, elem_id="now", container=True, padding=True)
    seen = gr.State([])
    camera.stream(
        partial(watch, pipe),
        [camera, seen],
        [now, seen],
        stream_every=EVERY,
        time_limit=WORK_SECONDS,
        concurrency_limit=AT_ONCE,
        show_progress="hidden",
        api_visibility="private",
    )


def name_of(model_id: str) -> str:
    """A repository's name; of a folder `RUN/model` that of the run."""
    path = Path(model_id).resolve()
    return path.parent.name if path.name == "model" and path.is_dir() else path.name


def introduction(model_id: str, title: str) -> str:
    """Markdown: what the page is for, and the warning where the model's card says that its people were synthetic."""
    folder = Path(model_id)
    if folder.is_dir() and not (folder / "README.md").is_file():
        return INTRODUCTION.format(title=title, card=NO_CARD)
    card = ModelCard.load(folder / "README.md" if folder.is_dir() else model_id)
    link = "" if folder.is_dir() else CARD.format(model_id=model_id)
    synthetic = SYNTHETIC if "synthetic" in (card.data.get("tags") or []) else ""
    return INTRODUCTION.format(title=title, card=link) + synthetic


def clip_input(takes: list[str]) -> gr.Video | gr.Audio:
    """The component for a clip; for a model that does not see, a recording of sound alone will do."""
    if "video" in takes:
        options = gr.WebcamOptions(mirror=False)  # mirrored, the clip would be encoded anew
        return gr.Video(label="Clip", sources=["upload", "webcam"], elem_id="clip", webcam_options=options)
    return gr.Audio(label="Recording", sources=["upload", "microphone"], type="filepath", visible="audio" in takes)


def judge(pipe: Judge, clip: str | None, words: str | None, before: str | None = None) -> Iterator[Shown]:
    """The pipeline's answer as the page shows it, again and again while a long clip is read.

    What cannot be read is answered with a sentence that says why, and whatever stood there before is hidden.

    Args:
        pipe: the model's own.
        clip: path of the file; None when there is none.
        words: what is said; empty when nothing was typed.
        before: what was said before, a line a turn.
    """
    sample = {"video" if "video" in pipe.processor.modalities else "audio": clip, "text": words}
    sample = {name: value for name, value in sample.items() if value}
    if not sample:
        yield complaint("nothing was given; upload or record a clip first.")
        return
    if turns := [turn_of(line) for line in (before or "").splitlines() if line.strip()]:
        sample |= (turn_of(words) if words else {}) | {"history": turns}
    windows = []
    try:
        for window in pipe.stream(sample, limits={"work_seconds": WORK_SECONDS}):
            if (window["start"] or 0) >= MAX_SECONDS:
                break
            windows.append(window)
            if len(windows) % WINDOWS_A_PAGE == 0:
                yield shown(pipe, windows)
    except pipe.faults as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = reason.replace(str(clip), Path(clip or "").name)
        if not windows:
            yield complaint(reason)
            return
        windows[-1]["warnings"] = [*windows[-1]["warnings"], reason]
    yield shown(pipe, windows)


def watch(pipe: Judge, picture: np.ndarray | None, seen: list[Seen]) -> tuple[str, list[Seen]]:
    """What the model makes of the last seconds of a camera, as HTML, and these seconds.

    Args:
        pipe: the model's own.
        picture: the newest, uint8 (height, width, 3); None: the camera is off.
        seen: those before it.
    """
    if picture is None:
        return WATCHING, []
    if picture.shape[0] * picture.shape[1] > MOST_PIXELS:
        return f"<p><strong>Not judged:</strong> the camera's pictures have over {MOST_PIXELS:,} pixels.</p>", []
    now = time.monotonic()
    seen = [*((moment, frame) for moment, frame in seen if now - moment < WATCHED), (now, picture)]
    config = pipe.model.config
    try:
        answer = pipe({"frames": [frame for _, frame in seen]})
    except pipe.faults as error:
        return f"<p><strong>Not judged:</strong> {escape(' '.join(str(error).split()))}</p>", seen
    scores = mean_scores([answer["scores"]])
    (first, score), kind = next(iter(scores.items())), config.problem_type
    table = score_table(kind, scores, {}, colours_of(list(answer["scores"])))
    return f"<h2>{escape(first)}: {written(kind, score)}</h2>{table}{JUDGED_LIVE}", seen


def turn_of(line: str) -> dict[str, str]:
    """A line as a turn of a conversation: "Ann: Hello" as {"speaker": "Ann", "text": "Hello"}."""
    name, colon, words = line.partition(":")
    if colon and words.strip() and 0 < len(name.strip()) <= LONGEST_NAME:
        return {"speaker": name.strip(), "text": words.strip()}
    return {"text": line.strip()}


def shown(pipe: Judge, windows: list[Answer]) -> Shown:
    """An answer as the page shows it."""
    config = pipe.model.config
    scores, colours = mean_scores([window["scores"] for window in windows]), colours_of(list(windows[0]["scores"]))
    return verdict(config, windows, scores, MAX_SECONDS), gr.HTML(
        details(config, windows, scores, colours), visible=True
    )


def complaint(reason: str) -> Shown:
    """What stands in the answer's place when there is none."""
    return f"<p><strong>No answer:</strong> {escape(reason)}</p>", gr.HTML(visible=False)


def serve(page: gr.Blocks, port: int | None = None, examples: Path = EXAMPLES) -> None:
    """Serve a page until it is stopped: on a Space where that wants it, elsewhere on this machine alone."""
    page.launch(
        server_port=port,
        max_file_size=MAX_FILE,
        theme=THEME,
        css_paths=HERE / "page.css",
        head=f"<script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        ssr_mode=False,
        footer_links=[],
        allowed_paths=[str(examples)],
    )


if __name__ == "__main__":
    serve(open_page())
