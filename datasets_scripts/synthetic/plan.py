"""What the synthetic sample corpus shows and says, before anything is rendered: labels, cues, dialogues, speakers.

The label of every utterance is drawn on its own, never from the turn before it, the speaker or the length: the three
cues are then all the evidence there is, and `bayes.py` states what can be reached with any of them.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from affecthub.datasets_scripts.meld.annotations import EMOTIONS
from affecthub.datasets_scripts.synthetic.face import Look
from affecthub.datasets_scripts.synthetic.text import write_line
from affecthub.datasets_scripts.synthetic.voice import Timbre

FPS = Fraction(25, 2)  # frames of 80 ms: every clip lasts whole milliseconds, as MELD's annotations do
PRIOR = (0.28, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12)  # neutral leads, as in MELD, though less
RELIABILITY = {"text": 0.76, "audio": 0.74, "video": 0.75}  # 0.90 together; a drawn split stays under 0.80 alone
RENDERER_VERSION = 2  # raise it whenever a change alters what is rendered: it is part of the corpus's name
SPLITS = ("train", "dev", "test")

# Invented people, before backgrounds of a like brightness, since what a small encoder has to ignore costs it training.
# RGB skin, hair, background; half width of the head, fringe; pitch and vocal tract factors.
SPEAKERS: dict[str, tuple[Look, Timbre]] = {
    "Amara": (Look((166, 112, 80), (30, 24, 24), (168, 152, 132), 0.38, 0.08), Timbre(1.08, 1.04)),
    "Bruno": (Look((228, 186, 156), (112, 78, 44), (122, 138, 152), 0.41, 0.04), Timbre(0.91, 0.95)),
    "Chiara": (Look((218, 168, 132), (64, 42, 30), (150, 128, 132), 0.37, 0.10), Timbre(1.05, 1.03)),
    "Dmitri": (Look((234, 198, 174), (168, 140, 96), (118, 128, 122), 0.42, 0.05), Timbre(0.93, 0.96)),
    "Esther": (Look((202, 152, 116), (138, 66, 40), (130, 144, 130), 0.39, 0.09), Timbre(1.03, 1.01)),
    "Farid": (Look((188, 136, 100), (40, 32, 30), (136, 136, 150), 0.40, 0.06), Timbre(0.95, 0.98)),
    "Greta": (Look((238, 206, 186), (196, 170, 120), (150, 146, 162), 0.38, 0.07), Timbre(1.09, 1.05)),
    "Hiro": (Look((224, 182, 144), (28, 26, 34), (160, 136, 112), 0.40, 0.11), Timbre(0.97, 0.99)),
}


@dataclass(frozen=True)
class Cues:
    """The emotion that each modality of an utterance shows; in about a fifth of them not the annotated one."""

    text: str
    audio: str
    video: str


@dataclass(frozen=True)
class SampleUtterance:
    """One row of the annotations and what its clip shows."""

    split: str
    dialogue: int
    utterance: int
    speaker: str
    emotion: str
    sentiment: str
    text: str
    cues: Cues
    season: int
    episode: int
    start: int
    """Milliseconds from the start of the episode."""
    frames: int
    """Length of the clip in frames of 80 ms."""

    @property
    def end(self) -> int:
        """Milliseconds from the start of the episode."""
        return self.start + round(self.frames * 1000 / FPS)

    @property
    def key(self) -> str:
        """The key of the row in the builder and its manifest, such as "train/dia0_utt3"."""
        return f"{self.split}/dia{self.dialogue}_utt{self.utterance}"

    @property
    def clip(self) -> str:
        """MELD's name of the clip."""
        return f"dia{self.dialogue}_utt{self.utterance}.mp4"


def draw_split(split: str, size: int, seed: int) -> list[SampleUtterance]:
    """Draw `size` utterances in dialogues of 4 to 10 turns (the last may be shorter), numbered from 0."""
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    rows: list[SampleUtterance] = []
    dialogue = 0
    while len(rows) < size:
        turns = min(int(rng.integers(4, 11)), size - len(rows))
        rows += draw_dialogue(split, dialogue, turns, rng)
        dialogue += 1
    return rows


def draw_dialogue(split: str, dialogue: int, turns: int, rng: np.random.Generator) -> list[SampleUtterance]:
    """Draw one dialogue: two to four speakers, turns that follow each other in one episode."""
    cast = rng.permutation(list(SPEAKERS))[: rng.integers(2, 5)].tolist()
    season, episode = int(rng.integers(1, 10)), int(rng.integers(1, 25))
    start = int(rng.integers(30_000, 1_200_000))
    rows = []
    for turn in range(turns):
        speaker, listener = rng.permutation(cast)[:2].tolist()
        emotion = EMOTIONS[rng.choice(len(EMOTIONS), p=PRIOR)]
        cues = Cues(**{name: _draw_cue(emotion, reliability, rng) for name, reliability in RELIABILITY.items()})
        row = SampleUtterance(
            split=split,
            dialogue=dialogue,
            utterance=turn,
            speaker=speaker,
            emotion=emotion,
            sentiment=_draw_sentiment(emotion, rng),
            text=write_line(cues.text, listener, rng),
            cues=cues,
            season=season,
            episode=episode,
            start=start,
            frames=int(rng.integers(13, 21)),  # 1.04 to 1.60 s
        )
        rows.append(row)
        start = row.end + int(rng.integers(40, 900))
    return rows


def _draw_cue(emotion: str, reliability: float, rng: np.random.Generator) -> str:
    others = [name for name in EMOTIONS if name != emotion]
    return emotion if rng.random() < reliability else others[rng.integers(len(others))]


def _draw_sentiment(emotion: str, rng: np.random.Generator) -> str:
    """Surprise may be pleasant or not, in MELD as here."""
    fixed = {"neutral": "neutral", "joy": "positive"}
    if emotion == "surprise":
        return ("positive", "negative")[rng.integers(2)]
    return fixed.get(emotion, "negative")
