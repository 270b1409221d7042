"""A report as one self-contained page of HTML: sections of text, tables that sort, and charts; nothing is fetched."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..media.files import write_file
from . import charts
from .comparison_table import PAIR_HEAD, pair_line, verdict
from .errors import FEWEST
from .metrics import METRICS, PERCENT, percent
from .results import (
    SYNTHETIC_NOTE,
    ablation_table,
    figures_table,
    interval_note,
    rows_left_out,
    said_columns,
    units_of,
)

TEMPLATE = "page.html.jinja"

NAMES = "This page names rows and participants as the data set does: keep it where you keep the data."

NAMELESS = "People, recordings and rows have pseudonyms on this page, the same as in what is published of these data."

MOST = 12
"""Parts of a row that are drawn."""

Block = dict[str, Any]
"""What a section holds: `kind` says what it is, as the template reads it."""


def write_page(report: Mapping[str, Any], path: Path) -> Path:
    """Write a report as HTML, whole or not at all.

    Args:
        report: as `report.report_of` makes it.
        path: of the file.
    """
    write_file(path, render_page(report).encode())
    return path


def render_page(report: Mapping[str, Any]) -> str:
    """A report as HTML; names, labels and texts are escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    return environment.get_template(TEMPLATE).render(page=page_of(report))


def page_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the template is given: title, lead, and the sections that there is something to say in."""
    parts = {
        "Results": _results(report),
        "Comparison": _comparison(report),
        "Confidence": _confidence(report),
        "Modalities": _modalities(report),
        "People and groups": _groups(report),
        "Errors": _errors(report),
        "Learning": _learning(report),
        "Looking inside": _inside(report),
        "Robustness": _robustness(report),
        "Cost": _cost(report),
        "Advice": _advice(report),
        "Data and leakage": _data(report),
        "How it was made": _made(report),
    }
    sections = [
        {"id": title.lower().replace(" ", "-"), "title": title, "blocks": list(of)} for title, of in parts.items()
    ]
    return {
        "title": report["title"],
        "synthetic": SYNTHETIC_NOTE if report["synthetic"] else "",
        "lead": [*report["lead"], NAMELESS if report["for_others"] else NAMES],
        "sections": [section for section in sections if section["blocks"]],
    }


def _models(report: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Heading, task and what is said of it, of every model and task."""
    several = len(report["models"]) > 1
    for model in report["models"]:
        for task, of in model["tasks"].items():
            parts = ([model["name"]] if several else []) + ([task] if len(model["tasks"]) > 1 or not several else [])
            yield ", ".join(parts), task, of | {"model": model}


def _results(report: Mapping[str, Any]) -> Iterator[Block]:
    """Every metric beside its baseline, F1 of each label, and the confusion matrix."""
    yield from (_text(line, rule=True) for line in report["rules"])
    for title, _, of in _models(report):
        yield {"kind": "heading", "text": title}
        main, found = of["figures"][of["metric"]], of["report"]
        caption = f"{of['split']}, {main['rows']:,} rows; {units_of(of['figures']) or 'figures as they are'}"
        yield _table(caption, *figures_table(of["figures"], of["baseline"]))
        yield _text(f"{interval_note(main)}.")
        yield from (_text(f"{note}.") for note in of["notes"])
        if left := rows_left_out(found):
            yield _text(f"{left}.")
        if "per_class" in found:
            lines = [
                [label, f"{each['support']:,}", *(percent(each[name]) for name in ("precision", "recall", "f1"))]
                for label, each in found["per_class"].items()
            ]
            yield _table(
                "By label, in percent, of the first seed", ["label", "rows", "precision", "recall", "F1"], lines
            )
        if "confusion_matrix" in found:
            yield {"kind": "confusion", "matrix": found["confusion_matrix"], "labels": found["labels"]}


