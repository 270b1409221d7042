import colorsys

import numpy as np
import pytest

from affecthub.training.augmentation import (
    LIGHT,
    SPEECH,
    STRONG,
    AudioAugmentation,
    FrameAugmentation,
    SpecAugment,
    augment_audio,
    augment_frames,
    spec_augment,
)

RATE = 16_000


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def tone():
    return (0.4 * np.sin(2 * np.pi * 400 * np.arange(2 * RATE) / RATE)).astype(np.float32)


@pytest.fixture
def frames():
    """Three different frames of smooth colour, uint8 (time, height, width, 3)."""
    rows, columns = np.mgrid[0:40, 0:60]
    base = np.stack([rows * 4 + 40, columns * 3 + 30, 200 - rows - columns], -1)
    return np.stack([base, base + 5, base + 10]).astype(np.uint8)


def pitch(samples):
    inner = samples[2_000:-2_000] * np.hanning(len(samples) - 4_000)
    spectrum = np.abs(np.fft.rfft(inner, 1 << 18))
    return spectrum.argmax() * RATE / (1 << 18)


def test_off_returns_the_very_input(tone, frames):
    features, mask = rng().normal(size=(20, 8)), np.ones(20)
    assert augment_audio(tone, RATE, AudioAugmentation(), rng()) is tone
    assert augment_frames(frames, FrameAugmentation(), rng()) is frames
    assert spec_augment(features, mask, SpecAugment(), rng()) is features


