"""The tables and texts beside the clips of the synthetic sample corpus, in MELD's format where MELD has one."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations

import numpy as np

from affecthub.datasets_scripts.meld.annotations import COLUMNS, EMOTIONS
from affecthub.datasets_scripts.synthetic.bayes import bayes_accuracy, bayes_rule
from affecthub.datasets_scripts.synthetic.plan import PRIOR, RELIABILITY, RENDERER_VERSION, SPLITS, SampleUtterance


def annotations(rows: list[SampleUtterance]) -> bytes:
    """Return the rows as MELD's CSV: UTF-8, its 11 columns, times as hh:mm:ss,mmm."""
    cells = (
        (number, row.text, row.speaker, row.emotion, row.sentiment, row.dialogue, row.utterance, row.season,
         row.episode, clock(row.start), clock(row.end))
        for number, row in enumerate(rows, start=1)
    )  # fmt: skip
    return csv_of(("Sr No.", *COLUMNS), cells)


def clock(milliseconds: int) -> str:
    """Return MELD's time format, hh:mm:ss,mmm.

    Examples:
        >>> clock(3_723_045)
        '01:02:03,045'
    """
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{milliseconds:03d}"


def short_hours(table: bytes) -> bytes:
    """Return an annotation table with its times as h:mm:ss,mmm, which some copies of MELD have."""
    return re.sub(rb'"0(\d(?::\d\d){2},\d{3})"', rb'"\1"', table)


def cue_table(rows: list[SampleUtterance]) -> bytes:
    """Return `cues.csv`: what each modality of each utterance shows."""
    columns = ("split", "dialogue", "utterance", "emotion", "cue_text", "cue_audio", "cue_video")
    return csv_of(columns, ((r.split, r.dialogue, r.utterance, r.emotion, *asdict(r.cues).values()) for r in rows))


def csv_of(header: Sequence[str], rows: Iterable[Sequence], above: Iterable[Sequence] = ()) -> bytes:
    """Return a CSV; `above` are the rows over its header."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([*above, header])
    writer.writerows(rows)
    return file.getvalue().encode()


def describe(rows: list[SampleUtterance], parameters: Mapping[str, int]) -> dict:
    """Return the content of `sample_corpus.json`.

    `bayes_accuracy` is the exact optimum of every subset of modalities, and `realised_accuracy` what the same rule
    reaches on the cues that were drawn, split by split: a model that reads every cue rightly gets that figure.
    """
    subsets = [names for size in (1, 2, 3) for names in combinations(RELIABILITY, size)]
    return {
        "synthetic": True,
        "parameters": parameters,
        "renderer_version": RENDERER_VERSION,
        "emotions": EMOTIONS,
        "prior": PRIOR,
        "reliability": RELIABILITY,
        "bayes_accuracy": {"+".join(s): round(bayes_accuracy(PRIOR, [RELIABILITY[m] for m in s]), 9) for s in subsets},
        "realised_accuracy": {
            split: {"+".join(s): _realised([row for row in rows if row.split == split], s) for s in subsets}
            for split in SPLITS
        },
    }


def _realised(rows: list[SampleUtterance], modalities: tuple[str, ...]) -> float:
    cues = np.array([[EMOTIONS.index(getattr(row.cues, name)) for name in modalities] for row in rows])
    predicted = bayes_rule(PRIOR, [RELIABILITY[name] for name in modalities], cues)
    return float(np.mean(predicted == [EMOTIONS.index(row.emotion) for row in rows]))


def readme(facts: dict) -> str:
    """Return the corpus's `README.md` from the facts that `describe` returns."""
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in facts["bayes_accuracy"].items())
    return f"""# Synthetic sample corpus in the layout of MELD

Everything here is synthetic: drawn faces, computed voices, lines written from templates. No person, no television
recording and no annotation of MELD is in it, and a result on it says nothing about people.

Rendered with {facts["parameters"]}, renderer version {facts["renderer_version"]}.

The label of an utterance is drawn from the prior {dict(zip(EMOTIONS, PRIOR, strict=True))}.
Each modality shows it with the stated reliability, {RELIABILITY}, and otherwise one of the six
other emotions, all equally likely; `cues.csv` lists what each shows.
The best accuracy that any classifier can expect from the modalities it sees, in closed form:

| modalities | Bayes-optimal accuracy |
|---|---|
{rows}
"""
