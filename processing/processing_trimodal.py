"""Processor of the utterance models: any subset of text, audio and video, mixed within a batch."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase

from .batching import as_batch, check_batch, check_return_tensors, presence_of, scatter
from .feature_extraction_log_mel import LogMelFeatureExtractor
from .optional_parts import OptionalPartsProcessor
from .video_processing_clip_frames import ClipFramesVideoProcessor, encode_videos

logger = logging.getLogger(__name__)


class TrimodalProcessor(OptionalPartsProcessor):
    """Tokenizer, video processor and log-mel extractor behind one call; each may be missing.

    Args:
        tokenizer: the text model's tokenizer.
        video_processor: a `ClipFramesVideoProcessor`.
        feature_extractor: a `LogMelFeatureExtractor`.
        max_text_tokens: longer texts are cut there, with a warning.
        max_seconds: how much of a file the model was made for, from its beginning; longer audio is cut there.

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
        feature_extractor: LogMelFeatureExtractor | None = None,
        max_text_tokens: int = 128,
        max_seconds: float = 15.0,
        crop_faces: bool = False,
        **kwargs,
    ):
        self.max_text_tokens, self.max_seconds, self.crop_faces = max_text_tokens, max_seconds, crop_faces
        self.hold(tokenizer=tokenizer, video_processor=video_processor, feature_extractor=feature_extractor)

    @classmethod
    def from_encoders_pretrained(
        cls,
        text_encoder: str | None = None,
        vision_encoder: str | None = None,
        audio: bool = True,
        num_frames: int = 8,
        **kwargs,
    ) -> "TrimodalProcessor":
        """The processor that goes with a model's `from_encoders_pretrained`.

        Args:
            text_encoder, vision_encoder: folder or Hub id; None leaves that modality out.
            audio: whether there is a log-mel extractor.
            num_frames: frames that the model sees of a clip.
            kwargs: further arguments of the processor.
        """
        return cls(
            tokenizer=AutoTokenizer.from_pretrained(text_encoder) if text_encoder else None,
            video_processor=(
                ClipFramesVideoProcessor.from_image_processor(vision_encoder, num_frames) if vision_encoder else None
            ),
            feature_extractor=LogMelFeatureExtractor() if audio else None,
            **kwargs,
        )

    @property
    def model_input_names(self) -> list[str]:
        """Keys that a call may return."""
        text = [*self.tokenizer.model_input_names, "text_present"] if self.tokenizer else []
        audio = ["input_features", "feature_attention_mask", "audio_present"] if self.feature_extractor else []
        video = ["pixel_values_videos", "video_attention_mask", "video_present"] if self.video_processor else []
        return text + audio + video

    def __call__(
        self,
        text: str | Sequence[str | None] | None = None,
        audio: np.ndarray | Sequence[np.ndarray | None] | None = None,
        videos: np.ndarray | Sequence[np.ndarray | None] | None = None,
        sampling_rate: int | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Turn a batch of utterances into model inputs.

        Args:
            text: one text or a list, None where a sample has none.
            audio: float (samples,) mono in -1..1, or a list, None where a sample has none.
            videos: uint8 (time, height, width, 3) RGB, or a list, None where a sample has none.
            sampling_rate: of the audio in Hz; required with audio.
            return_tensors: only "pt".

        Returns:
            For each modality that was passed:
            input_ids, attention_mask (and token_type_ids) (batch, tokens), text_present (batch,);
            input_features (batch, frames, mel bands), feature_attention_mask (batch, frames), audio_present (batch,);
            pixel_values_videos (batch, frames, 3, height, width), video_attention_mask (batch, frames),
            video_present (batch,). Masks are 1 = real; what stands behind an absent mask is 0.

        Raises:
            ValueError: batches of different lengths, a sample with nothing in it, a modality without its part, audio
                without its sampling rate or at another one, or values that are no text, audio or video.
        """
        check_return_tensors(return_tensors)
        passed = {"text": as_batch(text, str), "audio": as_batch(audio), "videos": as_batch(videos)}
        passed = {name: batch for name, batch in passed.items() if batch is not None}
        check_batch(passed, self.contents)
        if wrong := [entry for entry in passed.get("text", []) if not isinstance(entry, str | None)]:
            raise ValueError(f"text={wrong[0]!r} is no string; pass None for a sample without text.")
        output = {}
        if "text" in passed:
            output |= self._encode_text(passed["text"])
        if "audio" in passed:
            output |= self._encode_audio(passed["audio"], sampling_rate)
        if "videos" in passed:
            output |= self._encode_videos(passed["videos"])
        return BatchFeature(output)

    def _encode_text(self, texts: list[str | None]) -> dict[str, torch.Tensor]:
        """Tokenize; a sample without text is tokenized as an empty one behind an absent mask."""
        tokenizer = self.require("tokenizer", "text")
        encoded = tokenizer([entry or "" for entry in texts])
        longest = max(len(ids) for ids in encoded["input_ids"])
        if longest > self.max_text_tokens:
            logger.warning(
                "A text of %d tokens is cut to max_text_tokens=%d; raise it in the processor if the end matters.",
                longest,
                self.max_text_tokens,
            )
        encoded = tokenizer(
            [entry or "" for entry in texts],
            padding=True,
            truncation=True,
            max_length=self.max_text_tokens,
            return_tensors="pt",
        )
        return {**encoded, "text_present": presence_of(texts)}

    def _encode_audio(self, clips: list[np.ndarray | None], sampling_rate: int | None) -> dict[str, torch.Tensor]:
        """Log-mel features of the samples that have audio, zeros elsewhere."""
        extractor = self.require("feature_extractor", "audio")
        present = presence_of(clips)
        if not present.any():
            return {}
        longest = int(self.max_seconds * extractor.sampling_rate)
        heard = [np.asarray(clip)[:longest] for clip in clips if clip is not None]
        features = extractor(heard, sampling_rate=sampling_rate, return_tensors="pt")
        return {
            "input_features": scatter(features["input_features"], present),
            "feature_attention_mask": scatter(features["feature_attention_mask"], present),
            "audio_present": present,
        }

    def _encode_videos(self, videos: list[np.ndarray | None]) -> dict[str, torch.Tensor]:
        """Pixels of the samples that have video, padded to the most frames, zeros elsewhere."""
        processor = self.require("video_processor", "videos")
        return encode_videos(processor, videos)


__all__ = ["TrimodalProcessor"]
