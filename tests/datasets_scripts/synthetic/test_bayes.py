"""The closed form of the Bayes-optimal accuracy, against brute force, Monte Carlo and cases known by hand."""

from itertools import product

import numpy as np
import pytest

from affecthub.datasets_scripts.synthetic.bayes import bayes_accuracy, bayes_rule, joint_probability

PRIOR = [0.28, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12]


def brute_force(prior, reliabilities):
    """The same sum in plain loops: for every tuple of cues, the largest p(y) * prod p(c | y)."""
    classes = range(len(prior))
    total = 0.0
    for cues in product(classes, repeat=len(reliabilities)):
        scores = []
        for y in classes:
            score = prior[y]
            for cue, r in zip(cues, reliabilities, strict=True):
                score *= r if cue == y else (1 - r) / (len(prior) - 1)
            scores.append(score)
        total += max(scores)
    return total


@pytest.mark.parametrize("reliabilities", [[], [0.76], [0.76, 0.3], [0.76, 0.74, 0.75], [0.05, 0.9, 0.5]])
def test_closed_form_equals_brute_force(reliabilities):
    assert bayes_accuracy(PRIOR, reliabilities) == pytest.approx(brute_force(PRIOR, reliabilities), abs=1e-12)


def test_known_by_hand():
    assert bayes_accuracy(PRIOR, []) == pytest.approx(0.28)
    assert bayes_accuracy(PRIOR, [0.76]) == pytest.approx(0.76)  # a strong cue is always followed
    assert bayes_accuracy(PRIOR, [1 / 7]) == pytest.approx(0.28)  # a cue without information
    assert bayes_accuracy([0.5, 0.5], [0.8] * 3) == pytest.approx(0.8**3 + 3 * 0.8**2 * 0.2)  # a majority vote
    assert bayes_accuracy([0.5, 0.5], [0.0]) == pytest.approx(1.0)  # a cue that always lies tells all


def test_closed_form_equals_monte_carlo():
    rng, reliabilities, rows = np.random.default_rng(0), np.array([0.76, 0.74, 0.75]), 200_000
    labels = rng.choice(7, size=rows, p=PRIOR)
    wrong = (labels[:, None] + rng.integers(1, 7, (rows, 3))) % 7
    cues = np.where(rng.random((rows, 3)) < reliabilities, labels[:, None], wrong)
    accuracy = np.mean(bayes_rule(PRIOR, reliabilities, cues) == labels)
    assert accuracy == pytest.approx(bayes_accuracy(PRIOR, reliabilities), abs=4 * np.sqrt(0.25 / rows))


def test_joint_probability_sums_to_one():
    cues = np.array(list(product(range(7), repeat=2)))
    assert joint_probability(PRIOR, [0.76, 0.74], cues).sum() == pytest.approx(1.0)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="sum to 1, got .*0.9"):
        bayes_accuracy([0.5, 0.4], [0.8])
    with pytest.raises(ValueError, match=r"0\.\.1, got \[1\.2\]"):
        bayes_accuracy([0.5, 0.5], [1.2])
    with pytest.raises(ValueError, match=r"cues must be \(rows, 2\).*got \(4, 3\)"):
        joint_probability([0.5, 0.5], [0.8, 0.8], np.zeros((4, 3), int))
