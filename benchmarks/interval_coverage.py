"""Do intervals hold the truth as often as they say, and do tests call differences that there are not?

    python benchmarks/interval_coverage.py [--studies 300] [--quick] [--output FILE]

Studies are drawn of people with effects of their own, whose true figure is known: to three labels, each person answers
rightly with a probability of one's own; of two labels at once likewise; a number is seen with an offset of the
person's. A study has 10 to 50 rows of each person. Coverage is the share of the studies whose nominal 95 % interval
holds the truth, by people and by rows. The level is the share of studies in which two models that are alike are said
to differ: by the permutation test of `affecthub compare`, and by McNemar's, which takes rows as independent.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from measure import Goal, report
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit
from scipy.stats import binom

from affecthub.evaluation.answers import Answers, answers_of
from affecthub.evaluation.bootstrap import Draws, interval
from affecthub.evaluation.clusters import Clusters
from affecthub.evaluation.comparison import mcnemar, permutation
from affecthub.evaluation.metrics import METRICS
from affecthub.evaluation.pools import Pool

PEOPLE = (10, 20, 30)
ROWS = (10, 50)
PRIOR = np.array([0.6, 0.3, 0.1])
"""Of the three labels."""

SKILL, SPREAD = 0.8, 1.0
"""Mean and standard deviation over people of the logit of being right."""

SLOPE, OFFSET, NOISE, BETWEEN = 0.6, 0.5, 0.5, 0.5
"""What is said of a number: slope, spread of the people's offsets, noise; and how much people differ in truth."""

Study = Callable[[np.random.Generator, np.ndarray], Answers]
"""Answers to rows, by the person (rows,) of each."""


