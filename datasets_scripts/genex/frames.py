"""A long recording becomes a folder of frames or face crops, once; an interrupted extraction continues."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock
from tqdm.auto import tqdm

from affecthub.media.container import probe
from affecthub.media.faces import MARGIN, MIN_CONFIDENCE, FaceDetector, choose_face, crop, crop_box
from affecthub.media.files import file_state, write_file
from affecthub.media.frames import Frame, count_frames, sample_frames, shrink
from affecthub.media.pictures import write_image

INDEX = "frames.jsonl"
"""One line a frame, written after its picture; a line that was cut off is dropped and its frame done again."""

COMPLETE = "complete.json"
"""Written last: how many frames the file states, and the index of the last one handed out."""

LOCK = ".lock"
"""Held while a process extracts there; the system lets go of it when the process dies."""


@dataclass(frozen=True)
class FrameOptions:
    """Which frames to take of a recording, and what to keep of each."""

    every: int = 30
    """Take every so-many-th frame: 30 is one a second at 30 frames a second."""
    rate: float | None = None
    """Frames a second, by time stamp, instead of `every`."""
    crop_faces: bool = True
    """Keep the face alone; a frame without one is kept whole, and masked."""
    min_confidence: float = MIN_CONFIDENCE
    """Of a face, 0..1."""
    margin: float = MARGIN
    """Factor on the width and height of a face's box before it is cut out."""
    shorter_side: int = 256
    """px; pictures are scaled down to it, never up. Models resize to 224."""


@dataclass(frozen=True)
class StoredFrame:
    """One frame on disk."""

    index: int
    """Of all the recording's frames, from 0."""
    time_ms: float
    """ms from the beginning of the recording."""
    file: str
    """Name of the picture in the recording's folder."""
    box: tuple[int, int, int, int] | None
    """Of the face, left, top, right, bottom in px of the recording; None without a face or a search for one."""
    confidence: float | None
    """Of the face, 0..1."""


def extract_frames(
    path: Path, cache: Path, options: FrameOptions, detector: FaceDetector | None
) -> tuple[Path, list[StoredFrame], bool]:
    """The frames of a recording, from the cache where it holds them.

    Args:
        path: the recording.
        cache: below it each recording gets a folder, named by its content's size and time and by the options.
        options: which frames.
        detector: of faces; used where the options ask for crops.

    Returns:
        The folder of the pictures; the frames in order of time; and whether the recording ends before it says.

    Raises:
        MediaError: the recording cannot be opened, or holds no picture.
        OSError: the disk is full; the message names the file.
    """
    stated = count_frames(path)
    folder = cache / _folder_name(path, options, detector)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / COMPLETE).is_file():
        with FileLock(folder / LOCK):
            _extract(path, folder, options, detector, stated)
    done = _stored(folder)
    return folder, done, _ends_early(path, done, stated)


def _extract(path: Path, folder: Path, options: FrameOptions, detector: FaceDetector | None, stated: int) -> None:
    """Store the frames that are not there yet; none where another process has just finished."""
    if (folder / COMPLETE).is_file():
        return
    done = _stored(folder)
    start = done[-1].index + 1 if done else 0
    frames = sample_frames(path, every=options.every, rate=options.rate, start=start)
    total = -(-stated // options.every) if options.rate is None else None
    with (folder / INDEX).open("a", encoding="utf-8") as index:
        for frame in tqdm(frames, desc=path.name, total=total, initial=len(done), unit="frame"):
            stored = _store(frame, folder, options, detector)
            index.write(json.dumps(asdict(stored)) + "\n")
            index.flush()
    write_file(folder / COMPLETE, json.dumps({"recording": str(path)}).encode())


def _folder_name(path: Path, options: FrameOptions, detector: FaceDetector | None) -> str:
    searched = type(detector).__name__ if options.crop_faces else None
    key = [str(path.resolve()), *(file_state(path) or ()), asdict(options), searched]
    info = probe(path)
    key += [value for value, usual in ((info.picture_start, 0.0), (info.pixel_width, 1.0)) if value != usual]
    return f"{path.stem}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:10]}"


def _store(frame: Frame, folder: Path, options: FrameOptions, detector: FaceDetector | None) -> StoredFrame:
    face = None
    if options.crop_faces:
        assert detector is not None
        face = choose_face(detector.detect(frame.image), options.min_confidence)
    image = frame.image if face is None else crop(frame.image, crop_box(face.box, frame.image.shape, options.margin))
    name = f"{frame.index:07d}.jpg"
    write_image(folder / name, shrink(image, options.shorter_side))
    return StoredFrame(frame.index, frame.time_ms, name, face and face.box, face and face.confidence)


def _stored(folder: Path) -> list[StoredFrame]:
    """The frames that the index lists; what follows a torn line is cut off the file."""
    index = folder / INDEX
    if not index.is_file():
        return []
    frames = list(_lines(index))
    kept = "".join(json.dumps(asdict(frame)) + "\n" for frame in frames)
    if kept != index.read_text(encoding="utf-8"):
        write_file(index, kept.encode())
    return frames


def _lines(index: Path) -> Iterator[StoredFrame]:
    for line in index.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            return
        box = values.pop("box")
        yield StoredFrame(**values, box=tuple(box) if box else None)


def _ends_early(path: Path, frames: list[StoredFrame], stated: int) -> bool:
    """Whether the last frame that was found lies further from the stated end than the one before it from itself."""
    if len(frames) < 2:
        return False
    step = frames[-1].index - frames[-2].index
    return frames[-1].index + step + 1 < stated
