"""Resamples of columns, and of pairs of rows."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from affecthub.evaluation import ranking
from affecthub.evaluation.answers import from_outputs
from affecthub.evaluation.bootstrap import Draws, mean_draws


def test_means_are_drawn_by_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 50)
    values = (rng.normal(size=20)[groups] + rng.normal(0, 0.1, 1000))[:, None]
    draws = mean_draws(values, groups, seed=0)
    assert draws.mean() == pytest.approx(values.mean(), abs=0.05)
    each = np.array([values[groups == group].mean() for group in range(20)])
    assert draws.std() == pytest.approx(each.std() / np.sqrt(20), rel=0.1)  # by rows it would be a seventh of that


@pytest.mark.parametrize("kind", ["single_label", "binary", "multi_label"])
def test_pairs_of_groups_are_ranked_as_their_rows_are(kind, monkeypatch):
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(300, 1 if kind == "binary" else 3)).round(1)  # ties
    references = (
        rng.integers(3, size=300) if kind == "single_label" else (rng.random(outputs.shape) < 0.3).astype(float)
    )
    if kind == "multi_label":
        references[rng.random(outputs.shape) < 0.1] = np.nan
        references[0] = 1
    answers = from_outputs(kind, references, outputs, ["no", "yes"] if kind == "binary" else ["a", "b", "c"])
    groups = rng.integers(12, size=len(answers))
    by_groups = ranking.area_under_roc(Draws(answers, 5, 40, groups, 13))
    monkeypatch.setattr(ranking, "CELLS", 100)  # some scores at once
    assert (ranking.area_under_roc(Draws(answers, 5, 40, groups, 13)) == by_groups).all()
    monkeypatch.setattr(ranking, "FEW_GROUPS", 0)
    assert ranking.area_under_roc(Draws(answers, 5, 40, groups, 13)) == pytest.approx(by_groups, abs=1e-12)
    if kind == "binary":
        (counts,) = Draws(answers, 5, 40, groups, 13).counts()
        rows = np.repeat(np.arange(len(answers)), counts[3].astype(int)[groups])
        truth = answers.references.reshape(-1)[rows]
        assert roc_auc_score(truth, answers.probabilities.reshape(-1)[rows]) == pytest.approx(by_groups[3])
