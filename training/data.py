"""Rows become batches: decode, augment (training only), process."""

import copy
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property

import numpy as np
import torch
from datasets import Dataset
from tqdm.auto import tqdm

from affecthub.datasets_scripts.corpus import Corpus, Target, holds
from affecthub.datasets_scripts.genex.variants import preceding_rows
from affecthub.datasets_scripts.prepared.clips import (
    decode_array,
    decode_audio,
    decode_sound,
    files_of,
    span_of,
    spread,
)
from affecthub.datasets_scripts.prepared.stream import ShardStream
from affecthub.media.decode import MediaError, read_clip
from affecthub.media.for_processor import Processor, read_clip_for, stack_frames
from affecthub.media.pictures import decode_image, read_image, read_picture
from affecthub.media.windows import sound_within
from affecthub.modeling.modalities import AUDIO, MODALITIES, PHYSIO, TEXT, VIDEO
from affecthub.training.augmentation import augment_audio, augment_frames
from affecthub.training.encoder_cache.samples import EncodedSamples
from affecthub.training.recipe import AugmentationRecipe

logger = logging.getLogger(__name__)

Inputs = dict[str, np.ndarray | str | None]
"""Modality -> what a sample holds of it, as a processor's `encode` takes it; None where it is absent."""


class SampleDataset(torch.utils.data.Dataset):
    """Base of the data sets: samples are read when they are asked for (or once, into memory), and augmented.

    What is drawn for a sample depends on the seed, the epoch and its index alone, so neither the number of workers nor
    a resumed run changes it.

    Args:
        rows: of one split.
        targets: what is learned.
        processor: says what is read: how many frames of which size, which sampling rate; it may lack parts.
        augmentation: None for evaluation.
        seed: of the augmentation.
        preload: read every sample once, now, into memory.
    """

    def __init__(
        self,
        rows: Dataset,
        targets: Sequence[Target],
        processor: Processor,
        augmentation: AugmentationRecipe | None = None,
        seed: int = 0,
        preload: bool = False,
    ):
        self.rows, self.targets, self.processor = rows, tuple(targets), processor
        self.augmentation, self.seed = augmentation, seed
        self.epoch = 0
        self.present = {name: holds(rows, name) for name in processor.modalities}
        """Modality -> which rows hold it, bool (rows,)."""
        self._labels = {target.name: target.values(rows) for target in targets}
        self._weights = np.asarray(rows["weight"], np.float32) if "weight" in rows.column_names else None
        self._failed = torch.zeros(len(rows), dtype=torch.bool).share_memory_()  # the loader's workers write to it
        self.modalities = list(processor.modalities)
        self.features: EncodedSamples | None = None
        self.kept = self._read_all() if preload else None

    def at_hand(self, row: dict) -> Inputs:
        """What a row's sample holds besides its media."""
        raise NotImplementedError

    def media(self, row: dict, rng: np.random.Generator | None) -> Inputs:
        """What has to be decoded; `rng` draws the instants of the frames.

        Raises:
            MediaError: it cannot be decoded: a failure, and the sample is used without it.
        """
        raise NotImplementedError

    def sources(self, name: str) -> Iterator[object]:
        """What each sample's content of a modality follows from: a text, files and spans of time."""
        raise NotImplementedError

    def labels(self, index: int) -> dict[str, object]:
        """The model's arguments that carry labels: a value of the one target, or one a target by its name."""
        found = {name: values[index] for name, values in self._labels.items()}
        labels = {"labels": next(iter(found.values())) if len(found) == 1 else found}
        return labels if self._weights is None else labels | {"sample_weights": self._weights[index]}

    @property
    def lengths(self) -> list[float]:
        """How long each sample is, in any unit."""
        return [1.0] * len(self.rows)

    @property
    def failures(self) -> int:
        """Samples whose media were asked for and could not be decoded."""
        return int(self._failed.sum())

    @property
    def raw_modalities(self) -> list[str]:
        """Those that are read as they are, and not as what an encoder gave for them."""
        encoded = () if self.features is None else self.features.modalities
        return [name for name in self.modalities if name not in encoded]

    def use_features(self, features: EncodedSamples) -> None:
        """From now on, take what the encoders gave instead of what they would be given."""
        self.features = features
        self._failed |= features.failed

    def unaugmented(self, modalities: Sequence[str]) -> "SampleDataset":
        """The same samples as evaluation sees them, all of them, with all other modalities hidden."""
        view = copy.copy(self)
        view.modalities, view.augmentation = list(modalities), None
        return view

    def failed(self, indices: Sequence[int]) -> torch.Tensor:
        """bool (samples,): whose media were asked for and could not be decoded."""
        return self._failed[list(indices)]

    def only(self, modalities: Sequence[str]) -> "SampleDataset":
        """The same samples with all other modalities hidden; without those that have nothing left.

        Undecodable media count as nothing once they have been asked for.
        """
        view = copy.copy(self)
        kept = np.flatnonzero(np.any([self.present[name] for name in modalities], axis=0))
        if not {TEXT, PHYSIO} & set(modalities):
            kept = [i for i in kept if not self._failed[i]]
        view.modalities = list(modalities)
        view.rows = self.rows.select(kept)
        view.present = {name: present[kept] for name, present in self.present.items()}
        view._labels = {name: values[kept] for name, values in self._labels.items()}
        view._weights = None if self._weights is None else self._weights[kept]
        view._failed = self._failed[kept]
        view.kept = [self.kept[i] for i in kept] if self.kept else None
        view.features = None if self.features is None else self.features.take(kept)
        return view

    def __len__(self) -> int:
        return len(self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader when an epoch begins."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict:
        """One sample.

        Returns:
            text, audio: float32 (samples,), video: uint8 (time, height, width, 3), physio: float32 (steps, features),
            or what an encoder gave, as `Encoded`; each None where absent or hidden; the labels; draw: what seeds the
            sample's augmentation, None for evaluation.
        """
        return self._sample(index, self.rows[index])

    def _sample(self, index: int, row: dict) -> dict:
        draw = [self.seed, self.epoch, index]
        rng = np.random.default_rng(draw)
        found = self.kept[index] if self.kept else self._read(index, row, rng)
        if self.features is not None:
            found = found | self.features[index]
        inputs = {name: found.get(name) if name in self.modalities else None for name in MODALITIES}
        if self.augmentation:
            if inputs[AUDIO] is not None:
                rate = self.processor.sampling_rate
                inputs[AUDIO] = augment_audio(inputs[AUDIO], rate, self.augmentation.audio, rng)
            if inputs[VIDEO] is not None:
                inputs[VIDEO] = augment_frames(inputs[VIDEO], self.augmentation.frames, rng)
        return inputs | self.labels(index) | {"draw": draw if self.augmentation else None}

    def _read(self, index: int, row: dict, rng: np.random.Generator | None) -> Inputs:
        if not self.raw_modalities:
            return {}
        jitter = self.augmentation is not None and self.augmentation.temporal_jitter
        try:
            return self.at_hand(row) | self.media(row, rng if jitter else None)
        except MediaError as error:
            self._failed[index] = True
            logger.warning("%s: used without its media: %s", row["key"], error)
            return self.at_hand(row)

    def _read_all(self) -> list[Inputs]:
        """Every sample, by as many threads as there are cores."""
        with ThreadPoolExecutor() as pool:
            samples = pool.map(lambda item: self._read(*item, None), enumerate(self.rows))
            return list(tqdm(samples, total=len(self.rows), desc="decoding", unit="sample"))


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
            paths = spread(row["image_paths"], self.processor.video_processor.num_frames)
            found[VIDEO] = stack_frames(self.processor, [read_picture(path) for path in paths])
        return found

    def sources(self, name: str) -> Iterator[object]:
        """The text; or the files' names, sizes and times, and the span."""
        columns = ("text",) if name == TEXT else (f"{name}_path", "image_paths", "clip_start", "clip_end")
        held = [self.rows[column] for column in columns if column in self.rows.column_names]
        state = cache(_file_state)
        for values in zip(*held, strict=True):
            yield values if name == TEXT else [_with_state(value, state) for value in values]

    @property
    def lengths(self) -> list[float]:
        """How long each row is: s of its clip, or characters where there is only text."""
        if self.modalities == [TEXT]:
            return [len(text or "") for text in self.rows["text"]]
        for begin, end in (("clip_start", "clip_end"), ("start", "end")):
            if end in self.rows.column_names:
                pairs = zip(self.rows[begin], self.rows[end], strict=True)
                return [self.processor.max_seconds if last is None else last - (first or 0) for first, last in pairs]
        return [1.0] * len(self.rows)


def _with_state(value: object, state: Callable[[str], object]) -> object:
    """A value; of a path, or of each of several, with size and time."""
    if isinstance(value, list):
        return [_with_state(entry, state) for entry in value]
    return (value, state(value)) if isinstance(value, str) else value


def _file_state(path: str) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none, which the decoder will say."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class MomentDataset(SampleDataset):
    """Moments of recordings, each with what leads up to it: earlier frames, feature vectors, sound.

    Args:
        rows: of one split, with their `position` in `all_rows`.
        others: as `SampleDataset`.
        all_rows: all rows of all recordings, in order of time.
        physio_steps: feature vectors of a sample, its own the last.
    """

    def __init__(self, rows: Dataset, *others: object, all_rows: Dataset, physio_steps: int = 1):
        processor, recordings = others[1], all_rows["recording"]
        self.all_rows = all_rows
        if VIDEO in processor.modalities:
            self._clips = preceding_rows(recordings, processor.video_processor.num_frames)
            self._shown = np.asarray(all_rows["video_present"])
        if PHYSIO in processor.modalities:
            self._sequences = preceding_rows(recordings, physio_steps)
            self._physio = np.asarray(all_rows["physio_values"], dtype=np.float32)
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

    def sound(self, row: dict, start: float, end: float) -> np.ndarray:
        """Samples float32 (samples,) of a row's recording from `start` to `end` s; MediaError where there are none."""
        rate = self.processor.sampling_rate
        path, seconds = row["recording_path"], end - start
        return read_clip(path, video=False, start=start, max_seconds=seconds, sampling_rate=rate).audio

    def sources(self, name: str) -> Iterator[object]:
        """The files that a sample is made of, with their sizes and times, and its time."""
        column, state = ("recording_path" if name == AUDIO else "image_path"), cache(_file_state)
        paths = self.all_rows[column] if column in self.all_rows.column_names else None
        for place, time in zip(self.rows["position"], self.rows["time_ms"], strict=True):
            leading = [place] if name == AUDIO else _chosen(self._clips, place).tolist()
            yield [time, *(i if paths is None else _with_state(paths[i], state) for i in leading)]


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

    def __init__(self, rows: Dataset, *others: object, stream: ShardStream):
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
        samples = sound_within(sounds, (start, end), self.processor.sampling_rate)
        if samples is None:
            raise MediaError(f"no sound from {start:.3f} to {end:.3f} s was found when the data were prepared")
        return samples

    @cached_property
    def _starts(self) -> np.ndarray:
        """s, float64 (rows,): where each row's sound begins, 0 in the first of a recording."""
        return np.asarray(self.all_rows["sound_start"])


def _chosen(sequences: tuple[np.ndarray, np.ndarray], position: int) -> np.ndarray:
    """The rows that lead up to one, by `preceding_rows`; those before the recording began left out."""
    rows, begun = sequences
    return rows[position][begun[position]]


def make_dataset(
    corpus: Corpus, split: str, processor: Processor, physio_steps: int, *others: object
) -> SampleDataset:
    """The samples of a split.

    Args:
        corpus: divided.
        split: "train" and so on.
        processor: of the model.
        physio_steps: of a moment of a recording, feature vectors a sample.
        others: augmentation, seed and preload, as `SampleDataset`.
    """
    common = (corpus.splits[split], corpus.targets, processor, *others)
    if corpus.all_rows is not None:
        kind = PreparedMomentDataset if corpus.prepared else MomentDataset
        return kind(*common, all_rows=corpus.all_rows, physio_steps=physio_steps)
    if corpus.prepared:
        corpus.prepared.check_processor(processor)
        if corpus.stream and split == "train":
            return _without_jitter(StreamedDataset(*common, stream=corpus.stream))
        return _without_jitter(PreparedDataset(*common))
    return ClipDataset(*common)


def _without_jitter(samples: PreparedDataset) -> PreparedDataset:
    """The samples; ValueError when other frames of them are wanted than were kept."""
    if samples.augmentation and samples.augmentation.temporal_jitter:
        raise ValueError(
            "augmentation.temporal_jitter: prepared rows hold the same frames in every epoch; set it to false, or "
            "train on the clips themselves."
        )
    return samples
