"""Frozen encoders, run over samples; and what their output depends on, as digests."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import BatchFeature, PreTrainedModel

from affecthub.media.processes import end_with_parent
from affecthub.media.source_code import PACKAGE, code_digest
from affecthub.modeling.modalities import AUDIO, MODALITIES, TEXT, VIDEO
from affecthub.modeling.modeling_trimodal import TrimodalModel
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training import data
from affecthub.training.collator import BATCH_LIMIT
from affecthub.training.encoder_cache import samples as encoded_samples
from affecthub.training.encoder_cache.samples import Encoded
from affecthub.training.samples import SampleDataset

LIBRARIES = (
    "affecthub",
    "av",
    "numpy",
    "opencv-python-headless",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
)
"""What decodes, processes and encodes."""

ENCODERS = {
    TEXT: ("text_model", "text_config"),
    AUDIO: ("audio_model.encoder", "audio_config"),
    VIDEO: ("vision_model", "vision_config"),
}
"""Modality -> where an utterance model has its pretrained encoder, and where its configuration."""

UNSTABLE = ("_name_or_path", "dtype")
"""Fields of an encoder's configuration that say how it was loaded; the weights tell their type themselves."""


@dataclass(frozen=True)
class FrozenEncoders:
    """The encoders of an utterance model, run over samples."""

    trunk: TrimodalModel
    names: Sequence[str]
    """The modalities that are kept."""
    autocast: Callable[..., AbstractContextManager]
    """The precision to compute in."""
    batch_size: int
    workers: int
    """Processes that decode."""
    shown: bool
    """Whether to show progress."""

    def encode(self, samples: SampleDataset, ranges: Sequence[range]) -> Iterator[list[Encoded]]:
        """What is kept of the samples of each shard; batches hold samples of about the same length of one shard.

        Args:
            samples: unaugmented, with all other modalities hidden.
            ranges: the samples of each shard.
        """
        size, lengths = self.batch_size, samples.lengths
        batches = [
            order[start : start + size]
            for order in (sorted(rows, key=lengths.__getitem__) for rows in ranges)
            for start in range(0, len(order), size)
        ]
        loader = DataLoader(
            samples,
            batch_sampler=batches,
            collate_fn=partial(_encode_held, samples.processor),
            num_workers=self.workers,
            timeout=BATCH_LIMIT if self.workers else 0,
            worker_init_fn=end_with_parent,
            generator=torch.Generator(),  # so that nothing is drawn from the run's own
        )
        bar = tqdm(total=sum(map(len, ranges)), desc="encoding", unit="sample", disable=not self.shown)
        results, encoded = zip(batches, loader, strict=True), {}
        for rows in ranges:
            while len(encoded) < len(rows):
                indices, (held, batch) = next(results)
                encoded |= dict.fromkeys(indices, dict.fromkeys(self.names))
                found = self._forward(batch) if held else []
                encoded |= {indices[i]: sample for i, sample in zip(held, found, strict=True)}
                bar.update(len(indices))
            yield [encoded[row] for row in rows]
            encoded = {}
        bar.close()

    @torch.no_grad()
    def _forward(self, batch: BatchFeature) -> list[Encoded]:
        """What is kept of each sample of a batch, in the order of the batch."""
        self.trunk.eval()
        tensors: dict[str, torch.Tensor] = {name: values.to(self.trunk.device) for name, values in batch.items()}
        with self.autocast():
            kept = encode_batch(self.trunk, tensors)
        count = len(next(iter(tensors.values())))
        return [{name: kept[name][i] if name in kept else None for name in self.names} for i in range(count)]


