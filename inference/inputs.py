"""What people hand in (a path, an address, bytes, arrays, a text, or several of these) becomes samples of a model."""

import io
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from affecthub.inference.fetch import fetch, is_address
from affecthub.media.audio import LOUDEST, resample
from affecthub.media.container import HeldFile, MediaError, excess_of_rate, name_of, probe
from affecthub.media.decode import TOLERANCE
from affecthub.media.for_processor import Processor, read_clip_for, stack_frames, windows_for
from affecthub.media.limits import Limits, default_limits, too_much
from affecthub.media.quality import Quality
from affecthub.media.subtitles import Line, subtitles_for, words_in
from affecthub.media.windows import (
    Event,
    Picture,
    Sound,
    Span,
    Window,
    check_spans,
    duration_of,
    events_of,
    merged,
    sounds_of,
    spans_of,
)

logger = logging.getLogger(__name__)

MODALITIES = ("text", "audio", "video", "physio")

KEYS = {
    "video": ("video", "audio"),
    "frames": ("video",),
    "audio": ("audio",),
    "sampling_rate": ("audio",),
    "text": ("text",),
    "physio": ("physio",),
    "speaker": MODALITIES,
    "history": MODALITIES,
    "following": MODALITIES,
}
"""What a dictionary may hold -> the modalities of which a model must take one."""

MEDIA_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".3gp", ".ogv"),
    *(".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma", ".amr", ".aiff"),
}
"""A string that ends so names a file, and is no text."""

WINDOW_SECONDS = 5.0
"""Windows of a long recording, where nothing else is asked for and the model takes as much."""


FACES_NEEDED = "quality face_size and yaw are of faces that are followed: judge people (--people)."


@dataclass(frozen=True)
class Reading:
    """How an input is read."""

    window_seconds: float | None = None
    """s, length of a window; by default 5, or the processor's `max_seconds` where that is less."""
    hop_seconds: float | None = None
    """s from one window to the next; by default the length of a window."""
    strict: bool = False
    """Whether a recording that is not whole is an error, rather than an answer with a warning."""
    limits: Limits = field(default_factory=default_limits)
    """Of what is taken."""
    quality: Quality = Quality()
    """What a window needs to be judged."""
    subtitles: bool | Callable[[HeldFile], list[Line]] = False
    """Whether subtitles in a file, or beside it, are its text where none is given; or what gives its lines."""

    @property
    def asks_for_windows(self) -> bool:
        """Whether even a short recording is to be a timeline."""
        return self.window_seconds is not None or self.hop_seconds is not None


@dataclass(frozen=True)
class Sample:
    """One answer's input: any of text, audio, video and physio, as a processor encodes them."""

    number: int
    """Of the input that it is part of."""
    span: Span | tuple[None, None]
    """s; None where there is no time, as in a text."""
    timeline: bool
    """Whether it is one window of several."""
    content: dict[str, Any]
    """Modality -> value; what is absent is missing or None. Also speaker, history and following, where given."""
    warnings: list[str] = field(default_factory=list)
    """What is wrong with the files that it is read from; it grows until they are read to the end."""
    fault: str | None = None
    """Why it is not judged; None where it is."""

    @property
    def empty(self) -> bool:
        """Whether nothing is there to judge."""
        return all(self.content.get(name) is None for name in MODALITIES)


