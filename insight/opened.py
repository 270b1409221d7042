"""A run's folder becomes what its insides are asked with: the model, its processor, and samples that judge it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForVideoClassification, AutoProcessor, BatchFeature

from affecthub.datasets_scripts.corpus import Corpus, load_corpus
from affecthub.evaluation.clusters import Clusters, clusters_of
from affecthub.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from affecthub.media.files import write_file
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.modalities import MODALITIES
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.data import samples_of
from affecthub.training.encoder_cache.samples import encode_samples
from affecthub.training.from_recipe import modalities_of
from affecthub.training.recipe import RECIPE_FILE, Recipe, load_recipe
from affecthub.training.samples import SampleDataset

Found = TypeVar("Found", bound=Mapping[str, object])
"""What was found, as JSON has it."""


@dataclass(frozen=True)
class OpenedRun:
    """A finished run, ready to be asked."""

    folder: Path
    recipe: Recipe
    corpus: Corpus
    model: AffectPreTrainedModel
    """In eval mode, on the accelerator where there is one."""
    processor: OptionalPartsProcessor
    split: str
    """Of the samples: "test", or "validation" where there is none."""
    samples: SampleDataset

    def some(self, count: int) -> SampleDataset:
        """At most so many samples, evenly spread over the split."""
        total = len(self.samples)
        return self.samples.take(np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int)))

    def clusters(self, samples: SampleDataset, kept: Sequence[int]) -> Clusters:
        """What some samples of the split are drawn by: as its figures are, where the run has kept its predictions.

        Args:
            samples: as `some` gives them.
            kept: indices of those that are meant.

        Raises:
            ValueError: a sample that the run did not judge.
        """
        if not (self.folder / PREDICTIONS_FILE).is_file():
            return Clusters("row", np.arange(len(kept)))
        predictions, keys = read_predictions(self.folder), samples.rows["key"]
        place = {key: i for i, key in enumerate(predictions.of(self.split).keys)}
        if unknown := [keys[index] for index in kept if str(keys[index]) not in place]:
            raise ValueError(
                f"{self.folder}: row {unknown[0]!r} is not in its predictions: its data were changed since; put them "
                "back, or train again."
            )
        judged = clusters_of(predictions, self.split)
        return judged.take(np.array([place[str(keys[index])] for index in kept]))

    def write(self, name: str, found: Found) -> Found:
        """Keep what was found in the run's folder, as JSON, and hand it on."""
        content = json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1)
        write_file(self.folder / name, f"{content}\n".encode())
        return found


def open_run(folder: str | Path, split: str | None = None) -> OpenedRun:
    """Open the folder of a finished run; its data are read again as they were, nothing is downloaded.

    Args:
        folder: of the run, with `recipe.yaml` and `model`.
        split: of the samples; None, or one that there is not: "test", or "validation" where there is none.

    Raises:
        FileNotFoundError: no such folder; or its data are gone.
        ValueError: its data cannot be used.
    """
    folder = Path(folder)
    for name in (RECIPE_FILE, "model"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name}: it is not there; pass the folder of a run that has finished.")
    recipe = load_recipe(str(folder / RECIPE_FILE))
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
    if split not in corpus.splits:
        split = "test" if "test" in corpus.splits else "validation"
    model, processor = load(folder / "model")
    return OpenedRun(folder, recipe, corpus, model, processor, split, samples_of(recipe, corpus, split, processor))


def load(folder: str | Path) -> tuple[AffectPreTrainedModel, OptionalPartsProcessor]:
    """The model of a folder, in eval mode, on the accelerator where there is one; and its processor."""
    model = AutoModelForVideoClassification.from_pretrained(folder).eval()
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    return model.to(device), AutoProcessor.from_pretrained(folder)


def usable(samples: SampleDataset) -> Iterator[tuple[int, dict]]:
    """Index and content of those samples that hold anything, read one by one.

    Raises:
        ValueError: none does.
    """
    empty = 0
    for index in range(len(samples)):
        sample = samples[index]
        if any(sample[name] is not None for name in MODALITIES):
            yield index, sample
        else:
            empty += 1
    if empty == len(samples):
        raise ValueError(
            f"None of {empty} rows holds anything that the model takes: their files cannot be read, or were moved; "
            "put them back, or train again where they are."
        )


def inputs_of(
    model: AffectPreTrainedModel, processor: OptionalPartsProcessor, samples: Sequence[dict]
) -> BatchFeature:
    """Model inputs of samples, on the model's device."""
    return encode_samples(processor, samples).to(model.device)


def judged_inputs(processor: OptionalPartsProcessor, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """What the encoders see of a batch of one sample, and which row of that is the sample itself.

    Args:
        processor: of the model.
        inputs: of one sample; of a processor with turns apart, each tensor with an axis of turns.

    Returns:
        Tensors (rows, ...), one row, or one a turn that is there.
    """
    if not processor.turns_apart:
        return dict(inputs), 0
    real = torch.stack([values for name, values in inputs.items() if name.endswith("_present")]).any(dim=0)[0]
    return {name: values[0][real] for name, values in inputs.items()}, int(real[: processor.turns_before].sum())
