"""One recording becomes rows: its frames, aligned with its annotations by time."""

from pathlib import Path

import numpy as np

from affecthub.datasets_scripts.genex.align import Aligned, AlignOptions, align
from affecthub.datasets_scripts.genex.clocks import on_one_clock
from affecthub.datasets_scripts.genex.frames import FrameOptions, StoredFrame, extract_frames
from affecthub.datasets_scripts.genex.imotions_tables import Note
from affecthub.datasets_scripts.genex.recordings import Recording
from affecthub.media.container import MediaError
from affecthub.media.faces import FaceDetector
from affecthub.media.windows import duration_of

TABLES = {
    "expressions": "table of expressions",
    "fixations": "table of fixations",
    "peaks": "table of GSR peaks",
    "sensor": "AFFDEX export",
}
"""Fields of `Signals`, in words."""

SLACK = 1000.0
"""ms: annotations that begin later than this after its end are counted as being beyond the recording."""


def frame_rows(
    recording: Recording,
    labels: AlignOptions,
    options: FrameOptions,
    detector: FaceDetector | None,
    cache: Path,
    notes: list[Note],
) -> list[dict]:
    """The examples of one recording, columns as in `genex.Genex`; none, and a note, where it cannot be read.

    Args:
        recording: with its annotations.
        labels: how annotations meet frames.
        options: which frames.
        detector: of faces, where the options ask for crops.
        cache: where pictures lie.
        notes: to be added to.
    """
    try:
        folder, frames, ends_early = extract_frames(recording.path, cache, options, detector)
    except MediaError as error:
        notes.append(Note(recording.path.name, "broken", 1, str(error)))
        return []
    if not frames:
        notes.append(Note(recording.path.name, "broken", 1, "no frame can be decoded; export the recording again"))
        return []
    times = np.array([frame.time_ms for frame in frames])
    end = max(times[-1], 1000 * duration_of(recording.path))  # not the last frame that was taken
    signals, other_clocks = on_one_clock(recording.signals, end)
    for table, detail in other_clocks.items():
        notes.append(Note(recording.name, "other_clock", 1, f"its {TABLES[table]} {detail}"))
    aligned = align(signals, times, labels)
    _note_frames(recording, frames, aligned, options, ends_early, end, notes)
    return [_row(recording, labels, options, folder, frame, aligned, i) for i, frame in enumerate(frames)]


def _row(
    recording: Recording,
    labels: AlignOptions,
    options: FrameOptions,
    folder: Path,
    frame: StoredFrame,
    aligned: Aligned,
    i: int,
) -> dict:
    attention = float(aligned.attention[i])
    return {
        "key": f"{recording.name}/{frame.index:07d}",
        "participant": recording.participant,
        "recording": recording.name,
        "source_recording": recording.source,
        "variant": "original",
        "view": recording.view,
        "recording_path": str(recording.path),
        "frame_index": frame.index,
        "time_ms": frame.time_ms,
        "image_path": str(folder / frame.file),
        "video_present": frame.box is not None or not options.crop_faces,
        "face_present": frame.box is not None,
        "face_box": frame.box,
        "face_confidence": frame.confidence,
        "physio_values": aligned.features[i].tolist(),
        "physio_present": bool(np.isfinite(aligned.features[i]).any()),
        "targets": aligned.targets[i].tolist(),
        "targets_present": bool(np.isfinite(aligned.targets[i]).any()),
        "attention": attention,
        "attention_label": int(attention > labels.attention_threshold) if np.isfinite(attention) else -1,
        "attention_present": bool(np.isfinite(attention)),
        **dict(zip(("face_coverage", "gaze_coverage", "gsr_coverage"), aligned.coverage[i].tolist(), strict=True)),
    }


def _note_frames(
    recording: Recording,
    frames: list[StoredFrame],
    aligned: Aligned,
    options: FrameOptions,
    ends_early: bool,
    end: float,
    notes: list[Note],
) -> None:
    """What is worth knowing of a recording that is used."""
    name = recording.name
    coverage = ", ".join(
        f"{what} {share:.0%}"
        for what, share in zip(("face", "gaze", "GSR"), aligned.coverage.mean(axis=0), strict=True)
    )
    notes.append(Note(name, "used", len(frames), f"{end / 1000:.1f} s by {recording.view}; known of it: {coverage}"))
    if ends_early:
        notes.append(
            Note(name, "truncated", 1, f"it ends at {end / 1000:.1f} s, before its index says; copy it again")
        )
    beyond = _beyond(recording, end + SLACK)
    if beyond:
        last = recording.signals.last_ms / 1000
        detail = f"begin after its end at {end / 1000:.1f} s; the last ends at {last:.1f} s"
        notes.append(Note(name, "shorter_than_annotations", beyond, detail))
    counts = {
        "no_face_found": sum(frame.box is None for frame in frames) if options.crop_faces else 0,
        "no_face_seen": int(aligned.face_unseen.sum()),
        "no_annotation": int((aligned.coverage == 0).any(axis=1).sum()),
    }
    for finding, count in counts.items():
        if count:
            notes.append(Note(name, finding, count, f"of {len(frames)} frames"))


def _beyond(recording: Recording, end_ms: float) -> int:
    """How many annotations begin after `end_ms`."""
    signals = recording.signals
    begins = (signals.expressions.onset, signals.fixations.start, signals.peaks.time, signals.sensor.time)
    return sum(int((begin > end_ms).sum()) for begin in begins)
