"""What `affecthub predict` does: a model, files or a text -> answers -> a table, JSON or CSV, and a picture."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCard
from tqdm.auto import tqdm
from transformers import AutoConfig, AutoModelForVideoClassification, AutoProcessor
from transformers.utils import cached_file

from affecthub.inference.fetch import is_address
from affecthub.inference.inputs import Reading
from affecthub.inference.model_check import check_example, check_files, explaining, read_json
from affecthub.inference.onnx_model import OnnxModel
from affecthub.inference.people import judge_people
from affecthub.inference.pipeline_affect import TASK, AffectRecognitionPipeline, Answer
from affecthub.inference.transcribe import transcribed
from affecthub.media.container import HeldFile
from affecthub.media.files import write_file
from affecthub.media.forms import VERSION
from affecthub.media.limits import Limits
from affecthub.media.quality import Quality
from affecthub.media.windows import duration_of

Judged = dict[str, list[Answer]]
"""Input, as it was named -> its answers in order of time."""

PERSON = {"person": "person", "speaks": "speaks (estimate)", "face_size": "face_size", "yaw": "yaw"}
"""Key of an answer about a person -> column."""

MAY_MISS = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
"""Of `cached_file`: None for a file that is not there."""

SYNTHETIC = "trained on synthetic people alone: what it says about a real person means nothing"


def load_pipeline(
    model: str,
    *,
    trust_remote_code: bool = False,
    device: str | None = None,
    revision: str | None = None,
    backend: str = "torch",
) -> AffectRecognitionPipeline:
    """The pipeline of a model made with this package, whose classes are used.

    Args:
        model: folder, or "owner/name" on the Hub.
        trust_remote_code: also load a model that brings code of its own, which then runs here.
        device: "cpu", "cuda:0" and so on; by default the first accelerator there is.
        revision: branch, tag or commit on the Hub.
        backend: "torch"; or "onnx" or "onnx-int8", what was exported from it.

    Raises:
        OSError: there is no such model, or a file of it is missing.
        ValueError: a file is broken, it is none of this package's, its code was not trusted, or no such device.
    """
    options = {"trust_remote_code": trust_remote_code, "revision": revision}
    if (stated := Path(model, "config.json")).is_file():
        read_json(stated)
    try:
        with explaining(f"{model}: config.json"):
            config = AutoConfig.from_pretrained(model, **options)
    except OSError as error:  # whose message may not say what was looked for
        raise OSError(f"{model}: cannot be loaded: {error}") from error
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{model}: brings code of its own, which runs only if you trust it: pass --trust-remote-code."
        ) from error
    if not getattr(config, "modalities", None):
        raise ValueError(f"{model}: a {config.model_type} model, and none that this package makes; choose another.")
    if Path(model).is_dir():
        check_files(model)
    with explaining(f"{model}: processor_config.json"):
        processor = AutoProcessor.from_pretrained(model, **options)
    if backend == "torch":
        with explaining(f"{model}: config.json, or its weights,"):
            loaded = AutoModelForVideoClassification.from_pretrained(model, config=config, **options)
    elif device in (None, "cpu"):
        loaded = OnnxModel.from_pretrained(model, config, backend, revision)
    else:
        raise ValueError(
            f"--device {device}: an exported model runs on the CPU; leave it out, or --backend {backend}."
        )
    if Path(model).is_dir() and backend != "onnx-int8":  # which says nearly the same
        with explaining(f"{model}: processor_config.json"):
            check_example(loaded, processor, model)
    try:
        return AffectRecognitionPipeline(loaded, processor=processor, task=TASK, device=device)
    except RuntimeError as error:  # PyTorch's, for a device that is none or not there
        raise ValueError(f"{model}: cannot be loaded on the device {device!r} ({error}).") from error


def quality_of_card(model: str, revision: str | None = None) -> Quality:
    """The thresholds that the model's errors support, as `affecthub report --thresholds` wrote them into its card.

    Args:
        model, revision: as `load_pipeline`.

    Raises:
        ValueError: its card has none, or supports none.
    """
    facts = cached_file(model, "card.json", revision=revision, **MAY_MISS)
    curves = ((read_json(Path(facts)) if facts else {}).get("quality") or {}).get("curves", {})
    found = {name: curve["threshold"] for name, curve in curves.items() if curve["threshold"] is not None}
    if not found:
        why = "no threshold is supported by its errors" if curves else "its card holds no errors by quality"
        remedy = "pass --quality NAME=VALUE" + ("" if curves else ", or write them by `affecthub report --thresholds`")
        raise ValueError(f"{model}: {why}: {remedy}.")
    return Quality.of(found)


def is_synthetic(model: str, revision: str | None = None) -> bool:
    """Whether the model's card says that it has only seen rendered people; not without a card.

    Args:
        model, revision: as `load_pipeline`.
    """
    card = cached_file(model, "README.md", revision=revision, **MAY_MISS)
    if card is None:
        return False
    with explaining(f"{model}: README.md"):
        return "synthetic" in (ModelCard.load(card).data.get("tags") or [])


def judge(
    pipe: AffectRecognitionPipeline,
    file: str | None,
    text: str | None,
    window_seconds: float | None = None,
    hop_seconds: float | None = None,
    strict: bool = False,
    limits: Limits | None = None,
    quality: Quality | None = None,
    faces: int | None = None,
    transcribe: str | None = None,
) -> list[Answer]:
    """The answers of one file, with a text or its subtitles, or of a text alone; a long file shows its progress.

    Args:
        pipe: judges.
        file: path or address; None: the text alone.
        text: what is said in it.
        window_seconds, hop_seconds, strict, limits, quality: as the pipeline's `stream`.
        faces: judge each person in sight, as many at once; None: the recording as a whole.
        transcribe: a model that hears what is said, where there are neither a text nor subtitles; None: nobody does.

    Raises:
        ValueError: as the pipeline.
    """
    if transcribe is not None and "text" not in pipe.processor.modalities:
        raise ValueError(f"this model takes {pipe.processor.modalities}, no text: leave --transcribe out.")
    held = HeldFile(file, limits) if file is not None and not is_address(file) else file
    inputs = {"video": held, "text": text}
    total = duration_of(held) if isinstance(held, HeldFile) else None
    with tqdm(
        total=total, desc=file, unit="s", disable=None, leave=False, bar_format="{l_bar}{bar}| {n:.0f} s"
    ) as bar:
        answers = []
        options = {"window_seconds": window_seconds, "hop_seconds": hop_seconds, "strict": strict}
        options |= {"limits": Limits.of(limits), "quality": Quality.of(quality)}
        options |= {"subtitles": True if transcribe is None else partial(transcribed, model=transcribe)}
        stream = (
            judge_people(pipe, inputs, Reading(**options), faces)
            if faces is not None
            else pipe.stream(inputs, **options)
        )
        for answer in stream:
            answers.append(answer)
            bar.update((answer["end"] or 0.0) - bar.n)
    return answers


def render(judged: Judged, form: str, model: str, synthetic: bool = False) -> str:
    """All answers as text.

    Args:
        judged: the answers.
        form: "table" for a reader, "json" with everything the pipeline says, "csv" with one row a window.
        model: as it was named.
        synthetic: whether it has only seen rendered people, which the JSON says.
    """
    if form == "json":
        inputs = [{"input": name, "answers": answers} for name, answers in judged.items()]
        found = {"version": VERSION, "model": model, "synthetic": synthetic, "inputs": inputs}
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    rows = [(name, answer) for name, answers in judged.items() for answer in answers]
    if form == "csv":
        return pd.DataFrame([_row(name, answer) for name, answer in rows]).to_csv(index=False)
    return pd.DataFrame([_line(name, answer) for name, answer in rows]).to_string(index=False, na_rep="") + "\n"


def _row(name: str, answer: Answer) -> dict[str, Any]:
    """Every score in a column of its own; those of a further task begin with its name."""
    row = {"input": name, "start": answer["start"], "end": answer["end"]}
    row |= {name: "" if answer.get(key) is None else answer[key] for key, name in PERSON.items() if key in answer}
    further = {f"{task}_": verdict for task, verdict in answer.get("tasks", {}).items()}
    for prefix, verdict in {"": answer, **further}.items():
        row |= {f"{prefix}label": verdict["label"]}
        row |= {f"{prefix}score_{label}": score for label, score in verdict["scores"].items()}
    found = {name: "+".join(answer[name]) for name in ("modalities", "missing")}
    poor = {"not_judged": answer["not_judged"]} if "not_judged" in answer else {}
    return row | found | poor | {"warnings": "; ".join(answer["warnings"])}


def _line(name: str, answer: Answer) -> dict[str, str]:
    """What fits into a terminal: the label, and the three highest scores."""
    highest = sorted(answer["scores"].items(), key=lambda item: -item[1])[:3]
    line = {
        "input": Path(name).name,
        "from s": "" if answer["start"] is None else f"{answer['start']:.1f}",
        "to s": "" if answer["end"] is None else f"{answer['end']:.1f}",
        **({"person": _person(answer)} if "person" in answer else {}),
        "label": f"not judged: {answer['not_judged']}" if "not_judged" in answer else answer["label"] or "",
        "scores": ", ".join(f"{label} {score:.2f}" for label, score in highest),
    }
    for task, verdict in answer.get("tasks", {}).items():
        values = ", ".join(f"{value:.2f}" for value in verdict["scores"].values())
        line[f"task {task}" if task in line else task] = verdict["label"] or values
    line |= {"judged by": " + ".join(answer["modalities"]), "missing": " + ".join(answer["missing"])}
    return line | ({"warning": "; ".join(answer["warnings"])} if answer["warnings"] else {})


def _person(answer: Answer) -> str:
    """Who it is about."""
    speaks = ", speaks (estimate)" if answer.get("speaks") else ""
    return "" if answer["person"] is None else f"{answer['person']}{speaks}"


def write(text: str, path: Path | None) -> None:
    """Write to a file, whole or not at all, or print."""
    if path is None:
        print(text, end="")
        return
    write_file(path, text.encode())
