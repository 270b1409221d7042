"""A recipe becomes a processor and a model."""

import difflib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoTokenizer,
    BertTokenizer,
    FeatureExtractionMixin,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from affecthub.architectures import architecture_named
from affecthub.datasets_scripts.corpus import MULTI, SINGLE, Corpus, holds
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.configuration_trimodal import AUDIO_CHANNELS
from affecthub.modeling.modalities import AUDIO, PHYSIO, TEXT, VIDEO
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.feature_extraction_physio import PhysioFeatureExtractor
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.processing.sound_features import extractor_for, seconds_heard
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor, square_frames
from affecthub.training.recipe import InputRecipe, ModelRecipe, Recipe

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SCRATCH_VOCABULARY = 2000
"""Word pieces, at most, of a tokenizer that is made from a small training split."""

logger = logging.getLogger(__name__)

POS_WEIGHT_LIMIT = 20.0
"""Where the presence of a rarer label would count for more, a handful of rows would decide what is learned."""

FOCAL_GAMMA = 2.0
"""The value that Lin et al. 2017 found best."""

LOG_MEL = {
    "cnn2d": {"n_fft": 512, "hop_length": 160},
    "functionals": {"n_fft": 512, "hop_length": 160, "normalization": "level", "pitch": True},
}
"""Audio encoder -> settings of its log-mel features: windows of 32 ms every 10 ms, as usual for speech. The other one
keeps the reference's 64 ms every 16 ms."""

Part = PreTrainedTokenizerBase | ClipFramesVideoProcessor | FeatureExtractionMixin
"""What a processor holds for a modality."""


def modalities_of(model: ModelRecipe) -> list[str]:
    """The modalities that a recipe's model may use: those that it names, or else all that the architecture takes.

    Raises:
        ValueError: there is no such architecture; it names none, or one that the architecture does not take.
    """
    allowed = list(architecture_named(model.architecture).modalities)
    wanted = allowed if model.modalities is None else list(model.modalities)
    if not wanted or not set(wanted) <= set(allowed):
        raise ValueError(f"model.modalities={wanted}: name one or more of {allowed}, or leave it out for all.")
    return [name for name in allowed if name in wanted]


def modalities_held(model: ModelRecipe, corpus: Corpus) -> list[str]:
    """The modalities that a model learns from: those that it may use and some row holds.

    Raises:
        ValueError: the rows hold none of them, not all that the recipe names, or not all that the architecture needs.
    """
    wanted, held = modalities_of(model), corpus.modalities
    found = [name for name in wanted if name in held]
    missing = [name for name in wanted if name not in held]
    config_class = architecture_named(model.architecture).config_class
    if not found or (missing and (model.modalities is not None or not config_class.any_subset)):
        raise ValueError(
            f"{model.architecture} is to learn from {', '.join(wanted)}, and {corpus.name} holds "
            f"{', '.join(held) or 'nothing'}: there is no {' and no '.join(missing)}. Choose another architecture, or "
            "name fewer in model.modalities."
        )
    return found


def settled(recipe: Recipe, corpus: Corpus) -> Recipe:
    """The recipe, naming the modalities that its model learns from; ValueError as `modalities_held`."""
    return replace(recipe, model=replace(recipe.model, modalities=modalities_held(recipe.model, corpus)))


def build_processor(recipe: Recipe, corpus: Corpus) -> OptionalPartsProcessor:
    """The processor of a recipe: of its pretrained encoders, or of its own where they start from scratch.

    What is fitted (a tokenizer from scratch, the statistics of features) is fitted on the training split alone.
    """
    modalities, model = modalities_held(recipe.model, corpus), recipe.model
    shared = {"max_seconds": recipe.inputs.max_seconds, "crop_faces": corpus.crop_faces}
    processor_class = architecture_named(model.architecture).processor_class
    try:
        parts = {processor_class.part_of[name]: _part(name, processor_class, recipe, corpus) for name in modalities}
    except OSError as error:  # whose message may not say what was looked for
        encoders = {name: getattr(model, name) for name in ("text_encoder", "vision_encoder", "audio_encoder")}
        raise OSError(f"model.text_encoder, vision_encoder and audio_encoder are {encoders}: {error}") from error
    if TEXT in processor_class.part_of:
        shared["max_text_tokens"] = recipe.inputs.max_text_tokens
    shared |= _turns(processor_class, modalities, recipe.inputs)
    return processor_class(**parts, **shared)


