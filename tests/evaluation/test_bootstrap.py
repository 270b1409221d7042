"""Resamples of plain columns, which are of no target."""

import numpy as np
import pytest

from affecthub.evaluation.bootstrap import mean_draws


def test_means_are_drawn_by_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 50)
    values = (rng.normal(size=20)[groups] + rng.normal(0, 0.1, 1000))[:, None]
    draws = mean_draws(values, groups, seed=0)
    assert draws.mean() == pytest.approx(values.mean(), abs=0.05)
    each = np.array([values[groups == group].mean() for group in range(20)])
    assert draws.std() == pytest.approx(each.std() / np.sqrt(20), rel=0.1)  # by rows it would be a seventh of that
