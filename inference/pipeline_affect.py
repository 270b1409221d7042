"""The pipeline "affect-recognition": from what people have to scores, as evaluated; it travels with each model.

```
 a recording, a text, arrays -> samples (windows, where it is long) -> processor.encode -> model -> answers
```
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType
from typing import Any, Protocol

import numpy as np
import torch
from transformers import BatchFeature, Pipeline, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from affecthub.inference.inputs import Reading, Sample, as_dictionary, check_windows, samples_of
from affecthub.inference.model_check import check_loaded
from affecthub.inference.onnx_model import OnnxModel
from affecthub.inference.shared_frames import SharedFrames, frame_encoder
from affecthub.media.container import HeldFile
from affecthub.media.faults import FAULTS
from affecthub.media.for_processor import Processor, windows_for
from affecthub.media.limits import Limits
from affecthub.media.quality import Quality
from affecthub.media.subtitles import Line
from affecthub.media.windows import Picture, Sound, Span, merged, pictures_of, spans_of

TASK = "affect-recognition"

THRESHOLD = 0.5
"""Probability that a label of a multi-label model has to exceed, unless its configuration says another."""

Answer = dict[str, Any]

Calibration = dict[str, Any]
"""Of a task, as `config.calibration` has it: its temperature and, of several labels, thresholds."""


class Task(Protocol):
    """What a configuration says of a task; this code does not import the model's."""

    name: str
    labels: tuple[str, ...]
    problem_type: str


