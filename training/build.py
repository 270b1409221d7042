"""A recipe becomes a processor and a model."""

import difflib
from collections import Counter
from dataclasses import fields

from transformers import AutoConfig, BertTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

import affecthub
from affecthub.modeling.modalities import AUDIO, TEXT, VIDEO
from affecthub.modeling.modeling_trimodal import TrimodalForVideoClassification
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.processing_trimodal import TrimodalProcessor
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor
from affecthub.training.data import Corpus
from affecthub.training.recipe import Recipe

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SCRATCH_VOCABULARY = 2000
"""Word pieces, at most, of a tokenizer that is made from a small training split."""

FOCAL_GAMMA = 2.0
"""The value that Lin et al. 2017 found best."""

CLASSIFIERS = {config.model_type: classifier for config, _, classifier in affecthub.ARCHITECTURES}


def build_processor(recipe: Recipe, corpus: Corpus) -> TrimodalProcessor:
    """The processor of a recipe: of its pretrained encoders, or of its own where they start from scratch."""
    data, model = recipe.data, recipe.model
    wanted = {
        "text_encoder": model.text_encoder if TEXT in model.modalities else None,
        "vision_encoder": model.vision_encoder if VIDEO in model.modalities else None,
    }
    try:
        encoders = TrimodalProcessor.from_encoders_pretrained(**wanted, audio=False, num_frames=data.num_frames)
    except OSError as error:  # whose message may not say what was looked for
        raise OSError(f"model.text_encoder and model.vision_encoder are {wanted}: {error}") from error
    tokenizer, video_processor = encoders.tokenizer, encoders.video_processor
    if TEXT in model.modalities and tokenizer is None:
        tokenizer = train_tokenizer(corpus.splits["train"]["text"])
    if VIDEO in model.modalities and video_processor is None:
        side = AutoConfig.for_model(**(model.vision_config or {"model_type": "clip_vision_model"})).image_size
        video_processor = ClipFramesVideoProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}, num_frames=data.num_frames
        )
    return TrimodalProcessor(
        tokenizer=tokenizer,
        video_processor=video_processor,
        feature_extractor=LogMelFeatureExtractor() if AUDIO in model.modalities else None,
        max_text_tokens=data.max_text_tokens,
        max_seconds=data.max_seconds,
    )


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


def build_model(recipe: Recipe, corpus: Corpus, processor: TrimodalProcessor) -> TrimodalForVideoClassification:
    """The model of a recipe, with the labels of the corpus."""
    model = recipe.model
    check_config_keys(model.config, CLASSIFIERS[model.architecture].config_class)
    values = {
        "modalities": list(model.modalities),
        "id2label": dict(enumerate(corpus.emotions)),
        "label2id": {name: i for i, name in enumerate(corpus.emotions)},
        "problem_type": "single_label_classification",
        **imbalance_values(model.imbalance, corpus),
        **model.config,
    }
    if model.multitask:
        values["sentiment_id2label"] = dict(enumerate(corpus.sentiments))
    if processor.tokenizer and not model.text_encoder:
        values["text_config"] = {"model_type": "bert", **(model.text_config or {}), **vocabulary(processor.tokenizer)}
    if processor.video_processor and not model.vision_encoder:
        values["vision_config"] = model.vision_config
    return CLASSIFIERS[model.architecture].from_encoders_pretrained(
        text_encoder=model.text_encoder if processor.tokenizer else None,
        vision_encoder=model.vision_encoder if processor.video_processor else None,
        **values,
    )


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
    if imbalance == "focal":
        return {"focal_gamma": FOCAL_GAMMA}
    if imbalance == "none":
        return {}
    counts = Counter(corpus.splits["train"]["emotion"])
    if absent := [name for i, name in enumerate(corpus.emotions) if not counts[i]]:
        raise ValueError(f"No class weight for {absent}: the training split has none. Choose another imbalance.")
    inverse = [1 / counts[i] for i in range(len(corpus.emotions))]
    return {"class_weights": [value * len(inverse) / sum(inverse) for value in inverse]}