def _comparison(report: Mapping[str, Any]) -> Iterator[Block]:
    """Every pair of models, and what can be said of their difference."""
    compared = report["comparison"]
    if not compared:
        return
    metric = METRICS[compared["metric"]]
    unit = 100 if metric.unit == PERCENT else 1
    dots = [
        (
            f"{pair['first']} - {pair['second']}",
            unit * pair["difference"],
            [unit * end for end in pair.get("interval", ())],
        )
        for pair in compared["pairs"]
    ]
    axis = f"difference of {metric.name} ({'points' if unit == 100 else metric.unit or 'as it is'})"
    drawn = charts.dots(dots, "Differences of the models, with their intervals", axis, line=0)
    yield _chart(drawn, "Differences with their 95 % intervals; one that holds 0 shows no difference")
    caption = f"{metric.title} of {compared['task']}, {compared['split']}"
    yield _table(caption, *said_columns(PAIR_HEAD, [pair_line(pair, metric) for pair in compared["pairs"]]))
    yield {"kind": "list", "entries": [verdict(pair, metric) for pair in compared["pairs"]]}
    yield from (_text(f"{note}.") for note in compared["notes"])
    yield _text(
        "Decided by a permutation test that exchanges the answers of two models by whole cluster, after Holm's "
        "correction for the number of pairs. McNemar's test, which takes rows as independent, and the corrected "
        "resampled t-test stand beside it for comparison with other papers. d_z: difference over the standard "
        "deviation of clusters' differences.",
        rule=True,
    )


def _confidence(report: Mapping[str, Any]) -> Iterator[Block]:
    """Reliability, temperature and thresholds, and accuracy over coverage."""
    for title, _, of in _models(report):
        scores, blocks = of["report"], []
        if "reliability" in scores:
            names = {"uncalibrated": "before", "model": "calibrated" if "calibration" in scores else "as it is"}
            series = {
                names[name]: ([bin_[0] for bin_ in bins], [bin_[1] for bin_ in bins])
                for name, bins in scores["reliability"].items()
            }
            drawn = charts.lines(series, f"Reliability, {title}", "said", "true", diagonal=True)
            blocks.append(_chart(drawn, "What was said with a probability, and how often it was true; equal is best"))
        if "coverage" in scores:
            shares, accuracies = zip(*scores["coverage"], strict=True)
            drawn = charts.lines(
                {"": (shares, accuracies)}, f"Coverage, {title}", "share that is answered", "accuracy"
            )
            blocks.append(_chart(drawn, "Accuracy of the surest answers, by how many of all rows are answered"))
        if "calibration" in scores:
            fitted = scores["calibration"]
            entries = [("temperature", f"{fitted['temperature']:.3g}")]
            thresholds = fitted.get("thresholds")
            if thresholds:
                entries.append(("thresholds", ", ".join(f"{value:.2f}" for value in thresholds)))
            entries += [
                (f"{METRICS[name].title} before", METRICS[name].shown(value))
                for name, value in fitted["before"].items()
            ]
            blocks.append({"kind": "facts", "entries": entries})
        if "agreement" in scores:
            rows = [
                [name.replace("_", " "), *(f"{value:.3f}" for value in values)]
                for name, values in scores["agreement"].items()
            ]
            blocks.append(
                _table("Agreement (Bland & Altman 1986), predicted less true", ["", "value", "low", "high"], rows)
            )
        if blocks:
            yield {"kind": "heading", "text": title}
            yield from blocks


def _modalities(report: Mapping[str, Any]) -> Iterator[Block]:
    """The model given only some of its modalities, and what each adds."""
    for title, task, of in _models(report):
        rows = of["model"].get("ablation") if task == next(iter(of["model"]["tasks"])) else None
        if rows:
            head, *lines = ablation_table(rows)
            yield {"kind": "heading", "text": title}
            yield _table("The same model given only some modalities", head, lines)
        if of.get("importance"):
            metric = METRICS[of["metric"]]
            unit = 100 if metric.unit == PERCENT else 1
            dots = [
                (part["modality"], unit * part["value"], [unit * end for end in part.get("interval", [])] or None)
                for part in of["importance"]
            ]
            axis = f"{metric.title} gained ({'points' if unit == 100 else metric.unit or 'as it is'})"
            yield _chart(
                charts.dots(dots, f"Importance of modalities, {title}", axis, line=0),
                "What each modality adds, the mean over all orders in which they may be given (Shapley value)",
            )


