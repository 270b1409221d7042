"""Augmentation of training clips: every draw comes from the generator passed in, and every step can be switched off.

Settings are off by default. Nothing is changed in place; with everything off the input itself comes back.
"""

from dataclasses import dataclass

import cv2
import librosa
import numpy as np

WINDOW = 1024
"""Samples of the phase vocoder's window: 64 ms at 16 kHz. Shorter clips are neither stretched nor shifted."""


def _check_range(settings: object, **limits: float) -> None:
    for name, limit in limits.items():
        value = getattr(settings, name)
        if not 0 <= value <= limit:
            kind = type(settings).__name__
            raise ValueError(f"{kind}.{name}={value} is out of range: give 0 (off) to {limit}")


@dataclass(frozen=True)
class AudioAugmentation:
    """What happens to a waveform."""

    time_stretch: float = 0.0
    """Tempo is multiplied by a factor from 1 - this to 1 + this, the pitch kept."""
    pitch_semitones: float = 0.0
    """Pitch is shifted by up to this many semitones either way, the length kept."""
    snr_db: float | None = None
    """Gaussian noise is added at this signal-to-noise ratio in dB; None adds none."""

    def __post_init__(self):
        _check_range(self, time_stretch=0.5, pitch_semitones=12)


@dataclass(frozen=True)
class SpecAugment:
    """Masks on a spectrogram (Park et al. 2019, "SpecAugment"); without their time warping, which they found minor."""

    time_masks: int = 0
    """How many stretches of frames are masked."""
    time_width: int = 20
    """Frames that one mask spans at most."""
    time_fraction: float = 0.2
    """Share of the clip's real frames that one time mask spans at most, so that short clips keep their content."""
    frequency_masks: int = 0
    """How many groups of bands are masked."""
    frequency_width: int = 8
    """Bands that one mask spans at most."""

    def __post_init__(self):
        unbounded = float("inf")
        _check_range(self, time_masks=unbounded, time_width=unbounded, time_fraction=1)
        _check_range(self, frequency_masks=unbounded, frequency_width=unbounded)


@dataclass(frozen=True)
class FrameAugmentation:
    """What happens to the frames of a clip, to all of them alike."""

    flip: float = 0.0
    """Probability of a mirror image."""
    rotation: float = 0.0
    """Degrees, at most, either way."""
    crop: float = 0.0
    """Share of each side that is cut away at most; the rest is scaled back to the full size."""
    brightness: float = 0.0
    """Values are multiplied by a factor from 1 - this to 1 + this."""
    contrast: float = 0.0
    """Likewise for the distance of each value from the frame's mean grey."""
    saturation: float = 0.0
    """Likewise for the distance of each value from its pixel's grey."""
    hue: float = 0.0
    """Share of the colour circle by which hues turn at most, either way; 0.5 is half of it."""

    def __post_init__(self):
        _check_range(self, flip=1, rotation=180, crop=0.9, brightness=1, contrast=1, saturation=1, hue=0.5)


SPEECH = AudioAugmentation(time_stretch=0.1, pitch_semitones=2.0, snr_db=15.0)
"""The published recipe for audio."""

LIGHT = FrameAugmentation(flip=0.5, rotation=5.0, crop=0.1, brightness=0.1, contrast=0.1, saturation=0.1, hue=0.02)
"""For vision transformers, which start from pretrained weights."""

STRONG = FrameAugmentation(flip=0.5, rotation=15.0, crop=0.25, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05)
"""For CNNs and ResNets."""


def augment_audio(
    samples: np.ndarray, sampling_rate: int, settings: AudioAugmentation, rng: np.random.Generator
) -> np.ndarray:
    """Stretch, shift and add noise, in this order.

    Args:
        samples: float32 (samples,), mono.
        sampling_rate: Hz.
        settings: what to do.
        rng: source of every draw.

    Returns:
        float32 (samples / tempo,). Noise may carry it a little beyond [-1, 1].
    """
    if len(samples) >= WINDOW and settings.time_stretch:
        tempo = rng.uniform(1 - settings.time_stretch, 1 + settings.time_stretch)
        samples = librosa.effects.time_stretch(samples, rate=tempo, n_fft=WINDOW)
    if len(samples) >= WINDOW and settings.pitch_semitones:
        steps = rng.uniform(-settings.pitch_semitones, settings.pitch_semitones)
        samples = librosa.effects.pitch_shift(samples, sr=sampling_rate, n_steps=steps, n_fft=WINDOW)
    if settings.snr_db is not None:
        level = np.sqrt(np.mean(np.square(samples))) * 10 ** (-settings.snr_db / 20)
        samples = samples + rng.normal(scale=level, size=samples.shape).astype(np.float32)
    return samples


