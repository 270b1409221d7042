"""Rows become batches: decode, augment (training only), process."""

import copy
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import BatchFeature, ProcessorMixin
from transformers.trainer_pt_utils import get_length_grouped_indices

from affecthub.datasets_scripts.meld import load_meld
from affecthub.datasets_scripts.sample_meld import render_sample_meld
from affecthub.media.decode import MediaError
from affecthub.media.for_processor import read_clip_for
from affecthub.modeling.modalities import AUDIO, TEXT, VIDEO
from affecthub.training.augmentation import SpecAugment, augment_audio, augment_frames, spec_augment
from affecthub.training.recipe import AugmentationRecipe, DataRecipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """The rows of a data set and what a report has to say about it."""

    name: str
    splits: dict[str, Dataset]
    """train, validation, test: those that exist, without the rows that hold none of the modalities."""
    skipped: dict[str, int]
    """Rows left out of each split because none of the modalities is there."""
    synthetic: bool
    bayes_accuracy: dict[str, float] | None
    """Of a synthetic corpus: the best expected accuracy of each subset of modalities, "text+audio" and so on."""

    @property
    def emotions(self) -> list[str]:
        """Names of the emotion classes, in the order of their ids."""
        return self.splits["train"].features["emotion"].names

    @property
    def sentiments(self) -> list[str]:
        """Names of the sentiment classes, in the order of their ids."""
        return self.splits["train"].features["sentiment"].names


def load_corpus(recipe: DataRecipe, modalities: Sequence[str]) -> Corpus:
    """Read (or render) the data set of a recipe.

    Raises:
        ValueError: MELD without a root, or a data set without a training split.
    """
    root, bayes = recipe.root, None
    if recipe.dataset == "sample_meld":
        root = render_sample_meld(
            recipe.root, train=recipe.train_rows, dev=recipe.validation_rows, test=recipe.test_rows
        )
        bayes = json.loads((Path(root) / "sample_corpus.json").read_text(encoding="utf-8"))["bayes_accuracy"]
    elif root is None:
        raise ValueError(f"The data set {recipe.dataset!r} needs its folder: pass --data.root=PATH.")
    config = "text" if list(modalities) == [TEXT] else "multimodal"
    splits = load_meld(root, config, twin_policy=recipe.twin_policy)
    if "train" not in splits:
        raise ValueError(f"{root}: no train_sent_emo.csv, and so nothing to learn from; found {list(splits)}.")
    limited = {name: rows.select(range(min(len(rows), recipe.limit or len(rows)))) for name, rows in splits.items()}
    usable = {name: rows.select(_indices_with_any(rows, modalities)) for name, rows in limited.items()}
    return Corpus(
        name="synthetic sample corpus in MELD's layout" if bayes else "MELD",
        splits=usable,
        skipped={name: len(limited[name]) - len(rows) for name, rows in usable.items()},
        synthetic=bayes is not None,
        bayes_accuracy=bayes,
    )


def _indices_with_any(rows: Dataset, modalities: Sequence[str]) -> np.ndarray:
    """Indices of the rows that hold at least one of the modalities; text is always there."""
    if TEXT in modalities:
        return np.arange(len(rows))
    return np.flatnonzero(np.column_stack([rows[f"{name}_present"] for name in modalities]).any(axis=1))


