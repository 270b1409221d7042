"""One colour an emotion, on the page, in timelines and in pictures; it travels with the Space.

The eight differ by at least 25 (CIE76) to readers of all colours and to those without red, green or blue cones
(Machado et al. 2009, full severity), and each has a contrast of 3 : 1 on white and on the page's dark ground (WCAG
2.2, 1.4.11). Wherever they stand, the label stands too, or another stroke.
"""

import itertools
from collections.abc import Sequence

BY_EMOTION = {
    "neutral": "#4a7265",
    "joy": "#e57200",
    "sadness": "#3091f2",
    "anger": "#cb0022",
    "fear": "#7f00fe",
    "disgust": "#909863",
    "surprise": "#bf7cb4",
    "contempt": "#a521a5",
}

SAME = {
    **{"happiness": "joy", "happy": "joy", "joyful": "joy", "positive": "joy", "enjoyment": "joy"},
    **{"sad": "sadness", "angry": "anger", "negative": "anger", "fearful": "fear", "anxiety": "fear"},
    **{"disgusted": "disgust", "surprised": "surprise", "calm": "neutral", "boredom": "contempt"},
}
"""Other words -> the emotion whose colour they have."""


def colours_of(labels: Sequence[str]) -> dict[str, str]:
    """Label -> colour as #rrggbb: by its name, and of labels that are no emotion by their place.

    Args:
        labels: all that a model tells apart, in the order of their ids, so that none changes its colour with its rank.
    """
    words = {label: SAME.get(label.lower(), label.lower()) for label in labels}
    named = {label: BY_EMOTION[word] for label, word in words.items() if word in BY_EMOTION}
    free = [colour for colour in BY_EMOTION.values() if colour not in named.values()] or BY_EMOTION.values()
    others = itertools.cycle(free)
    return {label: named.get(label) or next(others) for label in words}
