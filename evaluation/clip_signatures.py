"""What the audit compares of clips: their bytes, the frame in their middle, and what they sound like.

A file is opened once for both; what was found lies below $AFFECTHUB_CACHE/audit, a small file a clip, whose name is a
digest of the clip's path, size, time and span, and of what this code does. Memory holds a few clips a thread.
"""

import base64
import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm

from affecthub.datasets_scripts.files import file_digest
from affecthub.datasets_scripts.prepared.clips import SOURCES, decode_sound, files_of, span_of
from affecthub.datasets_scripts.prepared.stream import ShardStream
from affecthub.media.audio import resample
from affecthub.media.container import MediaError
from affecthub.media.decode import read_clip
from affecthub.media.files import cache_root, file_state, write_file
from affecthub.media.pictures import decode_image, read_picture
from affecthub.media.source_code import code_digest

from .frame_signatures import frame_signature
from .sound_fingerprint import RATE, sound_fingerprint

LONGEST = 60.0
"""s of a clip that are looked at, from its beginning on."""

SLOW = 3.0
"""s after which a bar shows how far it is."""

CONTENT = {"video_jpeg": "video", "audio_flac": "audio"}
"""Column of a prepared row -> the modality whose bytes it holds."""

_AHEAD = 4 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Signatures:
    """What was found in one clip."""

    frame: bytes | None = None
    """`frame_signature` of the frame in its middle; None where it has none, or a flat one."""
    sound: bytes | None = None
    """`sound_fingerprint`; None where it has none, or too little."""
    moving: bool = False
    """Whether it has more pictures than the one."""
    content: str | None = None
    """Digest of the bytes of a prepared row; of files, `file_digests` tells whether any can be equal at all."""
    fault: str | None = None
    """Why something of it could not be read."""


def sign_clips(rows: Dataset, modalities: Sequence[str], stream: ShardStream | None = None) -> list[Signatures]:
    """What each row's clip shows and sounds like, by as many threads as there are cores.

    Args:
        rows: of clips, as `corpus` describes them, or prepared ones.
        modalities: of "audio" and "video", what is looked at; the other one is not decoded.
        stream: where frames and sound of prepared rows lie, if not in the rows.
    """
    code = code_digest(__name__)
    places = [_place(row, modalities, code) for row in _sources(rows)]
    kept = {place: found for place in set(places) if place and (found := _kept(place))}
    asked = {place: i for i, place in enumerate(places) if place and place not in kept}
    missing = {i: place for place, i in asked.items()}

    def look(item: tuple[int, dict]) -> tuple[int, Signatures]:
        return item[0], _look(item[1], modalities, missing[item[0]])

    looked = _in_threads(look, _read(rows, sorted(missing), stream))
    for index, signatures in tqdm(looked, total=len(missing), desc="looking at clips", unit="clip", delay=SLOW):
        kept[missing[index]] = signatures
    return [kept[place] if place else Signatures() for place in places]


def file_digests(sides: Sequence[Sequence[Dataset]], modalities: Sequence[str]) -> list[list[str | None]]:
    """Of each row of some sides what its files hold, as a digest of their bytes and its span in them.

    None where a row has no file, where no file on another side has its size, or where it cannot be read: only what
    can be equal is read at all.

    Args:
        sides: parts of what learns, of what chooses the epoch, and of what judges.
        modalities: of "audio" and "video", whose files are compared.
    """
    rows = [[row for part in parts for row in _sources(part)] for parts in sides]
    files = [{path: file_state(path) for row in side for path in files_of(row, modalities)} for side in rows]
    sizes = Counter(size for side in files for size in {state[0] for state in side.values() if state})
    states = {path: state for side in files for path, state in side.items()}
    asked = [path for path, state in states.items() if state and sizes[state[0]] > 1]
    hashed = tqdm(_in_threads(_sha256, asked), total=len(asked), desc="comparing files", unit="file", delay=SLOW)
    digests = dict(zip(asked, hashed, strict=True))
    return [[_row_digest(row, list(files_of(row, modalities)), digests) for row in side] for side in rows]


def _row_digest(row: Mapping[str, Any], paths: Sequence[str], digests: Mapping[str, str | None]) -> str | None:
    known = [digests.get(path) for path in paths]
    return f"{known} {row.get('clip_start')} {row.get('clip_end')}" if known and None not in known else None


