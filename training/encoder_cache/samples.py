"""What frozen encoders gave for samples: in shards on disk, read in place, and collated into a model's inputs."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature

from affecthub.media.files import write_file
from affecthub.modeling.modalities import AUDIO, MODALITIES, presence_argument
from affecthub.processing.batching import presence_of, scatter
from affecthub.processing.optional_parts import OptionalPartsProcessor

SHARD_ROWS = 64
"""Samples of a shard, which is complete or absent: what an interrupted pass loses at most on each process."""

Encoded = dict[str, torch.Tensor | None]
"""Modality -> what is kept of a sample: text and video (1, size), the vector that the model projects; audio (layers,
size), what each layer of a pretrained encoder gave, or else (frames, mel bands), its log-mel features; None where it
is absent."""


def shard_ranges(samples: int) -> list[range]:
    """The rows of each shard of a split."""
    return [range(start, min(start + SHARD_ROWS, samples)) for start in range(0, samples, SHARD_ROWS)]


def shard_path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"{number:05d}.safetensors"


def write_shard(path: Path, key: str, samples: Sequence[Encoded], failed: torch.Tensor) -> None:
    """Write a shard, whole or not at all.

    Args:
        path: of `shard_path`.
        key: of the cache's entry; a reader asks for it.
        samples: in the order of the rows.
        failed: bool (samples,), whose media could not be decoded.

    Raises:
        OSError: a full disk or a folder that is read-only, naming the file and the remedy.
    """
    tensors = {"failed": failed.to(torch.uint8)}
    for name in sorted({name for sample in samples for name in sample}):
        values = [sample.get(name) for sample in samples]
        tensors[f"{name}_steps"] = torch.tensor([0 if value is None else len(value) for value in values])
        if steps := [value for value in values if value is not None]:
            tensors[name] = torch.cat(steps)
    content = save(tensors, metadata={"key": key})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)


def read_shard(path: Path, key: str, rows: int) -> dict[str, torch.Tensor]:
    """The tensors of a shard, mapped into memory and not read before they are used.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is truncated, of another key or of another number of rows.
    """
    try:
        with safe_open(path, framework="pt") as shard:
            found = (shard.metadata() or {}).get("key")
            tensors = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118 - it is no mapping
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    if found != key or len(tensors.get("failed", ())) != rows:
        raise ValueError(f"{path} is of key {found}, {len(tensors.get('failed', ()))} rows; expected {key}, {rows}")
    return tensors


class EncodedSamples:
    """The samples of a split, by index.

    Args:
        modalities: those that are kept.
        shards: of `read_shard`, all but the last of `SHARD_ROWS` rows.
    """

    def __init__(self, modalities: Sequence[str], shards: Sequence[dict[str, torch.Tensor]]):
        self.modalities, self._shards = list(modalities), list(shards)
        self.failed = torch.cat([shard["failed"] for shard in shards]).bool()
        """bool (samples,): whose media could not be decoded."""
        self._ends = [
            {name: shard[f"{name}_steps"].cumsum(0) for name in MODALITIES if f"{name}_steps" in shard}
            for shard in shards
        ]
        self._rows = range(len(self.failed))

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, indices: Sequence[int] | np.ndarray) -> "EncodedSamples":
        """Some of the samples."""
        view = object.__new__(EncodedSamples)
        view.__dict__.update(self.__dict__)
        view._rows, view.failed = [self._rows[i] for i in indices], self.failed[list(indices)]
        return view

    def __getitem__(self, index: int) -> Encoded:
        number, row = divmod(self._rows[index], SHARD_ROWS)
        shard, ends = self._shards[number], self._ends[number]
        sample = {}
        for name, end in ends.items():
            steps = shard[f"{name}_steps"][row]
            sample[name] = shard[name][end[row] - steps : end[row]] if steps else None
        return sample


def encode_samples(processor: OptionalPartsProcessor, samples: Sequence[dict]) -> BatchFeature:
    """The processor's tensors of what is raw in samples, and in place of the others' what was encoded before.

    Args:
        processor: of the model.
        samples: modality -> what the processor's `encode` takes, or a tensor of `Encoded`; None where it is absent.

    Returns:
        The processor's keys; `text_features` and `video_features` (batch, size) and `audio_features` (batch, layers,
        size) instead of the encoders' inputs.
    """
    return processor.arrange(samples, partial(_encode_each, processor))


def _encode_each(processor: OptionalPartsProcessor, samples: Sequence[dict]) -> BatchFeature:
    """The same of samples that each stand by themselves."""
    names = [name for name in MODALITIES if any(isinstance(sample[name], torch.Tensor) for sample in samples)]
    if not names:
        return processor.encode_each(samples)
    batch = BatchFeature(_encode_raw(processor, samples, [name for name in MODALITIES if name not in names]))
    for name in names:
        values = [sample[name] for sample in samples]
        present = presence_of(values)
        batch[presence_argument(name)] = present
        kept = [value for value in values if value is not None]
        if name == AUDIO and processor.log_mel:
            masks = [torch.ones(len(value), dtype=torch.long) for value in kept]
            batch["input_features"] = scatter(pad_sequence(kept, batch_first=True), present)
            batch["feature_attention_mask"] = scatter(pad_sequence(masks, batch_first=True), present)
        else:
            vectors = torch.stack(kept) if name == AUDIO else torch.cat(kept)
            batch[f"{name}_features"] = scatter(vectors, present)
    return batch


def _encode_raw(
    processor: OptionalPartsProcessor, samples: Sequence[dict], names: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The processor's tensors of some modalities, whose samples may hold none of them: zeros there."""
    held = presence_of([next((s[name] for name in names if s[name] is not None), None) for s in samples])
    others = set(MODALITIES) - set(names)
    raw = [
        {key: value for key, value in s.items() if key not in others}
        for s, here in zip(samples, held, strict=True)
        if here
    ]
    return {key: scatter(rows, held) for key, rows in processor.encode_each(raw).items()} if raw else {}
