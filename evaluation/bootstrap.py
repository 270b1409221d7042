"""Percentile bootstrap over rows, of any figure that can be made from how often each row was drawn."""

from collections.abc import Callable

import numpy as np

CELLS = 4_000_000
"""Counts that are held in memory at once."""


def row_bootstrap(
    statistic: Callable[[np.ndarray], dict[str, np.ndarray]],
    rows: int,
    *,
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> dict[str, list[float]]:
    """Intervals of figures over the draw of rows (Efron & Tibshirani 1993); see `metrics.bootstrap_interval`.

    `scipy.stats.bootstrap` hands resampled rows to the statistic; from counts, a figure that is made of sums over rows
    is one matrix product for all resamples.

    Args:
        statistic: takes counts (resamples, rows), how often each row was drawn, float; gives figures by name, each
            (resamples,), NaN where a resample has no such figure.
        rows: how many there are.
        seed: of the resampling.
        resamples: how many.
        confidence: 0..1.

    Returns:
        Figure -> [low, high].
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, CELLS // rows)
    parts = [statistic(_counts(rng, rows, min(at_once, resamples - done))) for done in range(0, resamples, at_once)]
    tail = (1 - confidence) / 2
    return {
        name: np.nanquantile(np.concatenate([part[name] for part in parts]), [tail, 1 - tail]).tolist()
        for name in parts[0]
    }


def _counts(rng: np.random.Generator, rows: int, resamples: int) -> np.ndarray:
    """(resamples, rows): how often each row was drawn, float."""
    draws = rng.integers(rows, size=(resamples, rows))
    return np.stack([np.bincount(draw, minlength=rows) for draw in draws]).astype(np.float64)
