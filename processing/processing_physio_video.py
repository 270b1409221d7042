"""Processor of the physiology models: a frame or clip, and a feature vector or sequence."""

from collections.abc import Sequence

import numpy as np
from transformers import BatchFeature

from .batching import check_batch, check_return_tensors
from .feature_extraction_physio import PhysioFeatureExtractor
from .optional_parts import OptionalPartsProcessor
from .video_processing_clip_frames import ClipFramesVideoProcessor, as_clips, encode_videos


class PhysioVideoProcessor(OptionalPartsProcessor):
    """Video processor and feature statistics behind one call; each may be missing.

    Args:
        video_processor: a `ClipFramesVideoProcessor`.
        feature_extractor: a `PhysioFeatureExtractor`, fitted on the training split.
        crop_faces: whether the model was made for faces that were cut out of their frames.
        max_seconds: time that a clip of the model's covers.
    """

    part_names = ("video_processor", "feature_extractor")
    part_of = {"video": "video_processor", "physio": "feature_extractor"}
    feature_extractor_class = PhysioFeatureExtractor
    contents = "neither video nor physiology"

    def __init__(
        self,
        video_processor: ClipFramesVideoProcessor | None = None,
        feature_extractor: PhysioFeatureExtractor | None = None,
        crop_faces: bool = False,
        max_seconds: float = 1.0,
        **kwargs,
    ):
        self.crop_faces, self.max_seconds = crop_faces, max_seconds
        self.hold(video_processor=video_processor, feature_extractor=feature_extractor)

    @classmethod
    def from_encoders_pretrained(
        cls, vision_encoder: str, feature_extractor: PhysioFeatureExtractor | None = None, num_frames: int = 10
    ) -> "PhysioVideoProcessor":
        """The processor that goes with a model's `from_encoders_pretrained`.

        Args:
            vision_encoder: folder or Hub id.
            feature_extractor: fitted on the training split.
            num_frames: frames that the model sees of a clip.
        """
        return cls(ClipFramesVideoProcessor.from_image_processor(vision_encoder, num_frames), feature_extractor)

    @property
    def model_input_names(self) -> list[str]:
        """Keys that a call may return."""
        video = ["pixel_values_videos", "video_attention_mask", "video_present"] if self.video_processor else []
        return video + (self.feature_extractor.model_input_names if self.feature_extractor else [])

    def __call__(
        self,
        videos: Sequence[np.ndarray | None] | None = None,
        physio: Sequence[np.ndarray | None] | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Turn a batch into model inputs.

        Args:
            videos: a list of uint8 frames (height, width, 3) or clips (time, height, width, 3) in RGB, None where a
                sample has none.
            physio: a list of vectors (features,) or sequences (steps, features), None where a sample has none, NaN
                where nothing was measured.
            return_tensors: only "pt".

        Returns:
            For each modality that was passed: pixel_values_videos (batch, frames, 3, height, width),
            video_attention_mask (batch, frames), video_present (batch,); physio_values (batch, steps, features),
            physio_attention_mask (batch, steps), physio_present (batch,). Masks are 1 = real.

        Raises:
            ValueError: batches of different lengths, a sample with nothing in it, a modality without its part, or
                values that are no frames or features.
        """
        check_return_tensors(return_tensors)
        passed = {"videos": videos, "physio": physio}
        passed = {name: list(batch) for name, batch in passed.items() if batch is not None}
        check_batch(passed, self.contents)
        output = {}
        if "videos" in passed:
            output |= encode_videos(self.require("video_processor", "videos"), as_clips(passed["videos"]))
        if "physio" in passed:
            output |= self.require("feature_extractor", "physio")(passed["physio"])
        return BatchFeature(output)


__all__ = ["PhysioVideoProcessor"]
