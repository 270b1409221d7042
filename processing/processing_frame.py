"""Processor of the frame models: frames, or clips of frames."""

from collections.abc import Sequence

import numpy as np
from transformers import BatchFeature

from .batching import as_batch, check_batch, check_return_tensors
from .optional_parts import OptionalPartsProcessor
from .video_processing_clip_frames import ClipFramesVideoProcessor, as_clips, encode_videos, square_frames


class FrameProcessor(OptionalPartsProcessor):
    """A video processor behind the call of the other processors.

    Args:
        video_processor: a `ClipFramesVideoProcessor`.
        crop_faces: whether the model was made for faces that were cut out of their frames.
        max_seconds: time that a clip of the model's covers.

    Example:

    ```python
    >>> import numpy as np
    >>> from affecthub import FrameProcessor
    >>> batch = FrameProcessor.square(32)(videos=[np.zeros((48, 64, 3), dtype=np.uint8)])
    >>> list(batch["pixel_values_videos"].shape)
    [1, 1, 3, 32, 32]

    ```
    """

    part_names = ("video_processor",)
    part_of = {"video": "video_processor"}
    contents = "no video"

    def __init__(
        self,
        video_processor: ClipFramesVideoProcessor | None = None,
        crop_faces: bool = False,
        max_seconds: float = 1.0,
        **kwargs,
    ):
        self.crop_faces, self.max_seconds = crop_faces, max_seconds
        self.hold(video_processor=video_processor)

    @classmethod
    def square(cls, side: int = 224, num_frames: int = 10) -> "FrameProcessor":
        """For a frame encoder from scratch: see `square_frames`."""
        return cls(square_frames(side, num_frames))

    @classmethod
    def from_encoders_pretrained(cls, vision_encoder: str, num_frames: int = 10) -> "FrameProcessor":
        """The processor that goes with a model's `from_encoders_pretrained`.

        Args:
            vision_encoder: folder or Hub id.
            num_frames: frames that the model sees of a clip.
        """
        return cls(ClipFramesVideoProcessor.from_image_processor(vision_encoder, num_frames))

    @property
    def model_input_names(self) -> list[str]:
        """Keys that a call returns."""
        return ["pixel_values_videos", "video_attention_mask", "video_present"]

    def __call__(
        self, videos: np.ndarray | Sequence[np.ndarray] | None = None, return_tensors: str = "pt"
    ) -> BatchFeature:
        """Turn a batch of frames or clips into model inputs.

        Args:
            videos: uint8 frame (height, width, 3) or clip (time, height, width, 3) in RGB, or a list of them.
            return_tensors: only "pt".

        Returns:
            pixel_values_videos (batch, frames, 3, height, width), video_attention_mask (batch, frames) and
            video_present (batch,), 1 = real.

        Raises:
            ValueError: nothing in the batch or in a sample, or values that are no frames.
        """
        check_return_tensors(return_tensors)
        batch = as_batch(videos) or []
        check_batch({"videos": batch}, self.contents)
        return BatchFeature(encode_videos(self.require("video_processor", "videos"), as_clips(batch)))


__all__ = ["FrameProcessor"]
