"""A synthetic sample study in GENEX's own layout: drawn faces, computed voices, made-up tables; nobody is in it.

Five invented participants with two recordings of a minute each: 600 annotated seconds. The best accuracy that any
classifier of attention can expect is known for every subset of modalities; a model that is trained on it has learned
cartoons, and its figures say nothing about people.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from tqdm.auto import tqdm

from affecthub.datasets_scripts.synthetic import study_tables as tables
from affecthub.datasets_scripts.synthetic.face import EXPRESSIONS, SIZE, Look, draw_face
from affecthub.datasets_scripts.synthetic.study_plan import (
    ATTENTION_RELIABILITY,
    EMOTION_RELIABILITY,
    PARTICIPANTS,
    STIMULI,
    Block,
    attention_optimum,
    draw_recording,
    realised_attention,
)
from affecthub.datasets_scripts.synthetic.voice import RATE, speak
from affecthub.media.files import cache_root, write_file

MARKER = "sample_study.json"
"""Written last: its presence says that the study is complete."""

RENDERER_VERSION = 1
"""Raise it whenever a change alters what is rendered: it is part of the study's name."""

FPS = 30
_HOLD = 3  # frames for which one drawing stands: ten a second look alive, and cost a third
_OPEN, _CLOSED = 0.8, 0.1  # the drawn eyes of high and low attention
_VOICES = ("sadness", "joy")  # the prosody of low and high attention


def render_sample_genex(
    root: Path | str | None = None, *, seed: int = 0, seconds: int = 60, recordings: int = 2, num_workers: int = 2
) -> Path:
    """Render the synthetic sample study, or return it at once if it is already there.

    An interrupted render continues where it stopped. The same arguments give the same bytes.

    Args:
        root: folder to render into; by default $AFFECTHUB_CACHE, or else ~/.cache/affecthub.
        seed: of every draw.
        seconds: length of each recording.
        recordings: of each of the five participants, 1 or 2.
        num_workers: threads that render.

    Returns:
        The study: `<root>/synthetic_sample_genex-<hash of the arguments and the renderer's version>`, which holds the
        `Analysis` tables, `Sensor Data`, the face-camera recordings, `cues.csv`, `README.md` and `sample_study.json`.

    Raises:
        ValueError: no second, or another number of recordings.
        OSError: the disk is full or read-only; the message names the file.
    """
    if seconds < 1 or not 1 <= recordings <= len(STIMULI):
        raise ValueError(f"seconds={seconds} must be at least 1, and recordings={recordings} 1 or 2")
    parameters = {"seed": seed, "seconds": seconds, "recordings": recordings}
    base = Path(root or cache_root()).expanduser()
    key = json.dumps({**parameters, "renderer": RENDERER_VERSION}, sort_keys=True)
    study = base / f"synthetic_sample_genex-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    if not (study / MARKER).is_file():
        plan = {
            (name, stimulus): draw_recording(name, stimulus, seconds, seed)
            for name in PARTICIPANTS
            for stimulus in STIMULI[:recordings]
        }
        _render(study, plan, parameters, num_workers)
    return study


def _render(
    study: Path, plan: dict[tuple[str, str], list[Block]], parameters: dict[str, int], num_workers: int
) -> None:
    seed, blocks = parameters["seed"], [block for recording in plan.values() for block in recording]
    for folder in ("Facial Coding", "Eye Tracking", "GSR", "Multimodal summary metrics"):
        (study / "Analysis" / folder).mkdir(parents=True, exist_ok=True)
    (study / "Sensor Data").mkdir(exist_ok=True)
    _render_recordings(study, plan, seed, num_workers)
    analysis = study / "Analysis"
    write_file(analysis / "Facial Coding/FEAExpressionTable.csv", tables.expression_table(blocks, seed))
    write_file(analysis / "Eye Tracking/FixationTable.csv", tables.fixation_table(blocks, seed))
    write_file(analysis / "GSR/GSRPeakTable.csv", tables.gsr_table(blocks, seed))
    name = "Multimodal summary metrics"
    write_file(analysis / name / f"{name}.csv", tables.summary_table(blocks))
    for number, participant in enumerate(PARTICIPANTS, 1):
        own = [recording for (who, _), recording in plan.items() if who == participant]
        write_file(study / "Sensor Data" / f"{number:03}_{participant}.csv", tables.sensor_export(own, seed))
    write_file(study / "cues.csv", tables.cue_table(blocks))
    facts = _describe(blocks, parameters)
    write_file(study / "README.md", _readme(facts).encode())
    write_file(study / MARKER, (json.dumps(facts, indent=2) + "\n").encode())


