"""What `affecthub live` does: camera, screen, microphone, stream or file at its own pace -> answers at a steady rate.

```
 a thread a source: source -> Recent (the last seconds)      this thread: at each tick, Recent -> window -> answer
```

A reader never waits, and a tick that comes while an answer is still being made is left out and counted: an answer is
always about the newest that there is, however slow the model.
"""

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

import numpy as np

from affecthub.inference.fetch import is_address, open_stream
from affecthub.inference.inputs import FACES_NEEDED, Reading, Sample, check_windows
from affecthub.inference.people import CROWD, follower_for, judge_each
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline, Answer, Task, unjudged, verdict
from affecthub.media.container import HeldFile, MediaError, probe
from affecthub.media.faults import FAULTS
from affecthub.media.for_processor import frames_for, windows_for
from affecthub.media.forms import VERSION
from affecthub.media.limits import Limits
from affecthub.media.microphone import is_microphone, microphone_sounds
from affecthub.media.people import MOTION, Follower
from affecthub.media.quality import Quality
from affecthub.media.recent import Newest, Recent
from affecthub.media.screen import is_screen, region_of, screen_frames
from affecthub.media.windows import (
    Event,
    Picture,
    Sound,
    Span,
    Window,
    camera_frames,
    events_of,
    merged,
    on_one_clock,
    pictures_of,
    sound_within,
)

REMEMBERED = 1000
"""Answers whose latencies the status tells of."""

LOOK = 0.05
"""s from one look for something new to the next, at most."""


