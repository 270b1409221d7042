"""A page where one uploads or records a clip and sees what the model makes of it, over time and by modality.

The answer is that of the pipeline which travels with the model; nothing here touches the clip before it or the scores
of a window after it. `MODEL_ID` names the model: a repository on the Hub or a folder.
"""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd
from huggingface_hub import ModelCard
from transformers import Pipeline, pipeline

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

COLOURS = ("#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b", "#b279a2", "#9d755d")
"""Of the lines in the timeline; more labels could not be told apart, and the table has them all."""

ABSENT = {
    "text": "no words were given",
    "audio": "no sound was found in the clip",
    "video": "no picture was found in the clip, or no face where the model looks at faces",
    "physio": "this page takes no physiological measurements",
}
"""Modality -> why it can be missing here."""

INTRODUCTION = """# {title}

Upload or record a clip of yourself, or of somebody who has agreed to it. The model guesses how onlookers would *label*
the expression; it does not know what the person feels. {card}"""

CARD = "How well it does is on [its card](https://huggingface.co/{model_id})."

NO_CARD = "It has no card, so nobody says what it was trained on, nor how well it does."

SYNTHETIC = """

> ⚠️ **Trained on synthetic people.** This model has only seen drawn faces, computed voices and written lines.
> What it says about a real person means nothing."""

LIMITS = f"""### Limits

- Not for decisions about people: not in hiring, at work or in school, and not for any clinical purpose. In the
  European Union, inferring emotions at work and in education is prohibited (AI Act, Article 5(1)(f)).
- Consent must be informed, and can be withdrawn.
- Errors fall unevenly on groups: faces, voices and ways of speaking differ, and the model was not tested for that.
- Files of up to {MAX_FILE.upper()} are taken. They are deleted from this server after {KEPT_SECONDS // 60} minutes."""

THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
"""The visitor's own fonts: the page asks no other server for anything."""

CSS = """
#clip video { max-height: 16rem }
#scores table { width: 100% }
#scores table, #scores tr, #scores th, #scores td { border: 0 }
#scores th, #scores td { border-bottom: 1px solid var(--border-color-primary); padding: 0.4rem 0.4rem 0.4rem 0 }
#scores td + td { font-variant-numeric: tabular-nums; white-space: nowrap }
"""
"""A clip held upright must not push the button off the screen, nor a column leave a narrow one."""

Answer = dict[str, Any]
"""Of the pipeline, to a clip or a window of it."""

Shown = tuple[str, gr.HTML, gr.LinePlot, gr.HTML]
"""What the page shows of it."""


def open_page(model_id: str = MODEL_ID) -> gr.Blocks:
    """The page for a model: a repository on the Hub, or a folder.

    Raises:
        OSError: there is no such model, or it may not be read with this token.
        ValueError: the folder is no model with its pipeline.
    """
    pipe = pipeline(model=model_id, trust_remote_code=True)
    takes = pipe.processor.modalities
    title = f"Affect in a clip: {Path(model_id).resolve().name}"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gr.Markdown(introduction(model_id, title))
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
            with gr.Column(min_width=320):
                verdict = gr.Markdown("The answer will stand here.", elem_id="verdict", container=True)
                table = gr.HTML(visible=False, elem_id="scores", container=True)
        lines = gr.LinePlot(
            label="Timeline",
            x="seconds",
            y="score",
            y_lim=None if pipe.model.config.problem_type == "regression" else [0, 1],
            color="label",
            colors_in_legend=[],
            visible=False,
        )
        colours = gr.HTML(visible=False, elem_id="legend")
        gr.Markdown(LIMITS)
        parts = [verdict, table, lines, colours]
        given = [clip, words, before]
        button.click(partial(judge, pipe), given, parts, api_visibility="private", show_progress_on=verdict)
    return page.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE)


def introduction(model_id: str, title: str) -> str:
    """Markdown: what the page is for, and the warning where the model's card says that its people were synthetic."""
    folder = Path(model_id)
    if folder.is_dir() and not (folder / "README.md").is_file():
        return INTRODUCTION.format(title=title, card=NO_CARD)
    card = ModelCard.load(folder / "README.md" if folder.is_dir() else model_id)
    link = "" if folder.is_dir() else CARD.format(model_id=model_id)
    synthetic = SYNTHETIC if "synthetic" in (card.data.tags or []) else ""
    return INTRODUCTION.format(title=title, card=link) + synthetic


def clip_input(takes: list[str]) -> gr.Video | gr.Audio:
    """The component for a clip; for a model that does not see, a recording of sound alone will do."""
    if "video" in takes:
        options = gr.WebcamOptions(mirror=False)  # mirrored, the clip would be encoded anew
        return gr.Video(label="Clip", sources=["upload", "webcam"], elem_id="clip", webcam_options=options)
    sources = ["upload", "microphone"]
    return gr.Audio(label="Recording", sources=sources, type="filepath", visible="audio" in takes)


def judge(pipe: Pipeline, clip: str | None, words: str | None, before: str | None = None) -> Iterator[Shown]:
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


def turn_of(line: str) -> dict[str, str]:
    """A line as a turn of a conversation: "Ann: Hello" as {"speaker": "Ann", "text": "Hello"}."""
    name, colon, words = line.partition(":")
    if colon and words.strip() and 0 < len(name.strip()) <= LONGEST_NAME:
        return {"speaker": name.strip(), "text": words.strip()}
    return {"text": line.strip()}


