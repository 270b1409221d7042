"""The tables of the synthetic sample study, with the headers, metadata rows and units of iMotions' exports."""

from collections.abc import Iterable, Sequence

import numpy as np

from affecthub.datasets_scripts.genex.tables import AFFDEX, ATTENTION_SUMMARY, FIXATION, NAME, PEAK
from affecthub.datasets_scripts.meld.annotations import EMOTIONS
from affecthub.datasets_scripts.synthetic.study_plan import ACTIONS, Block
from affecthub.datasets_scripts.synthetic.tables import csv_of

SENSOR_STEP = 40
"""ms between AFFDEX samples: 25 Hz."""

PAUSE = 5000
"""ms between two stimuli on the session's clock, by which sensor exports are stamped."""

_NEGATIVE = ("anger", "fear", "disgust", "sadness")
_STIMULUS = "Stimulus Label"
_HALF_TURNED = 0.5


def expression_table(blocks: Sequence[Block], seed: int) -> bytes:
    """`FEAExpressionTable.csv`: one episode a block and expression; nothing while the face is away."""
    rng = np.random.default_rng([seed, 1])
    rows = []
    for block in blocks:
        head = "Head Turned Left" if rng.random() < _HALF_TURNED else "Head Turned Forward"  # says nothing
        names = [] if block.away else [*_expressions(block), head]
        begin, end = 1000 * (block.second - 1) + 1, 1000 * block.second
        rows += [(block.participant, block.stimulus, name, begin, end) for name in names]
    header = (NAME, _STIMULUS, "Expression Type", "Expression Onset", "Expression Offset")
    return csv_of(header, rows, _metadata("FEA Expression Table", 6))


def _expressions(block: Block) -> list[str]:
    """The features and targets of a block: its cues, and what it really is."""
    names = ["Eye Widen" if block.cues["eyes"] else "Eye Closure"]
    names += [ACTIONS[block.shown["action"]]] if block.shown["action"] in ACTIONS else []
    names += ["Attention", "Adaptive Engagement"] if block.attention else []
    names.append(block.emotion.capitalize())
    names.append("Positive Valence" if block.emotion == "joy" else _valence(block.emotion))
    return names + (["Smile"] if block.emotion == "joy" else [])


def _valence(emotion: str) -> str:
    return "Negative Valence" if emotion in _NEGATIVE else "Neutral Valence"


def fixation_table(blocks: Sequence[Block], seed: int) -> bytes:
    """`FixationTable.csv`: three short fixations a block of a high gaze cue, one long and wide of a low one."""
    rng = np.random.default_rng([seed, 2])
    rows = []
    for block in blocks:
        count = 3 if block.cues["gaze"] else 1
        for i in range(count):
            start = 1000 * (block.second - 1) + 20 + i * 320
            duration = 280 if count == 3 else 900
            dispersion = round(float(rng.uniform(0.3, 0.9)), 3)
            rows.append((block.participant, block.stimulus, start, start + duration, duration, dispersion))
    return csv_of((NAME, _STIMULUS, *FIXATION), rows, _metadata("Fixation Table", 6))


def gsr_table(blocks: Sequence[Block], seed: int) -> bytes:
    """`GSRPeakTable.csv`: one peak in each block whose cue shows high attention."""
    rng = np.random.default_rng([seed, 3])
    rows = [
        (
            b.participant,
            b.stimulus,
            1000 * (b.second - 1) + int(rng.integers(50, 950)),
            round(rng.uniform(0.05, 0.4), 4),
        )
        for b in blocks
        if b.cues["gsr"]
    ]
    return csv_of((NAME, _STIMULUS, *PEAK), rows, _metadata("GSR Peak Table", 6))


def summary_table(blocks: Sequence[Block]) -> bytes:
    """`Multimodal summary metrics.csv`: the share of time in %, one row a participant."""
    rows = []
    for name in dict.fromkeys(block.participant for block in blocks):
        own = [block.attention for block in blocks if block.participant == name and not block.away]
        rows.append((name, round(100 * float(np.mean(own)), 2)))
    return csv_of((NAME, ATTENTION_SUMMARY), rows, _metadata("Multimodal summary metrics", 10))


def sensor_export(recordings: Sequence[Sequence[Block]], seed: int) -> bytes:
    """An AFFDEX export of one participant: 24 rows of metadata and `#DATA`, 25 Hz, empty cells without a face."""
    name = recordings[0][0].participant
    rng = np.random.default_rng([seed, 4, int(name.split()[1])])
    rows, clock = [], 0
    for blocks in recordings:
        for step in range(1000 * len(blocks) // SENSOR_STEP + 1):
            block = blocks[max(0, -(-step * SENSOR_STEP // 1000) - 1)]
            values = [""] * len(AFFDEX) if block.away else _affdex(block, rng)
            rows.append((len(rows) + 1, clock + step * SENSOR_STEP, block.stimulus, "Affectiva AFFDEX", *values))
        clock += 1000 * len(blocks) + PAUSE
    metadata = [(f"#{NAME}", name), *_metadata("Sensor data", 23), ("#DATA", "")]
    return csv_of(("Row", "Timestamp", "SourceStimuliName", "EventSource", *AFFDEX), rows, metadata)


def _affdex(block: Block, rng: np.random.Generator) -> list[str]:
    on = {name.capitalize() for name in EMOTIONS if name == block.emotion} | set(_expressions(block))
    sign = {"Positive Valence": 1, "Negative Valence": -1}
    values = []
    for name, noise in zip(AFFDEX, rng.uniform(0, 20, len(AFFDEX)), strict=True):
        high = name in on or (name == "Engagement" and block.attention)
        value = 95 - noise if high else noise
        if name == "Valence":
            value = sum(sign.get(other, 0) for other in on) * (95 - noise)
        values.append(f"{value:.3f}")
    return values


def _metadata(title: str, rows: int) -> list[tuple[str, str]]:
    """So many rows above a header, as the exports have them."""
    known = [("#Export", title), ("#Study", "synthetic sample study: nobody was recorded"), ("#Version", "synthetic")]
    return (known + [(f"#Setting {i}", "") for i in range(1, rows)])[:rows]


def cue_table(blocks: Iterable[Block]) -> bytes:
    """`cues.csv`, what every block is and shows; for tests and for reading, never for training."""
    rows = [
        (b.participant, b.stimulus, b.second, b.attention, b.emotion, int(b.away), *b.cues.values(), *b.shown.values())
        for b in blocks
    ]
    cues = ("video", "eyes", "gaze", "gsr", "audio", "shown_by_video", "shown_by_action")
    return csv_of(("participant", "stimulus", "second", "attention", "emotion", "away", *cues), rows)
