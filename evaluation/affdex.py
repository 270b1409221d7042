"""Which facial actions AFFDEX computes its emotions from: one as the input and the other as the target is a circle.

From Affectiva's developer pages, "Mapping expressions to emotions" and "Metrics": the emotion predictors take the
observed facial expressions as their input, some raising and some lowering an emotion; attention is a measure of focus
by the orientation of the head, engagement one of facial muscle activation. iMotions exports these values.
"""

import re
from collections.abc import Sequence

EMOTION_ACTIONS: dict[str, tuple[str, ...]] = {
    "Joy": ("Smile", "Brow Raise", "Brow Furrow"),
    "Anger": (
        *("Brow Furrow", "Lid Tighten", "Eye Widen", "Chin Raise", "Mouth Open", "Lip Suck"),
        *("Inner Brow Raise", "Brow Raise", "Smile"),
    ),
    "Disgust": ("Nose Wrinkle", "Upper Lip Raise", "Lip Suck", "Smile"),
    "Surprise": ("Inner Brow Raise", "Brow Raise", "Eye Widen", "Jaw Drop", "Brow Furrow"),
    "Fear": (
        *("Inner Brow Raise", "Brow Furrow", "Eye Widen", "Lip Stretch"),
        *("Brow Raise", "Lip Corner Depressor", "Jaw Drop", "Smile"),
    ),
    "Sadness": (
        *("Inner Brow Raise", "Brow Furrow", "Lip Corner Depressor"),
        *("Brow Raise", "Eye Widen", "Mouth Open", "Lip Press", "Lip Suck", "Smile"),
    ),
    "Contempt": ("Brow Furrow", "Smirk", "Smile"),
}
"""Emotion -> the facial actions that raise or lower it."""

VALENCE_ACTIONS = (
    *("Smile", "Cheek Raise", "Inner Brow Raise", "Brow Furrow", "Nose Wrinkle", "Upper Lip Raise"),
    *("Lip Corner Depressor", "Chin Raise", "Lip Press", "Lip Suck"),
)
"""What raises or lowers valence."""

ENGAGEMENT_ACTIONS = (
    *("Brow Raise", "Brow Furrow", "Nose Wrinkle", "Lip Corner Depressor", "Chin Raise", "Lip Pucker", "Lip Press"),
    *("Mouth Open", "Lip Suck", "Smile"),
)
"""What is summed to engagement."""

HEAD_ORIENTATION = (
    *("Head Leaning Forward", "Head Leaning Backward", "Head Not Tilted", "Head Pointing Forward", "Head Pointing Up"),
    *("Head Down", "Head Tilted Left", "Head Tilted Right", "Head Turned Forward", "Head Turned Left"),
    *("Head Turned Right", "Pitch", "Yaw", "Roll"),
)
"""What attention is computed from."""

_ALL_ACTIONS = tuple(dict.fromkeys(action for actions in EMOTION_ACTIONS.values() for action in actions))

TARGET_SOURCES: dict[str, tuple[str, ...]] = {
    **EMOTION_ACTIONS,
    **dict.fromkeys(("Valence", "Positive Valence", "Negative Valence", "Neutral Valence"), VALENCE_ACTIONS),
    **dict.fromkeys(("Engagement", "Adaptive Engagement"), ENGAGEMENT_ACTIONS),
    "Attention": HEAD_ORIENTATION,
    "Sentimentality": _ALL_ACTIONS,
    "Confusion": _ALL_ACTIONS,
    "Neutral": _ALL_ACTIONS,
}
"""Target -> the inputs that AFFDEX computes it from. Sentimentality, confusion and neutral are composed of the same
actions by rules that are not published, so all of them are listed."""


def circular_inputs(inputs: Sequence[str], targets: Sequence[str]) -> dict[str, list[str]]:
    """Target -> those of the inputs from which it was computed, or which are the target itself.

    Args:
        inputs, targets: names of features; case, blanks and underscores do not matter: `brow_furrow` is Brow Furrow.
    """
    sources = {_plain(target): {_plain(name) for name in (target, *names)} for target, names in TARGET_SOURCES.items()}
    found = {t: [name for name in inputs if _plain(name) in sources.get(_plain(t), {_plain(t)})] for t in targets}
    return {target: names for target, names in found.items() if names}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