def shown(pipe: Pipeline, windows: list[Answer]) -> Shown:
    """The sentence, the table of scores, the timeline and its legend; these two where there are several windows."""
    several = len(windows) > 1  # one window may have no time at all, as words have none
    scores = mean_scores([window["scores"] for window in windows])
    colours = dict(zip(scores, COLOURS, strict=False))
    return (
        sentence(pipe, windows, scores),
        gr.HTML(score_table(pipe, windows, scores), visible=True),
        gr.LinePlot(
            timeline(windows, list(colours)),
            x_lim=[0, windows[-1]["end"]] if several else None,
            color_map=colours,
            visible=several,
        ),
        gr.HTML(legend(colours), visible=several),
    )


def complaint(reason: str) -> Shown:
    """What stands in the answer's place when there is none."""
    return f"**No answer:** {reason}", gr.HTML(visible=False), gr.LinePlot(visible=False), gr.HTML(visible=False)


def sentence(pipe: Pipeline, windows: list[Answer], scores: dict[str, float]) -> str:
    """Markdown: the answer, over how much of the clip, by which modalities, and what is missing."""
    first = next(iter(scores))
    main, *further = pipe.model.config.tasks
    lines = [f"## {first}: {written(main.problem_type, scores[first])}"]
    for task in further:
        means = mean_scores([window["tasks"][task.name]["scores"] for window in windows])
        told = {label: written(task.problem_type, score) for label, score in means.items()}
        lines.append(f"{task.name[0].upper()}{task.name[1:]}: {listed(task.name, told)}.")
    if len(windows) > 1:
        lines.append(f"Mean of {len(windows)} windows, {windows[0]['start']:.0f} to {windows[-1]['end']:.0f} s.")
        if windows[-1]["end"] >= MAX_SECONDS:
            lines.append(f"No more than {MAX_SECONDS // 60} minutes are looked at.")
    if windows[0].get("calibrated"):
        lines.append("Probabilities are calibrated: scaled on recordings that the model did not learn from.")
    lines += [f"⚠️ {warning[0].upper()}{warning[1:]}." for warning in windows[-1]["warnings"]]
    lacking = {name: sum(name in window["missing"] for window in windows) for name in pipe.model.config.modalities}
    lines.append(f"Judged by {listing([name for name, count in lacking.items() if count < len(windows)])}.")
    for name, count in lacking.items():
        if count == len(windows):
            lines.append(f"- No {name}: {ABSENT[name]}.")
        elif count:
            lines.append(f"- No {name} in {count} of {len(windows)} windows.")
    return "\n\n".join(lines)


def score_table(pipe: Pipeline, windows: list[Answer], scores: dict[str, float]) -> str:
    """HTML: a row a label, the highest score first; a column for all modalities together and one for each alone."""
    kind = pipe.model.config.problem_type
    columns = {"": list(scores), "together": [written(kind, score) for score in scores.values()]}
    alone = [window.get("modality_scores", {}) for window in windows]
    for name in pipe.model.config.modalities:
        if found := [by_modality[name] for by_modality in alone if name in by_modality]:
            means = mean_scores(found)
            columns[f"{name} alone"] = [written(kind, means[label]) for label in scores]
    if len(columns) == 2:
        columns["score"] = columns.pop("together")
    return pd.DataFrame(columns).to_html(index=False, border=0)  # escapes what a label may hold


def timeline(windows: list[Answer], labels: list[str]) -> pd.DataFrame:
    """Long format: the score of each label at the middle of each window."""
    if len(windows) == 1:
        windows = []
    rows = [((w["start"] + w["end"]) / 2, w["scores"][label], label) for w in windows for label in labels]
    return pd.DataFrame(rows, columns=["seconds", "score", "label"])


def legend(colours: dict[str, str]) -> str:
    """HTML: label by label with its colour; the plot's own is one line that a narrow screen cuts off."""
    return " ".join(
        f'<span style="white-space: nowrap"><b style="color: {colour}">&#9473;</b> {escape(label)}&ensp;</span>'
        for label, colour in colours.items()
    )


def mean_scores(windows: list[Mapping[str, float]]) -> dict[str, float]:
    """Label -> its mean over the windows, the highest first."""
    means = {label: sum(scores[label] for scores in windows) / len(windows) for label in windows[0]}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def written(problem_type: str, score: float) -> str:
    """A probability in percent; a regression's value as it is."""
    return f"{score:.3f}" if problem_type == "regression" else percent(score)


def listed(task: str, told: Mapping[str, str]) -> str:
    """{"a": "75 %", "b": "25 %"} as "a 75 %, b 25 %"; the value alone where its name is the task's."""
    return ", ".join(value if label == task else f"{label} {value}" for label, value in told.items())


def percent(score: float) -> str:
    """0.143 as "14.3 %"."""
    return f"{100 * score:.1f} %"


def listing(names: list[str]) -> str:
    """["a", "b", "c"] as "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def serve(page: gr.Blocks, port: int | None = None) -> None:
    """Serve a page until it is stopped: on a Space where that wants it, elsewhere on this machine alone."""
    page.launch(server_port=port, max_file_size=MAX_FILE, theme=THEME, css=CSS, ssr_mode=False, footer_links=[])


if __name__ == "__main__":
    serve(open_page())
