"""Rows become samples: which kind of sample a corpus holds."""

from typing import Any

from affecthub.datasets_scripts.corpus import Corpus
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.clips import ClipDataset, PreparedDataset, StreamedDataset
from affecthub.training.moments import MomentDataset, PreparedMomentDataset
from affecthub.training.recipe import Recipe
from affecthub.training.samples import SampleDataset


def samples_of(
    recipe: Recipe, corpus: Corpus, split: str, processor: OptionalPartsProcessor, preload: bool = False
) -> SampleDataset:
    """The samples of a split as a recipe wants them; those that learn are augmented.

    Args:
        recipe: of the run.
        corpus: divided.
        split: "train" and so on.
        processor: of the model.
        preload: decode them now, into memory.
    """
    inputs, augmentation = recipe.inputs, recipe.augmentation if split == "train" else None
    others = (augmentation, recipe.training.seed, preload, inputs.shuffle_turns)
    return make_dataset(corpus, split, processor, inputs.physio_steps, *others)


def make_dataset(
    corpus: Corpus, split: str, processor: OptionalPartsProcessor, physio_steps: int, *others: Any
) -> SampleDataset:
    """The samples of a split.

    Args:
        corpus: divided.
        split: "train" and so on.
        processor: of the model.
        physio_steps: of a moment of a recording, feature vectors a sample.
        others: augmentation, seed, preload and shuffle_turns, as `SampleDataset`.
    """
    common = (corpus.splits[split], corpus.targets, processor, *others)
    if corpus.all_rows is not None:
        kind = PreparedMomentDataset if corpus.prepared else MomentDataset
        return kind(*common, all_rows=corpus.all_rows, physio_steps=physio_steps)
    if corpus.prepared:
        corpus.prepared.check_processor(processor)
        if corpus.stream and split == "train":
            if processor.turns_apart:
                raise ValueError("inputs.streaming: a dialogue model finds its turns by index; set it to false.")
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