class UtteranceDataset(torch.utils.data.Dataset):
    """Utterances, decoded when they are asked for (or once, into memory), augmented when they are for training.

    What is drawn for a sample depends on the seed, the epoch and its index alone, so neither the number of workers nor
    a resumed run changes it.

    Args:
        rows: rows of a builder.
        processor: says how many frames of which size, and which sampling rate; it may hold any subset of its parts.
        augmentation: None for evaluation.
        seed: of the augmentation.
        preload: decode every clip once, now, into memory.
    """

    def __init__(
        self,
        rows: Dataset,
        processor: ProcessorMixin,
        augmentation: AugmentationRecipe | None = None,
        seed: int = 0,
        preload: bool = False,
    ):
        self.rows, self.processor, self.augmentation, self.seed = rows, processor, augmentation, seed
        self.epoch = 0
        self._failed = torch.zeros(len(rows), dtype=torch.bool).share_memory_()  # the loader's workers write to it
        self.modalities = [name for name, part in parts_of(processor).items() if part is not None]
        self.clips = self._decode_all() if preload else None

    @property
    def emotions(self) -> list[str]:
        """Names of the emotion classes, in the order of their ids."""
        return self.rows.features["emotion"].names

    @property
    def lengths(self) -> list[float]:
        """How long each utterance is: s of its clip, or characters where there is only text."""
        if self.modalities == [TEXT]:
            return [len(text) for text in self.rows["text"]]
        return [end - start for start, end in zip(self.rows["start"], self.rows["end"], strict=True)]

    @property
    def failures(self) -> int:
        """Clips that were asked for and could not be decoded."""
        return int(self._failed.sum())

    def only(self, modalities: Sequence[str]) -> "UtteranceDataset":
        """The same utterances with all other modalities hidden; without those that have nothing left.

        Undecodable clips count as nothing once they have been asked for.
        """
        view = copy.copy(self)
        kept = _indices_with_any(self.rows, modalities)
        if TEXT not in modalities:
            kept = [i for i in kept if not self._failed[i]]
        view.modalities = list(modalities)
        view.rows = self.rows.select(kept)
        view._failed = self._failed[kept]
        view.clips = [self.clips[i] for i in kept] if self.clips else None
        return view

    def __len__(self) -> int:
        return len(self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader when an epoch begins."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict:
        """One utterance.

        Returns:
            text, audio: float32 (samples,), video: uint8 (time, height, width, 3), each None where absent or hidden;
            labels and sentiment_labels: ids; draw: what seeds the sample's augmentation, None for evaluation.
        """
        row = self.rows[index]
        draw = [self.seed, self.epoch, index]
        rng = np.random.default_rng(draw)
        audio, video = self.clips[index] if self.clips else self._decode(index, row, rng)
        if self.augmentation:
            if audio is not None:
                audio = augment_audio(
                    audio, self.processor.feature_extractor.sampling_rate, self.augmentation.audio, rng
                )
            if video is not None:
                video = augment_frames(video, self.augmentation.frames, rng)
        return {
            "text": row["text"] if TEXT in self.modalities else None,
            "audio": audio if AUDIO in self.modalities else None,
            "video": video if VIDEO in self.modalities else None,
            "labels": row["emotion"],
            "sentiment_labels": row["sentiment"],
            "draw": draw if self.augmentation else None,
        }

    def _decode(
        self, index: int, row: dict, rng: np.random.Generator | None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Audio and frames of a row's clip, None for what it or the processor lacks."""
        paths = {name: row.get(f"{name}_path") if name in self.modalities else None for name in (AUDIO, VIDEO)}
        if not any(paths.values()):
            return None, None
        jitter = self.augmentation is not None and self.augmentation.temporal_jitter
        try:
            clip = read_clip_for(
                self.processor,
                paths[VIDEO] or paths[AUDIO],
                video=paths[VIDEO] is not None,
                audio=paths[AUDIO] is not None,
                rng=rng if jitter else None,
            )
        except MediaError as error:
            self._failed[index] = True
            logger.warning("%s: used without its media: %s", row["key"], error)
            return None, None
        return clip.audio, clip.frames

    def _decode_all(self) -> list[tuple[np.ndarray | None, np.ndarray | None]]:
        """Every clip's audio and frames, by as many threads as there are cores."""
        with ThreadPoolExecutor() as pool:
            clips = pool.map(lambda item: self._decode(*item, None), enumerate(self.rows))
            return list(tqdm(clips, total=len(self.rows), desc="decoding", unit="clip"))


def parts_of(processor: ProcessorMixin) -> dict[str, object | None]:
    """The part of the processor that takes each modality; None where it has none."""
    return {TEXT: processor.tokenizer, AUDIO: processor.feature_extractor, VIDEO: processor.video_processor}


class LengthGroupedSampler(torch.utils.data.Sampler):
    """Shuffles so that each batch holds utterances of about the same length, and little of it is padding.

    Its order depends on the seed and the epoch alone, so a resumed run sees the same one.

    Args:
        lengths: one an utterance, in any unit.
        batch_size: utterances an update takes on this process.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[float], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer when an epoch begins."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        seed = int(np.random.default_rng([self.seed, self.epoch]).integers(2**31))
        generator = torch.Generator().manual_seed(seed)
        indices = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        batches = [indices[i : i + self.batch_size] for i in range(0, len(indices), self.batch_size)]
        # They come sorted by length, and lengths go with labels: an epoch would end on nothing but short texts.
        full = torch.randperm(len(self.lengths) // self.batch_size, generator=generator).tolist()
        return iter([index for i in [*full, *range(len(full), len(batches))] for index in batches[i]])


class Collator:
    """A list of utterances becomes a batch of model inputs.

    Args:
        processor: of the model.
        multitask: whether the batch carries sentiment labels too.
        spec: masks on the features of samples that are for training.
    """

    def __init__(self, processor: ProcessorMixin, multitask: bool, spec: SpecAugment):
        self.processor, self.multitask, self.spec = processor, multitask, spec

    def __call__(self, samples: list[dict]) -> BatchFeature:
        """Samples of an `UtteranceDataset` -> the processor's tensors, with labels (batch,).

        A sample whose clip was all it had, and could not be decoded, is left out; the data set counts it.
        """
        samples = [s for s in samples if any(s[key] is not None for key in ("text", "audio", "video"))] or samples
        inputs = {}
        for argument, key in (("text", "text"), ("audio", "audio"), ("videos", "video")):
            values = [sample[key] for sample in samples]
            if any(value is not None for value in values):
                inputs[argument] = values
        if "audio" in inputs:
            inputs["sampling_rate"] = self.processor.feature_extractor.sampling_rate
        batch = self.processor(**inputs)
        if "input_features" in batch:
            self._mask_features(batch, samples)
        batch["labels"] = torch.tensor([sample["labels"] for sample in samples])
        if self.multitask:
            batch["sentiment_labels"] = torch.tensor([sample["sentiment_labels"] for sample in samples])
        return batch

    def _mask_features(self, batch: BatchFeature, samples: list[dict]) -> None:
        """SpecAugment, each training sample by its own draw."""
        features, masks = batch["input_features"], batch["feature_attention_mask"]
        for i, sample in enumerate(samples):
            if sample["draw"]:
                rng = np.random.default_rng([*sample["draw"], 1])  # not the draw that changed the waveform
                masked = spec_augment(features[i].numpy(), masks[i].numpy(), self.spec, rng)
                features[i] = torch.from_numpy(masked)
