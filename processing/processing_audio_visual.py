"""Processor of audio-visual fusion: frames and the raw waveform."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import BatchFeature, Wav2Vec2FeatureExtractor

from .batching import check_batch, check_return_tensors, presence_of, scatter
from .optional_parts import OptionalPartsProcessor
from .video_processing_clip_frames import ClipFramesVideoProcessor, as_clips, encode_videos
from .waveforms import check_sampling_rate, checked_clips


class AudioVisualProcessor(OptionalPartsProcessor):
    """Video processor and waveform extractor behind one call; each may be missing.

    Args:
        video_processor: a `ClipFramesVideoProcessor`.
        feature_extractor: transformers' `Wav2Vec2FeatureExtractor`, which brings each clip to mean 0 and variance 1.
        crop_faces: whether the model was made for faces that were cut out of their frames.
        max_seconds: longer audio is cut there.
    """

    part_names = ("video_processor", "feature_extractor")
    part_of = {"audio": "feature_extractor", "video": "video_processor"}
    feature_extractor_class = Wav2Vec2FeatureExtractor
    contents = "neither audio nor video"

    def __init__(
        self,
        video_processor: ClipFramesVideoProcessor | None = None,
        feature_extractor: Wav2Vec2FeatureExtractor | None = None,
        crop_faces: bool = False,
        max_seconds: float = 15.0,
        **kwargs,
    ):
        self.crop_faces, self.max_seconds = crop_faces, max_seconds
        self.hold(video_processor=video_processor, feature_extractor=feature_extractor)

    @classmethod
    def from_encoders_pretrained(cls, vision_encoder: str, num_frames: int = 10, **kwargs) -> "AudioVisualProcessor":
        """The processor that goes with a model's `from_encoders_pretrained`.

        Args:
            vision_encoder: folder or Hub id.
            num_frames: frames that the model sees of a clip.
            kwargs: further arguments of the processor.
        """
        video_processor = ClipFramesVideoProcessor.from_image_processor(vision_encoder, num_frames)
        return cls(video_processor, Wav2Vec2FeatureExtractor(), **kwargs)

    @property
    def model_input_names(self) -> list[str]:
        """Keys that a call may return."""
        video = ["pixel_values_videos", "video_attention_mask", "video_present"] if self.video_processor else []
        audio = ["input_values", "audio_attention_mask", "audio_present"] if self.feature_extractor else []
        return audio + video

    def __call__(
        self,
        audio: Sequence[np.ndarray | None] | None = None,
        videos: Sequence[np.ndarray | None] | None = None,
        sampling_rate: int | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Turn a batch into model inputs.

        Args:
            audio: a list of float (samples,) mono in -1..1, None where a sample has none.
            videos: a list of uint8 frames (height, width, 3) or clips (time, height, width, 3) in RGB, None where a
                sample has none.
            sampling_rate: of the audio in Hz; required with audio.
            return_tensors: only "pt".

        Returns:
            For each modality that was passed: input_values (batch, samples), audio_attention_mask (batch, samples),
            audio_present (batch,); pixel_values_videos (batch, frames, 3, height, width), video_attention_mask
            (batch, frames), video_present (batch,). Masks are 1 = real.

        Raises:
            ValueError: batches of different lengths, a sample with nothing in it, a modality without its part, audio
                without its sampling rate or at another one, or values that are no samples or frames.
        """
        check_return_tensors(return_tensors)
        passed = {"audio": audio, "videos": videos}
        passed = {name: list(batch) for name, batch in passed.items() if batch is not None}
        check_batch(passed, self.contents)
        output = {}
        if "audio" in passed:
            output |= self._encode_audio(passed["audio"], sampling_rate)
        if "videos" in passed:
            output |= encode_videos(self.require("video_processor", "videos"), as_clips(passed["videos"]))
        return BatchFeature(output)

    def _encode_audio(self, clips: list[np.ndarray | None], sampling_rate: int | None) -> dict[str, torch.Tensor]:
        """Waveforms of the samples that have audio, zeros elsewhere; nothing when none has."""
        extractor = self.require("feature_extractor", "audio")
        present = presence_of(clips)
        if not present.any():
            return {}
        check_sampling_rate(sampling_rate, extractor.sampling_rate)
        longest = int(self.max_seconds * extractor.sampling_rate)
        heard = [clip[:longest] for clip in checked_clips([clip for clip in clips if clip is not None])]
        batch = extractor(
            heard, sampling_rate=sampling_rate, padding=True, return_attention_mask=True, return_tensors="pt"
        )
        return {
            "input_values": scatter(batch["input_values"].float(), present),
            "audio_attention_mask": scatter(batch["attention_mask"].long(), present),
            "audio_present": present,
        }


__all__ = ["AudioVisualProcessor"]