def _in_threads(function: Callable, items: Iterable) -> Iterator:
    """What a function gives for items, in their order; few are taken before they are due."""
    with ThreadPoolExecutor() as pool:
        pending = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _sources(rows: Dataset) -> Iterator[dict]:
    """Of each row, the columns that say where its clip lies."""
    names = [name for name in SOURCES if name in rows.column_names]
    return cast("Iterator[dict]", iter(rows.select_columns(names))) if names else ({} for _ in range(len(rows)))


def _read(rows: Dataset, indices: Sequence[int], stream: ShardStream | None) -> Iterator[tuple[int, dict]]:
    """Rows with what was prepared of them."""
    if stream is None:
        return ((index, rows[index]) for index in indices)
    held = stream.read(np.array(indices, dtype=np.int64), ["key", *CONTENT])
    return ((index, rows[index] | content) for index, content in held)


def _place(row: Mapping[str, Any], modalities: Sequence[str], code: str) -> Path | None:
    """Where it is kept what a row's clip shows; None where there is nothing to look at."""
    files, picture = files_of(row, modalities), _picture(row, modalities)
    paths = [*files, *([picture] if picture else [])]
    if not paths:
        return None
    facts = [code, files, picture, len(row.get("image_paths") or ()) > 1, *map(file_state, paths)]
    facts += [row.get("clip_start"), row.get("clip_end")]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return cache_root() / "audit" / name[:2] / f"{name[2:34]}.json"


def _picture(row: Mapping[str, Any], modalities: Sequence[str]) -> str | None:
    """The middle one of a row's pictures."""
    paths = row.get("image_paths") if "video" in modalities else None
    return paths[len(paths) // 2] if paths else None


def _sha256(path: str) -> str | None:
    try:
        return file_digest(Path(path))
    except OSError:  # whoever decodes it says so
        return None


def _kept(place: Path) -> Signatures | None:
    """What was found earlier."""
    if not place.is_file():
        return None
    values = json.loads(place.read_bytes())
    decoded = {name: values[name] and base64.b64decode(values[name]) for name in ("frame", "sound")}
    return Signatures(**values | decoded)


def _look(row: Mapping[str, Any], modalities: Sequence[str], place: Path) -> Signatures:
    """What a row's clip shows, kept unless something could not be read."""
    found = (_of_content if "media_status" in row else _of_files)(row, modalities)
    if found.fault is None:
        values = asdict(found)
        encoded = {name: values[name] and base64.b64encode(values[name]).decode() for name in ("frame", "sound")}
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, json.dumps(values | encoded).encode())
    return found


def _of_files(row: Mapping[str, Any], modalities: Sequence[str]) -> Signatures:
    """Of a clip, of two files, or of pictures; what can be read of them."""
    frame, samples, faults, picture = None, None, [], _picture(row, modalities)
    start, seconds = span_of(row, LONGEST)
    for path, names in files_of(row, modalities).items():
        try:
            clip = read_clip(
                path,
                num_frames=1,
                sampling_rate=RATE,
                start=start,
                max_seconds=seconds,
                video="video" in names,
                audio="audio" in names,
            )
        except MediaError as error:
            faults.append(str(error))
            continue
        frame = clip.frames[0] if clip.frames is not None else frame
        samples = clip.audio if clip.audio is not None else samples
    moving = frame is not None or len(row.get("image_paths") or ()) > 1
    try:
        frame = read_picture(picture) if picture else frame
    except MediaError as error:
        faults.append(str(error))
    return Signatures(_shown(frame), _heard(samples), moving, fault="; ".join(faults) or None)


def _of_content(row: Mapping[str, Any], modalities: Sequence[str]) -> Signatures:
    """Of a prepared row; features that stand for frames or sound are not compared."""
    if row["media_status"] not in ("kept", "none"):
        fault = f"{row['key']}: {row['media_status']} when the data were prepared; see their manifest"
        return Signatures(fault=fault)
    held = {kind: row.get(column) if kind in modalities else None for column, kind in CONTENT.items()}
    pictures, flac = held["video"] or [], held["audio"] or b""
    sound = decode_sound(flac, 0.0) if flac else None
    return Signatures(
        _shown(decode_image(pictures[len(pictures) // 2]) if pictures else None),
        _heard(resample(sound.samples, sound.rate, RATE) if sound else None),
        len(pictures) > 1,
        hashlib.sha256(b"".join([*pictures, flac])).hexdigest() if pictures or flac else None,
    )


def _shown(frame: np.ndarray | None) -> bytes | None:
    return None if frame is None else frame_signature(frame)


def _heard(samples: np.ndarray | None) -> bytes | None:
    return None if samples is None else sound_fingerprint(samples)
