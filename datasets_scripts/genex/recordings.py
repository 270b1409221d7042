"""Which video belongs to which participant, and which annotations to which video."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from affecthub.datasets_scripts.files import visible_files
from affecthub.datasets_scripts.genex.align import Signals
from affecthub.datasets_scripts.genex.imotions_tables import Note
from affecthub.datasets_scripts.genex.study import VIDEO_SUFFIXES, VIEWS, Study
from affecthub.datasets_scripts.genex.tables import StudyTables


@dataclass(frozen=True)
class Recording:
    """One video of one participant, with what is annotated of it."""

    path: Path
    participant: str
    stimulus: str
    view: str
    """One of `genex_study.VIEWS`."""
    signals: Signals
    source: str
    """Name of the recording that it was made from; its own, of most."""

    @property
    def name(self) -> str:
        """Identity within the study, such as "LE 3299/Screen recording 1"."""
        return f"{self.participant}/{self.stimulus}"


def find_recordings(root: Path, study: Study, tables: StudyTables) -> list[Recording]:
    """Every recording that can be used, by participant and stimulus; the others are noted in `tables.notes`.

    A participant's face camera is used where there is one, the gaze replays otherwise. Where the tables name no
    stimulus, their times can belong to one recording only: the first by name.

    Raises:
        ValueError: the study's `source_recording` speaks of a recording that there is not.
    """
    candidates: dict[str, list[tuple[str, str, Path]]] = defaultdict(list)
    for path in visible_files(root, VIDEO_SUFFIXES):
        named = study.recording(path)
        if named is None:
            tables.notes.append(Note(path.name, "unnamed", 1, "its name fits neither face_camera nor gaze_replay"))
        else:
            participant, stimulus, view = named
            candidates[participant].append((view, stimulus, path))
    study.check_sources({f"{name}/{stimulus}" for name, found in candidates.items() for _, stimulus, _ in found})
    _note_strangers(tables, set(candidates))
    found = []
    for participant in sorted(candidates):
        found += _of_participant(participant, candidates[participant], tables, study)
        _note_other_stimuli(tables, participant, {stimulus for _, stimulus, _ in candidates[participant]})
    return found


def _note_other_stimuli(tables: StudyTables, participant: str, filmed: set[str]) -> None:
    """Note a participant's rows that name a stimulus of which there is no recording."""
    lowered = {name.lower() for name in filmed}
    counts: Counter = Counter()
    for table in tables.events():
        named = table[(table.participant == participant) & (table.stimulus != "")].stimulus
        counts.update(named[~named.str.lower().isin(lowered)])
    if counts:
        rows = ", ".join(f"{name!r} {count}" for name, count in counts.most_common(5))
        detail = f"{rows}; the recordings are of {', '.join(sorted(filmed))}"
        tables.notes.append(Note(participant, "unknown_stimulus", counts.total(), detail))


def _note_strangers(tables: StudyTables, filmed: set[str]) -> None:
    """Note tables without a participant in common with the videos, and annotated participants without a video."""
    names = ("expression table", "fixation table", "GSR peak table", "AFFDEX exports")
    for name, table in zip(names, tables.events(), strict=True):
        people = set(table.participant.unique())
        if people and not people & filmed:
            detail = (
                f"it names {', '.join(sorted(people)[:5])}; the videos {', '.join(sorted(filmed)[:5]) or 'nobody'}"
            )
            tables.notes.append(Note(name, "no_common_participant", len(table), detail))
    missing = sorted(tables.participants() - filmed)
    if missing:
        tables.notes.append(Note("tables", "unfilmed", len(missing), ", ".join(missing)))


def _of_participant(
    participant: str, candidates: list[tuple[str, str, Path]], tables: StudyTables, study: Study
) -> list[Recording]:
    view = min((view for view, _, _ in candidates), key=VIEWS.index)
    found: list[Recording] = []
    for own_view, stimulus, path in sorted(candidates):
        signals = signals_of(tables, participant, stimulus, first=not found)
        source = study.source_of(f"{participant}/{stimulus}")
        if own_view != view:
            tables.notes.append(Note(path.name, "other_view", 1, f"{participant} has recordings by {view}"))
        elif any(recording.stimulus == stimulus for recording in found) or (found and not len(signals)):
            detail = f"{found[0].path.name} is used; the tables do not say which times belong to this one"
            tables.notes.append(Note(path.name, "second_recording", 1, detail))
        elif not len(signals):
            tables.notes.append(Note(path.name, "unannotated", 1, f"no table has {participant} with {stimulus!r}"))
        else:
            found.append(Recording(path, participant, stimulus, view, signals, source))
    return found


def signals_of(tables: StudyTables, participant: str, stimulus: str, first: bool) -> Signals:
    """The annotations of one recording.

    Args:
        tables: of the study.
        participant, stimulus: of the recording.
        first: whether rows without a stimulus belong to it.
    """

    def of(table: pd.DataFrame) -> pd.DataFrame:
        rows = table.loc[table.participant == participant]
        return rows.loc[(rows.stimulus.str.lower() == stimulus.lower()) | ((rows.stimulus == "") & first)]

    mentioned = frozenset(tables.expressions.name)
    expressions, fixations, peaks, sensor = map(of, tables.events())
    return Signals(expressions, fixations, peaks, sensor, tables.attention.get(participant), mentioned)
