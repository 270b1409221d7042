"""Samples of rows: read when they are asked for, augmented in training, with their labels."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tqdm.auto import tqdm

from affecthub.datasets_scripts.conversations import Turns, turns_around
from affecthub.datasets_scripts.corpus import Target, holds
from affecthub.media.decode import MediaError
from affecthub.modeling.modalities import AUDIO, MODALITIES, TEXT, VIDEO
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.augmentation import augment_audio, augment_frames
from affecthub.training.encoder_cache.samples import EncodedSamples
from affecthub.training.recipe import AugmentationRecipe

logger = logging.getLogger(__name__)

Inputs = dict[str, Any]
"""Modality -> what a sample holds of it, as a processor's `encode` takes it or `Encoded` keeps it; None: absent."""


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
        shuffle_turns: control: of a processor that takes turns, give each sample those of other conversations.
    """

    decoded: tuple[str, ...] = (AUDIO, VIDEO)
    """Modalities that a sample lacks where its media cannot be decoded."""

    def __init__(
        self,
        rows: Dataset,
        targets: Sequence[Target],
        processor: OptionalPartsProcessor,
        augmentation: AugmentationRecipe | None = None,
        seed: int = 0,
        preload: bool = False,
        shuffle_turns: bool = False,
    ):
        self.rows, self.targets, self.processor = rows, tuple(targets), processor
        self.places = np.arange(len(rows))
        """Of the samples, in the split that they were made of."""
        self.augmentation, self.seed = augmentation, seed
        self.epoch = 0
        self.present = {name: holds(rows, name) for name in processor.modalities}
        """Modality -> which rows hold it, bool (rows,)."""
        self._labels = {target.name: target.values(rows) for target in targets}
        self._weights = np.asarray(rows["weight"], np.float32) if "weight" in rows.column_names else None
        self._failed = torch.zeros(len(rows), dtype=torch.bool).share_memory_()  # the loader's workers write to it
        self.modalities = list(processor.modalities)
        self.features: EncodedSamples | None = None
        self.turns = turns_of(rows, processor, seed if shuffle_turns else None)
        self._all = self
        """These samples before some were selected, which are turns of others."""
        self._said = said_by(rows) if self.turns else []
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
        labels: dict[str, object] = {"labels": next(iter(found.values())) if len(found) == 1 else found}
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
        self.mark_failed(features.failed)

    def mark_failed(self, failed: torch.Tensor) -> None:
        """Note whose media cannot be decoded, bool (samples,), where others have found that out."""
        self._failed |= failed

    def as_judged(self) -> "SampleDataset":
        """The same samples as evaluation sees them."""
        view = copy.copy(self)
        view.augmentation = None
        return view

    def unaugmented(self, modalities: Sequence[str]) -> "SampleDataset":
        """The same samples as evaluation sees them, all of them, with all other modalities hidden."""
        view = self.as_judged()
        view.modalities = list(modalities)
        if self.processor.turns_apart:
            view.turns = None  # what is kept of a sample is the same for it as a turn
        return view

    def held(self) -> dict[str, np.ndarray]:
        """Modality -> which samples turned out to hold it, bool (samples,); media count once they were decoded."""
        whole = ~self._failed.numpy()
        return {name: present & whole if name in self.decoded else present for name, present in self.present.items()}

    def failed(self, indices: Sequence[int]) -> torch.Tensor:
        """bool (samples,): whose media were asked for and could not be decoded."""
        return self._failed[list(indices)]

    def only(self, modalities: Sequence[str]) -> "SampleDataset":
        """The same samples with all other modalities hidden; without those that have nothing left.

        Undecodable media count as nothing once they have been asked for.
        """
        held = self.held()
        view = self.take(np.flatnonzero(np.any([held[name] for name in modalities], axis=0)))
        view.modalities = list(modalities)
        return view

    def take(self, kept: np.ndarray) -> "SampleDataset":
        """Some of the samples, by their indices."""
        view = copy.copy(self)
        view.rows, view.places = self.rows.select(kept), self.places[kept]
        view.present = {name: present[kept] for name, present in self.present.items()}
        view._labels = {name: values[kept] for name, values in self._labels.items()}
        view._weights = None if self._weights is None else self._weights[kept]
        view._failed = self._failed[kept]
        view.kept = [self.kept[i] for i in kept] if self.kept else None
        view.features = None if self.features is None else self.features.take(kept)
        view.turns = None if self.turns is None else self.turns.take(kept)
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
            sample's augmentation, None for evaluation; and of a processor that takes turns, what `around` gives.
        """
        return self._sample(index, self.rows[index])

    def _sample(self, index: int, row: dict) -> dict:
        draw = [self.seed, self.epoch, index]
        inputs = self._inputs(index, row, self.modalities, draw)
        return inputs | self.around(index) | self.labels(index) | {"draw": draw if self.augmentation else None}

    def around(self, index: int) -> dict:
        """Who speaks in a sample, and the turns around it, as a processor's `encode` takes them; none: empty."""
        turns = self.turns
        if turns is None:
            return {}
        return {
            "speaker": self._all._said[turns.places[index, turns.before]]["speaker"],
            "history": [self._turn(place) for place in turns.history(index)],
            "following": [self._turn(place) for place in turns.following(index)],
        }

    def _turn(self, place: int) -> dict:
        """A sample as a turn of another: its text, or of turns that stand by themselves all of it."""
        said = self._all._said[place]
        if not self.processor.turns_apart:
            return said
        row = self._all.rows[place] if self._all.raw_modalities else {}
        return said | self._all._inputs(place, row, self.modalities, [self.seed, self.epoch, place])

    def _inputs(self, index: int, row: dict, modalities: Sequence[str], draw: Sequence[int]) -> Inputs:
        """What a sample holds of some modalities, changed in training as `draw` says."""
        rng = np.random.default_rng(draw)
        found = self.kept[index] if self.kept else self._read(index, row, rng)
        if self.features is not None:
            found = found | self.features[index]
        inputs: Inputs = {name: found.get(name) if name in modalities else None for name in MODALITIES}
        if self.augmentation:
            if inputs[AUDIO] is not None:
                rate = self.processor.part_for(AUDIO).sampling_rate
                inputs[AUDIO] = augment_audio(inputs[AUDIO], rate, self.augmentation.audio, rng)
            if inputs[VIDEO] is not None:
                inputs[VIDEO] = augment_frames(inputs[VIDEO], self.augmentation.frames, rng)
        return inputs

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
            samples = pool.map(lambda item: self._read(item[0], item[1], None), enumerate(self.rows))
            return list(tqdm(samples, total=len(self.rows), desc="decoding", unit="sample"))


def turns_of(rows: Dataset, processor: OptionalPartsProcessor, shuffled: int | None) -> Turns | None:
    """The turns around each row that a processor takes; of a control, by a seed, those of other rows; None: none."""
    if not processor.turns_before and not processor.turns_after:
        return None
    turns = turns_around(rows, processor.turns_before, processor.turns_after)
    return turns if shuffled is None else turns.shuffled(shuffled)


def said_by(rows: Dataset) -> list[dict[str, str | None]]:
    """The text of each row, and who speaks in it, None where the rows do not say."""
    nothing = [None] * len(rows)
    texts, speakers = (list(rows[name]) if name in rows.column_names else nothing for name in ("text", "participant"))
    return [{TEXT: text, "speaker": name} for text, name in zip(texts, speakers, strict=True)]


def with_state(value: object, state: Callable[[str], object]) -> object:
    """A value; of a path, or of each of several, with size and time."""
    if isinstance(value, list):
        return [with_state(entry, state) for entry in value]
    return (value, state(value)) if isinstance(value, str) else value
