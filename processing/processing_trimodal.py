"""Processor of the utterance models: any subset of text, audio and video, mixed within a batch."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoFeatureExtractor,
    AutoTokenizer,
    BatchFeature,
    FeatureExtractionMixin,
    PreTrainedTokenizerBase,
    Wav2Vec2FeatureExtractor,
)

from .batching import as_batch, check_batch, check_return_tensors, presence_of, scatter
from .feature_extraction_log_mel import LogMelFeatureExtractor
from .optional_parts import OptionalPartsProcessor
from .sound_features import encode_sound
from .turns import Turn, speaker_slots, window_of
from .video_processing_clip_frames import ClipFramesVideoProcessor, encode_videos

logger = logging.getLogger(__name__)

SPEAKERS = ("none", "neutral", "names")


class TrimodalProcessor(OptionalPartsProcessor):
    """Tokenizer, video processor and feature extractor of the sound behind one call; each may be missing.

    Args:
        tokenizer: the text model's tokenizer.
        video_processor: a `ClipFramesVideoProcessor`.
        feature_extractor: a `LogMelFeatureExtractor`; or that of a pretrained encoder of sound, see `encode_sound`.
        max_text_tokens: longer texts are cut there, with a warning.
        max_seconds: how much of a file the model was made for, from its beginning; longer audio is cut there.
        turns_before: how many earlier turns of a conversation the text encoder reads before a sample's own text.
        speakers: what stands before each turn, where there are earlier ones: "none": nothing; "neutral": "A:" before
            what the sample's speaker says, "B:" and so on before the others', "?:" where nobody knows who speaks;
            "names": who speaks, as it is given.

    Example:

    ```python
    >>> import numpy as np
    >>> from affecthub import LogMelFeatureExtractor, TrimodalProcessor
    >>> processor = TrimodalProcessor(feature_extractor=LogMelFeatureExtractor())
    >>> clips = [np.zeros(16000, dtype=np.float32), np.zeros(8000, dtype=np.float32)]
    >>> processor(audio=clips, sampling_rate=16000)["feature_attention_mask"].sum(dim=1).tolist()
    [63, 32]

    ```
    """

    part_names = ("tokenizer", "video_processor", "feature_extractor")
    part_of = {"text": "tokenizer", "audio": "feature_extractor", "video": "video_processor"}
    feature_extractor_class = LogMelFeatureExtractor
    contents = "neither text, audio nor video"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None = None,
        video_processor: ClipFramesVideoProcessor | None = None,
        feature_extractor: LogMelFeatureExtractor | FeatureExtractionMixin | None = None,
        max_text_tokens: int = 128,
        max_seconds: float = 15.0,
        crop_faces: bool = False,
        turns_before: int = 0,
        speakers: str = "none",
        **kwargs,
    ):
        if speakers not in SPEAKERS:
            raise ValueError(f"speakers={speakers!r}: choose one of {', '.join(SPEAKERS)}.")
        self.max_text_tokens, self.max_seconds, self.crop_faces = max_text_tokens, max_seconds, crop_faces
        self.turns_before, self.speakers = turns_before, speakers
        self.hold(tokenizer=tokenizer, video_processor=video_processor, feature_extractor=feature_extractor)

    @classmethod
    def from_encoders_pretrained(
        cls,
        text_encoder: str | None = None,
        vision_encoder: str | None = None,
        audio: bool = True,
        num_frames: int = 8,
        audio_encoder: str | None = None,
        **kwargs,
    ) -> "TrimodalProcessor":
        """The processor that goes with a model's `from_encoders_pretrained`.

        Args:
            text_encoder, vision_encoder: folder or Hub id; None leaves that modality out.
            audio: whether there is a log-mel extractor, where no `audio_encoder` is named.
            num_frames: frames that the model sees of a clip.
            audio_encoder: folder or Hub id of a pretrained encoder of sound.
            kwargs: further arguments of the processor.
        """
        return cls(
            tokenizer=AutoTokenizer.from_pretrained(text_encoder) if text_encoder else None,
            video_processor=(
                ClipFramesVideoProcessor.from_image_processor(vision_encoder, num_frames) if vision_encoder else None
            ),
            feature_extractor=(
                AutoFeatureExtractor.from_pretrained(audio_encoder)
                if audio_encoder
                else LogMelFeatureExtractor()
                if audio
                else None
            ),
            **kwargs,
        )

    @property
    def reads_history(self) -> bool:
        """Whether the text encoder reads earlier turns before a sample's own text."""
        return self.turns_before > 0 and not self.turns_apart

    @property
    def model_input_names(self) -> list[str]:
        """Keys that a call may return."""
        turns = ["text_turn_mask"] if self.reads_history else []
        text = [*self.tokenizer.model_input_names, *turns, "text_present"] if self.tokenizer else []
        audio = [self.audio_input, "feature_attention_mask", "audio_present"] if self.feature_extractor else []
        video = ["pixel_values_videos", "video_attention_mask", "video_present"] if self.video_processor else []
        return text + audio + video

    @property
    def audio_input(self) -> str:
        """The model's argument that its sound is for."""
        waveform = isinstance(self.feature_extractor, Wav2Vec2FeatureExtractor)
        return "input_values" if waveform else "input_features"

    def __call__(
        self,
        text: str | Sequence[str | None] | None = None,
        audio: np.ndarray | Sequence[np.ndarray | None] | None = None,
        videos: np.ndarray | Sequence[np.ndarray | None] | None = None,
        sampling_rate: int | None = None,
        history: Sequence[Sequence[Turn]] | None = None,
        speaker: Sequence[str | None] | None = None,
        return_tensors: str = "pt",
        **kwargs,
    ) -> BatchFeature:
        """Turn a batch of utterances into model inputs.

        Args:
            text: one text or a list, None where a sample has none.
            audio: float (samples,) mono in -1..1, or a list, None where a sample has none.
            videos: uint8 (time, height, width, 3) RGB, or a list, None where a sample has none.
            sampling_rate: of the audio in Hz; required with audio.
            history: of a processor with `turns_before`, the turns before each sample, oldest first, each a dictionary
                with text and speaker; more than it takes, or than `max_text_tokens` have room for, are left out, the
                oldest first.
            speaker: who speaks in each sample.
            return_tensors: only "pt".
            kwargs: for the tokenizer, by themselves or within `text_kwargs`: `padding` ("longest", or "max_length"),
                `truncation`, and `max_length` in the place of `max_text_tokens`.

        Returns:
            For each modality that was passed:
            input_ids, attention_mask (and token_type_ids) (batch, tokens), text_present (batch,), and with
            `turns_before` text_turn_mask (batch, tokens): 1 = of the sample's own text, not of an earlier turn;
            input_features (batch, frames, mel bands), feature_attention_mask (batch, frames), audio_present (batch,),
            for some pretrained encoders input_values (batch, samples) instead, with a mask as long;
            pixel_values_videos (batch, frames, 3, height, width), video_attention_mask (batch, frames),
            video_present (batch,). Masks are 1 = real; what stands behind an absent mask is 0.

        Raises:
            ValueError: batches of different lengths, a sample with nothing in it, a modality without its part, audio
                without its sampling rate or at another one, or values that are no text, audio or video.
            TypeError: another argument.
        """
        check_return_tensors(return_tensors)
        options = tokenizer_options(kwargs, self.max_text_tokens)
        passed = {"text": as_batch(text, str), "audio": as_batch(audio), "videos": as_batch(videos)}
        passed = {name: batch for name, batch in passed.items() if batch is not None}
        check_batch(passed, self.contents)
        return BatchFeature(self.encode_utterances(passed, sampling_rate, history, speaker, options))

    def encode_utterances(
        self,
        passed: dict[str, list],
        sampling_rate: int | None,
        history: Sequence[Sequence[Turn]] | None,
        speaker: Sequence[str | None] | None,
        options: dict[str, Any],
    ) -> dict[str, torch.Tensor]:
        """What a call returns of those of text, audio and videos that were passed; `options` are the tokenizer's."""
        if wrong := [entry for entry in passed.get("text", []) if not isinstance(entry, str | None)]:
            raise ValueError(f"text={wrong[0]!r} is no string; pass None for a sample without text.")
        output = {}
        if not self.reads_history and any(history or ()):
            raise ValueError("history was passed to a processor that reads none: leave it out, or set turns_before.")
        if "text" in passed and self.reads_history:
            output |= self._encode_conversations(passed["text"], history, speaker, options)
        elif "text" in passed:
            output |= self._encode_text(passed["text"], options)
        if "audio" in passed:
            output |= self._encode_audio(passed["audio"], sampling_rate)
        if "videos" in passed:
            output |= self._encode_videos(passed["videos"])
        return output

    def _encode_text(self, texts: list[str | None], options: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Tokenize; a sample without text is tokenized as an empty one behind an absent mask."""
        tokenizer = self.require("tokenizer", "text")
        encoded = tokenizer([entry or "" for entry in texts])
        self._warn_if_cut(max(len(ids) for ids in encoded["input_ids"]), options)
        encoded = tokenizer([entry or "" for entry in texts], return_tensors="pt", **options)
        return {**encoded, "text_present": presence_of(texts)}

    def _warn_if_cut(self, longest: int, options: dict[str, Any]) -> None:
        if longest > options["max_length"] == self.max_text_tokens:
            logger.warning(
                "A text of %d tokens is cut to max_text_tokens=%d; raise it in the processor if the end matters.",
                longest,
                self.max_text_tokens,
            )

    def context_of(self, samples: Sequence[Turn]) -> dict[str, list]:
        """The turns before each sample and who speaks in it, where the text encoder reads them."""
        if not self.reads_history or all(sample.get("text") is None for sample in samples):
            return {}
        return {
            "history": [sample.get("history") or [] for sample in samples],
            "speaker": [sample.get("speaker") for sample in samples],
        }

    def _encode_conversations(
        self,
        texts: list[str | None],
        history: Sequence[Sequence[Turn]] | None,
        speaker: Sequence[str | None] | None,
        options: dict[str, Any],
    ) -> dict[str, torch.Tensor]:
        """Tokenize each text behind the turns before it, as the second of a pair of texts."""
        tokenizer = self.require("tokenizer", "text")
        history, speaker = history or [()] * len(texts), speaker or [None] * len(texts)
        sizes = {"text": len(texts), "history": len(history), "speaker": len(speaker)}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"Batches differ in length: {sizes}. Put an empty history where a sample has none.")
        longest = options["max_length"]
        pairs = [self._with_history(*parts, longest) for parts in zip(texts, history, speaker, strict=True)]
        self._warn_if_cut(
            max(self._length(pair[-1]) + tokenizer.num_special_tokens_to_add() for pair in pairs), options
        )
        rows = [tokenizer(*pair, truncation=options["truncation"], max_length=longest) for pair in pairs]
        encoded = tokenizer.pad(
            {key: [row[key] for row in rows] for key in rows[0]},
            padding=options["padding"],
            max_length=longest if options["padding"] == "max_length" else None,
            return_tensors="pt",
        )
        mask = torch.zeros_like(encoded["input_ids"])
        for place, (pair, row) in enumerate(zip(pairs, rows, strict=True)):
            own = [int(part == len(pair) - 1) for part in row.sequence_ids(0)]  # None of a special token
            mask[place, : len(own)] = torch.tensor(own)
        return {**encoded, "text_turn_mask": mask, "text_present": presence_of(texts)}

    def _with_history(
        self, text: str | None, history: Sequence[Turn], speaker: str | None, longest: int
    ) -> tuple[str, ...]:
        """The turns before a text that there is room for, joined by separators, and the text; or the text alone."""
        turns = [
            turn
            for turn in window_of({"text": text or "", "speaker": speaker, "history": history}, self.turns_before, 0)
            if turn is not None and turn.get("text") is not None
        ]
        *earlier, own = self._with_speakers(turns)
        tokenizer = self.tokenizer
        room = longest - tokenizer.num_special_tokens_to_add(pair=True) - self._length(own)
        separator = f" {tokenizer.sep_token} " if tokenizer.sep_token else "\n"
        kept: list[str] = []
        for turn in reversed(earlier):
            room -= self._length(turn) + bool(kept)  # and the separator behind it; the last has that of the pair
            if room < 0:
                break
            kept.insert(0, turn)
        return (separator.join(kept), own) if kept else (own,)

    def _length(self, text: str) -> int:
        """Tokens of a text by itself."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _with_speakers(self, turns: Sequence[Turn]) -> list[str]:
        """The texts of turns, the last of which is judged, behind who says them."""
        names = [turn.get("speaker") for turn in turns]
        if self.speakers == "none":
            return [turn["text"] for turn in turns]
        if self.speakers == "neutral":
            letters = "ABCDEFG?"
            names = [letters[slot] for slot in speaker_slots(names, len(names) - 1, len(letters))]
        return [f"{name or '?'}: {turn['text']}" for name, turn in zip(names, turns, strict=True)]

    def _encode_audio(self, clips: list[np.ndarray | None], sampling_rate: int | None) -> dict[str, torch.Tensor]:
        """Features of the samples that have audio, zeros elsewhere."""
        extractor = self.require("feature_extractor", "audio")
        present = presence_of(clips)
        if not present.any():
            return {}
        longest = int(self.max_seconds * extractor.sampling_rate)
        heard = [np.asarray(clip)[:longest] for clip in clips if clip is not None]
        if self.log_mel:
            features = extractor(heard, sampling_rate=sampling_rate, return_tensors="pt")
        else:
            features = encode_sound(extractor, heard, sampling_rate)
        return {key: scatter(values, present) for key, values in features.items()} | {"audio_present": present}

    def _encode_videos(self, videos: list[np.ndarray | None]) -> dict[str, torch.Tensor]:
        """Pixels of the samples that have video, padded to the most frames, zeros elsewhere."""
        processor = self.require("video_processor", "videos")
        return encode_videos(processor, videos)


def tokenizer_options(passed: Mapping[str, Any], max_length: int) -> dict[str, Any]:
    """How texts are cut and padded, from a call's further arguments.

    Args:
        passed: `padding`, `truncation` and `max_length`, by themselves or within `text_kwargs`.
        max_length: unless it is passed.

    Raises:
        TypeError: something else was passed.
        ValueError: texts are not to be padded, which no batch can be.
    """
    options = {"padding": True, "truncation": True, "max_length": max_length}
    given = {
        **passed.get("text_kwargs", {}),
        **{name: value for name, value in passed.items() if name != "text_kwargs"},
    }
    if unknown := sorted(given.keys() - options.keys()):
        raise TypeError(f"{unknown}: a call takes of a tokenizer's options {[*options]}, or these in `text_kwargs`.")
    if given.get("padding", True) not in (True, "longest", "max_length"):
        raise ValueError(f"padding={given['padding']!r}: the texts of a batch are padded: 'longest' or 'max_length'.")
    return options | given


__all__ = ["TrimodalProcessor"]
