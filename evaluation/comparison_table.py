"""A comparison as text for the terminal."""

from .comparison import LEVEL, Comparison, Pair
from .figures import Figures
from .metrics import METRICS, PERCENT, Metric
from .results import SYNTHETIC_NOTE


def comparison_table(comparison: Comparison) -> str:
    """The models, then every pair and what is said of it."""
    metric = METRICS[comparison["metric"]]
    models, pairs = comparison["models"], comparison["pairs"]
    unit = " (figures are in percent)" if metric.unit == PERCENT else ""
    better = "less" if metric.lower_is_better else "more"
    title = f"{metric.title} of {comparison['task']}, {comparison['split']}: {better} is better{unit}"
    head = [SYNTHETIC_NOTE] if comparison.get("synthetic") else []
    blocks = [*head, title, _aligned([_MODEL_HEAD, *(_model_line(model, metric) for model in models)])]
    said = [*(f"{model['model']}: {note}" for model in models for note in model["notes"])]
    by, number = models[0]["clusters"]["by"], models[0]["clusters"]["number"]
    drawn = f"Intervals (95 %) draw, and tests exchange, whole clusters by {by}: {number:,} of them."
    blocks.append("\n".join([drawn, *said]))
    if pairs:
        blocks.append(_aligned([PAIR_HEAD, *(pair_line(pair, metric) for pair in pairs)]))
        blocks.append("\n".join(verdict(pair, metric) for pair in pairs))
        kind = "all exchanges of clusters" if pairs[0]["exact"] else "random exchanges of clusters"
        blocks.append(
            f"Decided by p after Holm's correction for {len(pairs)} pair{'s' if len(pairs) > 1 else ''} (below "
            f"{LEVEL:g}), of a permutation test by {kind}.\nMcNemar takes rows as independent; both it and the "
            "corrected resampled t-test stand here for comparison with other papers. d_z: difference over the\n"
            "standard deviation of the clusters' differences."
        )
    blocks.append("\n".join(f"Note: {note}." for note in comparison["notes"]))
    return "\n\n".join(filter(None, blocks))


_MODEL_HEAD = ["model", "figure", "95 % interval", "over rows", "sd of seeds", "mean of folds (sd)", "rows"]
PAIR_HEAD = ["pair", "difference", "95 % interval", "p", "p (Holm)", "d_z", "McNemar", "resampled t"]


def _model_line(model: Figures, metric: Metric) -> list[str]:
    assert "value" in model  # else there is no comparison
    folds = f"{metric.shown(model['mean_of_folds'])}" if "mean_of_folds" in model else ""
    folds += f" ({metric.shown(model['spread_of_folds'])})" if "spread_of_folds" in model else ""
    spread = f"{metric.shown(model['spread'])} ({len(model['by_seed'])})" if "spread" in model else ""
    ends = [_ends(model.get(name), metric) for name in ("interval", "interval_by_row")]
    return [model["model"], metric.shown(model["value"]), *ends, spread, folds, f"{model['rows']:,}"]


def pair_line(pair: Pair, metric: Metric) -> list[str]:
    """A pair under `PAIR_HEAD`."""
    size = f"{pair['effect_size']:+.2f}" if "effect_size" in pair else ""
    by_seed = " / ".join(_p(test["p"]) for test in pair.get("mcnemar", {}).values())
    resampled = _p(pair["resampled_t"]["p"]) if "resampled_t" in pair else ""
    return [
        f"{pair['first']} - {pair['second']}",
        _signed(pair["difference"], metric),
        " to ".join(_signed(end, metric) for end in pair.get("interval", [])),
        *(_p(pair["p"]), _p(pair["p_holm"]), size, by_seed, resampled),
    ]


def verdict(pair: Pair, metric: Metric) -> str:
    """The decision in words."""
    if pair["better"] is None:
        return f"{pair['first']} and {pair['second']}: no difference shown (p {_p(pair['p_holm'])})"
    other = pair["second"] if pair["better"] == pair["first"] else pair["first"]
    size = _signed(abs(pair["difference"]), metric)[1:]
    return f"{pair['better']} is better than {other}, by {size} of {metric.name} (p {_p(pair['p_holm'])})"


def _ends(ends: list[float] | None, metric: Metric) -> str:
    return " to ".join(map(metric.shown, ends or []))


def _signed(value: float, metric: Metric) -> str:
    return f"{'-' if value < 0 else '+'}{metric.shown(abs(value))}"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _aligned(lines: list[list[str]]) -> str:
    """Columns that say something, the first to the left and the others to the right."""
    kept = [i for i in range(len(lines[0])) if any(line[i] for line in lines[1:])]
    widths = [max(len(line[i]) for line in lines) for i in kept]
    rows = [[line[i] for i in kept] for line in lines]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )
