"""Encoders that are frozen for a whole run encode each sample once; what they gave is kept on disk and read there.

A split has a folder of its own below $AFFECTHUB_CACHE/encoders. Its name is a digest of everything that its content
depends on, so nothing old is ever read; an interrupted pass goes on with the shards that are not there yet, and runs
that fill the same folder at once write the same content.
"""

import errno
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from affecthub.architectures import architecture_named
from affecthub.datasets_scripts.prepared.shards import open_prepared
from affecthub.modeling.encoders import vision_output_size
from affecthub.modeling.modalities import AUDIO, TEXT, VIDEO
from affecthub.modeling.modeling_trimodal import TrimodalModel
from affecthub.training.encoder_cache.encoders import (
    FrozenEncoders,
    digest,
    encoder_facts,
    facts_digest,
    pretrained,
    processor_digest,
    software_facts,
)
from affecthub.training.encoder_cache.entries import Entry, cache_folder
from affecthub.training.encoder_cache.samples import shard_path, shard_ranges, write_shard
from affecthub.training.from_recipe import encodes_audio, modalities_of, pools_by_attention
from affecthub.training.launch import is_sharded
from affecthub.training.phases import always_frozen
from affecthub.training.recipe import Recipe
from affecthub.training.samples import SampleDataset
from affecthub.training.trainer import AffectTrainer


def plan_cache(recipe: Recipe) -> tuple[list[str], str]:
    """The modalities of a run that are encoded once, and a sentence about it.

    What is changed at random in training is encoded anew each time; log-mel features count as encoded, and
    SpecAugment masks what was read. Where the encoders learn there is nothing to say.
    """
    architecture, names = recipe.model.architecture, modalities_of(recipe.model)
    if not always_frozen(recipe.training.phases):
        return [], ""
    if not recipe.training.encoder_cache:
        return [], "Encoder cache: off, as the recipe says; the frozen encoders run in every epoch."
    if recipe.inputs.streaming:
        return [], "Encoder cache: off, because it finds samples by index, and the training split is streamed."
    if is_sharded():
        return [], "Encoder cache: off, because each process holds a part of the encoders."
    if not architecture_named(architecture).model_class.takes_vectors:
        return [], f"Encoder cache: off, because {architecture} takes more of its encoder than one vector a sample."
    if pools_by_attention(recipe.model):
        return [], "Encoder cache: off, because pooling=attention learns from steps, of which it keeps the mean."
    changed, prepared = recipe.augmentation.changed, open_prepared(recipe.data.root)
    ready = prepared.features if prepared else []
    kept = [name for name in names if name not in {*changed, *ready}]
    others = [f"{name} is augmented anew in each epoch" for name in names if name in changed]
    others += [f"{name} was encoded when the data were prepared" for name in names if name in ready]
    if not {TEXT, VIDEO, *([AUDIO] if encodes_audio(recipe.model) else [])} & set(kept):
        return [], f"Encoder cache: off, because {' and '.join(others) or 'there is no pretrained encoder'}."
    return kept, f"Encoder cache: {'; '.join([', '.join(kept), *others])}."


def needs_preload(recipe: Recipe) -> bool:
    """Whether samples are to be decoded into memory: where the recipe says so, unless all of it will be encoded."""
    return recipe.inputs.preload and plan_cache(recipe)[0] != modalities_of(recipe.model)


def use_encoder_cache(trainer: AffectTrainer, splits: dict[str, SampleDataset], recipe: Recipe) -> None:
    """Where a recipe's encoders are frozen: encode what is not in the cache yet, and make the samples read it.

    Each process of a launch takes every so-many-th shard, waits for the others, and then reads all of them; it encodes
    itself what is still missing. So machines should share the folder: each alone would encode everything.

    Args:
        trainer: with the model, before it trains or evaluates.
        splits: name -> its samples, which are changed.
        recipe: of the run.

    Raises:
        OSError: the folder cannot be written, or has too little space; nothing was trained yet.
    """
    names, sentence = plan_cache(recipe)
    accelerator = trainer.accelerator
    if sentence:
        accelerator.print(sentence)
    if not names:
        return
    run = EncoderPass(trainer, names, recipe.training.num_workers)
    entries = {split: run.entry_of(split, samples) for split, samples in splits.items() if len(samples)}
    missing = {split: entry.missing() for split, entry in entries.items()}
    bytes_missing = run.estimate(splits, missing)
    accelerator.print(_announcement(entries, missing, bytes_missing))
    with _with_remedy():
        if bytes_missing:
            _require_space(bytes_missing)
        for split in (split for split, numbers in missing.items() if numbers):
            if accelerator.is_local_main_process:
                entries[split].describe()
            # by their numbers, because another process may have found fewer of them missing
            mine = [n for n in missing[split] if n % accelerator.num_processes == accelerator.process_index]
            run.fill(entries[split], splits[split], mine)
        accelerator.wait_for_everyone()
        for split, entry in entries.items():
            run.fill(entry, splits[split], entry.missing())
            splits[split].use_features(entry.open(names))
    if names == trainer.model.config.modalities:
        trainer.args.dataloader_num_workers = 0  # they would copy what lies in memory