def _turns(
    processor_class: type[OptionalPartsProcessor], modalities: list[str], inputs: InputRecipe
) -> dict[str, object]:
    """What a processor has to know of the turns around a row.

    Raises:
        ValueError: turns are asked for that it cannot take.
    """
    if processor_class.turns_apart:
        return {"turns_before": inputs.turns_before, "turns_after": inputs.turns_after}
    if inputs.turns_after:
        raise ValueError(f"inputs.turns_after={inputs.turns_after}: only a dialogue model takes turns after a row.")
    if not inputs.turns_before:
        return {}
    if TEXT not in modalities:
        raise ValueError(
            f"inputs.turns_before={inputs.turns_before}: earlier turns are read by a text encoder, or by a dialogue "
            f"model; this one learns from {', '.join(modalities)}."
        )
    return {"turns_before": inputs.turns_before, "speakers": inputs.speakers}


def _part(modality: str, processor_class: type[OptionalPartsProcessor], recipe: Recipe, corpus: Corpus) -> Part:
    """The extractor of a modality."""
    if modality == TEXT:
        return _tokenizer(recipe.model, corpus)
    if modality == VIDEO:
        return _video_processor(recipe, square=TEXT not in processor_class.part_of)
    if modality == PHYSIO:
        return _fitted_physio(corpus)
    if encodes_audio(recipe.model):
        return _sound_extractor(processor_class, recipe)
    extractor_class = processor_class.feature_extractor_class
    assert extractor_class is not None
    return _log_mel(recipe.model) if extractor_class is LogMelFeatureExtractor else extractor_class()


def pretrained_audio(model: ModelRecipe) -> str | None:
    """Folder or Hub id of the encoder of sound; None where it starts from scratch."""
    name = model.audio_encoder or model.config.get("audio_encoder")
    return None if name in AUDIO_CHANNELS else name


def encodes_audio(model: ModelRecipe) -> bool:
    """Whether an encoder of transformers takes the sound, pretrained or not."""
    return AUDIO in modalities_of(model) and bool(pretrained_audio(model) or model.audio_config)


def pools_by_attention(model: ModelRecipe) -> bool:
    """Whether what the encoders give is pooled by learned weights of its steps."""
    return model.config.get("pooling") == "attention"


def _log_mel(model: ModelRecipe) -> LogMelFeatureExtractor:
    """The log-mel features that the audio encoder of a recipe was made for."""
    settings = LOG_MEL.get(model.audio_encoder or model.config.get("audio_encoder", ""), {})
    if "num_mel_bins" in model.config:
        settings = {**settings, "feature_size": model.config["num_mel_bins"]}
    return LogMelFeatureExtractor(**settings)


def _sound_extractor(processor_class: type[OptionalPartsProcessor], recipe: Recipe) -> FeatureExtractionMixin:
    """That of an encoder of sound of transformers.

    Raises:
        ValueError: the architecture has another encoder, or the recipe masks log-mel features.
    """
    model, masks = recipe.model, recipe.augmentation.features
    if TEXT not in processor_class.part_of:
        raise ValueError(
            f"{model.architecture} encodes sound from scratch: leave model.audio_encoder and model.audio_config out."
        )
    if masks.time_masks or masks.frequency_masks:
        raise ValueError(
            f"augmentation.features masks log-mel features, and {pretrained_audio(model) or model.audio_config} takes "
            "its own: set --augmentation.features.time_masks=0 --augmentation.features.frequency_masks=0, or leave "
            "model.audio_encoder and model.audio_config out."
        )
    if name := pretrained_audio(model):
        extractor = AutoFeatureExtractor.from_pretrained(name)
    else:
        extractor = extractor_for(AutoConfig.for_model(**{"model_type": "wavlm", **(model.audio_config or {})}))
    if recipe.inputs.max_seconds > (heard := seconds_heard(extractor)):
        logger.warning(
            "inputs.max_seconds=%g, but %s hears %g s: the sound of longer clips is cut there.",
            recipe.inputs.max_seconds,
            name or model.audio_config,
            heard,
        )
    return extractor


def _tokenizer(model: ModelRecipe, corpus: Corpus) -> PreTrainedTokenizerBase:
    if model.text_encoder:
        return AutoTokenizer.from_pretrained(model.text_encoder)
    return train_tokenizer([text for text in corpus.splits["train"]["text"] if text is not None])