def _render_recordings(study: Path, plan: dict[tuple[str, str], list[Block]], seed: int, num_workers: int) -> None:
    """Render what is not there yet; the first error cancels what has not begun and reaches the caller."""
    paths = {study / f"RespCam_{name}_{stimulus}_(synthetic).mp4": blocks for (name, stimulus), blocks in plan.items()}
    todo = {path: blocks for path, blocks in paths.items() if not path.is_file()}
    with ThreadPoolExecutor(num_workers) as pool, tqdm(total=len(paths), desc="synthetic recordings") as bar:
        bar.update(len(paths) - len(todo))
        for _ in pool.map(lambda path: write_file(path, render_recording(todo[path], seed)), todo):
            bar.update()


def render_recording(blocks: list[Block], seed: int) -> bytes:
    """The mp4 file of one recording: H.264 at 30 frames a second, 64 x 64, and AAC at 48 kHz.

    Frame 0 shows the empty room; frames 30 (k - 1) + 1 to 30 k belong to block k.
    """
    first = blocks[0]
    look, timbre = PARTICIPANTS[first.participant]
    draw = [seed, list(PARTICIPANTS).index(first.participant), STIMULI.index(first.stimulus)]
    face_rng, voice_rng = np.random.default_rng([7, *draw]).spawn(2)
    voice = np.concatenate([speak(_VOICES[b.cues["audio"]], timbre, RATE, voice_rng) for b in blocks])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        container.metadata["comment"] = "synthetic: drawn face, computed voice"
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "24", "threads": "1"})
        video.height, video.width, video.pix_fmt = SIZE, SIZE, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono", options={"aac_coder": "fast"})
        for image in _images(blocks, look, face_rng):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(voice[None], "fltp", "mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return file.getvalue()


def _images(blocks: list[Block], look: Look, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Every frame of a recording, uint8 (64, 64, 3), RGB; each drawing is handed out for three frames."""
    room = np.empty((SIZE, SIZE, 3), np.uint8)
    room[:] = look.background
    yield room
    for block in blocks:
        expression = EXPRESSIONS[block.shown["video"]]
        eyes = _OPEN if block.cues["video"] else _CLOSED
        gain, centre = rng.normal(1.0, 0.08), 0.5 + rng.normal(0.0, 0.012, 2)
        for step in range(FPS // _HOLD):
            opening = max(0.03, expression.mouth_open * (1 + 0.2 * np.sin(2 * np.pi * 3.0 * step * _HOLD / FPS)))
            moved = replace(expression, eye_open=eyes * gain, mouth_open=opening)
            image = room if block.away else draw_face(moved, look, centre + rng.normal(0.0, 0.003, 2))
            yield from [image] * _HOLD


def _describe(blocks: list[Block], parameters: dict[str, int]) -> dict:
    return {
        "synthetic": True,
        "parameters": parameters,
        "renderer_version": RENDERER_VERSION,
        "blocks": len(blocks),
        "away": sum(block.away for block in blocks),
        "attention_reliability": ATTENTION_RELIABILITY,
        "emotion_reliability": EMOTION_RELIABILITY,
        "bayes_accuracy": attention_optimum(),
        "realised_accuracy": realised_attention(blocks),
    }


def _readme(facts: dict) -> str:
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in facts["bayes_accuracy"].items())
    return f"""# Synthetic sample study in the layout of GENEX

Everything here is synthetic: drawn faces, computed voices, tables from a random generator. Nobody was recorded, no
row of GENEX is in it, and a result on it says nothing about people.

Rendered with {facts["parameters"]}, renderer version {facts["renderer_version"]}. Every second is drawn anew; what
shows its attention shows it with the reliability {facts["attention_reliability"]}; `cues.csv` lists what each shows.
In {facts["away"]} of {facts["blocks"]} seconds nobody is before the camera. The best accuracy that any classifier of
attention (high or low) can expect from the modalities it sees, in closed form:

| modalities | Bayes-optimal accuracy |
|---|---|
{rows}
"""


if __name__ == "__main__":
    from jsonargparse import auto_cli

    print(auto_cli(render_sample_genex))
