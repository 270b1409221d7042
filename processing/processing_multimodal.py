"""Processor of token fusion: any subset of text, audio, video and features, mixed within a batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature, FeatureExtractionMixin, PreTrainedTokenizerBase

from .batching import as_batch, check_batch, check_return_tensors
from .feature_extraction_log_mel import LogMelFeatureExtractor
from .feature_extraction_physio import PhysioFeatureExtractor
from .processing_trimodal import TrimodalProcessor, tokenizer_options
from .turns import Turn
from .video_processing_clip_frames import ClipFramesVideoProcessor


class MultimodalProcessor(TrimodalProcessor):
    """A `TrimodalProcessor` with the statistics of features as a fourth part; each may be missing.

    Args:
        physio_feature_extractor: a `PhysioFeatureExtractor`, fitted on the training split.
        tokenizer, video_processor, feature_extractor, kwargs: as `TrimodalProcessor`.
    """

    part_names = (*TrimodalProcessor.part_names, "physio_feature_extractor")
    part_of = {**TrimodalProcessor.part_of, "physio": "physio_feature_extractor"}
    nested_parts = {"physio_feature_extractor": PhysioFeatureExtractor}
    contents = "neither text, audio, video nor physiology"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None = None,
        video_processor: ClipFramesVideoProcessor | None = None,
        feature_extractor: LogMelFeatureExtractor | FeatureExtractionMixin | None = None,
        physio_feature_extractor: PhysioFeatureExtractor | None = None,
        max_text_tokens: int = 128,
        max_seconds: float = 15.0,
        crop_faces: bool = False,
        turns_before: int = 0,
        speakers: str = "none",
        **kwargs,
    ):
        self.physio_feature_extractor = physio_feature_extractor
        super().__init__(
            tokenizer,
            video_processor,
            feature_extractor,
            max_text_tokens=max_text_tokens,
            max_seconds=max_seconds,
            crop_faces=crop_faces,
            turns_before=turns_before,
            speakers=speakers,
        )

    def hold(self, **parts: Any) -> None:
        """Keep the parts that are not None; TypeError for a part of the wrong kind."""
        super().hold(physio_feature_extractor=self.physio_feature_extractor, **parts)

    @property
    def model_input_names(self) -> list[str]:
        """Keys that a call may return."""
        physio = self.physio_feature_extractor
        return super().model_input_names + (physio.model_input_names if physio else [])

    def __call__(
        self,
        text: str | Sequence[str | None] | None = None,
        audio: np.ndarray | Sequence[np.ndarray | None] | None = None,
        videos: np.ndarray | Sequence[np.ndarray | None] | None = None,
        physio: Sequence[np.ndarray | None] | None = None,
        sampling_rate: int | None = None,
        history: Sequence[Sequence[Turn]] | None = None,
        speaker: Sequence[str | None] | None = None,
        return_tensors: str = "pt",
        **kwargs,
    ) -> BatchFeature:
        """Turn a batch into model inputs.

        Args:
            physio: a list of vectors (features,) or sequences (steps, features), None where a sample has none, NaN
                where nothing was measured.
            text, audio, videos, sampling_rate, history, speaker, return_tensors, kwargs: as `TrimodalProcessor`.

        Returns:
            What a `TrimodalProcessor` returns; physio_values (batch, steps, features), physio_attention_mask (batch,
            steps), physio_present (batch,).

        Raises:
            ValueError, TypeError: as `TrimodalProcessor`; or values that are no features.
        """
        check_return_tensors(return_tensors)
        options = tokenizer_options(kwargs, self.max_text_tokens)
        passed = {"text": as_batch(text, str), "audio": as_batch(audio), "videos": as_batch(videos), "physio": physio}
        passed = {name: list(batch) for name, batch in passed.items() if batch is not None}
        check_batch(passed, self.contents)
        output = self.encode_utterances(passed, sampling_rate, history, speaker, options)
        if "physio" in passed:
            output |= self.require("physio_feature_extractor", "physio")(passed["physio"])
        return BatchFeature(output)


__all__ = ["MultimodalProcessor"]
