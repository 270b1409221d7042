"""What a GENEX-like study is: its files, its names, and how a YAML description renames them."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

import regex

from affecthub.datasets_scripts.yaml_files import read_yaml

PATTERN_SECONDS = 1.0
"""That matching one file name against a study's regular expression may take."""

HEAD = (
    "Head Leaning Forward",
    "Head Leaning Backward",
    "Head Not Tilted",
    "Head Pointing Forward",
    "Head Pointing Up",
    "Head Down",
    "Head Tilted Left",
    "Head Tilted Right",
    "Head Turned Forward",
    "Head Turned Left",
    "Head Turned Right",
)

FACIAL_ACTIONS = (
    "Eye Closure",
    "Eye Widen",
    "Brow Furrow",
    "Brow Raise",
    "Mouth Open",
    "Jaw Drop",
    "Speaking",
    "Lip Press",
    "Lip Pucker",
    "Lip Stretch",
    "Lip Suck",
    "Lip Tighten",
    "Cheek Raise",
    "Chin Raise",
    "Dimpler",
    "Nose Wrinkle",
    "Upper Lip Raise",
)
"""AFFDEX computes its emotions from facial actions: as inputs, with AFFDEX emotions as targets, they are circular."""

EXPRESSIONS = HEAD + FACIAL_ACTIONS
"""0 or 1: whether an episode touches the window."""

GAZE = ("Fixation Density", "Mean Fixation Duration", "Gaze Dispersion")
"""Over the window: a count, ms, degrees."""

GSR = ("GSR Peak Count", "Mean GSR Amplitude")
"""Over the window: a count, microsiemens."""

FEATURES = EXPRESSIONS + GAZE + GSR
"""The 33 features, in the order of every axis named `features`."""

TARGETS = (
    "Joy",
    "Anger",
    "Fear",
    "Disgust",
    "Sadness",
    "Surprise",
    "Contempt",
    "Positive Valence",
    "Negative Valence",
    "Neutral Valence",
    "Attention",
    "Adaptive Engagement",
    "Confusion",
    "Sentimentality",
    "Smile",
    "Smirk",
    "Neutral",
)
"""The 17 affect targets, in the order of every axis named `targets`."""

