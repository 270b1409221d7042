"""Prepared features: `affecthub prepare --features` keeps what frozen encoders and log-mel extraction give."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, set_seed

from affecthub.architectures import architecture_named
from affecthub.datasets_scripts.corpus import DataOptions, load_corpus
from affecthub.datasets_scripts.prepared.clips import ClipForm, encode_array
from affecthub.datasets_scripts.prepared.shards import Prepared, form_values
from affecthub.modeling.modalities import AUDIO, VIDEO
from affecthub.modeling.modeling_trimodal import TrimodalModel
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.clips import PreparedDataset
from affecthub.training.encoder_cache.encoders import (
    FrozenEncoders,
    encoder_facts,
    facts_digest,
    pretrained,
    processor_digest,
    software_facts,
)
from affecthub.training.from_recipe import (
    build_model,
    build_processor,
    encodes_audio,
    modalities_of,
    pools_by_attention,
    settled,
)
from affecthub.training.launch import is_sharded
from affecthub.training.phases import always_frozen
from affecthub.training.recipe import Recipe
from affecthub.training.trainer import choose_precision

AS_IT_IS = "_as_it_is"
"""After a modality, in a folder's settings: it stands there as frames or sound, though others are features."""

HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


class FeatureEncoder:
    """What a recipe's processor and frozen encoders of sound and frames make of prepared rows.

    Sound that the recipe changes at random stays sound beside the features of the frames.

    Args:
        recipe: its data are the clips.
        device: to encode on.

    Raises:
        ValueError: the recipe uses neither sound nor frames, changes them at random, or lets the encoder learn.
    """

    def __init__(self, recipe: Recipe, device: torch.device):
        corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
        recipe = settled(recipe, corpus)
        self.raw = [AUDIO] if AUDIO in recipe.augmentation.changed and VIDEO in modalities_of(recipe.model) else []
        check_recipe(recipe, f"--features={recipe.name}", self.raw)
        set_seed(recipe.training.seed)
        self.processor = build_processor(recipe, corpus)
        names = [name for name in (AUDIO, VIDEO) if name in self.processor.modalities and name not in self.raw]
        if not names:
            used = ", ".join(self.processor.modalities)
            raise ValueError(f"--features={recipe.name}: it uses {used}, without sound and frames to encode.")
        model: Any = build_model(recipe, corpus, self.processor)
        trunk: TrimodalModel = model.base_model.to(device)
        precision = choose_precision(recipe.training.precision)
        autocast = partial(torch.autocast, device.type, HALF.get(precision), enabled=precision in HALF)
        self.encoders = FrozenEncoders(trunk, names, autocast, recipe.training.batch_size, workers=0, shown=False)
        values: dict[str, Any] = form_values(self.processor)
        self.form = ClipForm(**values)
        self.settings = feature_settings(names, self.processor, trunk) | {
            "precision": precision,
            "device": device.type,
            "batch_size": recipe.training.batch_size,
            "software": facts_digest(software_facts(self.processor, trunk)),
            **{f"{name}{AS_IT_IS}": True for name in self.raw},
        }
        """What the features depend on besides the clips, in the folder's settings."""

    def __call__(self, rows: Dataset) -> dict[str, list[bytes | None]]:
        """Columns that take the place of frames and sound.

        Args:
            rows: of one shard, as they are prepared without features.
        """
        samples = PreparedDataset(rows, (), self.processor).unaugmented(self.encoders.names)
        (encoded,) = self.encoders.encode(samples, [range(len(rows))])
        kept = {"audio_flac": list(rows["audio_flac"])} if self.raw else {}
        return kept | {f"{name}_npy": [as_npy(sample[name]) for sample in encoded] for name in self.encoders.names}


def feature_settings(names: list[str], processor: OptionalPartsProcessor, trunk: PreTrainedModel) -> dict[str, str]:
    """Digests of what makes the features of some modalities, as the settings of a prepared folder name them."""
    found = {}
    for name in names:
        part = processor.part_of[name]
        alone = type(processor)(**{part: getattr(processor, part)}, max_seconds=processor.max_seconds)
        found[f"{name}_processor"] = processor_digest(alone)
    return found | {f"{name}_encoder": facts_digest(encoder_facts(trunk, name)) for name in pretrained(trunk, names)}


def check_recipe(recipe: Recipe, source: str, raw: Sequence[str] = ()) -> None:
    """ValueError where features cannot stand for a recipe's sound and frames.

    Args:
        recipe: of a run.
        source: what the message is to name.
        raw: the modalities of which there are no features, but what they are made of.
    """
    remedy, architecture = "or prepare the data without --features.", recipe.model.architecture
    if not architecture_named(architecture).model_class.takes_vectors:
        raise ValueError(
            f"{source}: {architecture} takes more of its encoders than one vector a sample: choose another "
            f"architecture, {remedy}"
        )
    used = [name for name in modalities_of(recipe.model) if name not in raw]
    encoded = VIDEO in used or (AUDIO in used and encodes_audio(recipe.model))
    if encoded and not always_frozen(recipe.training.phases):
        raise ValueError(
            f"{source}: features need an encoder that never learns: set "
            f"--training.phases=[{{start_epoch: 0, encoder_layers: 0}}], {remedy}"
        )
    if encoded and pools_by_attention(recipe.model):
        raise ValueError(
            f"{source}: features of an encoder are means, and pooling=attention learns from each step: set "
            f"--model.config.pooling=mean, {remedy}"
        )
    if changed := [name for name in recipe.augmentation.changed if name in used]:
        raise ValueError(
            f"{source}: features of {' and '.join(changed)} cannot be augmented as sound or frames are: switch "
            f"augmentation.audio, augmentation.frames and augmentation.temporal_jitter off, {remedy}"
        )


def check_features(
    prepared: Prepared | None, recipe: Recipe, processor: OptionalPartsProcessor, trunk: PreTrainedModel
) -> None:
    """ValueError unless the features of a prepared folder, where it holds some, are those that a run would make."""
    names = [name for name in (AUDIO, VIDEO) if name in processor.modalities]
    if prepared and prepared.features and names:
        if is_sharded():
            raise ValueError(f"{prepared.folder} holds features: not under FSDP; launch with another configuration.")
        raw = [name for name in names if f"{name}{AS_IT_IS}" in prepared.manifest["settings"]]
        check_recipe(recipe, str(prepared.folder), raw)
        prepared.check(feature_settings([name for name in names if name not in raw], processor, trunk))


def clips_of(recipe: Recipe, data: DataOptions) -> Recipe:
    """A recipe on other data, all of it, read in the plain way."""
    inputs = replace(recipe.inputs, preload=False, streaming=False)
    return replace(recipe, data=replace(data, limit=None), inputs=inputs)


def as_npy(values: torch.Tensor | None) -> bytes | None:
    """A .npy file; NumPy lacks bfloat16, whose values float32 holds exactly."""
    if values is None:
        return None
    return encode_array((values.float() if values.dtype == torch.bfloat16 else values).numpy())
