"""Frames of a clip -> normalised pixel tensors, by transformers' own video processor."""

import numpy as np
import torch
from transformers import AutoImageProcessor, BatchFeature
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, PILImageResampling
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import VideoInput

from .batching import presence_of, scatter


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

    _auto_class = "AutoVideoProcessor"  # saving copies the code, for those who do not have this package
    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    size = {"shortest_edge": 224}
    default_to_square = False  # a size that is one number is the shorter side's
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
        known = {name: getattr(image, name) for name in names if getattr(image, name, None) is not None}
        if fraction := getattr(image, "crop_pct", None):  # ResNet's: resize to more, then crop
            edge = image.size["shortest_edge"]
            known["size"] = {"shortest_edge": int(edge / fraction)}
            known["crop_size"] = {"height": edge, "width": edge}
        else:
            known.setdefault("do_center_crop", False)
        return cls(num_frames=num_frames, **known)

    def preprocess(self, videos: VideoInput, **kwargs) -> BatchFeature:
        """As in transformers; ValueError for `fps` of frames whose times nobody states."""
        if (fps := kwargs.get("fps")) is not None and kwargs.get("video_metadata") is None:
            raise ValueError(
                f"fps={fps}: these are frames without times; pass do_sample_frames=True and video_metadata "
                "with it, or leave it out."
            )
        return super().preprocess(videos, **kwargs)

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


def square_frames(side: int = 224, num_frames: int = 10) -> ClipFramesVideoProcessor:
    """For a frame encoder from scratch: the whole frame at `side` x `side`, values -1..1.

    Nothing is cropped away, because a face crop is already what matters.
    """
    size = {"height": side, "width": side}
    half = [0.5, 0.5, 0.5]
    return ClipFramesVideoProcessor(
        size=size, do_center_crop=False, image_mean=half, image_std=half, num_frames=num_frames
    )


def as_clips(videos: list[np.ndarray | None]) -> list[np.ndarray | None]:
    """Lone frames (height, width, 3) as clips of one frame (1, height, width, 3); all else as it is."""
    return [video[None] if video is not None and np.ndim(video) == 3 else video for video in videos]


def encode_videos(processor: ClipFramesVideoProcessor, videos: list[np.ndarray | None]) -> dict[str, torch.Tensor]:
    """Pixels of the samples that have video, padded to the most frames, zeros elsewhere; nothing when none has.

    Args:
        processor: chooses, resizes and normalises the frames.
        videos: uint8 (time, height, width, 3) RGB, None where a sample has none.

    Returns:
        pixel_values_videos (batch, frames, 3, height, width), video_attention_mask (batch, frames) and video_present
        (batch,), 1 = real.
    """
    present = presence_of(videos)
    if not present.any():
        return {}
    chosen = [processor.select(video) for video in videos if video is not None]
    pixels = processor(chosen, input_data_format="channels_last")["pixel_values_videos"]
    pad = torch.nn.utils.rnn.pad_sequence
    masks = pad([torch.ones(len(clip), dtype=torch.long) for clip in chosen], batch_first=True)
    return {
        "pixel_values_videos": scatter(pad(list(pixels), batch_first=True), present),
        "video_attention_mask": scatter(masks, present),
        "video_present": present,
    }


__all__ = ["ClipFramesVideoProcessor"]
