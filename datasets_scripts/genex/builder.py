"""GENEX and other iMotions studies as a `datasets` builder: recordings and tables become rows, one a frame.

    from affecthub.datasets_scripts.genex.builder import load_genex, genex_manifest

    frames = load_genex("path/to/GENEX")         # one Dataset: splits are made by protocol, see `splits`
    manifest = genex_manifest("path/to/GENEX")   # pandas.DataFrame, from the same cache

`affecthub inspect genex ROOT` prints the manifest.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import datasets
import pandas as pd

from affecthub.datasets_scripts.files import existing_folder, fingerprint, rows_cached, visible_files
from affecthub.datasets_scripts.genex.align import AlignOptions
from affecthub.datasets_scripts.genex.frames import COMPLETE, FrameOptions, extract_frames
from affecthub.datasets_scripts.genex.imotions_tables import Note
from affecthub.datasets_scripts.genex.manifest import FINDINGS, write_study_manifest
from affecthub.datasets_scripts.genex.recordings import find_recordings
from affecthub.datasets_scripts.genex.rows import frame_rows
from affecthub.datasets_scripts.genex.study import FEATURES, TABLE_SUFFIXES, TARGETS, VIDEO_SUFFIXES, Study
from affecthub.datasets_scripts.genex.tables import read_study_tables
from affecthub.media.container import MediaError
from affecthub.media.faces import FaceDetector, default_detector
from affecthub.media.files import cache_root
from affecthub.media.source_code import code_digest

SEVERE = ("other_clock", "unreadable_table", "contradicted_sample")
"""Findings that are said aloud, besides in the manifest: they take a whole table away."""

STRANGE = ("missing_table", "other_table", "unnamed")
"""Findings that a folder with nothing of a study in it has."""

logger = datasets.logging.get_logger(__name__)

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

ATTENTION_LABELS = ("low", "high")
"""Names of the binary attention label, in the order of their ids."""

_VALUES = {
    "key": datasets.Value("string"),
    "participant": datasets.Value("string"),
    "recording": datasets.Value("string"),
    "source_recording": datasets.Value("string"),
    "variant": datasets.Value("string"),
    "view": datasets.Value("string"),
    "recording_path": datasets.Value("string"),
    "frame_index": datasets.Value("int64"),
    "time_ms": datasets.Value("float64"),
    "image_path": datasets.Value("string"),
    "video_present": datasets.Value("bool"),
    "face_present": datasets.Value("bool"),
    "face_box": datasets.List(datasets.Value("int32")),
    "face_confidence": datasets.Value("float32"),
    "physio_values": datasets.List(datasets.Value("float32"), length=len(FEATURES)),
    "physio_present": datasets.Value("bool"),
    "targets": datasets.List(datasets.Value("float32"), length=len(TARGETS)),
    "targets_present": datasets.Value("bool"),
    "attention": datasets.Value("float32"),
    "attention_label": datasets.ClassLabel(names=list(ATTENTION_LABELS)),
    "attention_present": datasets.Value("bool"),
    "face_coverage": datasets.Value("float32"),
    "gaze_coverage": datasets.Value("float32"),
    "gsr_coverage": datasets.Value("float32"),
}


@dataclass
class GenexConfig(datasets.BuilderConfig):
    """What to build."""

    study: dict = field(default_factory=dict)
    """Fields of `genex_study.Study` that differ from GENEX's."""
    frames: dict = field(default_factory=dict)
    """Fields of `genex_frames.FrameOptions` that differ from the defaults."""
    labels: dict = field(default_factory=dict)
    """Fields of `genex_align.AlignOptions` that differ from the defaults."""


