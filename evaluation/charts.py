"""Charts as SVG that stands inside a page: in its colours, light or dark, and legible without any colour.

Series differ by colour (Okabe & Ito 2008, safe for colour-blind readers), by stroke and by marker.
"""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STROKES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")

INK = "#010203"
"""Stands for the page's own colour of text until the chart is written."""

STYLE: "dict[RcKeyType, Any]" = {
    "svg.fonttype": "none",
    "svg.hashsalt": "affecthub",  # the same chart has the same bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=STROKES) + cycler(marker=MARKERS),
    "lines.markersize": 4,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
}

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Name -> x and y."""


def lines(series: Series, title: str, x: str, y: str, *, diagonal: bool = False, whole: bool = False) -> str:
    """Lines over a common axis.

    Args:
        series: what is drawn.
        title: for who cannot see it.
        x, y: what the axes are, with units.
        diagonal: also draw where both are equal, from 0 to 1.
        whole: name whole numbers alone along the horizontal axis, as of epochs.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes(6.2, 3.6)
        if diagonal:
            axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", marker="", label="equal")
        for name, (across, up) in series.items():
            axes.plot(across, up, label=name, markevery=max(1, len(across) // 12))
        axes.set(xlabel=x, ylabel=y)
        if whole:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(series) + diagonal > 1:
            axes.legend(fontsize=9, frameon=False)
        return _svg(figure, title)


def dots(
    rows: Sequence[tuple[str, float, Sequence[float] | None]], title: str, x: str, *, line: float | None = None
) -> str:
    """A figure a row with its interval as a whisker.

    Args:
        rows: name, figure, and [low, high] or None.
        title: for who cannot see it.
        x: what the figure is, with its unit.
        line: where a vertical line stands, such as 0 or the mean.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes(6.2, 0.9 + 0.3 * len(rows))
        for place, (_, value, ends) in enumerate(rows):
            if ends:
                axes.plot(ends, [place, place], color=COLOURS[0], linestyle="-", marker="|", linewidth=1.6)
            axes.plot([value], [place], color=COLOURS[0], marker="o", markersize=6)
        if line is not None:
            axes.axvline(line, color=INK, linewidth=0.9, linestyle="--", marker="")
        axes.set_yticks(range(len(rows)), [_cut(name) for name, *_ in rows])
        axes.set(xlabel=x, ylim=(len(rows) - 0.5, -0.5))
        axes.grid(False, axis="y")
        return _svg(figure, title)


def curve(
    steps: Sequence[tuple[float, float, Sequence[float] | None]],
    title: str,
    x: str,
    y: str,
    *,
    line: float | None = None,
) -> str:
    """A line through figures with their intervals as whiskers.

    Args:
        steps: x, y, and [low, high] of y or None.
        title: for who cannot see it.
        x, y: what the axes are, with units.
        line: where a horizontal line stands.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes(6.2, 3.6)
        across, up, ends = zip(*steps, strict=True)
        if line is not None:
            axes.axhline(line, color=INK, linewidth=0.8, linestyle="--")
        axes.plot(across, up)
        for place, end in zip(across, ends, strict=True):
            if end:
                axes.vlines(place, *end, color=COLOURS[0], linewidth=1.2)
        axes.set(xlabel=x, ylabel=y)
        return _svg(figure, title)


def points(named: Mapping[str, tuple[float, float]], title: str, x: str, y: str) -> str:
    """A named point each, the horizontal axis by powers of ten.

    Args:
        named: name -> x, above 0, and y.
        title: for who cannot see it.
        x, y: what the axes are, with units.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes(6.2, 4.0)
        for (name, (across, up)), colour, marker in zip(
            named.items(), _again(COLOURS, len(named)), _again(MARKERS, len(named)), strict=True
        ):
            axes.plot([across], [up], color=colour, marker=marker, markersize=8, linestyle="")
            axes.annotate(_cut(name), (across, up), xytext=(7, 4), textcoords="offset points", fontsize=9)
        axes.set(xlabel=x, ylabel=y, xscale="log")
        axes.margins(x=0.25, y=0.15)
        return _svg(figure, title)


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, title: str) -> str:
    """The chart as an element of HTML, named for who cannot see it, in the colour of the text around it."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    drawn = written.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    drawn = re.sub(r' (width|height)="[\d.]+pt"', "", drawn, count=2)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    return drawn.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)


def _cut(name: str, most: int = 32) -> str:
    """A name that leaves the chart room; a lone $ would begin a formula."""
    return (name if len(name) <= most else f"{name[: most - 1]}…").replace("$", r"\$")


def _again(values: Sequence[str], count: int) -> list[str]:
    return list(np.resize(values, count))