@dataclass(frozen=True)
class Given:
    """One input, sorted: files yet to be read, and what is there already."""

    video: HeldFile | None = None
    """File of the pictures."""
    audio: HeldFile | None = None
    """File of the sound; often the same."""
    frames: np.ndarray | None = None
    """uint8 (time, height, width, 3), RGB."""
    samples: np.ndarray | None = None
    """float32 (samples,), mono, in [-1, 1]."""
    rate: int = 0
    """Hz, of `samples`; 0 without any."""
    text: str | None = None
    lines: list[Line] = field(default_factory=list)
    """Subtitles, where there is no text."""
    physio: np.ndarray | None = None
    """(features,) or (steps, features), NaN where nothing was measured."""
    around: dict[str, Any] = field(default_factory=dict)
    """speaker, history and following, as a processor's `encode` takes them."""
    warnings: list[str] = field(default_factory=list)
    """As `Sample.warnings`."""

    @property
    def files(self) -> list[HeldFile]:
        """Each once."""
        return [file for file in (self.video, self.audio if self.audio is not self.video else None) if file]

    @property
    def name(self) -> str:
        """As messages call it."""
        return name_of(self.files[0]) if self.files else "the input"

    def check(self, strict: bool) -> None:
        """MediaError where the time for it is over; or, if it has to be whole, where something is wrong with it."""
        for file in self.files:
            file.check_time()
        if strict and self.warnings:
            raise MediaError(f"{self.name}: {'; '.join(self.warnings)}")

    def duration(self) -> float | None:
        """Length in s; None where nothing in it has one."""
        lengths = [duration_of(file) for file in self.files]
        if self.samples is not None:
            lengths.append(len(self.samples) / self.rate)
        return max(lengths, default=None)

    def whole(self, processor: Processor) -> dict[str, np.ndarray | None]:
        """Audio and video as training and evaluation decode them, as much of it as the model takes."""
        frames, audio = self.frames, None
        if self.video is not None:
            clip = read_clip_for(processor, self.video, audio=self.video is self.audio)
            frames, audio = clip.frames, clip.audio
        if self.audio is not None and self.audio is not self.video:
            audio = read_clip_for(processor, self.audio, video=False).audio
        if self.samples is not None and processor.sampling_rate is not None:
            audio = resample(self.samples, self.rate, processor.sampling_rate)
        return {"audio": audio, "video": frames}

    def words(self, span: Span | tuple[None, None]) -> str | None:
        """The text, or the subtitles of a span in s."""
        return words_in(self.lines, *span) if self.lines and span[0] is not None else self.text

    def windows(self, processor: Processor, spans: Iterator[Span]) -> Iterator[Window]:
        """The same by spans of time, read in one pass."""
        wanted = {"video": Picture, "audio": Sound}
        held = {"video": self.video is not None and probe(self.video).has_video, "audio": self.sounds}
        kinds = {kind for name, kind in wanted.items() if held[name] and name in processor.modalities}
        return windows_for(processor, self.events(kinds), spans, kinds) if kinds else iter(())

    @property
    def sounds(self) -> bool:
        """Whether there is sound."""
        return self.samples is not None or (self.audio is not None and probe(self.audio).has_audio)

    def events(self, kinds: set[type]) -> Iterator[Event]:
        """What is seen and heard, in one pass."""
        seen, heard = Picture in kinds, Sound in kinds
        if self.video is not None and self.video is self.audio:
            return events_of(self.video, video=seen, audio=heard)
        streams = [events_of(self.video, audio=False)] if seen and self.video is not None else []
        if heard and self.samples is not None:
            streams.append(sounds_of(self.samples, self.rate))
        elif heard and self.audio is not None:
            streams.append(events_of(self.audio, video=False))
        return merged(*streams)