class AffectRecognitionPipeline(Pipeline):
    """Scores of a recording, or of any part of one, by every model of this package.

    An answer is a dictionary:

    - start, end: s; None where the input has no time (a text, physiology, frames);
    - label: the likeliest one; of a binary model its label or "not" with it; None of a regression;
    - labels: of a multi-label model, those whose probability exceeds 0.5, or the threshold fitted for it;
    - scores: label -> probability, or value of a regression;
    - calibrated: True where the model was; its scores are then by the temperature fitted on validation;
    - tasks: of a model with several, task -> label, labels and scores as above, of all but the main one;
    - modalities, missing: which of the model's modalities were found, and which were not;
    - modality_scores: of a model with several, modality -> scores of it alone, of those that were found;
    - modality_weights: modality -> share, of an architecture that learns them;
    - not_judged: of a window that was recorded too poorly, by the quality asked for, what is wrong with it; it has
      neither label nor scores;
    - warnings: what is wrong with the recording, such as an end that was cut off; what is there was judged. All
      windows of a timeline share one list, which is complete with the last of them.

    Example:

    ```python
    pipe = pipeline(model="owner/name", trust_remote_code=True)
    pipe("clip.mp4")                                   # one answer
    pipe("interview.mp4")                              # a long one: a list of answers, window by window
    pipe({"video": "clip.mp4", "text": "So glad!"})    # any subset of what the model takes
    pipe("Fine.", history=["You are late.", "I know."]) # the turns before, for a model that takes them
    pipe(["a.mp4", "b.wav"], batch_size=2)
    for answer in pipe.stream("four_hours.mp4", window_seconds=10):
        print(answer["start"], answer["label"])
    pipe = pipeline(model="owner/name", trust_remote_code=True, backend="onnx")  # or "onnx-int8": what was exported
    ```
    """

    processor: Processor
    _load_processor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_video_processor = False

    faults = FAULTS
    """What a bad input or model raises, with a sentence that says what and what to do."""

    def __init__(self, model: PreTrainedModel | OnnxModel, *args, backend: str = "torch", **kwargs):
        if backend != "torch":
            revision = getattr(model.config, "_commit_hash", None)
            model = OnnxModel.from_pretrained(model.name_or_path or "", model.config, backend, revision)
        if isinstance(model, OnnxModel):
            kwargs["device"] = model.device
        super().__init__(model, *args, **kwargs)  # pyright: ignore[reportArgumentType]
        check_loaded(self.model)
        self.model.eval()
        if (encoder := frame_encoder(self.model)) is not None:
            SharedFrames.install(encoder)

    @staticmethod
    def limits_of(values: Mapping[str, float] | str | None = None) -> Limits:
        """The limits of an input, with those that shall differ; ValueError for one that there is not."""
        return Limits.of(values)

    def __call__(
        self, inputs: object, *, batch_size: int | None = None, history: list | None = None, **parameters
    ) -> Answer | list[Answer] | list[Answer | list[Answer]] | Iterator[Answer | list[Answer]]:
        """Judge one input, a list, or a generator of inputs.

        Args:
            inputs: a path, an http(s) address, the bytes of a video or audio file, or such a file opened in binary
                mode; a text; or a dictionary with any of video (these, or an array of frames), frames (a list of
                arrays), audio (these, or an array of samples with sampling_rate), text, and physio; of a model that
                takes turns also speaker, history and following (lists of inputs, in order of time).
            history: of one input, the turns before it, oldest first.
            batch_size: windows judged at once; 1 by default.
            parameters: window_seconds, hop_seconds, strict, limits, quality and subtitles, see `stream`.

        Returns:
            An answer; or the list of answers of a timeline, of a recording longer than the model's `max_seconds`, or
            of any when window_seconds or hop_seconds is given. Of a list of inputs a list of these, of a generator an
            iterator.

        Raises:
            ValueError: an input that is none, or that lacks everything the model takes.
        """
        reading = _reading(**{**self._preprocess_params, **self._sanitize_parameters(**parameters)[0]})
        if isinstance(inputs, list | GeneratorType):
            if history is not None:
                raise ValueError("history belongs to one input: of several, put it into the dictionary of each.")
            answers = self._answers(inputs, batch_size, reading)
            return list(answers) if isinstance(inputs, list) else answers
        one = inputs if history is None else {**as_dictionary(inputs), "history": history}
        return next(self._answers([one], batch_size, reading))

    def stream(
        self,
        inputs: object,
        *,
        window_seconds: float | None = None,
        hop_seconds: float | None = None,
        batch_size: int | None = None,
        strict: bool = False,
        limits: Limits | Mapping[str, float] | None = None,
        quality: Quality | Mapping[str, float] | None = None,
        subtitles: bool | Callable[[HeldFile], list[Line]] = False,
    ) -> Iterator[Answer]:
        """The answers of one input, each as soon as it is known; memory does not grow with the recording's length.

        Args:
            inputs: one input, as a call takes it.
            window_seconds: s, length of a window; by default 5, or the model's `max_seconds` where that is less.
            hop_seconds: s from one window to the next; by default `window_seconds`.
            batch_size: windows judged at once; 1 by default.
            strict: whether a recording that is not whole is an error, rather than an answer with `warnings`.
            limits: those that shall differ, by name, as {"windows": 1000}; see docs/reliability.md.
            quality: what a window needs to be judged, by name, as {"sharpness": 5}; see docs/predict.md.
            subtitles: whether those of a file, or of one beside it, are its text where none is given; or what gives
                the lines of a file.

        Raises:
            ValueError: as a call.
        """
        reading = _reading(window_seconds, hop_seconds, strict, limits, quality, subtitles)
        samples = samples_of(0, inputs, self.processor, reading)
        return (answer for _, answer in self._judged(samples, batch_size))

    def live(
        self,
        frames: Iterable[tuple[float, np.ndarray]] | None = None,
        sounds: Iterable[tuple[float, np.ndarray]] | None = None,
        *,
        window_seconds: float | None = None,
        hop_seconds: float | None = None,
    ) -> Iterator[Answer]:
        """The answers of a camera or another source without an end, window by window.

        Args:
            frames: s from the beginning, and a frame uint8 (height, width, 3), RGB; `camera_frames` gives them.
            sounds: s from the beginning, and mono samples float32 (samples,) from then on, at the processor's
                `sampling_rate`.
            window_seconds, hop_seconds: as in `stream`.

        Raises:
            ValueError: sounds for a model that takes none; windows as in a call.
        """
        window, hop = check_windows(self.processor, _reading(window_seconds, hop_seconds))
        events = {}
        if frames is not None:
            events[Picture] = pictures_of(frames)
        if sounds is not None:
            if (rate := self.processor.sampling_rate) is None:
                raise ValueError(f"sounds: this model takes {self.processor.modalities}, no sound: leave them out.")
            events[Sound] = (Sound(time, samples, rate) for time, samples in sounds)
        spans = spans_of(None, window, hop)
        windows = windows_for(self.processor, merged(*events.values()), spans, set(events))
        samples = (Sample(0, (w.start, w.end), True, {"video": w.frames, "audio": w.audio}) for w in windows)
        return (answer for _, answer in self._judged((s for s in samples if not s.empty), 1))

    def _answers(self, inputs: Iterable, batch_size: int | None, reading: Reading) -> Iterator[Answer | list[Answer]]:
        """What a call says to each input."""
        samples = (s for n, one in enumerate(inputs) for s in samples_of(n, one, self.processor, reading))
        for _, group in itertools.groupby(self._judged(samples, batch_size), key=lambda judged: judged[0].number):
            judged = list(group)
            answers = [answer for _, answer in judged]
            yield answers if judged[0][0].timeline else answers[0]

    def _judged(self, samples: Iterator[Sample], batch_size: int | None) -> Iterator[tuple[Sample, Answer]]:
        """Samples with their answers, judged in batches."""
        size = batch_size or self._batch_size or 1
        while batch := list(itertools.islice(samples, size)):
            yield from zip(batch, self.judge(batch), strict=True)

    def judge(self, batch: list[Sample]) -> list[Answer]:
        """The answers of samples, judged at once; of one with a fault, that."""
        good = [sample for sample in batch if sample.fault is None]
        judged = iter(self.run_single(good, {}, {}, {}) if good else [])
        answers = [next(judged) if s.fault is None else unjudged(s.span, s.fault) for s in batch]
        return [answer | {"warnings": s.warnings} for s, answer in zip(batch, answers, strict=True)]

    def _sanitize_parameters(
        self,
        window_seconds: float | None = None,
        hop_seconds: float | None = None,
        strict: bool | None = None,
        limits: Limits | Mapping[str, float] | None = None,
        quality: Quality | Mapping[str, float] | None = None,
        subtitles: bool | Callable[[HeldFile], list[Line]] | None = None,
    ) -> tuple[dict, dict, dict]:
        given = {"window_seconds": window_seconds, "hop_seconds": hop_seconds, "strict": strict}
        given |= {"limits": limits, "quality": quality, "subtitles": subtitles}
        return {name: value for name, value in given.items() if value is not None}, {}, {}

    def preprocess(self, input_: list[Sample]) -> dict[str, Any]:
        """Samples -> model inputs, and the spans of time they cover."""
        return {"spans": [s.span for s in input_], "batch": self.processor.encode([s.content for s in input_])}

    def _forward(self, input_tensors: dict[str, Any]) -> dict[str, Any]:
        batch = input_tensors["batch"]
        several = len(self.model.config.modalities) > 1
        output = self.model(**batch, output_modality_logits=several)
        return {"output": output, "found": self._found(batch), "spans": input_tensors["spans"]}

    def _found(self, batch: BatchFeature) -> dict[str, list[bool]]:
        """Modality of the model -> whether each sample holds it."""
        size = len(next(iter(batch.values())))
        absent = torch.zeros(size)
        masks = {name: batch.get(f"{name}_present", absent) for name in self.model.config.modalities}
        present = self.processor.turns_before  # where there is an axis of turns, the one that is judged
        masks = {name: mask if mask.dim() == 1 else mask[:, present] for name, mask in masks.items()}
        return {name: mask.bool().tolist() for name, mask in masks.items()}

    def postprocess(self, model_outputs: dict[str, Any]) -> list[Answer]:
        """One answer a sample."""
        output, found, spans = (model_outputs[key] for key in ("output", "found", "spans"))
        return [
            {"start": span[0], "end": span[1]} | self._answer(output, row, [n for n in found if found[n][row]])
            for row, span in enumerate(spans)
        ]

    def _answer(self, output: ModelOutput, row: int, found: list[str]) -> Answer:
        """The answer of one sample."""
        names = self.model.config.modalities
        main, *further = self.model.config.tasks
        fitted = self.model.config.calibration or {}
        answer = _verdict(main, output["logits"][row], fitted.get(main.name))
        if further:
            answer["tasks"] = {
                task.name: _verdict(task, output["task_logits"][task.name][row], fitted.get(task.name))
                for task in further
            }
        if fitted:
            answer["calibrated"] = True
        answer |= {"modalities": found, "missing": [name for name in names if name not in found]}
        if (alone := output.get("modality_logits")) is not None:
            answer["modality_scores"] = {
                n: _scores(main, alone[row][i], fitted.get(main.name)) for i, n in enumerate(names) if n in found
            }
        if (weights := output.get("modality_weights")) is not None:
            answer["modality_weights"] = dict(zip(names, weights[row].float().tolist(), strict=True))
        return answer


