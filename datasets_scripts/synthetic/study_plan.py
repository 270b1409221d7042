"""What the synthetic sample study shows, before anything is rendered: people, blocks of one second, their cues.

Each second of a recording is one block: k is the time from 1000 (k - 1) ms, exclusive, to 1000 k ms, so that the frame
at 1000 k ms, the second of annotations before it and the second of sound before it all belong to one block. A block's
attention and emotion are drawn anew, of no participant and no earlier block; each modality shows them with a stated
reliability, so that the best possible accuracy of every subset of modalities is known (`bayes.py`).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from affecthub.datasets_scripts.meld.annotations import EMOTIONS
from affecthub.datasets_scripts.synthetic.bayes import bayes_accuracy, bayes_rule
from affecthub.datasets_scripts.synthetic.face import Look
from affecthub.datasets_scripts.synthetic.plan import SPEAKERS
from affecthub.datasets_scripts.synthetic.voice import Timbre

PARTICIPANTS: dict[str, tuple[Look, Timbre]] = dict(
    zip(("AM 0101", "BR 0202", "CH 0303", "DM 0404", "ES 0505"), SPEAKERS.values(), strict=False)
)
"""Invented people, named as iMotions studies name theirs."""

STIMULI = ("Screen recording 1", "Screen recording 2")

ATTENTION_PRIOR = (0.5, 0.5)
"""Of low and high."""

ATTENTION_RELIABILITY = {"video": 0.85, "eyes": 0.75, "gaze": 0.75, "gsr": 0.70, "audio": 0.75}
"""How often a cue shows the block's attention. eyes, gaze and gsr are read from the 33 features."""

EMOTION_RELIABILITY = {"video": 0.80, "action": 0.75}
"""How often the drawn face, and the facial action among the features, show the block's emotion."""

MODALITY_CUES = {"video": ("video",), "audio": ("audio",), "physio": ("eyes", "gaze", "gsr")}

AWAY = 0.03
"""Share of blocks in which the participant has left the camera's view: AFFDEX sees no face."""

ACTIONS = {
    "surprise": "Jaw Drop",
    "fear": "Lip Stretch",
    "sadness": "Chin Raise",
    "joy": "Cheek Raise",
    "disgust": "Nose Wrinkle",
    "anger": "Brow Furrow",
}
"""Emotion -> the facial action that shows it, after Ekman & Friesen; neutral shows none."""


@dataclass(frozen=True)
class Block:
    """One second of one recording."""

    participant: str
    stimulus: str
    second: int
    """It ends at this many s of the recording; 1 is the first."""
    attention: int
    """1 is high."""
    emotion: str
    """One of MELD's seven."""
    cues: dict[str, int]
    """The attention that each of `ATTENTION_RELIABILITY` shows."""
    shown: dict[str, str]
    """The emotion that each of `EMOTION_RELIABILITY` shows."""
    away: bool
    """No face before the camera."""


def draw_recording(participant: str, stimulus: str, seconds: int, seed: int) -> list[Block]:
    """The blocks of one recording."""
    names = list(PARTICIPANTS)
    rng = np.random.default_rng([seed, names.index(participant), STIMULI.index(stimulus)])
    return [_draw_block(participant, stimulus, second, rng) for second in range(1, seconds + 1)]


def _draw_block(participant: str, stimulus: str, second: int, rng: np.random.Generator) -> Block:
    attention, emotion = int(rng.integers(2)), int(rng.integers(len(EMOTIONS)))
    cues = {name: _cue(attention, 2, share, rng) for name, share in ATTENTION_RELIABILITY.items()}
    shown = {name: EMOTIONS[_cue(emotion, 7, share, rng)] for name, share in EMOTION_RELIABILITY.items()}
    away = bool(rng.random() < AWAY)
    return Block(participant, stimulus, second, attention, EMOTIONS[emotion], cues, shown, away)


def _cue(truth: int, classes: int, reliability: float, rng: np.random.Generator) -> int:
    if rng.random() < reliability:
        return truth
    return int((truth + rng.integers(1, classes)) % classes)


def attention_optimum() -> dict[str, float]:
    """Subset of modalities, "video+physio" and so on -> the best expected accuracy for the attention label."""
    sizes = range(1, len(MODALITY_CUES) + 1)
    return {
        "+".join(subset): round(bayes_accuracy(ATTENTION_PRIOR, _reliabilities(subset)), 9)
        for size in sizes
        for subset in combinations(MODALITY_CUES, size)
    }


def realised_attention(blocks: list[Block]) -> dict[str, float]:
    """The same, as the Bayes rule reaches it on the cues that were drawn, away blocks left out."""
    seen = [block for block in blocks if not block.away]
    truth = np.array([block.attention for block in seen])
    realised = {}
    for name in attention_optimum():
        subset = name.split("+")
        cues = np.array([[block.cues[c] for m in subset for c in MODALITY_CUES[m]] for block in seen])
        realised[name] = float(np.mean(bayes_rule(ATTENTION_PRIOR, _reliabilities(subset), cues) == truth))
    return realised


def _reliabilities(subset: tuple[str, ...] | list[str]) -> list[float]:
    return [ATTENTION_RELIABILITY[cue] for modality in subset for cue in MODALITY_CUES[modality]]