def _groups(report: Mapping[str, Any]) -> Iterator[Block]:
    """A figure of every group, and the worst beside the mean."""
    for title, _, of in _models(report):
        metric, groups = METRICS[of["metric"]], of["groups"]
        whole = of["figures"][of["metric"]]["value"]
        for sort in dict.fromkeys(group["by"] for group in groups):
            caption = "By what the rows held" if sort == "held" else f"By {sort}"
            found = [group for group in groups if group["by"] == sort]
            if len(found) < 2:
                continue
            worst = of["worst_groups"].get(sort)
            yield {"kind": "heading", "text": f"{caption}, {title}"}
            if (known := sum(group["rows"] for group in found)) < of["report"]["rows"]:
                yield _text(f"Known of {known:,} of {of['report']['rows']:,} rows.")
            if worst:
                yield _text(
                    f"Worst of those with {FEWEST} rows or more: {worst['name']}, {metric.name} "
                    f"{metric.shown(worst['figure'])}, against {metric.shown(whole)} of all."
                )
            if len(found) <= 40:
                unit = 100 if metric.unit == PERCENT else 1
                dots = [(group["name"], unit * group["figure"], None) for group in found]
                axis = metric.title + (" (%)" if unit == 100 else "")
                yield _chart(
                    charts.dots(dots, f"{caption}, {title}", axis, line=unit * whole), f"{caption}; dashed: all"
                )
            lines = [[group["name"], f"{group['rows']:,}", metric.shown(group["figure"])] for group in found]
            yield _table(f"{caption}, {metric.title}", [sort, "rows", metric.title], lines)


def _errors(report: Mapping[str, Any]) -> Iterator[Block]:
    """Pairs of labels that are confused, and the rows that were judged worst."""
    for title, _, of in _models(report):
        if of["pairs"]:
            lines = [
                [f"{pair['truth']} taken for {pair['said']}", f"{pair['rows']:,}", f"{percent(pair['share'])} %"]
                for pair in of["pairs"]
            ]
            yield {"kind": "heading", "text": title}
            yield _table("Most frequent confusions", ["confusion", "rows", "of all with this truth"], lines)
        if of["worst"]:
            lines = [
                [row["key"], row["participant"] or "", row["truth"], row["said"], f"{row['loss']:.2f}"]
                for row in of["worst"]
            ]
            head = ["row", "participant", "truth", "answer", "loss"]
            yield _table("Rows that the model was surest of, and wrong", head, lines, numeric_from=4)


def _learning(report: Mapping[str, Any]) -> Iterator[Block]:
    """Loss on what was learned and on what was not, and the way there."""
    for title, _, of in _models(report):
        fit = of["overfitting"]
        if not fit:
            continue
        yield {"kind": "heading", "text": title}
        metric = METRICS[of["metric"]]
        lines = [
            [split, f"{part['rows']:,}", f"{part['loss']:.3f}", metric.shown(part["figures"].get(of["metric"], 0))]
            for split, part in fit["splits"].items()
        ]
        yield _table(
            "The trained model on each split, nothing augmented", ["split", "rows", "loss", metric.title], lines
        )
        if "gap" in fit:
            verdict = "more than 20 %: it knows its training rows by heart" if fit["overfits"] else "within 20 %"
            yield _text(f"Validation loss is {percent(fit['gap'])} % above the training loss, {verdict}.")
        if "best_epoch" in fit:
            yield _text(f"Epoch {fit['best_epoch']} of {fit['last_epoch']} was the best, and is the one that is kept.")
    for model in report["models"]:
        for curve in model["learning_curves"]:
            yield from _learning_curve(curve)
    for model in report["models"]:
        for name, series in model.get("curves", {}).items():
            if series:
                drawn = charts.lines(series, f"{name}, {model['name']}", "epoch", name, whole=True)
                yield _chart(drawn, f"{name} over the epochs, {model['name']}")


def _learning_curve(curve: Mapping[str, Any]) -> Iterator[Block]:
    """A figure by how many people, or rows, it was learned from."""
    metric, steps = METRICS[curve["metric"]], curve["steps"]
    unit = 100 if metric.unit == PERCENT else 1
    by = "participants" if all("participants" in step for step in steps) else "rows"
    heading = f"{metric.title} of {curve['task']} by how many learn, {curve['model']}"
    points = [
        (step[by], unit * step["value"], [unit * end for end in step["interval"]] if "interval" in step else None)
        for step in steps
    ]
    axis = metric.title + (" (%)" if unit == 100 else "")
    yield {"kind": "heading", "text": heading}
    yield _chart(charts.curve(points, heading, f"{by} that learn", axis), f"{heading}; whiskers: 95 % intervals")
    lines = [
        [
            f"{percent(step['share'])} %",
            f"{step['participants']:,.1f}" if "participants" in step else "",
            f"{step['rows']:,.0f}",
            metric.shown(step["value"]),
            " to ".join(map(metric.shown, step.get("interval", []))),
            metric.shown(step["spread"]) if "spread" in step else "",
        ]
        for step in steps
    ]
    head = ["share", "participants", "rows", metric.title, "95 % interval", "sd of seeds"]
    yield _table("What learned, the mean of the runs, and the figure that it gave", *said_columns(head, lines))