class GenexBuilder(datasets.GeneratorBasedBuilder):
    """One row a frame; a row stays when it has no face or no annotation, and says so.

    Columns:
        key: "LE 3299/Screen recording 1/0000030": participant, stimulus, frame.
        participant: normalised, such as "LE 3299".
        recording, source_recording: "LE 3299/Screen recording 1"; they differ where the study says so, and in colour
            variants of a recording, whose `variant` is then the name of the change, and else "original".
        view: "face_camera" or "gaze_replay"; the latter shows a dot where the participant looks.
        recording_path: the video itself, for its sound.
        frame_index, time_ms: of the frame in the recording.
        image_path: JPEG, the face crop, or the whole frame where no face was found or none was looked for. A plain
            string on purpose: what is pushed or written to Parquet can then never hold a participant's face.
        video_present: False for a whole frame that stands in for a face.
        face_present, face_box, face_confidence: of the chosen face, left, top, right, bottom in px of the recording.
        physio_values, targets: float (33,) and (17,), as in `genex_study`; NaN is unknown. AFFDEX computes its
            emotions from the facial actions among the inputs: predicting one from the other is nearly circular.
        attention, attention_label: 0..1, and "high" above the threshold (-1 where unknown).
        physio_present, targets_present, attention_present: whether anything of it is known.
        face_coverage, gaze_coverage, gsr_coverage: share of the window for which each is known, 0..1.

    `manifest.parquet` and `manifest.md` lie in `cache_dir`.
    """

    config: GenexConfig

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = GenexConfig
    BUILDER_CONFIGS = [GenexConfig(name="frames", version=VERSION)]
    DEFAULT_CONFIG_NAME = "frames"

    def __init__(self, *, data_dir: str | Path, detector: FaceDetector | None = None, **kwargs: Any):
        """`data_dir` is the study's folder; the cache is keyed by its content, by this code and by the detector."""
        self.root, self.detector = existing_folder(data_dir), detector
        key = _fingerprint(self.root) + (type(detector).__name__ if detector else "")
        kwargs.setdefault("dataset_name", "genex")
        super().__init__(data_dir=str(self.root), hash=key, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Frames of iMotions recordings, with facial expressions, gaze and skin conductance by time.",
            features=datasets.Features(_VALUES),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        # Everything is read here: an error raised while examples are generated would be wrapped.
        root, study = self.root, Study(**self.config.study)
        options, labels = FrameOptions(**self.config.frames), AlignOptions(**self.config.labels)
        tables = read_study_tables(root, study)
        recordings = find_recordings(root, study, tables)
        detector = _detector(options, self.detector)
        cache = frame_cache()
        rows = [
            row
            for recording in recordings
            for row in frame_rows(recording, labels, options, detector, cache, tables.notes)
        ]
        assert self._output_dir is not None
        write_study_manifest(tables.notes, Path(self._output_dir))
        for note in tables.notes:
            if note.finding in SEVERE:
                logger.warning("%s: %s; %s", note.subject, FINDINGS[note.finding], note.detail)
        if not rows:
            raise ValueError(f"{root}: {_nothing(root, tables.notes)}")
        return [datasets.SplitGenerator(name="frames", gen_kwargs={"rows": rows})]

    def _generate_examples(self, rows: list[dict]) -> Iterator[tuple[str, dict]]:
        for row in rows:
            yield row["key"], row


def load_genex(
    root: str | Path,
    study: Study | str | Path | None = None,
    *,
    frames: FrameOptions | None = None,
    labels: AlignOptions | None = None,
    detector: FaceDetector | None = None,
    cache_dir: str | Path | None = None,
) -> datasets.Dataset:
    """Load a study from its folder; what is unchanged since the last time comes from the cache.

    Args:
        root: holds the exported tables and the recordings, anywhere below it.
        study: its description, or the YAML file that holds it; GENEX's own by default.
        frames: which frames to take, and whether to cut faces out.
        labels: the window of annotations before each frame, where attention comes from, and its threshold.
        detector: of faces; MTCNN by default.
        cache_dir: of `datasets`; by default, its own. Pictures lie in $AFFECTHUB_CACHE or ~/.cache/affecthub.

    Returns:
        Columns as in `GenexBuilder`, sorted by recording and time.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no recording has a frame of an annotated participant.
    """
    return _rows(_prepared(root, study, frames, labels, detector, cache_dir))


def extract_study(
    root: str | Path,
    study: Study | str | Path | None = None,
    *,
    frames: FrameOptions | None = None,
    detector: FaceDetector | None = None,
    part: slice = slice(None),
) -> None:
    """Extract the pictures of a part of a study's recordings, so that several processes share what takes longest.

    `load_genex` finds them in the cache, and extracts itself what is not there.

    Args:
        root, study, frames, detector: as `load_genex`.
        part: of the recordings, by participant and stimulus.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root, study, frames = existing_folder(root), _described(study), frames or FrameOptions()
    detector = _detector(frames, detector)
    for recording in find_recordings(root, study, read_study_tables(root, study))[part]:
        with suppress(MediaError):  # which load_genex notes
            extract_frames(recording.path, frame_cache(), frames, detector)


def genex_manifest(
    root: str | Path,
    study: Study | str | Path | None = None,
    *,
    frames: FrameOptions | None = None,
    labels: AlignOptions | None = None,
    detector: FaceDetector | None = None,
    cache_dir: str | Path | None = None,
) -> pd.DataFrame:
    """What was found in a study; arguments as `load_genex`, whose cache it shares.

    Returns:
        Columns subject, finding (of `genex_manifest.FINDINGS`), count, detail.
    """
    builder = _prepared(root, study, frames, labels, detector, cache_dir)
    return pd.read_parquet(Path(builder.cache_dir, "manifest.parquet"))


def _prepared(
    root: str | Path,
    study: Study | str | Path | None,
    frames: FrameOptions | None,
    labels: AlignOptions | None,
    detector: FaceDetector | None,
    cache_dir: str | Path | None,
) -> GenexBuilder:
    builder = GenexBuilder(
        data_dir=root,
        detector=detector,
        cache_dir=cache_dir and str(cache_dir),
        study=study_facts(study),
        frames=_changed(frames or FrameOptions()),
        labels=_changed(labels or AlignOptions()),
    )
    with rows_cached():
        builder.download_and_prepare()
    pictures = {Path(path).parent for path in _rows(builder)["image_path"]}
    if not all((folder / COMPLETE).is_file() for folder in pictures):  # the rows outlived their pictures
        with rows_cached():
            builder.download_and_prepare(download_mode=datasets.DownloadMode.REUSE_CACHE_IF_EXISTS)
    return builder


def _rows(builder: GenexBuilder) -> datasets.Dataset:
    return cast(datasets.Dataset, builder.as_dataset(split="frames"))


def _described(study: Study | str | Path | None) -> Study:
    if study is None or isinstance(study, Study):  # not `Path`, of which `datasets` makes a class of its own here
        return study or Study()
    return Study.from_yaml(study)


def study_facts(study: Study | str | Path | None) -> dict:
    """In what a study differs from GENEX's names; `study` as in `load_genex`."""
    return _changed(_described(study))


def _changed(options: Study | FrameOptions | AlignOptions) -> dict:
    """The fields that differ from the defaults: they alone name the cache."""
    default, values = type(options)(), asdict(options)
    return {f.name: values[f.name] for f in fields(options) if values[f.name] != getattr(default, f.name)}


def _nothing(root: Path, notes: Sequence[Note]) -> str:
    """Why a folder gives no frame, in words: it holds no study, or one in which something is wrong."""
    if visible_files(root, VIDEO_SUFFIXES):
        why = "no frame of an annotated participant"
    else:
        pictures = len(visible_files(root, PICTURE_SUFFIXES))
        instead = f" but {pictures} pictures: read them and their table by the data set Clips" if pictures else ""
        why = f"there is no video ({', '.join(VIDEO_SUFFIXES)}) in this folder or below it{instead}"
    if all(note.finding in STRANGE for note in notes):
        tables = ", ".join(note.subject for note in notes if note.finding == "missing_table")
        return f"{why}, and no table of a study ({tables}); give the folder of iMotions' exports as data.root"
    return f"{why}; what was found:\n" + "\n".join(f"{n.subject}: {n.finding} ({n.detail})" for n in notes[:10])


def _detector(options: FrameOptions, given: FaceDetector | None) -> FaceDetector | None:
    """The detector that is given, or the default one where faces are wanted."""
    return default_detector() if options.crop_faces and given is None else given


def frame_cache() -> Path:
    """Where extracted pictures lie: below $AFFECTHUB_CACHE, or else ~/.cache/affecthub."""
    return cache_root() / "frames"


def _fingerprint(root: Path) -> str:
    tables, recordings = visible_files(root, TABLE_SUFFIXES), visible_files(root, VIDEO_SUFFIXES)
    return fingerprint(root, tables, recordings, code_digest(__name__))
