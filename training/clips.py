"""Rows that each have files of their own, or hold what was prepared of them, as samples."""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from affecthub.datasets_scripts.prepared.clips import decode_array, decode_audio, files_of, span_of, spread
from affecthub.datasets_scripts.prepared.stream import ShardStream
from affecthub.media.decode import MediaError
from affecthub.media.files import file_state
from affecthub.media.for_processor import pictures_for, read_clip_for, stack_frames
from affecthub.media.pictures import decode_image, read_picture
from affecthub.modeling.modalities import AUDIO, PHYSIO, TEXT, VIDEO
from affecthub.training.samples import Inputs, SampleDataset, with_state


class ClipDataset(SampleDataset):
    """Rows that each have files of their own: a clip or a span of one, pictures, a text, features."""

    def at_hand(self, row: dict) -> Inputs:
        """Text and features."""
        physio = row.get("physio_values") if PHYSIO in self.modalities and row.get("physio_present") else None
        inputs: Inputs = {TEXT: row.get("text")}
        return inputs if physio is None else inputs | {PHYSIO: np.atleast_2d(np.asarray(physio, dtype=np.float32))}

    def media(self, row: dict, rng: np.random.Generator | None) -> Inputs:
        """Sound and frames, where the row and the processor have them; of one file, read in one pass."""
        found: Inputs = {}
        for path, names in files_of(row, self.raw_modalities).items():
            start, seconds = span_of(row, self.processor.max_seconds)
            audio, video = AUDIO in names, VIDEO in names
            clip = read_clip_for(
                self.processor, path, video=video, audio=audio, start=start, max_seconds=seconds, rng=rng
            )
            found |= {AUDIO: clip.audio} if audio else {}
            found |= {VIDEO: clip.frames} if video else {}
        if row.get("image_paths") and VIDEO in self.raw_modalities:
            paths = spread(row["image_paths"], self.processor.part_for(VIDEO).num_frames)
            found[VIDEO] = pictures_for(self.processor, [read_picture(path) for path in paths])
        return found

    def sources(self, name: str) -> Iterator[object]:
        """The text, and those before it that are read with it; or the files' names, sizes and times, and the span."""
        if name == TEXT and self.turns is not None:
            yield from ((text, self.around(index)) for index, text in enumerate(self.rows["text"]))
            return
        columns = ("text",) if name == TEXT else (f"{name}_path", "image_paths", "clip_start", "clip_end")
        held = [self.rows[column] for column in columns if column in self.rows.column_names]
        state = cache(file_state)
        for values in zip(*held, strict=True):
            yield values if name == TEXT else [with_state(value, state) for value in values]

    @property
    def lengths(self) -> list[float]:
        """How long each row is: s of its clip, or characters, turns included, where there is only text."""
        if self.modalities == [TEXT]:
            own = np.array([len(text or "") for text in self._all.rows["text"]])
            return (own if self.turns is None else self.turns.total(own)).tolist()
        for begin, end in (("clip_start", "clip_end"), ("start", "end")):
            if end in self.rows.column_names:
                pairs = zip(self.rows[begin], self.rows[end], strict=True)
                return [self.processor.max_seconds if last is None else last - (first or 0) for first, last in pairs]
        return [1.0] * len(self.rows)


READERS = {
    "audio_flac": (AUDIO, decode_audio),
    "video_jpeg": (VIDEO, lambda content: [decode_image(picture) for picture in content]),
    "audio_npy": (AUDIO, lambda content: torch.from_numpy(decode_array(content))),
    "video_npy": (VIDEO, lambda content: torch.from_numpy(decode_array(content))),
}
"""Column of a prepared row -> what it holds, and what reads it: raw, frames one by one; or a tensor of `Encoded`."""


class PreparedDataset(ClipDataset):
    """Clips whose frames and sound `affecthub prepare` has put into their rows."""

    def media(self, row: dict, rng: np.random.Generator | None) -> Inputs:
        """Sound and frames, where the row and the processor have them."""
        wanted = self.raw_modalities
        if row["media_status"] not in ("kept", "none") and {AUDIO, VIDEO} & set(wanted):
            raise MediaError(f"it was {row['media_status']} when the data were prepared; see their manifest")
        found = {
            name: decode(row[column])
            for column, (name, decode) in READERS.items()
            if name in wanted and row.get(column) is not None
        }
        if isinstance(found.get(VIDEO), list):
            found[VIDEO] = stack_frames(self.processor, found[VIDEO])
        return found


class StreamedDataset(PreparedDataset, torch.utils.data.IterableDataset):
    """Prepared clips in the order in which their shards are read, by one process or by each its own part.

    Args:
        rows, others: as `SampleDataset`; rows without their frames and sound.
        stream: where these lie.
    """

    def __init__(self, rows: Dataset, *others: Any, stream: ShardStream):
        super().__init__(rows, *others)
        self.stream, self._part, self._batch_size = stream, (0, 1), 1

    def part(self, process: int, processes: int, batch_size: int) -> "StreamedDataset":
        """What one of so many processes reads.

        Args:
            process: which one, from 0.
            processes: of the launch.
            batch_size: of a loader; its workers take batches in turn, so that their number changes nothing.
        """
        view = copy.copy(self)
        view._part, view._batch_size = (process, processes), batch_size
        return view

    def __len__(self) -> int:
        """Rows that the process reads in an epoch; the same number for all processes."""
        return -(-len(self.rows) // self._part[1])

    def __getitem__(self, index: int) -> dict:
        """TypeError: a stream is read from front to back."""
        raise TypeError("A streamed split has no samples by index; iterate over it, or set inputs.streaming to false.")

    def __iter__(self) -> Iterator[dict]:
        order, worker = self.stream.order(self.seed, self.epoch, *self._part), torch.utils.data.get_worker_info()
        if worker:
            order = order[np.arange(len(order)) // self._batch_size % worker.num_workers == worker.id]
        columns = [column for column, (name, _) in READERS.items() if name in self.raw_modalities]
        for index, held in self.stream.read(order, ["key", *columns]):
            yield self._sample(index, self.rows[index] | held)