def test_same_seed_same_result_and_the_input_stays(tone, frames):
    features, mask = rng().normal(size=(60, 40)), np.ones(60)
    masks = SpecAugment(time_masks=2, frequency_masks=2)
    before = tone.copy(), frames.copy(), features.copy()
    for augment in (
        lambda seed: augment_audio(tone, RATE, SPEECH, rng(seed)),
        lambda seed: augment_frames(frames, STRONG, rng(seed)),
        lambda seed: augment_frames(frames, LIGHT, rng(seed)),
        lambda seed: spec_augment(features, mask, masks, rng(seed)),
    ):
        first, again, other = augment(3), augment(3), augment(4)
        np.testing.assert_array_equal(first, again)
        assert first.dtype == other.dtype
        assert first.shape != other.shape or not np.array_equal(first, other)
    for kept, now in zip(before, (tone, frames, features), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_noise_has_the_stated_ratio(tone):
    noise = augment_audio(tone, RATE, AudioAugmentation(snr_db=15.0), rng()) - tone
    ratio = 10 * np.log10(np.mean(tone.astype(float) ** 2) / np.mean(noise.astype(float) ** 2))
    assert ratio == pytest.approx(15.0, abs=0.5)
    assert not augment_audio(np.zeros(100, np.float32), RATE, AudioAugmentation(snr_db=15.0), rng()).any()


def test_stretching_changes_the_length_and_not_the_pitch(tone):
    lengths = []
    for seed in range(6):
        stretched = augment_audio(tone, RATE, AudioAugmentation(time_stretch=0.1), rng(seed))
        assert len(stretched) == pytest.approx(len(tone) / rng(seed).uniform(0.9, 1.1), abs=1)
        assert pitch(stretched) == pytest.approx(400, rel=0.01)
        lengths.append(len(stretched) / len(tone))
    assert 1 / 1.1 <= min(lengths) < 1 < max(lengths) <= 1 / 0.9


def test_shifting_changes_the_pitch_and_not_the_length(tone):
    steps = []
    for seed in range(6):
        shifted = augment_audio(tone, RATE, AudioAugmentation(pitch_semitones=2.0), rng(seed))
        assert len(shifted) == len(tone)
        steps.append(12 * np.log2(pitch(shifted) / 400))
        assert steps[-1] == pytest.approx(rng(seed).uniform(-2, 2), abs=0.15)
    assert min(steps) < 0 < max(steps)


@pytest.mark.parametrize("length", [1, 500, 1_024, 1_500])
def test_short_clips_survive(length, tone, recwarn):
    assert len(augment_audio(tone[:length], RATE, SPEECH, rng())) >= min(length, 900)
    assert not recwarn.list


def test_masks_are_bounded_and_leave_padding_alone():
    settings = SpecAugment(time_masks=1, time_width=12, time_fraction=0.2, frequency_masks=1, frequency_width=8)
    features = np.full((100, 40), 7.0)
    mask = (np.arange(100) < 50).astype(np.int64)
    widths = set()
    for seed in range(60):
        masked = spec_augment(features, mask, settings, rng(seed))
        assert (masked[50:] == 7).all()
        hidden_frames = (masked[:50] == 0).all(1)
        hidden_bands = (masked[:50] == 0).all(0)
        widths.add((int(hidden_frames.sum()), int(hidden_bands.sum())))
        assert set(np.unique(masked)) <= {0.0, 7.0}
        assert (masked[:50][~hidden_frames][:, ~hidden_bands] == 7).all()
        for hidden in (hidden_frames, hidden_bands):
            places = np.flatnonzero(hidden)
            assert len(places) == 0 or places[-1] - places[0] + 1 == len(places)
    assert {frames for frames, _ in widths} == set(range(11)), "a fifth of 50 real frames at most"
    assert {bands for _, bands in widths} == set(range(9))


def test_a_flip_mirrors_exactly(frames):
    np.testing.assert_array_equal(augment_frames(frames, FrameAugmentation(flip=1.0), rng()), frames[:, :, ::-1])
    draws = [augment_frames(frames, FrameAugmentation(flip=0.5), rng(seed)) for seed in range(20)]
    assert 4 < sum(np.array_equal(draw, frames) for draw in draws) < 16


def test_one_draw_moves_all_frames_alike(frames):
    same = np.repeat(frames[:1], 3, 0)
    moved = augment_frames(same, STRONG, rng(1))
    assert moved.shape == same.shape and moved.dtype == np.uint8
    np.testing.assert_array_equal(moved[0], moved[1])
    np.testing.assert_array_equal(moved[0], moved[2])


def test_rotation_turns_by_no_more_than_stated():
    line = np.zeros((1, 101, 101, 3), np.uint8)
    line[:, 49:52] = 255
    angles = []
    for seed in range(20):
        turned = augment_frames(line, FrameAugmentation(rotation=10.0), rng(seed))[0, :, :, 0].astype(float)
        rows = np.arange(101)
        left, right = ((turned[:, c] * rows).sum() / turned[:, c].sum() for c in (20, 80))
        angles.append(np.rad2deg(np.arctan((right - left) / 60)))
    assert -10 <= min(angles) < -3 and 3 < max(angles) <= 10.05


def test_a_crop_is_a_scaled_part_of_the_frame():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, None, :, None], (1, 50, 200, 3)).copy()
    for seed in range(10):
        cropped = augment_frames(ramp, FrameAugmentation(crop=0.2), rng(seed))[0, 25, :, 0].astype(float)
        slope = (cropped[180] - cropped[20]) / 160
        assert 0.79 <= slope <= 1.0 and cropped.min() >= 0 and np.all(np.diff(cropped) >= 0)


def test_brightness_multiplies(frames):
    bright = augment_frames(frames, FrameAugmentation(brightness=0.3), rng(2))
    factor = rng(2).uniform(0.7, 1.3)
    np.testing.assert_allclose(bright, np.clip(frames * factor, 0, 255), atol=1)


def test_contrast_and_saturation_keep_grey():
    grey = np.full((2, 8, 8, 3), 120, np.uint8)
    for settings in (FrameAugmentation(contrast=0.5), FrameAugmentation(saturation=0.5)):
        np.testing.assert_allclose(augment_frames(grey, settings, rng()), grey, atol=1)


def test_hue_turns_the_colour_circle():
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 200
    turned = augment_frames(red, FrameAugmentation(hue=0.5), rng(5))[0, 0, 0] / 255
    hue, saturation, value = colorsys.rgb_to_hsv(*turned)
    assert hue == pytest.approx(rng(5).uniform(-0.5, 0.5) % 1, abs=0.01)
    assert saturation == pytest.approx(1, abs=0.02) and value == pytest.approx(200 / 255, abs=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameAugmentation(hue=0.8), "FrameAugmentation.hue=0.8 is out of range: give 0 .off. to 0.5"),
        (lambda: AudioAugmentation(time_stretch=-0.1), "AudioAugmentation.time_stretch=-0.1"),
        (lambda: SpecAugment(time_fraction=2), "SpecAugment.time_fraction=2"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