@dataclass
class Status:
    """How it goes."""

    answers: int = 0
    skipped: int = 0
    """Ticks at which the answer before was still being made."""
    dropped: int = 0
    """Pictures that no answer has seen; those beyond four times as many as the model takes are none of them."""
    begun: float = 0.0
    """When the first answer was due, s by the monotonic clock."""
    last: float = 0.0
    """Likewise the last."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """s from the coming of the newest that an answer has seen to that answer, of the last ones."""

    def __str__(self) -> str:
        half, most = np.percentile(self.latencies or [0.0], [50, 95]) * 1000
        rate = (self.answers - 1) / (self.last - self.begun) if self.answers > 1 else 0.0
        return (
            f"{self.answers} answers, {rate:.2f} a second, {self.skipped} skipped; {self.dropped} frames dropped; "
            f"latency p50 {half:.0f} ms, p95 {most:.0f} ms"
        )


class Live:
    """Answers about a source, one after the other, until it ends.

    Args:
        pipe: of a model that takes pictures or sound.
        sources: one, or a camera or the screen and a microphone. Number of a camera; "screen" or
            "screen:WIDTHxHEIGHT+X+Y"; "microphone" or "microphone:NAME"; an http(s) or rtsp(s) address; a file, which
            is read at its own pace.
        rate: answers a second.
        window_seconds: s that an answer is about; by default 5, or the model's `max_seconds` where that is less. Two
            in a row share all of it but 1 / `rate` s.
        smoothing: s, time constant of an exponential average of the scores; 0: each answer by itself.
        seconds: s after which it ends; None: with the source.
        limits: `idle_seconds` without anything new are the end, and those of any input.
        quality: what a window needs to be judged.
        faces: judge each person in sight, as many at once; None: all that is seen as a whole.

    Raises:
        ValueError: one of these is none; the model takes neither pictures nor sound.
    """

    def __init__(
        self,
        pipe: AffectRecognitionPipeline,
        *sources: str,
        rate: float = 2.0,
        window_seconds: float | None = None,
        smoothing: float = 0.0,
        seconds: float | None = None,
        limits: Limits | None = None,
        quality: Quality | None = None,
        faces: int | None = None,
    ):
        if not 0 < rate <= 100:
            raise ValueError(f"rate={rate}: answers a second are needed, above 0 and up to 100.")
        if not 0 <= smoothing < float("inf"):
            raise ValueError(f"smoothing={smoothing}: seconds are needed, 0 or more.")
        self.pipe, self.sources, self.rate, self.smoothing = pipe, sources, rate, smoothing
        if seconds is not None and not seconds > 0:
            raise ValueError(f"seconds={seconds}: a number above 0 is needed, or none.")
        self.seconds, self.limits = seconds or float("inf"), Limits.of(limits)
        kinds = {"video": Picture, "audio": Sound}
        self.kinds = {kind for name, kind in kinds.items() if name in pipe.processor.modalities}
        if not self.kinds:
            raise ValueError(
                f"this model takes {pipe.processor.modalities}: neither pictures nor sound, as live needs."
            )
        _check_sources(sources, self.kinds)
        self.window, _ = check_windows(pipe.processor, Reading(window_seconds, limits=self.limits))
        self.quality = Quality.of(quality)
        if faces is None and self.quality.of_faces:
            raise ValueError(FACES_NEEDED)
        self.follower = None if faces is None else follower_for(pipe, faces)
        self.frames = frames_for(pipe.processor)
        looks = 0 if self.follower is None else ceil(self.window / (4 * MOTION))
        self.recent = Recent(self.window, max(self.frames, looks))
        self.status = Status()
        self._stop, self._fault = threading.Event(), None
        self._came: dict[str, float] = {}
        """Source -> when the newest of it came, s by the monotonic clock."""
        self._before: dict[int | None, Answer] = {}
        """Person, or None -> the last answer with scores."""

    def __iter__(self) -> Generator[Answer, None, None]:
        """Answers with `latency`, s, until a file ends; of people as many at once as are in sight.

        Raises:
            MediaError: the source cannot be opened, or was lost.
        """
        begin = time.monotonic()
        self._came = dict.fromkeys(self.sources, begin)
        readers = {
            source: threading.Thread(target=self._read, args=(source, begin), daemon=True, name=f"live {source}")
            for source in self.sources
        }
        for reader in readers.values():
            reader.start()
        try:
            yield from self._answers(readers)
        finally:
            self._stop.set()
            for reader in readers.values():
                reader.join(1.0)

    def _answers(self, readers: dict[str, threading.Thread]) -> Iterator[Answer]:
        due, end = None, time.monotonic() + self.seconds
        while time.monotonic() < end:
            ended = next((source for source, reader in readers.items() if not reader.is_alive()), None)
            newest = self.recent.newest()
            if newest is None or (due is None and ended is None and newest.end - newest.begin < self.window):
                self._check(ended)
                time.sleep(LOOK)
                continue
            now = time.monotonic()
            due = now if due is None else due
            if ended is not None and self.status.answers:
                return self._check(ended)
            if now < due:
                self._check(ended)
                time.sleep(min(LOOK, due - now))
                continue
            missed = int((now - due) * self.rate)
            self.status.skipped += missed
            due += (missed + 1) / self.rate
            self.status.begun, self.status.last = self.status.begun or now, now
            yield from self._answers_about(newest)
        return None

    def _check(self, ended: str | None) -> None:
        """MediaError where no more is to come, as the source `ended`, but for a file that was read to its end."""
        if self._fault is not None:
            raise self._fault
        if ended is not None and self.recent.newest() is None:
            raise MediaError(f"{_name(ended)}: nothing came that this model takes; check the source")
        if ended is not None and not _is_file(ended):
            raise MediaError(f"{_name(ended)}: it was lost; check that it is connected, and start again")
        for source, came in self._came.items():
            if ended is None and time.monotonic() - came > self.limits.idle_seconds:
                raise MediaError(
                    f"{_name(source)}: nothing came for {self.limits.idle_seconds:g} s; check it, or raise the limit "
                    "idle_seconds"
                )

    def _answers_about(self, newest: Newest) -> list[Answer]:
        span = (max(newest.end - self.window, newest.begin), newest.end + 1e-6)
        follower = self.follower
        answers = self._whole(newest, span) if follower is None else self._people(follower, newest, span)
        answers = [self._smoothed(answer) for answer in answers]
        latency = time.monotonic() - newest.arrived
        self.status.latencies.append(latency)
        self.status.answers += 1
        self.status.dropped = self.recent.dropped
        return [answer | {"latency": latency} for answer in answers]

    def _whole(self, newest: Newest, span: Span) -> list[Answer]:
        window = next(windows_for(self.pipe.processor, newest.events, [span], self.kinds))
        sample = Sample(0, span, True, {"video": window.frames, "audio": window.audio})
        if sample.empty:
            face = " with a face in sight" if self.pipe.processor.crop_faces else ""
            return [unjudged(span, f"nothing{face}")]
        return self.pipe.judge([replace(sample, fault=self.quality.fault(window.frames, window.audio))])

    def _people(self, follower: Follower, newest: Newest, span: Span) -> list[Answer]:
        for event in newest.events:
            if isinstance(event, Picture):
                follower.look(event)
        rate = self.pipe.processor.sampling_rate or 16_000
        sounds = [event for event in newest.events if isinstance(event, Sound)]
        window = Window(*span, None, sound_within(sounds, span, rate))
        people, most = follower.people(window, self.frames, rate), follower.most
        crowd = [CROWD.format(most=most)] if follower.crowd > most else []
        answers = judge_each(self.pipe, window, people, self.quality, {}, crowd)
        if not people and follower.seen > float("-inf"):
            answers[0]["not_judged"] += f" for {newest.end - follower.seen:.0f} s"
        return answers

    def _smoothed(self, answer: Answer) -> Answer:
        """With scores that are averaged with those before, and what follows of them."""
        if "not_judged" in answer:
            return answer
        before = self._before.get(answer.get("person"))
        if before is not None and self.smoothing:
            answer = self._averaged(answer, before)
        self._before[answer.get("person")] = answer
        return answer

    def _averaged(self, answer: Answer, before: Answer) -> Answer:
        config = self.pipe.model.config
        fitted, keep = config.calibration or {}, np.exp((before["end"] - answer["end"]) / self.smoothing)

        def of(task: Task, new: Answer, old: Answer) -> Answer:
            scores = {name: float(keep * old["scores"][name] + (1 - keep) * v) for name, v in new["scores"].items()}
            return verdict(task, scores, fitted.get(task.name))

        main, *further = config.tasks
        smooth = answer | of(main, answer, before)
        if further:
            tasks = {task.name: (answer["tasks"][task.name], before["tasks"][task.name]) for task in further}
            smooth["tasks"] = {task.name: of(task, *tasks[task.name]) for task in further}
        return smooth

    def _read(self, source: str, begin: float) -> None:
        """In the source's thread; several sources share a clock that began then."""
        try:
            with ExitStack() as stack:
                events = self._events(source, stack)
                for event in events if len(self.sources) == 1 else on_one_clock(events, begin):
                    if self._stop.is_set():
                        break
                    if type(event) in self.kinds:
                        self.recent.put(event)
                        self._came[source] = time.monotonic()
        except FAULTS as error:
            self._fault = error

    def _events(self, source: str, stack: ExitStack) -> Iterator[Event]:
        wanted = {"video": Picture in self.kinds, "audio": Sound in self.kinds}
        if is_screen(source):
            yield from pictures_of(screen_frames(region_of(source)))
        elif source.isdecimal():
            yield from pictures_of(camera_frames(int(source)))
        elif is_microphone(source):
            yield from microphone_sounds(source)
        elif is_address(source):
            yield from events_of(open_stream(source, stack, self.limits), **wanted)
        else:
            info = probe(HeldFile(Path(source), self.limits))
            held = {"video": info.has_video, "audio": info.has_audio}
            each = [{name: name == one for name in wanted} for one in wanted if wanted[one] and held[one]]
            streams = [events_of(HeldFile(Path(source), self.limits), **one) for one in each]
            yield from at_pace(merged(*streams), self._stop)