def samples_of(number: int, inputs: object, processor: Processor, reading: Reading) -> Iterator[Sample]:
    """One input as one sample, or as the windows of a long recording.

    A recording not longer than the processor's `max_seconds` is one sample, read as in evaluation, unless windows are
    asked for. Text and physiology that come with a long recording go with each of its windows. Windows that hold
    nothing are left out.

    Args:
        number: of the input.
        inputs: see `given_of`.
        processor: of the model.
        reading: the windows, and the limits.

    Raises:
        ValueError: the input is none, or lacks everything that the model takes (a `MediaError` where a file is bad, or
            is not whole and has to be).
    """
    check_windows(processor, reading)
    if reading.quality.of_faces:
        raise ValueError(FACES_NEEDED)
    judged = skipped = 0
    with ExitStack() as stack:
        given = given_of(inputs, processor, stack, reading)
        for sample in _parts(number, given, processor, reading):
            given.check(reading.strict)
            if sample.empty:
                skipped += 1
            else:
                judged += 1
                yield replace(sample, fault=reading.quality.fault(sample.content["video"], sample.content["audio"]))
        given.check(reading.strict)
    if not judged:
        face = ", with a face in sight" if processor.crop_faces else ""
        raise MediaError(
            f"{given.name}: holds nothing of what this model takes ({', '.join(processor.modalities)}{face}); "
            "pass another recording, or another model."
        )
    if skipped:
        logger.warning("%s: %d windows hold nothing of what this model takes; left out.", given.name, skipped)


def _parts(number: int, given: Given, processor: Processor, reading: Reading) -> Iterator[Sample]:
    """One sample, or those of a timeline if it was asked for or is needed; some may be empty."""
    rest = {"physio": given.physio, **given.around}
    duration = given.duration() if given.frames is None else None
    if duration is None or (not reading.asks_for_windows and duration <= processor.max_seconds + TOLERANCE):
        span = (None, None) if duration is None else (0.0, duration)
        content = given.whole(processor) | {"text": given.words(span)} | rest
        yield Sample(number, span, False, content, given.warnings)
        return
    window, hop = check_windows(processor, reading)
    check_spans(duration, window, hop, reading.limits)
    spans = spans_of(duration, window, hop)
    for part in given.windows(processor, spans):
        span = (part.start, part.end)
        content = {"audio": part.audio, "video": part.frames, "text": given.words(span)} | rest
        yield Sample(number, span, True, content, given.warnings)
    for span in spans:  # what the model takes ends early
        yield Sample(
            number, span, True, {"audio": None, "video": None, "text": given.words(span)} | rest, given.warnings
        )


def check_windows(processor: Processor, reading: Reading) -> Span:
    """The length of a window, and from one to the next, in s.

    Raises:
        ValueError: a length that is not positive, or more than the model was made for; or too many windows at once.
    """
    for name in ("window_seconds", "hop_seconds"):
        value = getattr(reading, name)
        if value is not None and not _is_length(value):
            raise ValueError(f"{name}={value!r:.60}: a positive number of seconds is needed.")
    window = reading.window_seconds or min(processor.max_seconds, WINDOW_SECONDS)
    if window > processor.max_seconds:
        raise ValueError(
            f"window_seconds={window}: this model was made for {processor.max_seconds} s at most; choose less."
        )
    hop = reading.hop_seconds or window
    check_spans(None, window, hop, reading.limits)
    return window, hop


