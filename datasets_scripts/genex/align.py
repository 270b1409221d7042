"""Annotations meet frames by time: for each frame, what happened in the window that ends with it.

A window of `w` ms before a frame at `t` is t - w < time <= t. An episode touches it when it begins by `t` and ends
after t - w; with w = 0 that means: it is under way at `t`.

That an event is absent is known only where its table is: from its first event to its last, or, of peaks of skin
conductance, which are rare, from the first event of any table to the last. What a table of expressions does not cover,
or never mentions in the whole study, is told by the AFFDEX export, where it has it, and else unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from affecthub.datasets_scripts.genex.study import EXPRESSIONS, TARGETS

ATTENTION_SOURCES = ("frame", "summary")
"""Where the attention label comes from.

"frame" is the window's mean of AFFDEX's Attention, or, without a sensor export, the share of the window in episodes of
Attention. "summary" is one number a participant, as the reference experiments used it: the label is then a function of
the participant, and a split by frame becomes a test of identity.
"""


@dataclass(frozen=True)
class AlignOptions:
    """How annotations meet frames."""

    window_ms: float = 1000.0
    """Of annotations before each frame; 0 for the instant."""
    attention_source: str = "frame"
    """One of `ATTENTION_SOURCES`."""
    attention_threshold: float = 0.5
    """Attention above it, 0..1, is "high"."""

    def __post_init__(self):
        if self.attention_source not in ATTENTION_SOURCES:
            raise ValueError(f"attention_source {self.attention_source!r}: choose one of {ATTENTION_SOURCES}")
        if self.window_ms < 0 or not 0 <= self.attention_threshold <= 1:
            raise ValueError(
                f"window_ms={self.window_ms} must not be negative, attention_threshold={self.attention_threshold} "
                "must lie in 0..1"
            )


SENSOR_THRESHOLD = 50.0
"""0..100: iMotions' own default above which an AFFDEX value counts as an episode."""


@dataclass(frozen=True)
class Signals:
    """The annotations of one recording; frames as in `genex_tables.StudyTables`, sorted by time."""

    expressions: pd.DataFrame
    fixations: pd.DataFrame
    peaks: pd.DataFrame
    sensor: pd.DataFrame
    attention: float | None
    """0..1, of the participant as a whole."""
    mentioned: frozenset[str] | None = None
    """Names that the study's table of expressions holds for anybody; None: for this recording."""

    def spans(self) -> dict[str, tuple[float, float]]:
        """Name of each table that has rows -> beginning of its first event and end of its last, ms."""
        times = {
            "expressions": (self.expressions.onset, self.expressions.offset),
            "fixations": (self.fixations.start, self.fixations.end),
            "peaks": (self.peaks.time, self.peaks.time),
            "sensor": (self.sensor.time, self.sensor.time),
        }
        return {name: (float(a.min()), float(b.max())) for name, (a, b) in times.items() if len(a)}

    @property
    def last_ms(self) -> float:
        """End of the last annotation; 0 without any."""
        return max((last for _, last in self.spans().values()), default=0.0)

    def names(self) -> frozenset[str]:
        """Expressions whose absence from the table says that they did not happen."""
        return frozenset(self.expressions.name) if self.mentioned is None else self.mentioned

    def __len__(self) -> int:
        return sum(map(len, (self.expressions, self.fixations, self.peaks, self.sensor)))


@dataclass(frozen=True)
class Aligned:
    """One row a frame; NaN is "unknown", never zero."""

    features: np.ndarray
    """float32 (frames, 33), in the order of `FEATURES`; the units are theirs."""
    targets: np.ndarray
    """float32 (frames, 17), 0 or 1, in the order of `TARGETS`."""
    attention: np.ndarray
    """float32 (frames,), 0..1."""
    coverage: np.ndarray
    """float32 (frames, 3): the share of the window for which face, gaze and skin conductance are known, 0..1."""
    face_unseen: np.ndarray
    """bool (frames,): AFFDEX sampled the window and saw no face in it."""


