"""Annotations meet frames by time: for each frame, what happened in the window that ends with it.

A window of `w` ms before a frame at `t` is t - w < time <= t. An episode touches it when it begins by `t` and ends
after t - w; with w = 0 that means: it is under way at `t`.
"""

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

    @property
    def last_ms(self) -> float:
        """End of the last annotation; 0 without any."""
        ends = (self.expressions.offset, self.fixations.end, self.peaks.time, self.sensor.time)
        return float(max((end.max() for end in ends if len(end)), default=0.0))

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
    gaze = _within(times, window_ms, signals.fixations.end.max() if len(signals.fixations) else None)
    gsr = _within(times, window_ms, np.inf if len(signals.peaks) else None)
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


def _within(times: np.ndarray, window_ms: float, end: float | None) -> np.ndarray:
    """The share of each window inside 0..`end` ms; 0 where there is no annotation at all (None)."""
    if end is None:
        return np.zeros(len(times))
    if window_ms == 0:
        return (times <= end).astype(float)
    return np.clip(np.minimum(times, end) - np.maximum(times - window_ms, 0.0), 0.0, None) / window_ms


def _face_coverage(signals: Signals, times: np.ndarray, window_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """Share of the window in which the face is known, and whether AFFDEX looked and saw none, both (frames,).

    A sensor export says when it saw a face; a table of episodes only says that nothing is known after its last one.
    """
    if not len(signals.sensor):
        end = signals.expressions.offset.max() if len(signals.expressions) else None
        return _within(times, window_ms, end), np.zeros(len(times), bool)
    stamps = signals.sensor.time.to_numpy()
    seen = signals.sensor[_sensor_columns(signals.sensor)].notna().any(axis=1).to_numpy()
    samples = _window_sums(stamps, np.ones(len(stamps)), times, window_ms)
    faces = _window_sums(stamps, seen.astype(float), times, window_ms)
    begun = _within(times, window_ms, np.inf)  # a sample at 0 ms does not tell the second before it
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
    """0 or 1 for each name, (frames, names): by the table of episodes, or without one by the sensor export."""
    if not len(signals.expressions) and len(signals.sensor):
        return _from_sensor(signals.sensor, names, times, window_ms)
    values = np.zeros((len(times), len(names)))
    for name, episodes in signals.expressions.groupby("name"):
        if name in names:
            touched = _touches(episodes.onset.to_numpy(), episodes.offset.to_numpy(), times, window_ms)
            values[:, names.index(name)] = touched.any(axis=1)
    return values


def _from_sensor(sensor: pd.DataFrame, names: tuple[str, ...], times: np.ndarray, window_ms: float) -> np.ndarray:
    """Whether each value passes the threshold anywhere in the window; NaN for what the export does not hold."""
    unknown = pd.Series(np.nan, index=sensor.index)
    valence = sensor.get("Valence", unknown)
    derived = {
        "Positive Valence": valence,
        "Negative Valence": -valence,
        "Neutral Valence": (100.0 * (valence.abs() < SENSOR_THRESHOLD)).where(valence.notna()),
        "Adaptive Engagement": sensor.get("Engagement", unknown),
    }
    stamps, values = sensor.time.to_numpy(), np.full((len(times), len(names)), np.nan)
    for i, name in enumerate(names):
        column = derived.get(name, sensor.get(name, unknown))
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
    episodes = signals.expressions[signals.expressions.name == "Attention"]
    begin, end = _merge(episodes.onset.to_numpy(), episodes.offset.to_numpy())
    if window_ms == 0:
        return _touches(begin, end, times, 0.0).any(axis=1).astype(float)
    start = np.maximum(times - window_ms, 0.0)[:, None]
    inside = np.clip(np.minimum(end[None], times[:, None]) - np.maximum(begin[None], start), 0.0, None).sum(axis=1)
    return np.clip(inside / np.maximum(face * window_ms, 1e-9), 0.0, 1.0)


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
