"""A frame of a recording as a prepared row holds it: its picture, and the sound since the row before.

What a sample hears before a frame is joined from the pieces of the rows that lead up to it: no second is kept twice,
and how many seconds a sample hears is left to the recipe.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from affecthub.datasets_scripts.prepared.clips import PreparedClip, ReadingProcess, encode_audio
from affecthub.media.container import MediaError, probe
from affecthub.media.windows import Sound, Span, events_of, windows_of

PREROLL = 0.5
"""s that are decoded before the first span: a decoder that begins in mid-file needs a packet or a few to settle."""


def sound_starts(recordings: Sequence[str], times: Sequence[float]) -> np.ndarray:
    """Where the sound of each row begins, s, float64 (rows,): with the frame before it, or with the recording.

    Args:
        recordings: `recording` of each row; rows of one recording stand together, in order of time.
        times: `time_ms` of each row.
    """
    names, ends = np.asarray(recordings), np.asarray(times) / 1000
    return np.where(np.concatenate([[True], names[1:] != names[:-1]]), 0.0, np.concatenate([[0.0], ends[:-1]]))


def read_frames(process: ReadingProcess, rows: Sequence[dict]) -> Iterator[PreparedClip]:
    """What is kept of each row; the sound of those of one recording is decoded in one pass.

    Args:
        process: in which sound is decoded.
        rows: as `genex.Genex` gives them, with `audio_present`, and `sound_start` by `sound_starts`.

    Raises:
        FileNotFoundError: a picture is gone, as when the cache was emptied meanwhile.
    """
    for path, group in groupby(rows, key=lambda row: row["recording_path"]):
        frames = list(group)
        spans = [(row["sound_start"], max(row["sound_start"], row["time_ms"] / 1000)) for row in frames]
        sounds: list[bytes | None] = [None] * len(frames)
        status, fault = "undecodable", ""
        try:
            if frames[0]["audio_present"]:
                sounds = process.call(prepare_sound, path, spans)
        except MediaError as error:
            fault = str(error).removeprefix(f"{path}: ")
        except TimeoutError as error:
            status, fault = "timed_out", str(error)
        for row, (start, end), sound in zip(frames, spans, sounds, strict=True):
            picture = [Path(row["image_path"]).read_bytes()]
            if sound is None and row["audio_present"] and end > start:
                detail = fault or f"no sound from {start:.3f} to {end:.3f} s"
                yield PreparedClip(status, picture, detail=detail)
            else:
                yield PreparedClip("kept", picture, sound)


def prepare_sound(path: str, spans: Sequence[Span]) -> list[bytes | None]:
    """The sound of consecutive spans of a recording, FLAC at its own rate, so that pieces join without a seam.

    One pass from the first span on, with one span in memory.

    Args:
        path: of the recording.
        spans: in order of time.

    Raises:
        MediaError: it cannot be opened.
    """
    rate = probe(path).audio_rate
    if not rate:
        return [None] * len(spans)
    events = events_of(path, video=False, start=spans[0][0] - PREROLL)
    windows = windows_of(events, spans, {Sound}, num_frames=1, frame_size=None, sampling_rate=rate)
    heard = (window.audio for window in islice(windows, len(spans)))
    kept = [None if samples is None else encode_audio(samples, rate) for samples in heard]
    return kept + [None] * (len(spans) - len(kept))