def align(signals: Signals, times: np.ndarray, options: AlignOptions | None = None) -> Aligned:
    """What the annotations say of each frame.

    Args:
        signals: of the recording.
        times: float (frames,), ms from the beginning of the recording.
        options: the window, and where attention comes from.
    """
    options = options or AlignOptions()
    window_ms = options.window_ms
    face, unseen = _face_coverage(signals, times, window_ms)
    spans = signals.spans()
    gaze = _within(times, window_ms, spans.get("fixations"))
    gsr = _within(times, window_ms, _hull(spans) if "peaks" in spans else None)
    values = np.concatenate(
        [
            _masked(_expressions(signals, EXPRESSIONS, times, window_ms), face),
            _masked(_gaze(signals.fixations, times, window_ms), gaze),
            _masked(_gsr(signals.peaks, times, window_ms), gsr),
        ],
        axis=1,
    )
    targets = _masked(_expressions(signals, TARGETS, times, window_ms), face)
    if options.attention_source == "summary":
        attention = np.full(len(times), np.nan if signals.attention is None else signals.attention)
    else:
        attention = _masked(_attention(signals, times, window_ms, face), face)
    return Aligned(
        features=values.astype(np.float32),
        targets=targets.astype(np.float32),
        attention=attention.astype(np.float32),
        coverage=np.stack([face, gaze, gsr], axis=1).astype(np.float32),
        face_unseen=unseen,
    )