def spec_augment(
    features: np.ndarray, mask: np.ndarray, settings: SpecAugment, rng: np.random.Generator
) -> np.ndarray:
    """Set random stretches of frames and groups of bands to 0, which is the mean of normalised features.

    Args:
        features: float (frames, mel bands), normalised, of one clip.
        mask: (frames,), 1 = real; padded frames are left as they are.
        settings: what to do. Each width is drawn from 0 to its limit, then the place among the real frames or bands.
        rng: source of every draw.

    Returns:
        float (frames, mel bands).
    """
    if not settings.time_masks and not settings.frequency_masks:
        return features
    (real,) = mask.nonzero()
    features = features.copy()
    limit = min(settings.time_width, int(settings.time_fraction * len(real)))
    for _ in range(settings.time_masks):
        features[real[_stretch(len(real), limit, rng)]] = 0.0
    for _ in range(settings.frequency_masks):
        bands = _stretch(features.shape[1], min(settings.frequency_width, features.shape[1]), rng)
        features[real, bands] = 0.0
    return features


def augment_frames(frames: np.ndarray, settings: FrameAugmentation, rng: np.random.Generator) -> np.ndarray:
    """Flip, rotate, crop and recolour all frames of a clip by the same draws.

    Args:
        frames: uint8 (time, height, width, 3), RGB.
        settings: what to do.
        rng: source of every draw.

    Returns:
        uint8 (time, height, width, 3).
    """
    return _recolour(_move(frames, settings, rng), settings, rng)


def _stretch(length: int, limit: int, rng: np.random.Generator) -> slice:
    """A random run of 0 to `limit` of `length` places."""
    width = int(rng.integers(limit + 1))
    begin = int(rng.integers(length - width + 1))
    return slice(begin, begin + width)


def _move(frames: np.ndarray, settings: FrameAugmentation, rng: np.random.Generator) -> np.ndarray:
    """Flip, rotation and crop as one affine map, so that pixels are interpolated once."""
    if not (settings.flip or settings.rotation or settings.crop):
        return frames
    height, width = frames.shape[1:3]
    mirror = -1.0 if rng.uniform() < settings.flip else 1.0
    angle = np.deg2rad(rng.uniform(-settings.rotation, settings.rotation))
    kept = 1 - rng.uniform(0, settings.crop)
    centre = np.array([width - 1, height - 1]) / 2
    shift = rng.uniform(-1, 1, size=2) * (1 - kept) * centre
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # From places in the result to places in the frame, as WARP_INVERSE_MAP wants it.
    linear = kept * turn @ np.diag([mirror, 1.0])
    matrix = np.column_stack([linear, centre + shift - linear @ centre])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = [
        cv2.warpAffine(f, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101) for f in frames
    ]
    return np.stack(moved)


def _recolour(frames: np.ndarray, settings: FrameAugmentation, rng: np.random.Generator) -> np.ndarray:
    import torch
    from torchvision.transforms.v2 import functional

    steps = (
        (functional.adjust_brightness, 1.0, settings.brightness),
        (functional.adjust_contrast, 1.0, settings.contrast),
        (functional.adjust_saturation, 1.0, settings.saturation),
        (functional.adjust_hue, 0.0, settings.hue),
    )
    wanted = [(adjust, rng.uniform(middle - spread, middle + spread)) for adjust, middle, spread in steps if spread]
    if not wanted:
        return frames
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)  # (time, 3, height, width)
    for adjust, amount in wanted:
        pixels = adjust(pixels, amount)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()