class EncoderPass:
    """Runs a trainer's frozen encoders over samples.

    Args:
        trainer: says on which device, in which precision and in batches of which size.
        names: the modalities that are kept.
        workers: processes that decode.
    """

    def __init__(self, trainer: AffectTrainer, names: Sequence[str], workers: int):
        self.trainer, self.names = trainer, list(names)
        self.trunk = cast(TrimodalModel, trainer.model.base_model)
        accelerator, size = trainer.accelerator, trainer.args.eval_batch_size
        self.encoders = FrozenEncoders(
            self.trunk, self.names, accelerator.autocast, size, workers, accelerator.is_local_main_process
        )
        self.processor = trainer.train_dataset.processor
        self._facts = self._common_facts()

    def _common_facts(self) -> dict:
        """What the samples of every split depend on."""
        arguments = self.trainer.args
        return {
            "modalities": self.names,
            "encoders": {name: encoder_facts(self.trunk, name) for name in pretrained(self.trunk, self.names)},
            "processor": processor_digest(self.processor),
            "precision": "fp16" if arguments.fp16 else "bf16" if arguments.bf16 else "fp32",
            "device": arguments.device.type,
            **software_facts(self.processor, self.trunk),
        }

    def entry_of(self, split: str, samples: SampleDataset) -> Entry:
        """The cache's entry of a split, whether it is there or not."""
        rows = {"split": split, "samples": len(samples), "rows": rows_digest(samples, self.names)}
        facts = json.loads(json.dumps({**rows, **self._facts}, default=str))
        return Entry(cache_folder() / facts_digest(facts), facts)

    def estimate(self, splits: dict[str, SampleDataset], missing: dict[str, list[int]]) -> int:
        """Bytes that the missing shards will take, at 4 a number."""
        config = self.trunk.config
        values = self.trunk.text_model.config.hidden_size if TEXT in self.names else 0
        values += vision_output_size(self.trunk.vision_model.config) if VIDEO in self.names else 0
        log_mel = AUDIO in self.names and config.audio_config is None
        if AUDIO in self.names and not log_mel:
            values += self.trunk.audio_model.output_size * len(self.trunk.audio_model.layer_weights.scores)
        total = 0
        for split, numbers in missing.items():
            lengths, ranges = splits[split].lengths, shard_ranges(len(splits[split]))
            rows = [row for number in numbers for row in ranges[number]]
            total += 4 * values * len(rows)
            if log_mel:
                extractor, longest = self.processor.feature_extractor, self.processor.max_seconds
                seconds = sum(min(lengths[row], longest) for row in rows)
                total += int(4 * config.num_mel_bins * seconds * extractor.sampling_rate / extractor.hop_length)
        return total

    def fill(self, entry: Entry, samples: SampleDataset, numbers: Sequence[int]) -> None:
        """Encode and write some shards of an entry.

        Args:
            entry: of the split.
            samples: of the split.
            numbers: of the shards.
        """
        if not numbers:
            return
        ranges, plain = shard_ranges(entry.samples), samples.unaugmented(self.names)
        for number, encoded in zip(numbers, self.encoders.encode(plain, [ranges[n] for n in numbers]), strict=True):
            failed = plain.failed(ranges[number])
            write_shard(shard_path(entry.folder, number), entry.key, encoded, failed)


def rows_digest(samples: SampleDataset, names: Sequence[str]) -> str:
    """16 hexadecimal digits of what the content of modalities follows from: texts; names, sizes, times of files."""
    sources = zip(*(samples.sources(name) for name in names), strict=True)
    return digest(repr(source).encode() for source in sources)


def _announcement(entries: dict[str, Entry], missing: dict[str, list[int]], size: int) -> str:
    """What is in the cache, and what will be written."""
    samples = ", ".join(f"{split} {entry.samples:,}" for split, entry in entries.items())
    shards = sum(len(shard_ranges(entry.samples)) for entry in entries.values())
    lacking = sum(map(len, missing.values()))
    found = f"{samples} samples in {shards} shards, {shards - lacking} of them there"
    writes = f"; the others take about {size / 1e6:,.1f} MB" if lacking else ""
    return f"{found}{writes}, below {cache_folder()}"


def _require_space(size: int) -> None:
    """OSError unless the cache's disk has so many bytes left."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache_folder()).free
    if free < size:
        raise OSError(errno.ENOSPC, f"{free / 1e6:,.1f} MB are free, {size / 1e6:,.1f} MB are needed")


@contextmanager
def _with_remedy() -> Iterator[None]:
    """Says what can be done about a full disk or a folder that is read-only."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"The encoder cache below {cache_folder()} cannot be written ({error.strerror or error}): make room there "
            "(`affecthub cache prune`), set AFFECTHUB_CACHE to another folder, or train with --no-cache.",
        ) from error