def _is_length(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 < value < math.inf


def given_of(inputs: object, processor: Processor, stack: ExitStack, reading: Reading) -> Given:
    """Sort one input; files are opened once, and closed with `stack`.

    Args:
        inputs: a path, an http(s) address, the bytes of a file or a binary file object; a text; or a dictionary with
            any of video (these, or frames as an array or list), frames, audio (these, or samples with their
            sampling_rate), text and physio. A string that names no file and looks like none is a text. The sound of a
            video is used where no audio is given. For a model that takes turns also speaker (who speaks), history (a
            list of such inputs, the turns before, oldest first) and following (those after).
        processor: of the model.
        stack: closes what is opened here.
        reading: whose limits hold.

    Raises:
        ValueError: it is none of these, or holds what the model does not take.
    """
    takes, notes = processor.modalities, []
    if isinstance(inputs, str) and not names_media(inputs) and "text" not in takes:
        raise ValueError(f"{inputs!r}: no such file, and this model takes no text, only {takes}.")
    inputs = as_dictionary(inputs)
    inputs = {key: value for key, value in inputs.items() if value is not None}
    if unknown := [key for key in inputs if key not in KEYS]:
        raise ValueError(f"The input holds {unknown!r:.200}; it may hold {list(KEYS)}.")
    if foreign := [key for key in inputs if not set(KEYS[key]) & set(takes)]:
        raise ValueError(f"The input holds {foreign}, but this model takes {takes}: leave it out.")
    if "video" in inputs and "frames" in inputs:
        raise ValueError("The input holds video and frames: leave one of them out.")
    pictures, video = inputs.get("frames", inputs.get("video")), None
    if isinstance(pictures, np.ndarray | list | tuple):
        frames = pictures if isinstance(pictures, np.ndarray) else _stacked(pictures, processor)
    else:
        frames, video = None, None if pictures is None else _source(pictures, stack, reading, notes)
    sound = _sound(inputs, video, stack, reading, notes)
    file = video or sound.get("audio")
    lines_of = subtitles_for if reading.subtitles is True else reading.subtitles
    wordless = "text" in takes and "text" not in inputs
    return Given(
        video=video,
        frames=frames,
        **sound,
        lines=lines_of(file) if lines_of and wordless and file is not None else [],
        text=_checked_text(inputs.get("text"), reading.limits),
        physio=_checked_physio(inputs.get("physio")),
        around=_around(inputs, processor, reading, notes),
        warnings=notes,
    )


def as_dictionary(inputs: object) -> dict[str, Any]:
    """One input as a dictionary: of a text, or of whatever is no text as a video."""
    if isinstance(inputs, dict):
        return inputs
    return {"text" if isinstance(inputs, str) and not names_media(inputs) else "video": inputs}


def _around(inputs: dict[str, Any], processor: Processor, reading: Reading, notes: list[str]) -> dict[str, Any]:
    """The turns around an input, and who speaks in it; ValueError where they are none, or the model takes none."""
    speaker = inputs.get("speaker")
    if not isinstance(speaker, str | None):
        raise ValueError(f"speaker={speaker!r:.60}: a string is needed, or nothing.")
    found: dict[str, Any] = {} if speaker is None else {"speaker": speaker}
    for key, taken in (("history", processor.turns_before), ("following", processor.turns_after)):
        turns = inputs.get(key)
        if turns is None:
            continue
        if not isinstance(turns, list | tuple):
            raise ValueError(f"{key}: a list of turns is needed, in order of time, each as an input of its own.")
        if not taken:
            raise ValueError(f"{key}: this model takes no such turns; leave it out.")
        nearest = turns[-taken:] if key == "history" else turns[:taken]
        told = [_turn(turn, inputs, key, processor, reading) for turn in nearest]
        found[key] = [turn for turn, _ in told]
        notes += [f"{key}: {warning}" for _, warnings in told for warning in warnings]
    return found


def _turn(
    turn: object, present: dict[str, Any], key: str, processor: Processor, reading: Reading
) -> tuple[dict[str, Any], list[str]]:
    """A turn around an input, as a processor's `encode` takes it, and what is wrong with its files.

    Raises:
        ValueError: it is that input itself, or has turns of its own.
    """
    own = {name: value for name, value in present.items() if name not in ("history", "following")}
    if turn is present or (isinstance(turn, dict) and turn.keys() == own.keys() and _same(turn, own)):
        raise ValueError(f"{key} holds the turn that is to be judged, {_named(own)}: leave it out there.")
    if isinstance(turn, dict) and {"history", "following"} & turn.keys():
        raise ValueError(f"{key}: a turn has no history of its own; list all turns of the conversation, oldest first.")
    with ExitStack() as stack:
        given = given_of(turn, processor, stack, reading)
        media = given.whole(processor) if processor.turns_apart else {}
        return {"text": given.text, "physio": given.physio, **media, **given.around}, given.warnings


def _same(turn: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether two inputs of one speaker, or of the same files, are one and the same."""
    told = "speaker" in own or any(isinstance(own.get(name), str) for name in ("video", "audio"))
    return told and all(
        turn[name] is value or (isinstance(value, str) and turn[name] == value) for name, value in own.items()
    )


def _named(own: dict[str, Any]) -> str:
    return next((f"{own[name]!r:.60}" for name in ("text", "video", "audio") if isinstance(own.get(name), str)), "")


def _stacked(frames: Sequence[np.ndarray], processor: Processor) -> np.ndarray:
    """A list of frames as one array; ValueError where it holds anything else."""
    if not frames or any(np.ndim(frame) != 3 for frame in frames):
        raise ValueError("frames: pass a list of uint8 (height, width, 3), at least one.")
    return stack_frames(processor, [np.asarray(frame) for frame in frames])


def _sound(
    inputs: dict[str, Any], video: HeldFile | None, stack: ExitStack, reading: Reading, notes: list[str]
) -> dict[str, Any]:
    """The fields of `Given` that the sound fills."""
    audio, rate = inputs.get("audio", video), inputs.get("sampling_rate")
    if not isinstance(audio, np.ndarray | list | tuple):
        return {"audio": audio if audio is video or audio is None else _source(audio, stack, reading, notes)}
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise ValueError(f"sampling_rate={rate!r}: samples need theirs, in Hz, as an integer.")
    if fault := excess_of_rate(rate, reading.limits):
        raise ValueError(f"audio: {fault}.")
    samples = np.asarray(audio)
    if samples.dtype.kind != "f" or samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise ValueError(
            f"audio: samples are finite floats (samples,), mono, in -1..1; got {samples.dtype} {samples.shape}."
        )
    if (loudest := np.abs(samples).max()) > LOUDEST:
        raise ValueError(f"audio: samples are in -1..1; one is {loudest:g}. Divide them by their full scale.")
    return {"samples": samples.astype(np.float32, copy=False), "rate": rate}


def _checked_text(text: object, limits: Limits) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"text={text!r:.60}: a string is needed.")
    if len(text) > limits.characters:
        raise ValueError(f"text={text!r:.60}: {too_much('characters:', len(text), 'characters', limits.characters)}.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"text={text!r:.60}: not valid Unicode ({error.reason}); save or send it as UTF-8.") from None
    return text


def _checked_physio(physio: object) -> np.ndarray | None:
    if physio is None:
        return None
    try:
        return np.asarray(physio, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"physio: numbers (features,) or (steps, features) are needed ({error}).") from error


def _source(value: object, stack: ExitStack, reading: Reading, notes: list[str]) -> HeldFile:
    """Whatever stands for a file, to be opened once; what is found wrong with it goes to `notes`."""
    held = value if isinstance(value, HeldFile) else HeldFile(_path_or_file(value, stack, reading), reading.limits)
    stack.callback(held.close)
    notes += held.warnings
    held.warnings = notes
    return held


def _path_or_file(value: Any, stack: ExitStack, reading: Reading) -> Path | BinaryIO:
    """A path, or a binary file object, of whatever stands for a file."""
    if isinstance(value, bytes | bytearray | memoryview):
        return io.BytesIO(value)
    if isinstance(value, str) and is_address(value):
        return fetch(value, stack, reading.limits)
    if isinstance(value, str | Path):
        if "\0" in str(value):
            raise ValueError(f"{value!r}: no path; it holds a null character.")
        return Path(value)
    rewinds = getattr(value, "seekable", None)
    if hasattr(value, "read") and not isinstance(value, io.TextIOBase) and callable(rewinds) and rewinds():
        return value
    raise ValueError(
        f"{type(value).__name__}: pass a path, an http(s) address, the bytes of a file, a file opened in binary mode "
        "that can be rewound, or a dictionary of these."
    )


def names_media(value: str) -> bool:
    """Whether a string is a path or an address rather than a text."""
    if is_address(value) or Path(value).suffix.lower() in MEDIA_SUFFIXES:
        return True
    try:
        return os.path.exists(value)
    except ValueError:  # a null character: no path
        return False
