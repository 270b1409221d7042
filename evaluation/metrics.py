"""The table of metrics.

A metric is one row of `METRICS`. A row of your own, added by whatever module holds your data set, is measured, logged,
chosen by (`--training.best_metric`), drawn and shown like the others:

    METRICS["mcc"] = Metric("Matthews correlation", of_rows(sklearn.metrics.matthews_corrcoef), ("single_label",))
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .answers import Answers, Kind
from .bootstrap import Draws
from .ranking import area_under_roc, average_precision
from .reliability import area_under_risk, calibration_error

PERCENT = "%"


@dataclass(frozen=True)
class Metric:
    """A row of the table."""

    name: str
    """For a reader."""
    of: Callable[[Draws], np.ndarray]
    """Its figure of each draw (draws,), NaN where there is none; `of_rows` makes one of a plain function."""
    kinds: tuple[Kind, ...]
    """Of the targets that are judged by it."""
    unit: str = ""
    """"%": a share of 1 that is shown times 100; else shown as it is, the unit (if any) beside its name."""
    lower_is_better: bool = False
    hub: str | None = None
    """The Hub's word for it, if there is one; the card's front matter names it."""
    ablation: tuple[Kind, ...] = ()
    """Of these kinds it is compared between subsets of the modalities; the first such row says what is gained."""
    curve: bool = True
    """Whether it is drawn over the epochs."""
    pooled: bool = True
    """Whether the rows of all folds make one figure; else it is the mean of the folds' figures, as it sets outputs of
    rows against one another, or against a scale, and those of different models have none in common."""
    ranks: bool = False
    """Whether nothing but the order of the probabilities counts."""

    @property
    def title(self) -> str:
        """Its name, with the unit where that is not plain from how it is shown."""
        return self.name if self.unit in ("", PERCENT) else f"{self.name} ({self.unit})"

    def shown(self, value: float) -> str:
        """A figure for a reader: "48.1" of a share, "0.481" of all else."""
        return percent(value) if self.unit == PERCENT else f"{value:z.3f}"


def percent(fraction: float) -> str:
    """0.48123 -> "48.1"."""
    return f"{100 * fraction:.1f}"


def of_rows(figure: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Draws], np.ndarray]:
    """A metric of rows, such as those of scikit-learn, for the table; slow, as each resample is a call of its own.

    Args:
        figure: takes references and predictions, as `Answers` holds them.
    """

    def each(answers: Answers, counts: np.ndarray) -> np.ndarray:
        drawn = (np.repeat(np.arange(len(row)), row.astype(int)) for row in counts)
        return np.array([figure(answers.references[rows], answers.predictions[rows]) for rows in drawn], dtype=float)

    return lambda draws: draws.by_rows(lambda counts: each(draws.answers, counts))


def _ratio(part: ArrayLike, whole: ArrayLike, otherwise: float = float("nan")) -> np.ndarray:
    """part / whole; `otherwise` where the whole is not above 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), whole)
    return np.divide(part, whole, out=np.full(part.shape, otherwise, dtype=np.float64), where=whole > 0)


def _accuracy(draws: Draws) -> np.ndarray:
    return _ratio(draws.hits.sum(axis=1), draws.support.sum(axis=1))


def _balanced_accuracy(draws: Draws) -> np.ndarray:
    recall = _ratio(draws.hits, draws.support, 0)
    return _ratio(recall.sum(axis=1), (draws.support > 0).sum(axis=1))


def _f1(draws: Draws) -> np.ndarray:
    """(draws, labels); 0 where a label is neither true nor predicted, and NaN where no row is judged."""
    nothing = 0.0 if len(draws.answers.pairs[0]) else np.nan
    return _ratio(2 * draws.hits, draws.support + draws.predicted, nothing)


def _f1_weighted(draws: Draws) -> np.ndarray:
    return _ratio((_f1(draws) * draws.support).sum(axis=1), draws.support.sum(axis=1))


def _f1_macro(draws: Draws) -> np.ndarray:
    """Mean over ALL labels: one that never occurs counts as 0, and reports name it."""
    return _f1(draws).mean(axis=1)


def _f1_micro(draws: Draws) -> np.ndarray:
    return _ratio(2 * draws.hits.sum(axis=1), (draws.support + draws.predicted).sum(axis=1), 0)


def _kappa(draws: Draws) -> np.ndarray:
    rows = draws.support.sum(axis=1)
    by_chance = (draws.support * draws.predicted).sum(axis=1)
    return _ratio(rows * draws.hits.sum(axis=1) - by_chance, rows**2 - by_chance)


def _loss(name: str) -> Callable[[Draws], np.ndarray]:
    """The mean of a loss by row, of several labels by element; NaN where ids are all that was given."""

    def mean(draws: Draws) -> np.ndarray:
        if draws.answers.probabilities is None:
            return np.full(1, np.nan)
        if draws.answers.kind == "multi_label":
            return _ratio(draws.total(name), draws.total("known"))
        return draws.mean(name)

    return mean