def _video_processor(recipe: Recipe, square: bool) -> ClipFramesVideoProcessor:
    """Of a pretrained encoder; or of one from scratch, for frames that are made square or cropped to a square."""
    inputs, model = recipe.inputs, recipe.model
    if model.vision_encoder:
        return ClipFramesVideoProcessor.from_image_processor(model.vision_encoder, inputs.num_frames)
    if square:
        return square_frames(inputs.frame_size, inputs.num_frames)
    side = AutoConfig.for_model(**{"model_type": "clip_vision_model", **(model.vision_config or {})}).image_size
    return ClipFramesVideoProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, num_frames=inputs.num_frames
    )


def _fitted_physio(corpus: Corpus) -> PhysioFeatureExtractor:
    """Statistics of the training split's features, of all steps where a row is a sequence."""
    rows = corpus.splits["train"]
    held = rows.select(np.flatnonzero(holds(rows, PHYSIO)))
    steps = [np.atleast_2d(np.asarray(value, dtype=np.float64)) for value in held["physio_values"]]
    keys = [key for key, value in zip(held["key"], steps, strict=True) for _ in value]
    return PhysioFeatureExtractor.fit(np.concatenate(steps), corpus.feature_names, keys)


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """A BERT tokenizer of the characters and the most frequent words of `texts` (the training split's alone).

    Not trained by `tokenizers`: its WordPiece trainer breaks ties by the order of a hash table, so that the same texts
    give another vocabulary in each process, and a resumed run could not read its own checkpoint.
    """
    blank = BertTokenizer(vocab={token: i for i, token in enumerate(SPECIAL_TOKENS)}).backend_tokenizer
    split = (blank.pre_tokenizer.pre_tokenize_str(blank.normalizer.normalize_str(text)) for text in texts)
    words = Counter(word for pieces in split for word, _ in pieces)
    characters = sorted({character for word in words for character in word})
    frequent = sorted(words, key=lambda word: (-words[word], word))
    pieces = dict.fromkeys([*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters), *frequent])
    numbered = {piece: i for i, piece in enumerate(list(pieces)[:SCRATCH_VOCABULARY])}
    # which segment a token is of not every encoder takes
    return BertTokenizer(vocab=numbered, model_input_names=["input_ids", "attention_mask"])


def build_model(recipe: Recipe, corpus: Corpus, processor: OptionalPartsProcessor) -> AffectPreTrainedModel:
    """The model of a recipe, with the targets of the corpus."""
    model, target = recipe.model, corpus.targets[0]
    classifier = architecture_named(model.architecture).classifier_class
    check_config_keys(model.config, classifier.config_class)
    values = {
        "modalities": processor.modalities,
        "id2label": dict(enumerate(target.labels)),
        "label2id": {name: i for i, name in enumerate(target.labels)},
        "problem_type": target.problem_type,
        **task_values(model, corpus),
        **imbalance_values(model.imbalance, corpus),
        **model.config,
    }
    if PHYSIO in processor.modalities:
        values.setdefault("physio_size", len(corpus.feature_names))
    build = _utterance_model if TEXT in processor.part_of else _recording_model
    return build(recipe, corpus, processor, classifier, values)


def task_values(model: ModelRecipe, corpus: Corpus) -> dict[str, object]:
    """The fields of a configuration that say what is learned, and with which weights.

    Raises:
        ValueError: a weight of something that is not learned.
    """
    main, *further = corpus.targets
    names = [target.name for target in corpus.targets]
    if foreign := [name for name in model.task_weights if name not in names]:
        raise ValueError(f"model.task_weights: {foreign[0]!r} is not learned; the targets are {names}.")
    weights = {name: model.task_weights.get(name, 1.0) for name in names}
    tasks = [
        {
            "name": target.name,
            "labels": list(target.labels),
            "problem_type": target.problem_type,
            "weight": weights[target.name],
        }
        for target in further
    ]
    return {"task": main.name, "task_weight": weights[main.name], "further_tasks": tasks}


def _utterance_model(
    recipe: Recipe, corpus: Corpus, processor: OptionalPartsProcessor, classifier: type, values: dict
) -> AffectPreTrainedModel:
    model, tokenizer = recipe.model, processor.part_for(TEXT)
    sees, hears = VIDEO in processor.modalities, AUDIO in processor.modalities
    if processor.turns_apart:
        values |= {name: getattr(processor, name) for name in ("turns_before", "turns_after", "num_speakers")}
    if tokenizer and not model.text_encoder:
        values["text_config"] = {"model_type": "bert", **(model.text_config or {}), **vocabulary(tokenizer)}
    if sees and not model.vision_encoder:
        values["vision_config"] = model.vision_config
    of_config = values.pop("audio_encoder", None)
    audio_encoder = model.audio_encoder or of_config
    if hears and not pretrained_audio(model):
        values["audio_config"] = model.audio_config
    return classifier.from_encoders_pretrained(
        text_encoder=model.text_encoder if tokenizer else None,
        vision_encoder=model.vision_encoder if sees else None,
        audio_encoder=audio_encoder if hears else None,
        **values,
    )


