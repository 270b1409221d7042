"""What the leakage audit reports: findings, their table in the terminal, and the gate that a run has to pass."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["severe", "warning", "note", "unchecked"]

SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "note", "unchecked")
"""severe: the figures would mislead, and the run stops unless this is accepted by name; warning: they mean less than
they seem to; note: worth knowing; unchecked: the rows lack what the check needs."""

EXAMPLES = 5
"""So many a finding has, at most."""

CHECKS = {
    "learned_from": "a saved model learned from what it is judged on",
    "same_row": "one row on both sides",
    "same_recording": "one source recording on both sides",
    "same_content": "the bytes of one clip on both sides",
    "same_sound": "one sound on both sides, perhaps in another format",
    "near_duplicate_frames": "one picture on both sides, perhaps in other colours, mirrored, cut or moved",
    "label_from_participant": "knowing who it is gives the label",
    "target_from_inputs": "the target was computed from the inputs",
    "target_from_feature": "one feature follows the target far better than the others",
    "same_label_track": "two people with one track of labels",
    "statistics_outside_training": "statistics were fitted on rows outside the training split",
    "same_participant": "one person on both sides",
    "participant_spelled_twice": "one person on both sides, under two spellings",
    "similar_text": "nearly one text on both sides",
    "same_text": "one text on both sides, but for case, punctuation and blanks",
    "unreadable_media": "media that could not be compared",
}
"""Every check -> what it looks for; the name is what a recipe accepts."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `dataclasses.asdict` makes it ready for JSON."""

    check: str
    """One of `CHECKS`."""
    severity: Severity
    count: int
    """Rows concerned, held-out ones where both sides are compared; of `target_from_inputs`, targets."""
    message: str
    """What was found, with the values."""
    examples: list[str]
    """At most `EXAMPLES`."""
    remedy: str


def unchecked(check: str, needs: str) -> Finding:
    """That a check was not made, and what it needs."""
    return Finding(check, "unchecked", 0, f"not checked: {CHECKS[check]}", [], needs)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The most severe first, else in their order."""
    return sorted(findings, key=lambda found: SEVERITIES.index(found.severity))


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a check: as severe as the most severe, with what each of them says."""
    checks: dict[str, list[Finding]] = {}
    for found in findings:
        checks.setdefault(found.check, []).append(found)
    return [_one(same) for same in checks.values()]


def _one(same: list[Finding]) -> Finding:
    """Of findings of one check; that it was not made somewhere is of interest where it was made nowhere."""
    made = by_severity(found for found in same if found.severity != "unchecked") or same[:1]
    examples = [example for found in made for example in found.examples][:EXAMPLES]
    message = "; ".join(found.message for found in made)
    return replace(made[0], count=sum(found.count for found in made), message=message, examples=examples)


class LeakageError(ValueError):
    """A severe finding that nobody accepted."""


def enforce(findings: Sequence[Finding], accepted: Collection[str] = ()) -> None:
    """Stop a run whose split has a severe finding that was not accepted by name.

    Raises:
        LeakageError: with the findings, their remedies and how to accept them.
        ValueError: an accepted name is no check; with the nearest that is.
    """
    for name in accepted:
        if name not in CHECKS:
            close = difflib.get_close_matches(name, CHECKS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"accepted leakage {name!r} is no check of the audit; {hint}They are {', '.join(CHECKS)}")
    stopping = [found for found in findings if found.severity == "severe" and found.check not in accepted]
    if stopping:
        names = ", ".join(dict.fromkeys(found.check for found in stopping))
        raise LeakageError(
            f"the split leaks, so its figures would mislead:\n{findings_table(stopping)}\n"
            f"Change the split, or accept by name what cannot be changed ({names}); the card will say so."
        )


def findings_table(findings: Sequence[Finding]) -> str:
    """Plain text for the terminal: a line a finding, below it examples and remedy."""
    if not findings:
        return "Leakage audit: every check ran, nothing was found."
    lines = ["Leakage audit"]
    for found in findings:
        lines.append(f"{found.severity:<10}{found.check:<28}{found.message}")
        if found.examples:
            lines.append(f"{'':<10}e.g. {'; '.join(found.examples)}")
        lines.append(f"{'':<10}{'needs' if found.severity == 'unchecked' else 'remedy'}: {found.remedy}")
    return "\n".join(lines)
