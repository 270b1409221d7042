"""A recipe becomes a processor and a model."""

import difflib
from collections import Counter
from dataclasses import fields

import numpy as np
from transformers import (
    AutoConfig,
    BertTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    Wav2Vec2FeatureExtractor,
)

from affecthub.datasets_scripts.genex.study import FEATURES
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.modalities import AUDIO, PHYSIO, TEXT, VIDEO
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.feature_extraction_physio import PhysioFeatureExtractor
from affecthub.processing.processing_trimodal import TrimodalProcessor
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor, square_frames
from affecthub.training.corpus import MULTI, SINGLE, Corpus
from affecthub.training.families import CLASSIFIERS, PROCESSORS, UTTERANCE_TYPES, modalities_of
from affecthub.training.recipe import DataRecipe, ModelRecipe, Recipe

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SCRATCH_VOCABULARY = 2000
"""Word pieces, at most, of a tokenizer that is made from a small training split."""

FOCAL_GAMMA = 2.0
"""The value that Lin et al. 2017 found best."""


def check_fit(recipe: Recipe) -> None:
    """ValueError when an architecture of utterances is to learn from recordings, or the reverse."""
    architecture, dataset = recipe.model.architecture, recipe.data.dataset
    sees, holds = architecture in UTTERANCE_TYPES, dataset.endswith("meld")
    if sees != holds:
        kinds = ("recordings, as sample_genex and genex hold", "utterances, as sample_meld and meld hold")
        raise ValueError(f"data.dataset={dataset}: {architecture} learns from {kinds[sees]}; choose one of these.")


def build_processor(recipe: Recipe, corpus: Corpus) -> ProcessorMixin:
    """The processor of a recipe: of its pretrained encoders, or of its own where they start from scratch.

    What is fitted (a tokenizer from scratch, the statistics of features) is fitted on the training split alone.
    """
    build = _utterance_processor if recipe.model.architecture in UTTERANCE_TYPES else _recording_processor
    try:
        return build(recipe.data, recipe.model, corpus)
    except OSError as error:  # whose message may not say what was looked for
        wanted = {"text_encoder": recipe.model.text_encoder, "vision_encoder": recipe.model.vision_encoder}
        raise OSError(f"model.text_encoder and model.vision_encoder are {wanted}: {error}") from error


def _utterance_processor(data: DataRecipe, model: ModelRecipe, corpus: Corpus) -> TrimodalProcessor:
    modalities = modalities_of(model)
    encoders = TrimodalProcessor.from_encoders_pretrained(
        text_encoder=model.text_encoder if TEXT in modalities else None,
        vision_encoder=model.vision_encoder if VIDEO in modalities else None,
        audio=False,
        num_frames=data.num_frames,
    )
    tokenizer, video_processor = encoders.tokenizer, encoders.video_processor
    if TEXT in modalities and tokenizer is None:
        tokenizer = train_tokenizer(corpus.splits["train"]["text"])
    if VIDEO in modalities and video_processor is None:
        side = AutoConfig.for_model(**(model.vision_config or {"model_type": "clip_vision_model"})).image_size
        video_processor = ClipFramesVideoProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}, num_frames=data.num_frames
        )
    return TrimodalProcessor(
        tokenizer=tokenizer,
        video_processor=video_processor,
        feature_extractor=LogMelFeatureExtractor() if AUDIO in modalities else None,
        max_text_tokens=data.max_text_tokens,
        max_seconds=data.max_seconds,
    )


def _recording_processor(data: DataRecipe, model: ModelRecipe, corpus: Corpus) -> ProcessorMixin:
    parts = {"video_processor": square_frames(data.frame_size, data.num_frames)}
    if model.vision_encoder:
        parts["video_processor"] = ClipFramesVideoProcessor.from_image_processor(model.vision_encoder, data.num_frames)
    if PHYSIO in modalities_of(model):
        rows = corpus.splits["train"]
        values = np.asarray(rows["physio_values"], dtype=np.float64)
        parts["feature_extractor"] = PhysioFeatureExtractor.fit(values, FEATURES, rows["key"])
    if AUDIO in modalities_of(model):
        parts["feature_extractor"] = Wav2Vec2FeatureExtractor()
    return PROCESSORS[model.architecture](**parts, crop_faces=data.crop_faces, max_seconds=data.max_seconds)


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
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(list(pieces)[:SCRATCH_VOCABULARY])})
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # a single text has no second segment to mark
    return tokenizer