def _recording_model(
    recipe: Recipe, corpus: Corpus, processor: OptionalPartsProcessor, classifier: type, values: dict
) -> AffectPreTrainedModel:
    """The frame encoder is the architecture's own, changed where the recipe says so, and of the frames' size."""
    inputs, model, config_class = recipe.inputs, recipe.model, classifier.config_class
    if "num_frames" in {field.name for field in fields(config_class)}:
        values["num_frames"] = inputs.num_frames
    if config_class.default_vision is not None and model.vision_encoder is None:
        vision = {**config_class.default_vision, **(model.vision_config or {})}
        if hasattr(AutoConfig.for_model(vision["model_type"]), "image_size"):
            vision["image_size"] = inputs.frame_size
        values["vision_config"] = vision
    return classifier.from_encoders_pretrained(vision_encoder=model.vision_encoder, **values)


def check_config_keys(values: dict, config_class: type[PreTrainedConfig]) -> None:
    """ValueError that names a key of `model.config` which the architecture does not have, with the nearest it has.

    transformers itself keeps any value under any name, and a misspelled one would change nothing without a word.
    """
    known = [field.name for field in fields(config_class)]
    if unknown := [key for key in values if key not in known]:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}."
        raise ValueError(f"model.config: {config_class.model_type} has no {unknown[0]!r}; {hint}")


def vocabulary(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The fields of a text encoder's configuration that its tokenizer decides."""
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": first, "eos_token_id": last}
    return {"vocab_size": len(tokenizer), **special, "cls_token_id": first, "sep_token_id": last}


def imbalance_values(imbalance: str, corpus: Corpus) -> dict:
    """Configuration fields of the main task's loss: weights by what the training split holds, or a focal gamma."""
    target, rows = corpus.targets[0], corpus.splits["train"]
    if imbalance == "none":
        return {}
    if target.problem_type not in (SINGLE, MULTI):
        raise ValueError(f"model.imbalance={imbalance}: {target.name} is a number, without classes; leave it out.")
    if imbalance == "focal":
        return {"focal_gamma": FOCAL_GAMMA}
    if target.soft:
        raise ValueError(f"model.imbalance={imbalance}: {target.name} holds shares of raters; leave it out.")
    values = target.values(rows)
    if target.problem_type == MULTI:
        return {"pos_weight": positive_weights(values, target.labels)}
    return {"class_weights": inverse_frequencies(values, target.labels)}


def inverse_frequencies(ids: np.ndarray, labels: Sequence[str]) -> list[float]:
    """A weight a class, of mean 1; ValueError where a class never occurs.

    Args:
        ids: of the training rows, int (rows,), below 0 = unknown.
        labels: names of the classes.
    """
    counts = np.bincount(ids[ids >= 0], minlength=len(labels))
    if absent := [name for name, count in zip(labels, counts, strict=True) if not count]:
        raise ValueError(f"No class weight for {absent}: the training split has none. Choose another imbalance.")
    inverse = 1 / counts.astype(np.float64)
    return (inverse * len(inverse) / inverse.sum()).tolist()


def positive_weights(values: np.ndarray, labels: Sequence[str]) -> list[float]:
    """How much the presence of each label counts: negatives over positives, within `POS_WEIGHT_LIMIT` either way.

    A label that is always there, or never, gets 1: no weight could teach it; a warning names it.

    Args:
        values: of the training rows in 0..1, float (rows, labels) or (rows,) of one label, NaN = unknown.
        labels: their names.
    """
    values = values.reshape(len(values), -1).astype(np.float64)
    positives, negatives = np.nansum(values, axis=0), np.nansum(1 - values, axis=0)
    varies = (positives > 0) & (negatives > 0)
    if constant := [name for name, it_does in zip(labels, varies, strict=True) if not it_does]:
        logger.warning("The training split holds %s always or never: no imbalance is made good there.", constant)
    ratio = np.divide(negatives, positives, out=np.ones_like(positives), where=varies)
    return ratio.clip(1 / POS_WEIGHT_LIMIT, POS_WEIGHT_LIMIT).tolist()
