"""Moments of recordings as samples, each with what leads up to it."""

from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
from datasets import Dataset

from affecthub.datasets_scripts.prepared.clips import decode_sound
from affecthub.media.decode import MediaError, read_clip
from affecthub.media.files import file_state
from affecthub.media.for_processor import stack_frames
from affecthub.media.pictures import decode_image, read_image
from affecthub.media.windows import sound_within
from affecthub.modeling.modalities import AUDIO, PHYSIO, VIDEO
from affecthub.training.samples import Inputs, SampleDataset, with_state


class MomentDataset(SampleDataset):
    """Moments of recordings, each with what leads up to it: earlier frames, feature vectors, sound.

    Args:
        rows: of one split, with their `position` in `all_rows`.
        others: as `SampleDataset`.
        all_rows: all rows of all recordings, in order of time.
        physio_steps: feature vectors of a sample, its own the last.
    """

    decoded = (AUDIO,)

    def __init__(self, rows: Dataset, *others: Any, all_rows: Dataset, physio_steps: int = 1):
        processor, recordings = others[1], all_rows["recording"]
        self.all_rows = all_rows
        if VIDEO in processor.modalities:
            self._clips = preceding_rows(recordings, processor.part_for(VIDEO).num_frames)
            self._shown = np.asarray(all_rows["video_present"])
        if PHYSIO in processor.modalities:
            self._sequences = preceding_rows(recordings, physio_steps)
            self._physio = _features_of(all_rows)
        super().__init__(rows, *others)

    def at_hand(self, row: dict) -> Inputs:
        """The pictures, which were extracted before, and the features."""
        inputs: Inputs = {}
        if VIDEO in self.modalities and row["video_present"]:
            leading = [i for i in _chosen(self._clips, row["position"]) if self._shown[i]]
            inputs[VIDEO] = stack_frames(self.processor, [self.picture(i) for i in leading])
        if PHYSIO in self.modalities and row["physio_present"]:
            inputs[PHYSIO] = self._physio[_chosen(self._sequences, row["position"])]
        return inputs

    def media(self, row: dict, rng: np.random.Generator | None) -> Inputs:
        """The sound before the frame."""
        end = row["time_ms"] / 1000
        start = max(0.0, end - self.processor.max_seconds)
        if AUDIO not in self.modalities or not row["audio_present"] or end <= start:
            return {}
        return {AUDIO: self.sound(row, start, end)}

    def picture(self, position: int) -> np.ndarray:
        """A frame by its position, uint8 (height, width, 3)."""
        return read_image(self.all_rows["image_path"][position])

    def sound(self, row: dict, start: float, end: float) -> np.ndarray | None:
        """Samples float32 (samples,) of a row's recording from `start` to `end` s; None where it has no sound."""
        rate = self.processor.part_for(AUDIO).sampling_rate
        path, seconds = row["recording_path"], end - start
        return read_clip(path, video=False, start=start, max_seconds=seconds, sampling_rate=rate).audio

    def sources(self, name: str) -> Iterator[object]:
        """The files that a sample is made of, with their sizes and times, and its time."""
        column, state = ("recording_path" if name == AUDIO else "image_path"), cache(file_state)
        paths = self.all_rows[column] if column in self.all_rows.column_names else None
        for place, time in zip(self.rows["position"], self.rows["time_ms"], strict=True):
            leading = [place] if name == AUDIO else _chosen(self._clips, place).tolist()
            yield [time, *(i if paths is None else with_state(paths[i], state) for i in leading)]


class PreparedMomentDataset(MomentDataset):
    """Frames of recordings whose pictures and sound `affecthub prepare` has put into their rows."""

    def picture(self, position: int) -> np.ndarray:
        """As it was extracted."""
        (content,) = self.all_rows["video_jpeg"][position]
        return decode_image(content)

    def sound(self, row: dict, start: float, end: float) -> np.ndarray:
        """Joined from what the rows keep that lead up to this one."""
        first = last = row["position"]
        while self._starts[first] > start:
            first -= 1
        kept = zip(self.all_rows["audio_flac"][first : last + 1], self._starts[first : last + 1], strict=True)
        sounds = [decode_sound(content, begin) for content, begin in kept if content is not None]
        samples = sound_within(sounds, (start, end), self.processor.part_for(AUDIO).sampling_rate)
        if samples is None:
            raise MediaError(f"no sound from {start:.3f} to {end:.3f} s was found when the data were prepared")
        return samples

    @cached_property
    def _starts(self) -> np.ndarray:
        """s, float64 (rows,): where each row's sound begins, 0 in the first of a recording."""
        return np.asarray(self.all_rows["sound_start"])


def preceding_rows(recordings: Sequence[str], length: int) -> tuple[np.ndarray, np.ndarray]:
    """For each row the rows of its recording that lead up to it: a clip of frames, or a sequence of features.

    Args:
        recordings: `recording` of each row; rows of one recording stand together, in order of time.
        length: rows a sequence, the row itself last.

    Returns:
        int64 (rows, length), indices of rows; and bool (rows, length), False where the recording had not begun: the
        index is then that of its first row.
    """
    names = np.asarray(recordings)
    begins = np.concatenate([[True], names[1:] != names[:-1]])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(names)), 0))
    wanted = np.arange(len(names))[:, None] + np.arange(1 - length, 1)
    return np.maximum(wanted, first[:, None]), wanted >= first[:, None]


def _chosen(sequences: tuple[np.ndarray, np.ndarray], position: int) -> np.ndarray:
    """The rows that lead up to one, by `preceding_rows`; those before the recording began left out."""
    rows, begun = sequences
    return rows[position][begun[position]]


@lru_cache(maxsize=1)  # the splits of a study share them
def _features_of(all_rows: Dataset) -> np.ndarray:
    """`physio_values` of all rows, float32 (rows, features)."""
    return np.asarray(all_rows["physio_values"], dtype=np.float32)