def _variances(draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Of references and predictions, each (draws,); 0 where there is nothing but rounding."""
    both = [(draws.mean(name), draws.mean(square)) for name, square in (("x", "xx"), ("y", "yy"))]
    found = [(square - mean**2, square) for mean, square in both]
    x, y = (np.where(variance > 1e-12 * square, variance, 0) for variance, square in found)
    return x, y


def _covariance(draws: Draws) -> np.ndarray:
    return draws.mean("xy") - draws.mean("x") * draws.mean("y")


def _pearson(draws: Draws) -> np.ndarray:
    x, y = _variances(draws)
    return _ratio(_covariance(draws), np.sqrt(x * y), 0)


def _ccc(draws: Draws) -> np.ndarray:
    x, y = _variances(draws)
    shift = (draws.mean("x") - draws.mean("y")) ** 2
    return np.where(x * y > 0, _ratio(2 * _covariance(draws), x + y + shift, 0), 0)


ONE: tuple[Kind, ...] = ("single_label", "binary", "soft")
"""Kinds of which a row has one label; of shares it is their mode."""

CLASSES: tuple[Kind, ...] = (*ONE, "multi_label")
"""Kinds that are told by probabilities."""

METRICS: dict[str, Metric] = {
    # Kullback & Leibler 1951; both measures of shares are those of Uma et al. 2021, "Learning from Disagreement"
    "kl_divergence": Metric(
        "KL divergence",
        lambda draws: draws.mean("divergence"),
        ("soft",),
        "nats",
        lower_is_better=True,
        ablation=("soft",),
    ),
    # Endres & Schindelin 2003: the root of the divergence, to the base of 2
    "js_distance": Metric(
        "Jensen-Shannon distance", lambda draws: draws.mean("distance"), ("soft",), "0 to 1", lower_is_better=True
    ),
    # an element is one label of one row; with rare labels, answering "none" comes near 1: look at the baseline
    "element_accuracy": Metric(
        "element accuracy",
        lambda draws: _ratio(draws.total("right"), draws.total("known")),
        ("multi_label",),
        PERCENT,
        hub="accuracy",
        ablation=("multi_label",),
        curve=False,
    ),
    # rows whose known labels are all right
    "exact_match": Metric(
        "exact match", lambda draws: draws.mean("exact"), ("multi_label",), PERCENT, hub="exact_match", curve=False
    ),
    "accuracy": Metric("accuracy", _accuracy, ONE, PERCENT, hub="accuracy", ablation=ONE),
    "balanced_accuracy": Metric("balanced accuracy", _balanced_accuracy, ONE, PERCENT, curve=False),
    # weighted by the labels' counts in the references; MELD's customary figure
    "f1_weighted": Metric("weighted F1", _f1_weighted, ONE, PERCENT, hub="f1", ablation=("single_label", "binary")),
    "f1_macro": Metric("macro F1", _f1_macro, (*ONE, "multi_label"), PERCENT, hub="f1", ablation=("multi_label",)),
    "f1_micro": Metric("micro F1", _f1_micro, ("multi_label",), PERCENT, hub="f1", curve=False),
    "kappa": Metric("Cohen's kappa", _kappa, ("single_label",), hub="cohen_kappa"),
    # of several labels, and of each against all others: the mean over labels
    "auc": Metric(
        "AUC-ROC",
        area_under_roc,
        ("binary", "single_label", "multi_label"),
        PERCENT,
        hub="roc_auc",
        pooled=False,
        ranks=True,
    ),
    "average_precision": Metric(
        "average precision",
        average_precision,
        ("binary", "multi_label"),
        PERCENT,
        curve=False,
        pooled=False,
        ranks=True,
    ),
    # of shares, the mean over raters; less the divergence among them it is the KL divergence
    "nll": Metric("NLL", _loss("log_loss"), CLASSES, "nats", lower_is_better=True, curve=False),
    # Brier 1950: summed over the labels of one label a row, 0 to 2; of a label that is there or not half of that
    "brier": Metric(
        "Brier score", _loss("squared_error"), CLASSES, lower_is_better=True, hub="brier_score", curve=False
    ),
    "ece": Metric(
        "ECE (L2, debiased)", calibration_error, CLASSES, PERCENT, lower_is_better=True, curve=False, pooled=False
    ),
    "aurc": Metric(
        "area under risk-coverage",
        area_under_risk,
        ("single_label", "binary"),
        PERCENT,
        lower_is_better=True,
        curve=False,
        pooled=False,
    ),
    "mae": Metric(
        "MAE",
        lambda draws: draws.mean("absolute_error"),
        ("regression",),
        lower_is_better=True,
        hub="mae",
        ablation=("regression",),
    ),
    "rmse": Metric(
        "RMSE",
        lambda draws: np.sqrt(draws.mean("squared_error")),
        ("regression",),
        lower_is_better=True,
        curve=False,
    ),
    "pearson": Metric("Pearson r", _pearson, ("regression",), hub="pearsonr", curve=False),
    # Lin 1989, Biometrics 45: unlike r it sees a wrong offset
    "ccc": Metric("CCC", _ccc, ("regression",), ablation=("regression",)),
}
"""Key, in results and in the Trainer's log -> what it is, in the order in which reports name them."""


def metrics_of(kind: Kind) -> dict[str, Metric]:
    """The rows of the table by which a kind of target is judged."""
    return {name: metric for name, metric in METRICS.items() if kind in metric.kinds}


def main_metric(kind: Kind) -> str:
    """The one by which a kind of target is judged where nothing is said: the first that curves show."""
    return next(name for name, metric in metrics_of(kind).items() if metric.curve)


def metric_logged(key: str) -> Metric | None:
    """The metric of a key of the Trainer's log, such as "eval_accuracy" or "eval_valence_mae"; None: of none."""
    known = [name for name in METRICS if key == name or key.endswith(f"_{name}")]
    return METRICS[max(known, key=len)] if known else None


def direction_of(key: str) -> str:
    """ "max" for the key of a metric of which more is better, else "min"; what is no metric is the loss."""
    metric = metric_logged(key)
    return "min" if metric is None or metric.lower_is_better else "max"
