"""The audit's checks of how labels came about: a feature that is the target in disguise, tracks that are copies."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import median_abs_deviation, rankdata

from affecthub.datasets_scripts.corpus import AuditColumns

from .findings import EXAMPLES, Finding

LAGS = (0, *(sign * rows for rows in (1, 2, 3, 5, 10, 20) for sign in (1, -1)))
"""Rows by which a feature may be late or early."""

TELLING = 0.35
"""Mean rank correlation within people from which on a feature may be the target in disguise, where no other one comes
near; a copy of two equally frequent classes that is right in 70 % of the rows has 0.4."""

OUTSTANDING = 6.0
"""Robust standard deviations above the median of the other features, from which on none comes near."""

CERTAIN = 0.95
"""As `TELLING`, whatever the others have."""

MIN_TRACK = 20
"""Rows of one person from which on a track of labels, or a correlation, says something."""

MIN_KAPPA = 0.6
"""Cohen's kappa (1960) of two people's tracks of labels, row by row."""

MIN_CHANGES = 3
"""Changes of the label that two tracks have in common, at the same row or the next; half of all has to be."""

MOST_PEOPLE = 200
"""Those with the most rows, whose tracks are compared."""


def telling_features(table: pd.DataFrame, columns: AuditColumns, names: Sequence[str]) -> Finding | None:
    """Features of which one alone follows a target far better than all others do, also if it is late or early.

    Args:
        table: rows that learn, those of a recording in order of time, with `columns.features`.
        columns: which columns say what; of `labels` and `numbers` each is a target.
        names: of the features.
    """
    if columns.features is None:
        return None
    rows = table.loc[table[columns.features].notna()]
    size = 4 * len(names)
    rows = rows.loc[rows[columns.features].map(len) % size == 0] if size else rows.iloc[:0]
    if len(rows) < MIN_TRACK:
        return None
    values = np.stack([np.frombuffer(value[-size:], np.float32) for value in rows[columns.features]])
    groups = [
        places
        for places in rows.reset_index(drop=True).groupby(columns.participant or np.zeros(len(rows))).indices.values()
        if len(places) >= MIN_TRACK
    ]
    found = []
    for name in (*columns.labels, *columns.numbers):
        for target, said in _targets(rows[name], name, name in columns.numbers):
            best, lags = _strength(values, said, groups)
            found += [
                (best[i], f"{target} from {names[i]}{_late(lags[i])} (rank correlation {best[i]:.2f})")
                for i in np.flatnonzero(_stands_out(best)).tolist()
            ]
    if not found:
        return None
    found.sort(reverse=True)
    message = f"{len(found)} times one feature alone follows a target within people, far better than the others do"
    remedy = (
        "find out how the feature came about: leave it out if the target was made from it, else say so in the card"
    )
    return Finding(
        "target_from_feature", "warning", len(found), message, [text for _, text in found[:EXAMPLES]], remedy
    )


def _targets(values: pd.Series, name: str, number: bool) -> list[tuple[str, np.ndarray]]:
    """Name and numbers (rows,), NaN where unknown, of a number, or of each class of a label."""
    if number:
        return [(name, values.to_numpy(dtype=float))]
    classes = values.dropna().unique()
    kept = classes[1:] if len(classes) == 2 else classes[:10]
    return [
        (
            name if len(classes) == 2 else f"{name} {value}",
            np.where(values.isna(), np.nan, values == value).astype(float),
        )
        for value in kept
    ]


def _strength(values: np.ndarray, said: np.ndarray, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of each feature the mean rank correlation with a target within people at its best lag, and that lag."""
    sums, weights = np.zeros((len(LAGS), values.shape[1])), np.zeros((len(LAGS), values.shape[1]))
    for places in groups:
        ranks = rankdata(values[places], axis=0, nan_policy="omit")
        wanted = rankdata(said[places], nan_policy="omit")
        for row, lag in enumerate(LAGS):
            if len(places) - abs(lag) < MIN_TRACK:
                continue
            shifted = ranks[lag:] if lag >= 0 else ranks[:lag]
            aim = wanted[: len(wanted) - lag] if lag >= 0 else wanted[-lag:]
            r = _correlation(shifted, aim)
            known = np.isfinite(r)
            sums[row, known] += r[known] * len(aim)
            weights[row, known] += len(aim)
    mean = np.abs(sums / np.maximum(weights, 1))
    best = mean.argmax(axis=0)
    return mean.max(axis=0, initial=0), np.array(LAGS)[best]


