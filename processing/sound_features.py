"""The feature extractors of transformers' encoders of sound, behind the names that our models take."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    ASTFeatureExtractor,
    FeatureExtractionMixin,
    PreTrainedConfig,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from .waveforms import check_sampling_rate, checked_clips

SHORTEST = 0.1
"""s: a shorter clip is followed by silence; convolutions need 25 ms, and norms over time need some frames."""

KINDS = (Wav2Vec2FeatureExtractor, WhisperFeatureExtractor, ASTFeatureExtractor, SeamlessM4TFeatureExtractor)
"""Of wav2vec 2.0, HuBERT, WavLM and data2vec; of Whisper; of the spectrogram transformer; of w2v-BERT 2.0."""


def extractor_for(config: PreTrainedConfig) -> FeatureExtractionMixin:
    """The feature extractor of an encoder of sound that starts from scratch."""
    if config.model_type == "whisper":  # whose positions are 20 ms
        return WhisperFeatureExtractor(config.num_mel_bins, chunk_length=config.max_source_positions // 50)
    if config.model_type == "audio-spectrogram-transformer":
        return ASTFeatureExtractor(num_mel_bins=config.num_mel_bins, max_length=config.max_length)
    if config.model_type == "wav2vec2-bert":  # which takes two frames at once
        bands = config.feature_projection_input_dim // 2
        return SeamlessM4TFeatureExtractor(bands, num_mel_bins=bands)
    return Wav2Vec2FeatureExtractor(return_attention_mask=True)


def seconds_heard(extractor: FeatureExtractionMixin) -> float:
    """s of a clip, from its beginning, that an extractor does not cut off."""
    if isinstance(extractor, WhisperFeatureExtractor):
        return float(extractor.chunk_length)
    if isinstance(extractor, ASTFeatureExtractor):
        return extractor.max_length / 100  # its frames are 10 ms
    return float("inf")


def encode_sound(
    extractor: FeatureExtractionMixin, clips: Sequence[np.ndarray], sampling_rate: int | None
) -> dict[str, torch.Tensor]:
    """The features of clips, each the same in whatever company.

    How loud a recording is changes nothing where the extractor normalises it, as those of w2v-BERT 2.0 and, with
    `do_normalize`, of wav2vec 2.0 do; those of Whisper and of the spectrogram transformer keep it.

    Args:
        extractor: of `KINDS`. Whisper's hears 30 s of a clip, the spectrogram transformer's 10.24 s.
        clips: mono samples (samples,) of each.
        sampling_rate: Hz.

    Returns:
        `input_values` float32 (batch, samples), or `input_features` float32 (batch, frames, bands), and
        `feature_attention_mask` int64 (batch, samples or frames), 1 = real.

    Raises:
        ValueError: an extractor of another kind; a missing or another sampling rate; or samples that are no sound.
    """
    if not isinstance(extractor, KINDS):
        known = ", ".join(kind.__name__ for kind in KINDS)
        raise ValueError(f"The processor's feature_extractor is a {type(extractor).__name__}; these serve: {known}.")
    check_sampling_rate(sampling_rate, extractor.sampling_rate)
    shortest = int(SHORTEST * extractor.sampling_rate)
    clips = [np.pad(clip, (0, max(0, shortest - len(clip)))).astype(np.float32) for clip in checked_clips(clips)]
    options: dict[str, Any] = {} if isinstance(extractor, WhisperFeatureExtractor) else {"padding": True}
    with torch.autocast("cpu", enabled=False):  # Whisper's would compute in bfloat16, and fail
        found = extractor(
            clips, sampling_rate=sampling_rate, return_attention_mask=True, return_tensors="pt", **options
        )
    if isinstance(extractor, Wav2Vec2FeatureExtractor):
        return {
            "input_values": found["input_values"].float(),
            "feature_attention_mask": found["attention_mask"].long(),
        }
    if isinstance(extractor, ASTFeatureExtractor):
        mask = _frames_of(clips, extractor)
        return {"input_features": found["input_values"].float(), "feature_attention_mask": mask}
    features, mask = found["input_features"].float(), found["attention_mask"].long()
    if isinstance(extractor, WhisperFeatureExtractor):
        features = features.transpose(1, 2)
    return {"input_features": features, "feature_attention_mask": mask}


def _frames_of(clips: Sequence[np.ndarray], extractor: ASTFeatureExtractor) -> torch.Tensor:
    """Which frames of `extractor.max_length` hold sound: windows of 25 ms, every 10 ms, wholly inside a clip."""
    window, hop = int(0.025 * extractor.sampling_rate), int(0.01 * extractor.sampling_rate)
    frames = torch.tensor([1 + (len(clip) - window) // hop for clip in clips])
    return (torch.arange(extractor.max_length) < frames.unsqueeze(1)).long()
