"""Mono samples become log-mel features, as `librosa` computes them."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.audio_utils import mel_filter_bank, window_function

from .pitch import PAUSE_DB, pitch_and_periodicity
from .waveforms import check_sampling_rate, checked_clips, trim_silence

FLOOR = 1e-10
"""Smallest power before the logarithm, -100 dB: `librosa.power_to_db`'s own floor."""


TOP_DB = 80.0
"""dB below its loudest point at which a clip's features end, by utterance: `librosa.power_to_db`'s own range."""

SMALLEST_STD = 1.0
"""dB: what hardly varies, as a hum, is not blown up into something."""

NORMALIZATIONS = ("utterance", "level", "fixed")


class LogMelFeatureExtractor(SequenceFeatureExtractor):
    """Log-mel spectrograms in dB, normalised, padded to the longest clip of the batch.

    A clip's dB equal `librosa.power_to_db(librosa.feature.melspectrogram(...), top_db=None)` (Hann window, centred
    frames, zero padding, slaney filters from 0 Hz to half the sampling rate), whatever else is in its batch. Before
    that, silence at its ends is cut off; after it, they are normalised:

    - "utterance": by the clip's own mean and standard deviation, over all its frames and bands; how loud a recording
      is then changes nothing.
    - "level": by the clip's own mean outside of pauses, and `std`; how loud a recording is changes nothing, and by how
      much one sound or band is louder than another keeps its scale.
    - "fixed": by `mean` and `std`, with full scale at 0 dB and silence at -100 dB. For recordings of one level.

    Args:
        feature_size: mel bands.
        sampling_rate: Hz that the samples must have.
        n_fft: samples of the window and of its transform; 1024 at 16 kHz is 64 ms.
        hop_length: samples between frames; a quarter of the window is librosa's and the Hann window's usual step.
        normalization: "utterance", "level" or "fixed".
        trim_db: what is quieter than the clip's peak by more dB counts as silence where it lies at the ends; None
            keeps it. Samples are compared, so what is cut off does not move the frames of the rest.
        mean: dB, one figure or one a band; for "fixed".
        std: dB, likewise; for "level" too.
        pitch: whether two columns follow the bands: `pitch_and_periodicity`.
        padding_value: of padded frames, after normalisation; 0 is the mean.
    """

    _auto_class = "AutoFeatureExtractor"  # saving copies the code, for those who do not have this package
    model_input_names = ["input_features", "feature_attention_mask"]

    def __init__(
        self,
        feature_size: int = 40,
        sampling_rate: int = 16_000,
        n_fft: int = 1024,
        hop_length: int = 256,
        normalization: str = "utterance",
        trim_db: float | None = 40.0,
        mean: float | Sequence[float] = -35.0,
        std: float | Sequence[float] = 20.0,
        pitch: bool = False,
        padding_value: float = 0.0,
        **kwargs,
    ):
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        for name, figures in (("mean", mean), ("std", std)):
            if np.size(figures) not in (1, feature_size):
                raise ValueError(
                    f"{name} holds {np.size(figures)} figures for {feature_size} mel bands; give one, or one a band"
                )
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization={normalization!r}: choose one of {', '.join(NORMALIZATIONS)}")
        if trim_db is not None and trim_db <= 0:
            raise ValueError(f"trim_db={trim_db}: give dB above 0, or None to keep silence at the ends")
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.normalization = normalization
        self.trim_db = trim_db
        self.mean = mean
        self.std = std
        self.pitch = pitch
        # Under these names the base class leaves them out of the saved JSON: they follow from the arguments.
        self.window = torch.from_numpy(window_function(n_fft, "hann"))
        mel_filters = mel_filter_bank(
            num_frequency_bins=n_fft // 2 + 1,
            num_mel_filters=feature_size,
            min_frequency=0.0,
            max_frequency=sampling_rate / 2,
            sampling_rate=sampling_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        # A row for the real part of a frequency, and one for its imaginary part.
        self.mel_filters = torch.from_numpy(mel_filters).float().repeat_interleave(2, dim=0)

    def __call__(
        self,
        raw_speech: np.ndarray | Sequence[np.ndarray],
        sampling_rate: int | None = None,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Compute the features of one clip or a ragged batch.

        Args:
            raw_speech: mono samples (samples,) in [-1, 1], or a list of such arrays or tensors, one a clip.
            sampling_rate: Hz of `raw_speech`; required, because a wrong rate would shift every band unseen.
            padding: as in transformers: True for the longest clip, "max_length", or False for none.
            max_length: frames to pad or truncate to.
            truncation: whether to cut at `max_length` frames.
            pad_to_multiple_of: frames.
            return_tensors: "pt", "np", or None for a list of arrays.

        Returns:
            `input_features` float32 (batch, frames, mel bands; with `pitch` mel bands + 2), a clip having
            1 + samples // hop_length frames, of the samples that are left after trimming, and `feature_attention_mask`
            int64 (batch, frames), 1 = real.

        Raises:
            ValueError: a missing or other sampling rate; empty, non-finite or not one-dimensional samples.
        """
        check_sampling_rate(sampling_rate, self.sampling_rate)
        padded = self.pad(
            BatchFeature({"input_features": self._normalised(checked_clips(raw_speech))}),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=True,
        )
        mask = [row.astype(np.int64) for row in padded["attention_mask"]]
        batch = {"input_features": list(padded["input_features"]), "feature_attention_mask": mask}
        return BatchFeature(batch, tensor_type=return_tensors)

    def _normalised(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        """Features float32 (frames, columns) of each clip."""
        clips = [clip if self.trim_db is None else trim_silence(clip, self.trim_db) for clip in clips]
        bands = [self._bands(clip) for clip in clips]
        if not self.pitch:
            return bands
        voices = [pitch_and_periodicity(clip, self.sampling_rate, self.hop_length) for clip in clips]
        return [np.concatenate(columns, axis=1) for columns in zip(bands, voices, strict=True)]

    def _bands(self, clip: np.ndarray) -> np.ndarray:
        """Normalised log-mel float32 (frames, mel bands); by the clip's own figures, digital silence is 0 throughout.

        By these the clip is brought to peak 1 first, so that `FLOOR` lies as far below every recording.
        """
        std = np.asarray(self.std, dtype=np.float32)
        if self.normalization == "fixed":
            return (self._decibels(clip) - np.asarray(self.mean, dtype=np.float32)) / std
        decibels = self._decibels(clip / (np.abs(clip).max() or 1.0))
        decibels = np.maximum(decibels, decibels.max() - TOP_DB)
        if self.normalization == "utterance":
            return (decibels - decibels.mean()) / max(decibels.std(), SMALLEST_STD)
        loudness = np.logaddexp.reduce(decibels * (np.log(10) / 10), axis=1) * (10 / np.log(10))
        return (decibels - decibels[loudness >= loudness.max() - PAUSE_DB].mean()) / std

    def _decibels(self, clip: np.ndarray) -> np.ndarray:
        """Log-mel power float32 (frames, mel bands) in dB.

        The transform is in double precision, because in single the bands beside a loud one drown in rounding errors.
        Clip by clip, because a batch's frames do not fit into the processor's cache: all at once takes longer.
        """
        padded = torch.from_numpy(np.pad(clip, self.n_fft // 2))
        spectrum = torch.fft.rfft(padded.unfold(0, self.n_fft, self.hop_length) * self.window)
        parts = torch.view_as_real(spectrum).flatten(1).float()  # (frames, frequencies and their two parts)
        power = parts.square_() @ self.mel_filters
        return (10 * power.clamp_min(FLOOR).log10()).numpy()


__all__ = ["LogMelFeatureExtractor"]