def at_pace(events: Iterable[Event], stop: threading.Event) -> Iterator[Event]:
    """Events of a file, each when it would be seen or heard, until `stop` is set."""
    begin = time.monotonic()
    for event in events:
        if stop.wait(max(0.0, begin + event.time - time.monotonic())):
            return
        yield event


def _check_sources(sources: Sequence[str], kinds: set[type[Event]]) -> None:
    """ValueError for sources that do not go together, or that a model which takes such events cannot use."""
    seen, heard = [s for s in sources if _only_seen(s)], [s for s in sources if is_microphone(s)]
    for source in filter(is_screen, sources):
        region_of(source)
    if len(sources) != 1 and not (len(sources) == 2 and seen and heard):
        raise ValueError(
            f"sources {' '.join(sources) or 'none'}: give one, or two of which one is a camera or the screen and the "
            "other a microphone."
        )
    if seen and Picture not in kinds:
        raise ValueError(f"{_name(seen[0])}: this model takes no pictures; give microphone as the source.")
    if heard and Sound not in kinds:
        raise ValueError(f"{heard[0]}: this model takes no sound; give a camera or the screen as the source.")


def _only_seen(source: str) -> bool:
    return source.isdecimal() or is_screen(source)


def _is_file(source: str) -> bool:
    return not (_only_seen(source) or is_microphone(source) or is_address(source))


def _name(source: str) -> str:
    return f"camera {source}" if source.isdecimal() else source


def show(live: Live, as_json: bool, synthetic: bool = False) -> None:
    """Print answers as they come, and beside them how it goes; Ctrl-C is an ordinary end.

    Args:
        live: not begun.
        as_json: a line of JSON an answer, instead of one for a reader.
        synthetic: whether the model has only seen rendered people, which each of these lines says.

    Raises:
        MediaError: as the answers.
    """
    head = {"version": VERSION, "synthetic": synthetic}
    terminal, answers = sys.stderr.isatty(), iter(live)
    try:
        for answer in answers:
            print(json.dumps(head | answer, ensure_ascii=False) if as_json else _line(answer), flush=True)
            if terminal:
                print(f"\r{live.status}\x1b[K", end="\r", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        answers.close()
        if live.status.answers:
            print(f"affecthub: {live.status}", file=sys.stderr)


def _line(answer: Answer) -> str:
    highest = sorted(answer["scores"].items(), key=lambda item: -item[1])[:3]
    said = ", ".join(f"{label} {score:.2f}" for label, score in highest)
    whom = f"person {answer['person']}: " if answer.get("person") else ""
    said = f"not judged: {answer['not_judged']}" if "not_judged" in answer else said
    return f"{answer['end']:8.1f} s  {whom}{said}{', speaks (estimate)' if answer.get('speaks') else ''}"