def main(arguments: list[str] | None = None) -> None:
    """Draw the studies and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=300, help="default: 300")
    parser.add_argument("--quick", action="store_true", help="few studies: only to see that it runs")
    parser.add_argument("--output", type=Path, help="write the figures here, as JSON")
    options = parser.parse_args(arguments)
    studies = 20 if options.quick else options.studies
    found = pd.DataFrame([row for study in STUDIES for people in PEOPLE for row in coverage(study, people, studies)])
    goals = [
        goal
        for row in found.loc[found["people"] > min(PEOPLE)].to_dict("records")
        for goal in (
            Goal(f"coverage, {row['figure']}, {row['people']} people", row["by people, %"], at_least=93),
            Goal(f"coverage, {row['figure']}, {row['people']} people", row["by people, %"], at_most=97),
        )
    ]
    report(f"coverage of nominal 95 % intervals, {studies} studies", found.round(1), goals, options.output)
    found = pd.DataFrame([level(people, studies) for people in PEOPLE])
    goals = [
        Goal(f"level, {row['people']} people", row["permutation by people, %"], at_most=6)
        for row in found.to_dict("records")
    ]
    output = options.output and options.output.with_stem(f"{options.output.stem}_level")
    report(f"differences called between two models that are alike, {studies} studies", found.round(1), goals, output)


def coverage(study: Study, people: int, studies: int, seed: int = 0) -> list[dict[str, object]]:
    """How often intervals hold the truth, in percent, and how wide they are: a row of the table for each figure."""
    rng, names, found = np.random.default_rng([seed, people]), STUDIES[study], []
    for drawn in range(studies):
        who = draw_people(rng, people)
        answers = study(rng, who)
        by = [Draws(answers, drawn, groups=groups) for groups in (who, None)]
        found.append(
            [
                [interval(METRICS[name].of(draws), groups=n) for draws, n in zip(by, (people, None), strict=True)]
                for name in names
            ]
        )
    low, high = np.moveaxis(np.array(found), -1, 0)  # (studies, figures, by)
    truth = np.array([TRUTH[name] for name in names])[:, None]
    holds, widths = 100 * ((low <= truth) & (truth <= high)).mean(axis=0), (high - low).mean(axis=0)
    return [
        {
            "figure": name,
            "people": people,
            "by people, %": holds[i, 0],
            "by rows, %": holds[i, 1],
            "times as wide": widths[i, 0] / widths[i, 1],
        }
        for i, name in enumerate(names)
    ]


def level(people: int, studies: int, seed: int = 0) -> dict[str, object]:
    """How often two models that are alike are said to differ at .05, in percent."""
    rng, called = np.random.default_rng([seed, people, 1]), []
    for drawn in range(studies):
        who = draw_people(rng, people)
        truth = rng.choice(3, len(who), p=PRIOR)
        one, other = (pool_of(three_labels(rng, who, truth), who) for _ in range(2))
        p, _ = permutation(one, other, METRICS["accuracy"], seed=drawn, exchanges=999)
        called.append([p < 0.05, mcnemar(one.first, other.first)["p"] < 0.05])
    by_people, by_rows = 100 * np.mean(called, axis=0)
    most = 100 * binom.ppf(0.975, studies, 0.05) / studies
    return {
        "people": people,
        "permutation by people, %": by_people,
        "McNemar over rows, %": by_rows,
        "of 5 % by chance up to, %": most,
    }


def draw_people(rng: np.random.Generator, people: int) -> np.ndarray:
    """Whose each row is, int (rows,)."""
    return np.repeat(np.arange(people), rng.integers(*ROWS, people, endpoint=True))


def pool_of(answers: Answers, who: np.ndarray) -> Pool:
    """One fold of one seed."""
    keys = np.arange(len(who)).astype(str)
    folds = np.zeros(len(who), int)
    return Pool("model", "study", "label", "test", keys, folds, Clusters("participant", who), {0: answers})


def three_labels(rng: np.random.Generator, who: np.ndarray, truth: np.ndarray | None = None) -> Answers:
    """One of three labels, right by the skill of each person; what is wrong is one of the others."""
    truth = rng.choice(3, len(who), p=PRIOR) if truth is None else truth
    right = rng.random(len(who)) < expit(rng.normal(SKILL, SPREAD, who.max() + 1))[who]
    return answers_of("single_label", truth, np.where(right, truth, (truth + rng.integers(1, 3, len(who))) % 3), "abc")


def two_marks(rng: np.random.Generator, who: np.ndarray) -> Answers:
    """Two labels that each are there or not, right by the skill of each person with each."""
    truth = (rng.random((len(who), 2)) < PRIOR[1:]).astype(float)
    right = rng.random((len(who), 2)) < expit(rng.normal(SKILL, SPREAD, (who.max() + 1, 2)))[who]
    return answers_of("multi_label", truth, np.where(right, truth, 1 - truth), "ab")


def a_number(rng: np.random.Generator, who: np.ndarray) -> Answers:
    """A number whose mean is another for each person, seen with an offset of the person's."""
    base, offset = rng.normal(0, [[BETWEEN], [OFFSET]], (2, who.max() + 1))
    truth = base[who] + rng.normal(size=len(who))
    return answers_of("regression", truth, SLOPE * truth + offset[who] + rng.normal(0, NOISE, len(who)), ["value"])


def true_figures() -> dict[str, float]:
    """What the figures are over all people: by quadrature over skills, and the moments of the numbers."""
    nodes, weights = hermegauss(61)
    right = float(expit(SKILL + SPREAD * nodes) @ weights / weights.sum())
    cells = np.diag(PRIOR * right) + (1 - np.eye(3)) * (PRIOR * (1 - right) / 2)[:, None]
    marks = PRIOR[1:]
    found = marks * right
    said = found + (1 - marks) * (1 - right)
    of_truth = 1 + BETWEEN**2
    of_said = SLOPE**2 * of_truth + OFFSET**2 + NOISE**2
    return {
        "accuracy": right,
        "f1_macro": float(np.mean(2 * np.diag(cells) / (cells.sum(axis=0) + cells.sum(axis=1)))),
        "f1_micro": float(2 * found.sum() / (marks + said).sum()),
        "ccc": 2 * SLOPE * of_truth / (of_truth + of_said),
        "mae": float(np.sqrt(2 / np.pi * ((1 - SLOPE) ** 2 * of_truth + OFFSET**2 + NOISE**2))),
    }


TRUTH = true_figures()

STUDIES = {three_labels: ("accuracy", "f1_macro"), two_marks: ("f1_micro",), a_number: ("mae", "ccc")}
"""Studies -> metrics whose truth is known of them."""


if __name__ == "__main__":
    main()