FACE_CAMERA, GAZE_REPLAY = "face_camera", "gaze_replay"
VIEWS = (FACE_CAMERA, GAZE_REPLAY)
"""A gaze replay shows the screen with a dot where the participant looks: no face, and eye tracking to be read off."""

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".wmv", ".mkv", ".m4v")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Study:
    """Names that differ between studies; the defaults are GENEX's.

    As a YAML file, with whatever differs:

    ```yaml
    name: Lab 7
    gsr_table: peaks.csv
    columns: {Respondent Name: Teilnehmer, Peak Time: Zeit}
    expressions: {Grin: Smile}
    face_camera: cam_(?P<participant>P\\d+)_(?P<stimulus>.+)
    source_recording: {P1/Task brighter: P1/Task}
    ```
    """

    name: str = "GENEX"
    expression_table: str = "FEAExpressionTable.csv"
    """File name, found anywhere below the root; so are the next three."""
    fixation_table: str = "FixationTable.csv"
    gsr_table: str = "GSRPeakTable.csv"
    summary_table: str = "Multimodal summary metrics.csv"
    columns: dict[str, str] = field(default_factory=dict)
    """GENEX's column name -> this study's, in any table."""
    expressions: dict[str, str] = field(default_factory=dict)
    """This study's expression type -> one of the 28 expressions or 17 targets."""
    face_camera: str = r"RespCam_(?P<participant>.+?)_(?P<stimulus>.+?)(_\(.*)?"
    """Regular expression of a face-camera recording's file name without its suffix."""
    gaze_replay: str = r"(?P<stimulus>.+) - (?P<participant>.+)"
    """The same of a gaze replay's."""

    source_recording: dict[str, str] = field(default_factory=dict)
    """Recording, such as `LE 3299/Task brighter`, -> the one that it is a copy, a cut or a variant of: a split by
    recording puts both on one side."""

    def __post_init__(self):
        self._check_types()
        known = {*EXPRESSIONS, *TARGETS}
        for theirs, ours in self.expressions.items():
            if ours not in known:
                raise ValueError(f"expressions: {theirs!r} is renamed to {ours!r}; {suggest(ours, known)}")
        for view in VIEWS:
            try:
                groups = regex.compile(getattr(self, view)).groupindex
            except (regex.error, OverflowError, RecursionError) as error:
                raise ValueError(f"{view}: {getattr(self, view)!r} is no regular expression ({error})") from error
            if not {"participant", "stimulus"} <= set(groups):
                raise ValueError(
                    f"{view}: {getattr(self, view)!r} needs the groups (?P<participant>...) and (?P<stimulus>...)"
                )

    def _check_types(self) -> None:
        """ValueError where a field that is a text, or holds texts by name, holds something else."""
        for entry in fields(self):
            value, texts = getattr(self, entry.name), entry.default is not MISSING
            if texts and not isinstance(value, str):
                raise ValueError(f"{entry.name}: {value!r} is a {type(value).__name__}; write a text, in quotes")
            if not texts and not (isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values())):
                raise ValueError(f"{entry.name}: {value!r} holds no texts by name; write {{name: text}}, in quotes")

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Study":
        """Read a study description: a mapping with any of this class's fields.

        Raises:
            FileNotFoundError, ValueError: as `read_yaml`; a key that is no field, or a value that is not as it has to
                be. The message names the file.
        """
        content = read_yaml(path)
        known = {f.name for f in fields(cls)}
        for key in content:
            if key not in known:
                raise ValueError(f"{path}: unknown key {key!r}; {suggest(key, known)}")
        try:
            return cls(**content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def source_of(self, recording: str) -> str:
        """The recording that one was made from; itself where nothing is said."""
        return {_recording_name(name): _recording_name(of) for name, of in self.source_recording.items()}.get(
            recording, recording
        )

    def check_sources(self, recordings: Collection[str]) -> None:
        """ValueError where `source_recording` speaks of a recording that there is not, or of a copy of a copy."""
        named = [*map(_recording_name, self.source_recording)]
        if foreign := [name for name in named if name not in recordings]:
            raise ValueError(
                f"source_recording: there is no recording {foreign[0]!r}; {suggest(foreign[0], {*recordings})}"
            )
        if again := [of for of in map(_recording_name, self.source_recording.values()) if of in named]:
            raise ValueError(f"source_recording: {again[0]!r} is itself made from another; name that one for both")

    def expression(self, name: str) -> str | None:
        """The feature or target that an expression type of this study means; None where it means none."""
        renamed = self.expressions.get(name, name)
        return _BY_LOWER.get(renamed.lower())

    def recording(self, path: Path) -> tuple[str, str, str] | None:
        """(participant, stimulus, view) by a video's file name; None where it fits neither pattern.

        Raises:
            ValueError: a pattern takes longer than `PATTERN_SECONDS`, as those with nested repeats can.
        """
        for view in VIEWS:
            try:
                match = regex.fullmatch(getattr(self, view), path.stem, timeout=PATTERN_SECONDS)
            except TimeoutError as error:
                raise ValueError(
                    f"{view}: {getattr(self, view)!r} needs over {PATTERN_SECONDS:g} s for the name {path.stem!r}; "
                    "write a regular expression without a repeat inside a repeat."
                ) from error
            if match:
                return normalise_name(match["participant"]), normalise_stimulus(match["stimulus"]), view
        return None


_BY_LOWER = {name.lower(): name for name in (*EXPRESSIONS, *TARGETS)}


def normalise_name(name: str) -> str:
    """A participant as every table and file names them: `LE_3299`, `le  3299` and `LE 3299` are one."""
    return re.sub(r"[\s_]+", " ", name).strip().upper()


def normalise_stimulus(name: str) -> str:
    """A stimulus with white space collapsed, and without the `(1)` that a second export of the same file gets."""
    return re.sub(r"\s+", " ", re.sub(r"\s*\(\d+\)\s*$", "", name)).strip()


def _recording_name(name: str) -> str:
    """ "le_3299/Task (1)" as recordings are named: "LE 3299/Task"."""
    participant, _, stimulus = name.partition("/")
    return f"{normalise_name(participant)}/{normalise_stimulus(stimulus)}"


def suggest(word: str, known: set[str]) -> str:
    """The nearest known word as a question, or all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(sorted(known))}"