def encode_batch(trunk: TrimodalModel, batch: dict[str, torch.Tensor]) -> dict[str, list[torch.Tensor | None]]:
    """Modality -> what is kept of each sample of a batch, on the CPU, None where it is absent.

    Args:
        trunk: of an utterance model.
        batch: of its processor.
    """
    kept: dict[str, list[torch.Tensor | None]] = {}
    if "text_present" in batch:
        present = batch["text_present"].bool()
        vectors, _ = trunk.encode_text(
            batch["input_ids"],
            batch.get("attention_mask"),
            batch.get("token_type_ids"),
            present,
            text_turn_mask=batch.get("text_turn_mask"),
        )
        kept[TEXT] = _rows(vectors.unsqueeze(1), present)
    if "video_present" in batch:
        present = batch["video_present"].bool()
        vectors, _ = trunk.encode_video(batch["pixel_values_videos"], batch["video_attention_mask"], present)
        kept[VIDEO] = _rows(vectors.unsqueeze(1), present)
    if "audio_present" in batch:
        present, mask = batch["audio_present"].bool(), batch["feature_attention_mask"]
        inputs = batch[trunk.main_inputs[AUDIO]]
        if trunk.config.audio_config is None:
            clips = zip(_rows(inputs, present), mask.sum(dim=1).tolist(), strict=True)
            kept[AUDIO] = [clip if clip is None else clip[:length] for clip, length in clips]
        else:
            kept[AUDIO] = _rows(trunk.encode_audio(inputs, mask, present), present)
    return kept


def pretrained(trunk: PreTrainedModel, names: Iterable[str]) -> list[str]:
    """Of modalities, those that an utterance model has an encoder of transformers for, and not log-mel frames."""
    return [name for name in names if name in ENCODERS and getattr(trunk.config, ENCODERS[name][1]) is not None]


def encoder_facts(trunk: PreTrainedModel, name: str) -> dict:
    """What a modality's encoder gives depends on: its configuration, how it attends, and the digest of its weights."""
    module, settings = ENCODERS[name]
    encoder: Any = trunk.get_submodule(module)
    return {
        "config": getattr(trunk.config, settings).to_dict() | dict.fromkeys(UNSTABLE),
        "attention": encoder.config._attn_implementation,
        "weights": weights_digest(encoder),
    }


def software_facts(processor: OptionalPartsProcessor, trunk: PreTrainedModel) -> dict:
    """Versions of the libraries, and the digest of our own code, that decode, process and encode.

    Args:
        processor: of the model.
        trunk: with the encoders.
    """
    parts = [getattr(processor, name) for name in processor.get_attributes()]
    modules = {type(part).__module__ for part in (processor, trunk, *parts)}
    return {
        "libraries": {name: version(name) for name in LIBRARIES},
        "code": code_digest(data, encoded_samples, *(m for m in modules if m.startswith(f"{PACKAGE}."))),
    }


def weights_digest(module: nn.Module) -> str:
    """16 hexadecimal digits of the names, types, shapes and values of a module's tensors."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        found.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()[:16]


def processor_digest(processor: OptionalPartsProcessor) -> str:
    """16 hexadecimal digits of everything that a processor saves: its settings, its vocabulary, its statistics.

    A tokenizer also saves how it was last called, and whether it was loaded: so it is called, and loaded, first.
    """
    if TEXT in processor.modalities:
        processor(text="")
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        type(processor).from_pretrained(folder).save_pretrained(folder)
        paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return digest(content for path in paths for content in (path.name.encode(), path.read_bytes()))


def facts_digest(facts: dict) -> str:
    """16 hexadecimal digits of facts, whatever their order."""
    return digest([json.dumps(facts, sort_keys=True, default=str).encode()])


def digest(parts: Iterable[bytes]) -> str:
    """16 hexadecimal digits of parts, and of where one ends and the next begins."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()[:16]


def _encode_held(processor: OptionalPartsProcessor, samples: list[dict]) -> tuple[list[int], BatchFeature]:
    """Which samples of a batch hold anything, and the processor's tensors of those."""
    held = [i for i, sample in enumerate(samples) if any(sample[name] is not None for name in MODALITIES)]
    return held, processor.encode_each([samples[i] for i in held]) if held else BatchFeature()


def _rows(values: torch.Tensor, present: torch.Tensor) -> list[torch.Tensor | None]:
    """The rows of a batch, on the CPU; None for those that are not present."""
    return [row if here else None for row, here in zip(values.cpu(), present.tolist(), strict=True)]
