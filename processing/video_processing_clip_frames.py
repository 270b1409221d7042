"""Frames of a clip -> normalised pixel tensors, by transformers' own video processor."""

import numpy as np
from transformers import AutoImageProcessor
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, PILImageResampling
from transformers.video_processing_utils import BaseVideoProcessor


def uniform_indices(total: int, count: int) -> np.ndarray:
    """Indices of `count` frames out of `total`: the middles of `count` equal segments; all of them when fewer."""
    if total <= count:
        return np.arange(total)
    return ((np.arange(count) + 0.5) * total / count).astype(np.int64)


class ClipFramesVideoProcessor(BaseVideoProcessor):
    """Resize, centre crop, rescale and normalise every frame of a clip.

    Args:
        num_frames: frames that the model sees of a clip; of a longer one, the middles of as many equal segments.
        size, crop_size, image_mean, image_std, resample: as in transformers; the defaults are CLIP's.
    """

    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    size = {"shortest_edge": 224}
    crop_size = {"height": 224, "width": 224}
    do_resize = True
    do_center_crop = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    do_sample_frames = False  # `select` samples; the base class would want the file's metadata
    num_frames = 8
    model_input_names = ["pixel_values_videos"]

    @classmethod
    def from_image_processor(cls, name_or_path: str, num_frames: int = 8) -> "ClipFramesVideoProcessor":
        """The same resizing and normalisation as a pretrained image model's, from a folder or a Hub id."""
        image = AutoImageProcessor.from_pretrained(name_or_path)
        names = ("resample", "image_mean", "image_std", "size", "crop_size", "do_center_crop", "do_normalize")
        known = {name: getattr(image, name, None) for name in names}
        return cls(num_frames=num_frames, **{name: value for name, value in known.items() if value is not None})

    def select(self, video: np.ndarray) -> np.ndarray:
        """At most `num_frames` frames, uniformly chosen: uint8 (time, height, width, 3) -> (frames, ...).

        Raises ValueError for anything but a clip of RGB frames with values 0..255.
        """
        video = np.asarray(video)
        if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != np.uint8 or not len(video):
            raise ValueError(
                f"A video is an array uint8 (time, height, width, 3) of RGB frames with time >= 1; got {video.dtype} "
                f"{video.shape}."
            )
        return video[uniform_indices(len(video), self.num_frames)]


__all__ = ["ClipFramesVideoProcessor"]
