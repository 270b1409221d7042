"""The audit's checks of media: the same bytes, the same sound, the same picture, and what could not be compared.

Who was drawn, or whose voice was computed, may look and sound like another without anything being copied: there,
likeness is a warning. So it is of one picture of a clip, where it has a reason: one person or one recording, which
other checks name, or sounds that were compared and differ.
"""

import numpy as np
import pandas as pd

from .findings import EXAMPLES, Finding, unchecked
from .frame_signatures import MIN_CORRELATION, nearest_frames
from .sides import Sides
from .sound_fingerprint import MAX_ERROR, nearest_sounds

COMPUTED_ERROR = 0.08
"""As `sound_fingerprint.MAX_ERROR`, of computed voices. Measured on the sample corpus: no two of 1,300 clips of its
eight voices, which hold the same vowels at the same pitch, differ by less than 0.088."""

DRAWN_CORRELATION = 0.9985
"""As `frame_signatures.MIN_CORRELATION`, of drawn people, who share their outline: frames of two of the five people of
the sample study correlate by up to 0.997."""

LOOKED_AT = 100
"""Training frames, roughly, of which it is asked whether others on their side are like them."""

_REMEDY = "leave the copies out of one side, or give them one recording and split by it"

_REASON = "of the same person or recording, or with another sound"


def media_findings(sides: Sides) -> list[Finding | None]:
    """What media are on both sides."""
    sounds, differ = _same_sound(sides)
    return [_same_content(sides), sounds, _near_duplicates(sides, differ), _unreadable(sides)]


def _same_content(sides: Sides) -> Finding | None:
    if sides.columns.content is None:
        return None  # no files: nothing to remedy
    (places, known), (rows, asked) = sides.holding(sides.columns.content)
    first = {digest: place for place, digest in zip(places[::-1], known[::-1], strict=True)}
    pairs = [(row, first[digest]) for row, digest in zip(rows, asked, strict=True) if digest in first]
    if not pairs:
        return None
    count, total = len(pairs), len(sides.held_out)
    message = f"{sides.share(count, total, 'clips')} are, byte for byte, clips that the {sides.known} side holds too"
    examples = [sides.pair(*pair) for pair in pairs[:EXAMPLES]]
    return Finding("same_content", sides.severity(count, alike=False), count, message, examples, _REMEDY)


def _same_sound(sides: Sides) -> tuple[Finding | None, np.ndarray]:
    """The finding; and whether each held-out row was compared and sounds like none, bool (rows,)."""
    differ = np.zeros(len(sides.held_out), dtype=bool)
    if sides.columns.sound is None:
        return None, differ  # not every data set has sound
    (places, known), (rows, asked) = sides.holding(sides.columns.sound)
    if not known or not asked:
        needs = "clips with sound on both sides; all are without, or too short"
        return unchecked("same_sound", needs), differ
    matches = nearest_sounds(known, asked)
    originals = places[matches.nearest]
    same = matches.error <= (COMPUTED_ERROR if sides.synthetic else MAX_ERROR)
    differ[rows] = ~same
    found = np.flatnonzero(same).tolist()
    if not len(found):
        return None, differ
    blank = len(sides.held_out) - len(rows)
    message = (
        f"{sides.share(len(found), len(rows), 'clips')} hold the sound of a {sides.known} clip, perhaps in another "
        "format" + (f"; {blank:,} more have none, or too little, and were not compared" if blank else "")
    )
    heard = zip(found[:EXAMPLES], matches.seconds[found], matches.error[found], strict=False)
    examples = [
        f"{sides.pair(rows[i], originals[i])} ({seconds:.1f} s, {error:.0%} of the bits differ)"
        for i, seconds, error in heard
    ]
    return Finding("same_sound", sides.severity(len(found)), len(found), message, examples, _REMEDY), differ


def _near_duplicates(sides: Sides, differ: np.ndarray) -> Finding | None:
    columns = sides.columns
    if columns.signature is None:
        return unchecked("near_duplicate_frames", "a column with each frame's frame_signatures.frame_signature")
    (places, known), (rows, asked) = sides.holding(columns.signature)
    if not known or not asked:
        return unchecked("near_duplicate_frames", "frames with a picture on both sides; all are absent or flat")
    matches = nearest_frames(known, asked)
    originals = places[matches.nearest]
    least = DRAWN_CORRELATION if sides.synthetic else MIN_CORRELATION
    found = np.flatnonzero(matches.correlation >= least)
    if not len(found):
        return None
    reason = _has_reason(sides, rows[found], originals[found], differ)
    told: list[int] = (found if reason.all() else found[~reason]).tolist()
    count, others, blank = len(told), len(found) - len(told), len(sides.held_out) - len(rows)
    message = (
        f"{sides.share(count, len(rows), 'frames')} show what a {sides.known} frame shows, perhaps in other "
        "colours, mirrored, cut or moved"
        + (f", but {_REASON}" if reason.all() else f"; so do {others:,} more, but {_REASON}" if others else "")
        + (f"; {blank:,} more are absent or flat, and were not compared" if blank else "")
    )
    if _shown_to_all(sides, known, places, np.unique(matches.nearest[found])):
        message += "; and so do the training side's own people: a screen that all of them saw, or one under many names"
    examples = [
        f"{sides.pair(rows[i], originals[i])} (correlation {matches.correlation[i]:.3f})" for i in told[:EXAMPLES]
    ]
    remedy = (
        "leave the copies out of one side, or give them one recording and split by it; accept it by name where all "
        "saw one screen, and claim nothing about new stimuli"
    )
    severity = "warning" if reason.all() else sides.severity(count)
    return Finding("near_duplicate_frames", severity, count, message, examples, remedy)


def _shown_to_all(sides: Sides, known: list[bytes], places: np.ndarray, matched: np.ndarray) -> bool:
    """Whether most of the training frames that were matched are like those of other people on that side, too."""
    column = sides.columns.participant
    if column is None:
        return False
    people = pd.factorize(sides.train[column].iloc[places])[0]
    sample = matched[:: max(1, len(matched) // LOOKED_AT)]
    alike = 0
    for person in np.unique(people[sample]):
        others = [known[i] for i in np.flatnonzero((people != person) & (people >= 0))]
        if others:
            alike += int(nearest_frames(others, [known[i] for i in sample[people[sample] == person]]).duplicate.sum())
    return 2 * alike > len(sample)


def _has_reason(sides: Sides, held_out: np.ndarray, train: np.ndarray, differ: np.ndarray) -> np.ndarray:
    """Whether two clips, of which one picture each is alike, may be two moments of one person, bool (pairs,)."""
    columns = sides.columns
    if columns.moving is None:
        return np.zeros(len(held_out), dtype=bool)
    known = [sides.agree(name, held_out, train) for name in (columns.recording, columns.participant)]
    moving = sides.held_out[columns.moving].iloc[held_out].to_numpy(dtype=bool)
    return moving & (known[0] | known[1] | differ[held_out])


def _unreadable(sides: Sides) -> Finding | None:
    column = sides.columns.fault
    faults = [] if column is None else [*sides.train[column].dropna(), *sides.held_out[column].dropna()]
    if not faults:
        return None
    rows = len(sides.train) + len(sides.held_out)
    message = f"the media of {len(faults):,} of {rows:,} rows could not be read, and were not compared"
    remedy = "see the examples; `affecthub inspect` lists what is wrong with each file"
    return Finding("unreadable_media", "note", len(faults), message, faults[:EXAMPLES], remedy)