def build_model(recipe: Recipe, corpus: Corpus, processor: ProcessorMixin) -> AffectPreTrainedModel:
    """The model of a recipe, with the labels of the corpus."""
    model, target = recipe.model, corpus.targets[0]
    classifier = CLASSIFIERS[model.architecture]
    check_config_keys(model.config, classifier.config_class)
    values = {
        "modalities": processor.modalities,
        "id2label": dict(enumerate(target.labels)),
        "label2id": {name: i for i, name in enumerate(target.labels)},
        "problem_type": target.problem_type,
        **imbalance_values(model.imbalance, corpus),
        **model.config,
    }
    if model.architecture in UTTERANCE_TYPES:
        return _utterance_model(model, corpus, processor, values)
    if model.multitask:
        raise ValueError(f"model.multitask: {model.architecture} has one task; leave it out.")
    return _recording_model(recipe, classifier, values)


def _utterance_model(
    model: ModelRecipe, corpus: Corpus, processor: TrimodalProcessor, values: dict
) -> AffectPreTrainedModel:
    if model.multitask:
        values["sentiment_id2label"] = dict(enumerate(corpus.targets[1].labels))
    if processor.tokenizer and not model.text_encoder:
        values["text_config"] = {"model_type": "bert", **(model.text_config or {}), **vocabulary(processor.tokenizer)}
    if processor.video_processor and not model.vision_encoder:
        values["vision_config"] = model.vision_config
    return CLASSIFIERS[model.architecture].from_encoders_pretrained(
        text_encoder=model.text_encoder if processor.tokenizer else None,
        vision_encoder=model.vision_encoder if processor.video_processor else None,
        **values,
    )


def _recording_model(recipe: Recipe, classifier: type, values: dict) -> AffectPreTrainedModel:
    """The frame encoder is the architecture's own, changed where the recipe says so, and of the frames' size."""
    data, model, config_class = recipe.data, recipe.model, classifier.config_class
    if "num_frames" in {field.name for field in fields(config_class)}:
        values["num_frames"] = data.num_frames
    if config_class.default_vision is not None and model.vision_encoder is None:
        vision = {**config_class.default_vision, **(model.vision_config or {})}
        if hasattr(AutoConfig.for_model(vision["model_type"]), "image_size"):
            vision["image_size"] = data.frame_size
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


def vocabulary(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The fields of a text encoder's configuration that its tokenizer decides."""
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": first, "eos_token_id": last}
    return {"vocab_size": len(tokenizer), **special, "cls_token_id": first, "sep_token_id": last}


def imbalance_values(imbalance: str, corpus: Corpus) -> dict:
    """Configuration fields of the loss: inverse training frequencies of mean 1 over the labels, or a focal gamma."""
    target, rows = corpus.targets[0], corpus.splits["train"]
    if imbalance == "none":
        return {}
    if target.problem_type not in (SINGLE, MULTI):
        raise ValueError(f"model.imbalance={imbalance}: {target.name} is a number, without classes; leave it out.")
    if imbalance == "focal":
        return {"focal_gamma": FOCAL_GAMMA}
    values = target.values(rows)
    counts = np.bincount(values, minlength=len(target.labels)) if values.ndim == 1 else values.sum(axis=0)
    if len(target.labels) == 1:
        raise ValueError(f"model.imbalance=class_weights: {target.name} is one label; choose focal or none.")
    if absent := [name for name, count in zip(target.labels, counts, strict=True) if not count]:
        raise ValueError(f"No class weight for {absent}: the training split has none. Choose another imbalance.")
    inverse = 1 / counts.astype(np.float64)
    return {"class_weights": (inverse * len(inverse) / inverse.sum()).tolist()}