def _masked(values: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """`values` (frames, ...) with NaN where nothing of the window is covered."""
    return np.where((coverage > 0).reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _hull(spans: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    return min(first for first, _ in spans.values()), max(last for _, last in spans.values())


def _within(times: np.ndarray, window_ms: float, span: tuple[float, float] | None) -> np.ndarray:
    """The share of each window inside a span, ms; 0 where there is no annotation at all (None)."""
    if span is None:
        return np.zeros(len(times))
    first, last = span
    if window_ms == 0:
        return ((times >= first) & (times <= last)).astype(float)
    return np.clip(np.minimum(times, last) - np.maximum(times - window_ms, first), 0.0, None) / window_ms


def _face_coverage(signals: Signals, times: np.ndarray, window_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """Share of the window in which the face is known, and whether AFFDEX looked and saw none, both (frames,).

    A sensor export says when it saw a face; before the first episode of a table and after its last, nothing is known.
    """
    if not len(signals.sensor):
        return _within(times, window_ms, signals.spans().get("expressions")), np.zeros(len(times), bool)
    stamps = signals.sensor.time.to_numpy()
    seen = signals.sensor.loc[:, _sensor_columns(signals.sensor)].notna().any(axis=1).to_numpy()
    samples = _window_sums(stamps, np.ones(len(stamps)), times, window_ms)
    faces = _window_sums(stamps, seen.astype(float), times, window_ms)
    begun = _within(times, window_ms, (0.0, np.inf))  # a sample at 0 ms does not tell the second before it
    return begun * faces / np.maximum(samples, 1), (samples > 0) & (faces == 0)


def _sensor_columns(sensor: pd.DataFrame) -> list[str]:
    return [name for name in sensor.columns if name not in ("participant", "stimulus", "time")]


def _bounds(stamps: np.ndarray, times: np.ndarray, window_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last sorted stamp in each window; with an instant, the latest stamp alone."""
    last = np.searchsorted(stamps, times, side="right")
    if window_ms == 0:
        return np.maximum(last - 1, 0), last
    return np.searchsorted(stamps, times - window_ms, side="right"), last


def _window_sums(stamps: np.ndarray, values: np.ndarray, times: np.ndarray, window_ms: float) -> np.ndarray:
    """Sum of `values` (samples, ...) over each window, (frames, ...)."""
    first, last = _bounds(stamps, times, window_ms)
    running = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    return running[last] - running[first]


def _touches(begin: np.ndarray, end: np.ndarray, times: np.ndarray, window_ms: float) -> np.ndarray:
    """Which episodes touch which windows, bool (frames, episodes)."""
    return (begin[None] <= times[:, None]) & (end[None] > times[:, None] - window_ms)


def _expressions(signals: Signals, names: tuple[str, ...], times: np.ndarray, window_ms: float) -> np.ndarray:
    """0 or 1 for each name, (frames, names): by the table of episodes where it tells, else by the sensor export."""
    values = _from_sensor(signals.sensor, names, times, window_ms)
    covered = _within(times, window_ms, signals.spans().get("expressions")) > 0
    for name in signals.names() & {*names} if covered.any() else ():
        episodes = signals.expressions[signals.expressions.name == name]
        touched = _touches(episodes.onset.to_numpy(), episodes.offset.to_numpy(), times, window_ms)
        values[covered, names.index(name)] = np.any(touched, axis=1)[covered]
    return values


def sensor_scores(sensor: pd.DataFrame, name: str) -> pd.Series:
    """What an AFFDEX export says of an expression, -100..100, one a sample; NaN where it is unknown."""

    def of(column: str) -> pd.Series:
        return sensor.loc[:, column] if column in sensor else pd.Series(np.nan, index=sensor.index)

    valence = of("Valence")
    derived = {
        "Positive Valence": valence,
        "Negative Valence": -valence,
        "Neutral Valence": (100.0 * (valence.abs() < SENSOR_THRESHOLD)).where(valence.notna()),
        "Adaptive Engagement": of("Engagement"),
    }
    return derived[name] if name in derived else of(name)


def _from_sensor(sensor: pd.DataFrame, names: tuple[str, ...], times: np.ndarray, window_ms: float) -> np.ndarray:
    """Whether each value passes the threshold anywhere in the window; NaN for what the export does not hold."""
    stamps, values = sensor.time.to_numpy(), np.full((len(times), len(names)), np.nan)
    for i, name in enumerate(names):
        column = sensor_scores(sensor, name)
        if column.notna().any():
            above = (column >= SENSOR_THRESHOLD).to_numpy(float)
            values[:, i] = _window_sums(stamps, above, times, window_ms) > 0
    return values


def _attention(signals: Signals, times: np.ndarray, window_ms: float, face: np.ndarray) -> np.ndarray:
    """0..1, (frames,)."""
    if len(signals.sensor) and signals.sensor.Attention.notna().any():
        stamps, level = signals.sensor.time.to_numpy(), signals.sensor.Attention.to_numpy(float)
        known = np.isfinite(level)
        total = _window_sums(stamps, np.where(known, level, 0.0), times, window_ms)
        count = _window_sums(stamps, known.astype(float), times, window_ms)
        return np.where(count > 0, total / np.maximum(count, 1) / 100, np.nan)
    covered = _within(times, window_ms, signals.spans().get("expressions"))
    if "Attention" not in signals.names():
        covered[:] = 0
    episodes = signals.expressions[signals.expressions.name == "Attention"]
    begin, end = _merge(episodes.onset.to_numpy(), episodes.offset.to_numpy())
    if window_ms == 0:
        return _masked(_touches(begin, end, times, 0.0).any(axis=1).astype(float), covered)
    start = np.maximum(times - window_ms, 0.0)[:, None]
    inside = np.clip(np.minimum(end[None], times[:, None]) - np.maximum(begin[None], start), 0.0, None).sum(axis=1)
    known = np.minimum(face, covered) * window_ms
    return _masked(np.clip(inside / np.maximum(known, 1e-9), 0.0, 1.0), covered)


def _merge(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted episodes with those that overlap made one."""
    if not len(begin):
        return begin, end
    reach = np.maximum.accumulate(end)
    new = np.concatenate([[True], begin[1:] > reach[:-1]])
    last = np.concatenate([np.flatnonzero(new)[1:] - 1, [len(begin) - 1]])
    return begin[new], reach[last]


def _gaze(fixations: pd.DataFrame, times: np.ndarray, window_ms: float) -> np.ndarray:
    """Fixations that touch the window: how many, mean duration (ms), mean dispersion (degrees); (frames, 3)."""
    touched = _touches(fixations.start.to_numpy(), fixations.end.to_numpy(), times, window_ms).astype(float)
    count = touched.sum(axis=1)
    means = touched @ fixations[["duration", "dispersion"]].to_numpy(float) / np.maximum(count, 1)[:, None]
    return np.column_stack([count, means])


def _gsr(peaks: pd.DataFrame, times: np.ndarray, window_ms: float) -> np.ndarray:
    """Peaks in the window: how many, mean amplitude (microsiemens); (frames, 2)."""
    stamps = peaks.time.to_numpy(float)
    values = np.column_stack([np.ones(len(stamps)), peaks.amplitude.to_numpy(float)])
    count, total = _window_sums(stamps, values, times, window_ms).T
    return np.column_stack([count, total / np.maximum(count, 1)])