def _inside(report: Mapping[str, Any]) -> Iterator[Block]:
    """Attention and attributions, where they were asked for."""
    for model in report["models"]:
        if found := model.get("attention"):
            yield {"kind": "heading", "text": f"Attention, {model['name']}"}
            yield from _attention(found, model["folder"])
        if found := model.get("attribution"):
            yield {"kind": "heading", "text": f"Attributions, {model['name']}"}
            yield from _attributions(found, model["folder"])


def _attention(found: Mapping[str, Any], folder: str) -> Iterator[Block]:
    """What `insight.attention` found."""
    if says := found.get("says"):
        yield _text(says)
    for field in found["fields"]:
        name = f"{field['field']}, over {field['over']}"
        if "entropy" in field:
            heads = [f"head {i + 1}" for i in range(len(field["entropy"][0]))]
            diversity = field.get("diversity", [""] * len(field["entropy"]))
            rows = [
                [f"{i + 1}", *(f"{value:.2f}" for value in layer), f"{of:.2f}" if of != "" else ""]
                for i, (layer, of) in enumerate(zip(field["entropy"], diversity, strict=True))
            ]
            caption = (
                f"{name}: entropy of each head (1: looks everywhere alike), and diversity of heads (0: all alike)"
            )
            yield _table(f"{caption}, {field['samples']} rows", *said_columns(["layer", *heads, "diversity"], rows))
        if "heads_picture" in field:
            yield _picture(folder, field["heads_picture"], f"{name}: heads from left to right, layers from above")
    for example in found["examples"]:
        for of in example["maps"]:
            caption = f"{example['key']}: attention rollout (Abnar & Zuidema 2020), {of['field']}, over {of['over']}"
            if "picture" in of:
                yield _picture(folder, of["picture"], caption)
            elif len(of["labels"]) > 1:
                rows = [(label, value, None) for label, value in zip(of["labels"], of["relevance"], strict=True)]
                yield _chart(charts.dots(rows[:MOST], caption, "relevance"), caption)


def _attributions(found: Mapping[str, Any], folder: str) -> Iterator[Block]:
    """What `insight.attribution` found."""
    if features := found.get("features"):
        dots = [(each["feature"], each["importance"], each.get("interval")) for each in features["features"]]
        people = f", participants: {features['participants']}" if "participants" in features else ""
        caption = f"Importance of features: mean size of what each adds to the output, {features['rows']} rows{people}"
        yield _chart(charts.dots(dots, caption, "mean |attribution|", line=0), caption)
    for example in found["examples"]:
        for modality, part in example["parts"].items():
            caption = f"{example['key']}: what adds to {example['label']} (integrated gradients), {modality}"
            if "picture" in part:
                yield _picture(folder, part["picture"], f"{caption}; orange for, violet against")
            elif part.get("labels"):
                pairs = zip(part["labels"], part["values"], strict=True)
                largest = sorted(pairs, key=lambda pair: -abs(pair[1]))[:MOST]
                dots = [(label, value, None) for label, value in largest]
                yield _chart(charts.dots(dots, caption, "attribution", line=0), caption)


def _robustness(report: Mapping[str, Any]) -> Iterator[Block]:
    """The same model under growing disturbance, against what it reaches without."""
    for model in report["models"]:
        if not (found := model.get("robustness")):
            continue
        metric = METRICS[found["metric"]]
        unit = 100 if metric.unit == PERCENT else 1
        axis = metric.title + (" (%)" if unit == 100 else "")
        yield _text(
            f"{model['name']}: {found['task']}, {found['rows']:,} of {found['of_rows']:,} {found['split']} rows; "
            f"{metric.name} is {metric.shown(found['undisturbed']['value'])} undisturbed."
        )
        if says := found.get("says"):
            yield _text(says)
        for curve in found["curves"]:
            held = [level for level in curve["levels"] if level["value"] is not None]
            if not held:
                continue
            ends = [[unit * end for end in level["interval"]] if "interval" in level else None for level in held]
            steps = [(level["level"], unit * level["value"], end) for level, end in zip(held, ends, strict=True)]
            name = f"{curve['disturbance']}, {model['name']}"
            usual = found["undisturbed"]["value"]
            drawn = charts.curve(steps, name, curve["unit"], axis, line=None if usual is None else unit * usual)
            caption = f"{name}: {curve['touched']:,} rows hold it; dashed: undisturbed"
            caption += f"; whiskers: 95 % intervals by {found['clusters']}" if any(ends) else ""
            yield _chart(drawn, caption)


