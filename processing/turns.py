"""A sample with the turns around it: who speaks in each, and all turns of a batch as rows of their own and back.

A sample is a dictionary of what it holds by modality; `history` holds the samples before it in its conversation,
oldest first, `following` those after it, and `speaker` says who speaks, where that is known.
"""

from collections.abc import Sequence
from typing import Any

import torch

from .optional_parts import ARGUMENTS

Turn = dict[str, Any]
"""A sample, which also is a turn of its conversation."""


def holds_anything(turn: Turn) -> bool:
    """Whether any modality of a turn is there."""
    return any(turn.get(name) is not None for name in ARGUMENTS)


def speaker_slots(speakers: Sequence[str | None], present: int, slots: int) -> list[int]:
    """Who speaks in each turn, told from the turn that is judged, so that no name has to be known beforehand.

    Args:
        speakers: of each turn, None where nobody knows.
        present: the place of the turn that is judged.
        slots: how many there are.

    Returns:
        0 for who speaks in that turn; 1, 2, ... for the others, by how near their nearest turn is (of two that are
        equally near, the earlier first), at most `slots` - 2; and `slots` - 1 where nobody knows.
    """
    others: dict[str | None, int] = {}
    for place in sorted(range(len(speakers)), key=lambda place: (abs(place - present), place)):
        if speakers[place] not in (None, speakers[present]):
            others.setdefault(speakers[place], min(len(others) + 1, slots - 2))
    slot_of = {name: 0 for name in [speakers[present]] if name is not None} | others
    return [0 if place == present else slot_of.get(name, slots - 1) for place, name in enumerate(speakers)]


def window_of(sample: Turn, before: int, after: int) -> list[Turn | None]:
    """The turns of a sample in a window of `before` + 1 + `after`, the sample itself at `before`; None: no turn."""
    history, following = list(sample.get("history") or ()), list(sample.get("following") or ())
    earlier = history[max(0, len(history) - before) :]
    later = following[:after]
    return [*[None] * (before - len(earlier)), *earlier, sample, *later, *[None] * (after - len(later))]


def fold(rows: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """`rows` (turns that are there, ...) at their places (batch, turns, ...), zeros elsewhere.

    Args:
        real (batch, turns), bool: which turns are there, in the order of the rows.
    """
    output = rows.new_zeros(*real.shape, *rows.shape[1:])
    output[real] = rows
    return output
