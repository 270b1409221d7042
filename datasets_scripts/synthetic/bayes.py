"""How well any classifier can do on labels that are seen only through noisy, independent cues.

The world: a label y is drawn from a prior over K classes. Each modality m shows a cue c_m, which is y with probability
r_m (its reliability) and otherwise one of the K - 1 other classes, all equally likely. Given y, the cues are
independent. The Bayes rule, argmax over y of p(y) * prod_m p(c_m | y), is then the best possible classifier
(Duda, Hart & Stork, *Pattern Classification*, 2nd ed., section 2.2), and its accuracy is an exact sum over all cues.
"""

from collections.abc import Sequence

import numpy as np

Numbers = Sequence[float] | np.ndarray


def joint_probability(prior: Numbers, reliabilities: Numbers, cues: np.ndarray) -> np.ndarray:
    """Return p(y, c_1, ..., c_M) for every class y, row by row.

    Args:
        prior: p(y), one number a class, summing to 1.
        reliabilities: p(c_m = y), one number a modality, in 0..1; may be empty.
        cues: (rows, modalities) integers, the class that each modality shows.

    Returns:
        (rows, classes) float64; divide by the row sum for the posterior.

    Raises:
        ValueError: the prior does not sum to 1, a reliability lies outside 0..1, or the cues have another width.
    """
    prior, reliabilities, cues = np.asarray(prior, float), np.asarray(reliabilities, float), np.asarray(cues)
    if not np.isclose(prior.sum(), 1.0) or (prior < 0).any():
        raise ValueError(f"a prior must be non-negative and sum to 1, got {prior.tolist()} (sum {prior.sum():.6f})")
    if ((reliabilities < 0) | (reliabilities > 1)).any():
        raise ValueError(f"a reliability must lie in 0..1, got {reliabilities.tolist()}")
    if cues.ndim != 2 or cues.shape[1] != len(reliabilities):
        raise ValueError(f"cues must be (rows, {len(reliabilities)}), one column a reliability, got {cues.shape}")
    hit = cues[:, :, None] == np.arange(len(prior))
    likelihood = np.where(hit, reliabilities[:, None], (1 - reliabilities[:, None]) / (len(prior) - 1))
    return prior * likelihood.prod(axis=1)


def bayes_rule(prior: Numbers, reliabilities: Numbers, cues: np.ndarray) -> np.ndarray:
    """Return the most probable class for every row of `cues`, (rows, modalities) integers; arguments as above."""
    return joint_probability(prior, reliabilities, cues).argmax(axis=1)


def bayes_accuracy(prior: Numbers, reliabilities: Numbers) -> float:
    """Return the accuracy of the Bayes rule, which no classifier can exceed in expectation.

    The sum over all cues of max_y p(y, cues) is exact: K ** M terms, 343 for seven classes and three modalities.

    Args:
        prior: p(y), one number a class.
        reliabilities: one number for every modality that is seen; none leaves the largest prior.

    Returns:
        The expected share of correct answers, 0..1.

    Examples:
        >>> round(bayes_accuracy([0.5, 0.5], [0.9]), 6)
        0.9
        >>> round(bayes_accuracy([0.5, 0.5], [0.8, 0.8, 0.8]), 6)  # a majority vote
        0.896
    """
    shape = (len(prior),) * len(reliabilities)
    every_cue = np.indices(shape).reshape(len(shape), -1).T if shape else np.zeros((1, 0), int)
    return float(joint_probability(prior, reliabilities, every_cue).max(axis=1).sum())