def _reading(
    window_seconds: float | None = None,
    hop_seconds: float | None = None,
    strict: bool = False,
    limits: Limits | Mapping[str, float] | None = None,
    quality: Quality | Mapping[str, float] | None = None,
    subtitles: bool | Callable[[HeldFile], list[Line]] = False,
) -> Reading:
    """How an input is read, of a caller's parameters; ValueError where they are none."""
    if not isinstance(strict, bool):
        raise ValueError(f"strict={strict!r:.60}: true or false is needed.")
    return Reading(window_seconds, hop_seconds, strict, Limits.of(limits), Quality.of(quality), subtitles)


def _scores(task: Task, logits: torch.Tensor, fitted: Calibration | None = None) -> dict[str, float]:
    """Label -> probability, or value of a regression, from logits (labels,)."""
    logits = logits.float()
    if fitted:
        logits = logits / fitted["temperature"]
    if task.problem_type == "single_label_classification":
        logits = logits.softmax(-1)
    elif task.problem_type == "multi_label_classification":
        logits = logits.sigmoid()
    return dict(zip(task.labels, logits.tolist(), strict=True))


def _verdict(task: Task, logits: torch.Tensor, fitted: Calibration | None = None) -> Answer:
    """Label and scores from logits (labels,)."""
    return verdict(task, _scores(task, logits, fitted), fitted)


def verdict(task: Task, scores: dict[str, float], fitted: Calibration | None = None) -> Answer:
    """Label and scores of a task, from its scores."""
    best = max(scores, key=scores.__getitem__)
    if task.problem_type == "regression":
        return {"label": None, "scores": scores}
    if task.problem_type == "single_label_classification":
        return {"label": best, "scores": scores}
    thresholds = (fitted or {}).get("thresholds") or [THRESHOLD] * len(scores)
    exceeded = [name for (name, score), least in zip(scores.items(), thresholds, strict=True) if score > least]
    if len(scores) == 1:
        return {"label": best if exceeded else f"not {best}", "scores": scores}
    return {"label": best, "labels": exceeded, "scores": scores}


def unjudged(span: Span | tuple[None, None], reason: str) -> Answer:
    """The answer of what was not judged."""
    empty = {"label": None, "scores": {}, "modalities": [], "missing": []}
    return {"start": span[0], "end": span[1]} | empty | {"not_judged": reason}