def _cost(report: Mapping[str, Any]) -> Iterator[Block]:
    """What a model takes to run, and what it gives for it."""
    models = [model for model in report["models"] if model.get("cost")]
    lines, placed = [], {}
    for model in models:
        cost, task = model["cost"], next(iter(model["tasks"].values()))
        for batch in cost["batches"]:
            lines.append(
                [
                    model["name"],
                    f"{batch['batch']}",
                    f"{cost['parameters']:,}",
                    f"{cost['size_mb']:.1f}",
                    f"{cost['gflops']:.2f}",
                    f"{batch['processor_ms']:.1f}",
                    f"{batch['model_ms']:.1f}",
                    f"{batch['real_time_factor']:.4f}",
                    f"{batch['peak_mib']:.0f}" if "peak_mib" in batch else "",
                ]
            )
        placed[model["name"]] = (cost["batches"][0]["model_ms"], task["figures"][task["metric"]]["value"])
    if not models:
        return
    cost = models[0]["cost"]
    yield _text(
        f"Timed on {cost['hardware']}, {cost['threads']} threads, on a made clip of {cost['clip_seconds']:g} s that "
        "holds every modality; decoding files is not in it. Memory is what a pass takes above the loaded model."
    )
    head = ["model", "batch", "parameters", "MB", "GFLOPs", "processor ms", "model ms", "real-time factor", "peak MiB"]
    yield _table("Cost of a batch", head, lines)
    if len(placed) > 1:
        metric = METRICS[next(iter(models[0]["tasks"].values()))["metric"]].title
        drawn = charts.points(placed, "Quality against cost", "ms a clip", metric)
        yield _chart(drawn, f"{metric} against the time of one clip: above and to the left is better")


def _advice(report: Mapping[str, Any]) -> Iterator[Block]:
    yield from (_text(line, rule=True) for line in report["advice"]["rules"])
    if report["advice"]["lines"]:
        yield {"kind": "list", "entries": report["advice"]["lines"]}


def _data(report: Mapping[str, Any]) -> Iterator[Block]:
    """What was learned from and judged on, and what the audit found."""
    data = report["data"]
    splits = ", ".join(f"{name} {count:,}" for name, count in data["splits"].items())
    entries = [("data set", data["name"]), ("unit", data.get("unit", "utterances")), ("rows", splits)]
    entries += [("protocol", data["protocol"])] if data.get("protocol") else []
    entries += [("left out", f"{count:,} {reason}") for reason, count in data.get("skipped", {}).items()]
    yield {"kind": "facts", "entries": entries}
    for row in report["audit"]:
        accepted = " Accepted by the recipe." if row["accepted"] else ""
        yield {"kind": "note", "head": f"{row['severity']}: {row['check']}", "text": f"{row['message']}{accepted}"}
    if not report["audit"]:
        yield _text("The leakage audit found nothing.")


def _made(report: Mapping[str, Any]) -> Iterator[Block]:
    """Runs, and what they were made by."""
    lines = [
        [run["name"], str(run["fold"]), str(run["seed"]), f"{run['seconds']:,.0f}" if run["seconds"] else ""]
        for model in report["models"]
        for run in model["runs"]
    ]
    yield _table("Runs", ["run", "fold", "seed", "seconds"], lines)
    if report["environment"]:
        yield {"kind": "facts", "entries": list(report["environment"].items())}
    yield from (_text(line) for line in report["unsaid"])


def _text(text: str, *, rule: bool = False) -> Block:
    return {"kind": "text", "text": text, "rule": rule}


def _chart(svg: str, caption: str) -> Block:
    return {"kind": "chart", "svg": svg, "caption": caption}


def _picture(folder: str, name: str, caption: str) -> Block:
    content = base64.b64encode(Path(folder, name).read_bytes()).decode("ascii")
    return {"kind": "picture", "base64": content, "caption": caption}


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], numeric_from: int = 1) -> Block:
    return {"kind": "table", "caption": caption, "head": head, "rows": rows, "numeric_from": numeric_from}