def _correlation(ranks: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """float (features,), NaN where either does not vary."""
    known = np.isfinite(wanted)
    ranks, wanted = np.where(np.isfinite(ranks[known]), ranks[known], np.nan), wanted[known]
    if not len(wanted):
        return np.full(ranks.shape[1], np.nan)
    ranks = np.nan_to_num(ranks - _mean(ranks))
    wanted = wanted - wanted.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return wanted @ ranks / np.sqrt((wanted**2).sum() * (ranks**2).sum(axis=0))


def _mean(ranks: np.ndarray) -> np.ndarray:
    known = np.isfinite(ranks)
    return np.where(known, ranks, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _stands_out(best: np.ndarray) -> np.ndarray:
    """Which features tell a target and are alone in that, bool (features,)."""
    spread = max(median_abs_deviation(best, scale="normal"), 0.02)  # pyright: ignore[reportArgumentType]
    alone = (best >= TELLING) & (best >= np.median(best) + OUTSTANDING * spread) & (len(best) >= 4)
    return alone | (best >= CERTAIN)


def _late(lag: int) -> str:
    return "" if not lag else f", {abs(lag)} rows {'later' if lag > 0 else 'earlier'}"


def same_tracks(rows: pd.DataFrame, columns: AuditColumns) -> list[Finding | None]:
    """People whose labels change together, row by row: one's were copied from another, or are of what all saw.

    Args:
        rows: of both sides, those of a person in order of time.
        columns: which columns say what.
    """
    if columns.participant is None:
        return []
    return [_same_track(rows, columns.participant, label) for label in columns.labels]


def _same_track(rows: pd.DataFrame, participant: str, label: str) -> Finding | None:
    codes = pd.Series(pd.factorize(rows[label])[0], index=rows.index)
    tracks = {name: track.to_numpy() for name, track in codes.groupby(rows[participant]) if len(track) >= MIN_TRACK}
    people = sorted(tracks, key=lambda name: -len(tracks[name]))[:MOST_PEOPLE]
    pairs = [(a, b, share) for a, b in combinations(people, 2) if (share := _agreement(tracks[a], tracks[b]))]
    if not pairs:
        return None
    named = {name for a, b, _ in pairs for name in (a, b)}
    every = ", as if the labels were of what all of them saw" if len(named) == len(people) > 2 else ""
    message = (
        f"{label}: the labels of {len(named)} of {len(people)} people change together, row by row "
        f"({len(pairs)} pair{'s' if len(pairs) > 1 else ''} with kappa {MIN_KAPPA} or more){every}"
    )
    examples = [f"{a} = {b} in {share:.0%} of the rows" for a, b, share in pairs[:EXAMPLES]]
    remedy = "see in the tables whose labels these are: correct them, or count these people as one"
    return Finding("same_label_track", "warning", len(pairs), message, examples, remedy)


def _agreement(one: np.ndarray, other: np.ndarray) -> float | None:
    """Share of equal rows of two tracks that change together; None where they do not."""
    length = min(len(one), len(other))
    if length < 0.9 * max(len(one), len(other)):
        return None
    one, other = one[:length], other[:length]
    known = (one >= 0) & (other >= 0)
    if known.sum() < MIN_TRACK:
        return None
    agreed = float((one == other)[known].mean())
    labels = np.union1d(one[known], other[known])
    chance = sum(float((one[known] == label).mean() * (other[known] == label).mean()) for label in labels)
    if chance > 0.999 or (agreed - chance) / (1 - chance) < MIN_KAPPA:
        return None
    changes = [np.flatnonzero(np.diff(track)) for track in (one, other)]
    together = sum(bool(np.abs(changes[1] - change).min(initial=9) <= 1) for change in changes[0])
    return agreed if together >= MIN_CHANGES and 2 * together >= max(map(len, changes)) else None
