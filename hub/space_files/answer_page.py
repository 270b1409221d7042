"""An answer as HTML: a sentence, a table, and a timeline through which one moves with mouse, finger or keys.

Nothing here changes a score. Every label stands beside its colour, what was not judged is hatched and named, and all
that may come out of a file or a label is escaped.
"""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Answer = dict[str, Any]
"""Of the pipeline, to a clip or a window of it."""

ABSENT = {
    "text": "no words were given",
    "audio": "no sound was found in the clip",
    "video": "no picture was found in the clip, or no face where the model looks at faces",
    "physio": "this page takes no physiological measurements",
}
"""Modality -> why it can be missing here."""

CLOSE = 0.1
"""Two labels whose probabilities differ by less are told together."""

ONE_LABEL = "single_label_classification"

HATCHED = (
    '<defs><pattern id="{name}" width="{size}" height=".5" patternUnits="userSpaceOnUse">'
    '<path d="M0 .5L{size} 0" stroke="currentColor" vector-effect="non-scaling-stroke"/>'
    "</pattern></defs>"
)


def mean_scores(windows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Label -> its mean over the windows, the highest first."""
    means = {label: sum(scores[label] for scores in windows) / len(windows) for label in windows[0]}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def written(kind: str, score: float) -> str:
    """A probability in percent; a regression's value as it is."""
    return f"{score:.3f}" if kind == "regression" else percent(score)


def percent(score: float) -> str:
    """0.143 as "14.3 %"."""
    return f"{100 * score:.1f} %"


def listing(names: Sequence[str]) -> str:
    """["a", "b", "c"] as "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def by_modality(windows: Sequence[Answer], modalities: Sequence[str]) -> dict[str, dict[str, float]]:
    """Modality -> mean scores of what it says alone, of those that say anything."""
    told = [window.get("modality_scores", {}) for window in windows]
    found = {name: [scores[name] for scores in told if name in scores] for name in modalities}
    return {name: mean_scores(scores) for name, scores in found.items() if scores}


def certainty(scores: Mapping[str, float]) -> list[str]:
    """Of the probabilities of one label: what to say when they do not decide."""
    (first, most), *others = scores.items()
    lines = []
    if others and most - others[0][1] < CLOSE:
        near = [label for label, score in others if most - score < CLOSE]
        lines.append(
            f"It hardly decides: {listing(near)} {'is' if len(near) == 1 else 'are'} nearly as likely as {first}."
        )
    if most < 0.5:
        lines.append(
            f"No label is more likely than all others together; by chance each would have {percent(1 / len(scores))}."
        )
    return lines


def agreement(alone: Mapping[str, Mapping[str, float]]) -> str:
    """Whether the modalities, each asked alone, say the same; "" where fewer than two say anything."""
    if len(alone) < 2:
        return ""
    best = {name: next(iter(scores.items())) for name, scores in alone.items()}
    told = listing([f"{name} alone says {label} ({percent(score)})" for name, (label, score) in best.items()])
    agree = len({label for label, _ in best.values()}) == 1
    return f"The modalities {'agree' if agree else 'disagree'}: {told}."


def verdict(config: Any, windows: Sequence[Answer], scores: Mapping[str, float], limit: float) -> str:
    """The answer, how sure it is, over how much of the clip, by which modalities, and what was not judged and why.

    Args:
        config: the model's.
        windows: what the pipeline said.
        scores: their mean.
        limit: s of a clip after which nothing is looked at.
    """
    first = next(iter(scores))
    main, *further = config.tasks
    kind, lines = main.problem_type, []
    if kind == ONE_LABEL:
        lines += certainty(scores)
        lines.append(agreement(by_modality(windows, config.modalities)))
    for task in further:
        means = mean_scores([window["tasks"][task.name]["scores"] for window in windows])
        told = {label: written(task.problem_type, score) for label, score in means.items()}
        lines.append(f"{task.name[0].upper()}{task.name[1:]}: {_listed(task.name, told)}.")
    if len(windows) > 1:
        lines.append(f"Mean of {len(windows)} windows, {windows[0]['start']:.0f} to {windows[-1]['end']:.0f} s.")
        if windows[-1]["end"] >= limit:
            lines.append(f"No more than {limit / 60:.0f} minutes are looked at.")
    if windows[0].get("calibrated"):
        lines.append("Probabilities are calibrated: scaled on recordings that the model did not learn from.")
    elif kind != "regression":
        lines.append("The scores are not calibrated: they rank the labels, and are no probabilities of being right.")
    lacking = {name: sum(name in window["missing"] for window in windows) for name in config.modalities}
    lines.append(f"Judged by {listing([name for name, count in lacking.items() if count < len(windows)])}.")
    gaps = [f"No {name}: {ABSENT[name]}." for name, count in lacking.items() if count == len(windows)]
    gaps += [f"No {name} in {n} of {len(windows)} windows." for name, n in lacking.items() if 0 < n < len(windows)]
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    warnings = "".join(
        f'<p class="warn"><strong>Warning:</strong> {escape(f"{text[0].upper()}{text[1:]}")}.</p>'
        for text in windows[-1]["warnings"]
    )
    missing = f"<ul>{''.join(f'<li>{escape(gap)}</li>' for gap in gaps)}</ul>" if gaps else ""
    return f"<h2>{escape(first)}: {written(kind, scores[first])}</h2>{warnings}{paragraphs}{missing}"


def details(config: Any, windows: Sequence[Answer], scores: Mapping[str, float], colours: Mapping[str, str]) -> str:
    """Table, timeline where there are several windows, and downloads.

    Args:
        config: the model's.
        windows: what the pipeline said.
        scores: their mean, the highest first.
        colours: label -> colour.
    """
    kind, alone = config.problem_type, by_modality(windows, config.modalities)
    parts = [score_table(kind, scores, alone, colours)]
    if len(windows) > 1:  # one window may have no time at all, as words have none
        parts.append(timeline(kind, windows, list(scores), config.modalities, colours))
    return "".join([*parts, downloads(windows)])


def _listed(task: str, told: Mapping[str, str]) -> str:
    """{"a": "75 %", "b": "25 %"} as "a 75 %, b 25 %"; the value alone where its name is the task's."""
    return ", ".join(value if label == task else f"{label} {value}" for label, value in told.items())


def score_table(
    kind: str, scores: Mapping[str, float], alone: Mapping[str, Mapping[str, float]], colours: Mapping
) -> str:
    """A row a label, the highest score first; a column for all modalities together and one for each alone."""
    names = ["together" if alone else "score", *(f"{name} alone" for name in alone)]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ["label", *names])
    rows = []
    for label, score in scores.items():
        cells = [written(kind, score), *(written(kind, of[label]) for of in alone.values())]
        key = f'<span class="key" style="background:{colours[label]}"></span>'
        rows.append(
            f'<tr><th scope="row">{key}{escape(label)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Scores"><table><caption>Scores</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def edges(windows: Sequence[Answer]) -> list[tuple[float, float]]:
    """From where to where each window is drawn, s: windows that overlap meet between their middles."""
    middles = [(window["start"] + window["end"]) / 2 for window in windows]
    between = [(one + other) / 2 for one, other in zip(middles, middles[1:], strict=False)]
    return list(zip([windows[0]["start"], *between], [*between, windows[-1]["end"]], strict=True))


def said(kind: str, window: Answer, modalities: Sequence[str]) -> str:
    """A window in one line, as the slider tells it."""
    when = f"{window['start']:.0f} to {window['end']:.0f} s"
    highest = sorted(window["scores"].items(), key=lambda item: -item[1])[:2]
    told = ", ".join(f"{label} {written(kind, score)}" for label, score in highest)
    lacking = [name for name in modalities if name in window["missing"]]
    return f"{when}: {told}. Judged by {listing(window['modalities'])}{f'; no {listing(lacking)}' if lacking else ''}."


def strip(
    bars: Sequence[tuple[float, float, float]], ends: tuple[float, float], colour: str, thin: bool = False
) -> str:
    """Bars over time as SVG.

    Args:
        bars: from, to (s), height 0..1; NaN: hatched.
        ends: of the axis, s.
        colour: of the bars.
        thin: half as high.
    """
    first, last = ends
    name = f"hatch{'thin' if thin else ''}"
    shapes = [
        f'<rect x="{start:.3f}" y="{0 if height != height else 1 - height:.4f}" width="{end - start:.3f}" '
        f'height="{1 if height != height else height:.4f}" fill="{f"url(#{name})" if height != height else colour}"/>'
        for start, end, height in bars
    ]
    hatched = HATCHED.format(name=name, size=f"{(last - first) / 80:.4f}") if any(h != h for *_, h in bars) else ""
    return (
        f'<svg viewBox="{first:.3f} 0 {last - first:.3f} 1" preserveAspectRatio="none" aria-hidden="true"'
        f"{' class=thin' if thin else ''}>{hatched}{''.join(shapes)}"
        f'<line class="now" x1="{first:.3f}" x2="{first:.3f}" y1="0" y2="1"/></svg>'
    )


def timeline(
    kind: str, windows: Sequence[Answer], labels: Sequence[str], modalities: Sequence[str], colours: Mapping
) -> str:
    """A strip a label and one a modality over the same seconds, and a slider that goes from window to window."""
    spans, ends = edges(windows), (windows[0]["start"], windows[-1]["end"])
    values = [score for window in windows for score in window["scores"].values()]
    low, high = (0.0, 1.0) if kind != "regression" else (min(values), max(values))
    scale = (high - low) or 1.0
    rows = []
    for label in labels:
        bars = [(*span, (w["scores"][label] - low) / scale) for span, w in zip(spans, windows, strict=True)]
        rows.append(f"<div>{escape(label)}</div>{strip(bars, ends, colours[label])}")
    for name in modalities:
        bars = [
            (*span, 1.0 if name in w["modalities"] else float("nan")) for span, w in zip(spans, windows, strict=True)
        ]
        rows.append(f"<div>{escape(name)} found</div>{strip(bars, ends, 'currentColor', thin=True)}")
    told = [
        {
            "start": window["start"],
            "end": window["end"],
            "middle": (window["start"] + window["end"]) / 2,
            "said": said(kind, window, modalities),
        }
        for window in windows
    ]
    heights = f"from {low:.3f} to {high:.3f}" if kind == "regression" else "from 0 to 100 %"
    return (
        f"<h3>Over time</h3><p>A strip a label, its height the score {heights}; what is hatched was not there. "
        "Click a strip, or move the slider with the arrow keys: the clip jumps there.</p>"
        f'<div id="strips" data-windows="{escape(json.dumps(told))}">{"".join(rows)}<div>window</div>'
        f'<input type="range" min="0" max="{len(windows) - 1}" value="0" step="1" aria-label="Window of the timeline" '
        f'aria-valuetext="{escape(told[0]["said"])}"><div></div>'
        f'<div class="axis"><span>{ends[0]:.0f} s</span><span>{ends[1]:.0f} s</span></div></div>'
        f'<p id="at">{escape(told[0]["said"])}</p>'
    )


def downloads(windows: Sequence[Answer]) -> str:
    """Links to the whole answer as CSV, a row a window, and as JSON; both lie within the page."""
    table = io.StringIO()
    labels, modalities = list(windows[0]["scores"]), [*windows[0]["modalities"], *windows[0]["missing"]]
    writer = csv.writer(table)
    writer.writerow(["start_s", "end_s", *labels, *(f"{name}_found" for name in modalities), "warnings"])
    for window in windows:
        found = [int(name in window["modalities"]) for name in modalities]
        warnings = " ".join(window["warnings"])
        writer.writerow(
            [window["start"], window["end"], *(window["scores"][name] for name in labels), *found, warnings]
        )
    files = {"CSV": ("text/csv", table.getvalue()), "JSON": ("application/json", json.dumps(list(windows), indent=1))}
    links = [
        f'<a download="answer.{name.lower()}" href="data:{kind};base64,{base64.b64encode(text.encode()).decode()}">'
        f"Download as {name}</a>"
        for name, (kind, text) in files.items()
    ]
    return f'<p class="downloads">{"".join(links)}</p>'
