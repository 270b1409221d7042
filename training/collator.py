"""Samples become batches: in which order they are drawn, and how those of a batch are put together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from transformers import BatchFeature
from transformers.trainer_pt_utils import get_length_grouped_indices

from affecthub.media.container import TIME_LIMIT
from affecthub.modeling.modalities import MODALITIES
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.augmentation import SpecAugment, spec_augment
from affecthub.training.encoder_cache.samples import encode_samples
from affecthub.training.samples import Inputs

BATCH_LIMIT = 10 * TIME_LIMIT
"""s that workers may take for a batch. A clip has its own limit; this one is for what hangs deep in a library."""


@contextmanager
def naming_stuck_workers() -> Iterator[None]:
    """TimeoutError, with a remedy, for what torch raises when its workers reach `BATCH_LIMIT`."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader timed out"):
            raise
        raise TimeoutError(
            f"No batch was read within {BATCH_LIMIT:g} s: the decoder hangs in a clip, or the disk does. Let "
            "`affecthub prepare` find the clip, which leaves it out and names it, and train on what that prepared."
        ) from error


class LengthGroupedSampler(torch.utils.data.Sampler):
    """Shuffles so that each batch holds samples of about the same length, and little of it is padding.

    Its order depends on the seed and the epoch alone, so a resumed run sees the same one.

    Args:
        lengths: one a sample, in any unit.
        batch_size: samples an update takes, over all processes.
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
    """A list of samples becomes a batch of model inputs.

    Args:
        processor: of the model.
        spec: masks on the features of samples that are for training.
    """

    blank: Inputs | None = None
    """A sample of all modalities; where it is set, a batch has the keys of all of them, whatever its samples hold."""

    def __init__(self, processor: OptionalPartsProcessor, spec: SpecAugment):
        self.processor, self.spec = processor, spec

    def __call__(self, samples: list[dict]) -> BatchFeature:
        """Samples of a `SampleDataset` -> the processor's tensors, with labels (batch, ...), by name of several tasks.

        A sample whose clip was all it had, and could not be decoded, is left out; the data set counts it.
        """
        samples = [s for s in samples if any(s[name] is not None for name in MODALITIES)] or samples
        batch = encode_samples(self.processor, samples if self.blank is None else [*samples, self.blank])
        batch = BatchFeature({key: values[: len(samples)] for key, values in batch.items()})
        if "input_features" in batch:
            self._mask_features(batch, samples)
        for key in ("labels", "sample_weights"):
            if key in samples[0]:
                batch[key] = _stacked([sample[key] for sample in samples])
        return batch

    def _mask_features(self, batch: BatchFeature, samples: list[dict]) -> None:
        """SpecAugment, each training sample by its own draw."""
        features, masks = batch["input_features"], batch["feature_attention_mask"]
        for i, sample in enumerate(samples):
            if sample["draw"]:
                rng = np.random.default_rng([*sample["draw"], 1])  # not the draw that changed the waveform
                masked = spec_augment(features[i].numpy(), masks[i].numpy(), self.spec, rng)
                features[i] = torch.from_numpy(masked)


def _stacked(values: list) -> torch.Tensor | dict[str, torch.Tensor]:
    """Values of samples as one tensor (batch, ...); of several tasks, by name."""
    if isinstance(values[0], dict):
        return {name: torch.from_numpy(np.array([value[name] for value in values])) for name in values[0]}
    return torch.from_numpy(np.array(values))
