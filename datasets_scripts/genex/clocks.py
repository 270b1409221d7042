"""Whether the tables of a recording and the recording itself go by one clock.

A table that was exported on the session's clock is late for every recording but the first, and nothing in it says so.
It shows in two ways: its rows run past the recording's end by no more than they begin late, so that they would fit if
they were moved; or its episodes agree with the AFFDEX export when they are moved, and not as they stand.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.signal import correlate

from affecthub.datasets_scripts.genex.align import Signals, sensor_scores

TOLERANCE = 2000.0
"""ms that clocks may differ by: recordings are cut, and exports begin, a moment before or after a stimulus."""

STEP = 500.0
"""ms between the moments at which episodes and the export are compared."""

MOST_LAG = 600_000.0
"""ms by which one is moved against the other, at most."""

FIT, BETTER = 0.5, 0.2
"""The correlation that tells that moved episodes fit, and by how much it has to exceed that of unmoved ones."""


def on_one_clock(signals: Signals, end: float) -> tuple[Signals, dict[str, str]]:
    """The annotations of a recording without those tables that go by another clock.

    Args:
        signals: of the recording.
        end: of the recording, ms.

    Returns:
        What is left, and the finding of each table that was left out, by the name of its field in `Signals`.
    """
    found, spans = {}, signals.spans()
    movable = {name: first >= last - end - TOLERANCE for name, (first, last) in spans.items()}
    # tables that begin in time and run past the end say that the recording was cut
    whole = max([end, *(last for name, (_, last) in spans.items() if not movable[name])])
    for name, (first, last) in spans.items():
        if movable[name] and last > whole + TOLERANCE:
            found[name] = (
                f"runs from {first / 1000:.1f} to {last / 1000:.1f} s, the recording from 0 to {end / 1000:.1f} s; "
                "export it with times from the beginning of the recording"
            )
    if not {"expressions", "sensor"} & found.keys() and (lag := _lag(signals)) is not None:
        found["expressions"] = (
            f"agrees with the AFFDEX export when it is moved by {lag / 1000:+.1f} s, and not as it stands; export "
            "both with times from the beginning of the recording"
        )
    return replace(signals, **{name: getattr(signals, name).iloc[:0] for name in found}), found


def _lag(signals: Signals) -> float | None:
    """By how many ms the episodes have to be moved to agree with the export; None where they agree, or none tells."""
    if not len(signals.sensor) or not len(signals.expressions):
        return None
    end = max(signals.sensor.time.max(), signals.expressions.offset.max())
    moments = np.arange(0.0, end + STEP, STEP)
    most = int(MOST_LAG / STEP)
    together, norm = np.zeros(2 * len(moments) - 1), np.zeros(2)
    for name, episodes in signals.expressions.groupby("name"):
        scores = _at(signals.sensor, sensor_scores(signals.sensor, str(name)), moments)
        if scores is None:
            continue
        under_way = np.zeros(len(moments))
        for begin, stop in zip(episodes.onset, episodes.offset, strict=True):
            under_way[np.searchsorted(moments, begin) : np.searchsorted(moments, stop, side="right")] = 1
        under_way -= under_way.mean()
        together += correlate(scores, under_way, method="fft")
        norm += np.square([scores, under_way]).sum(axis=1)
    if not norm.all():
        return None
    together /= np.sqrt(norm.prod())
    zero = len(moments) - 1
    low = max(zero - most, 0)
    best = low + int(together[low : zero + most + 1].argmax())
    lag = (best - zero) * STEP
    near = int(TOLERANCE / STEP)
    as_it_stands = together[max(zero - near, 0) : zero + near + 1].max()
    told = abs(lag) > TOLERANCE and together[best] >= FIT and together[best] > as_it_stands + BETTER
    return lag if told else None


def _at(sensor: pd.DataFrame, scores: pd.Series, moments: np.ndarray) -> np.ndarray | None:
    """The latest score at each moment, about its mean, 0 where it is unknown; None where all are or none changes."""
    known = scores.notna().to_numpy()
    if not known.any():
        return None
    stamps, values = sensor.time.to_numpy()[known], scores.to_numpy(float)[known]
    place = np.searchsorted(stamps, moments, side="right") - 1
    fresh = (place >= 0) & (moments - stamps[np.maximum(place, 0)] <= STEP)
    if not fresh.any():
        return None
    found = values[np.maximum(place, 0)]
    return np.where(fresh, found - found[fresh].mean(), 0.0)
