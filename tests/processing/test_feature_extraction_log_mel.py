import json
import warnings

import librosa
import numpy as np
import pytest
import torch

from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor

RATE = 16_000
PLAIN = dict(normalization="fixed", trim_db=None)
"""What librosa gives, but for the scale."""


@pytest.fixture
def clips():
    """A ragged batch: noise, a tone beside silence, one shorter than a window, digital silence, odd lengths."""
    rng = np.random.default_rng(0)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(12_345) / RATE)
    tone[6_000:] = 0.0
    return [0.1 * rng.normal(size=16_000), tone, 0.1 * rng.normal(size=300), np.zeros(4_096), rng.uniform(-1, 1, 1)]


def reference(samples, **settings):
    """librosa's features float (frames, mel bands), normalised by the default figures."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")
        mel = librosa.feature.melspectrogram(y=samples, sr=RATE, **settings)
    return (librosa.power_to_db(mel, top_db=None).T + 35) / 20


@pytest.mark.parametrize("settings", [{}, {"n_mels": 64, "n_fft": 512, "hop_length": 160}])
def test_every_clip_of_a_ragged_batch_equals_librosa(clips, settings):
    used = {"n_mels": 40, "n_fft": 1024, "hop_length": 256, **settings}
    extractor = LogMelFeatureExtractor(
        feature_size=used["n_mels"], n_fft=used["n_fft"], hop_length=used["hop_length"], sampling_rate=RATE, **PLAIN
    )
    batch = extractor(clips, sampling_rate=RATE, return_tensors="np")
    for row, mask, clip in zip(batch["input_features"], batch["feature_attention_mask"], clips, strict=True):
        wanted = reference(clip, **used)
        assert mask.sum() == len(wanted) == 1 + len(clip) // used["hop_length"]
        np.testing.assert_allclose(row[: len(wanted)] * 20, wanted * 20, atol=1e-4)  # dB
        assert (row[len(wanted) :] == 0).all() and (mask[: len(wanted)] == 1).all()


def test_types_and_shapes(clips):
    batch = LogMelFeatureExtractor(**PLAIN)(clips, sampling_rate=RATE, return_tensors="pt")
    assert batch["input_features"].shape == (5, 63, 40) and batch["input_features"].dtype == torch.float32
    assert batch["feature_attention_mask"].shape == (5, 63) and batch["feature_attention_mask"].dtype == torch.int64
    assert batch["feature_attention_mask"][0].all()


@pytest.mark.parametrize("convert", [np.float32, torch.tensor, list])
def test_one_clip_in_any_form(clips, convert):
    extractor = LogMelFeatureExtractor()
    expected = extractor([clips[0]], sampling_rate=RATE, return_tensors="pt")["input_features"]
    got = extractor(convert(clips[0]), sampling_rate=RATE, return_tensors="pt")["input_features"]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_padding_and_truncation_follow_transformers(clips):
    extractor = LogMelFeatureExtractor(**PLAIN)
    loose = extractor(clips, sampling_rate=RATE, padding=False)
    assert [len(rows) for rows in loose["input_features"]] == [63, 49, 2, 17, 1]
    fixed = extractor(clips, sampling_rate=RATE, padding="max_length", max_length=50, truncation=True)
    assert np.shape(fixed["input_features"]) == (5, 50, 40)
    assert np.sum(fixed["feature_attention_mask"], 1).tolist() == [50, 49, 2, 17, 1]
    multiple = extractor(clips, sampling_rate=RATE, pad_to_multiple_of=8, return_tensors="np")
    assert multiple["input_features"].shape == (5, 64, 40)


def test_figures_per_band_normalise_each_band(clips):
    plain = LogMelFeatureExtractor(mean=0.0, std=1.0, **PLAIN)(clips[0], sampling_rate=RATE, return_tensors="np")
    mean = plain["input_features"][0].mean(0).tolist()
    std = plain["input_features"][0].std(0).tolist()
    scaled = LogMelFeatureExtractor(mean=mean, std=std, **PLAIN)(clips[0], sampling_rate=RATE, return_tensors="np")
    np.testing.assert_allclose(scaled["input_features"][0].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled["input_features"][0].std(0), 1, atol=1e-4)


def test_save_and_load_give_the_same_features(clips, tmp_path):
    extractor = LogMelFeatureExtractor(feature_size=20, n_fft=512, mean=[-30.0] * 20, std=[10.0] * 20, **PLAIN)
    extractor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert "mel_filters" not in saved and saved["mean"] == [-30.0] * 20
    assert (saved["normalization"], saved["trim_db"]) == ("fixed", None)
    loaded = LogMelFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict() | {k: v for k, v in loaded.to_dict().items() if k == "auto_map"}
    for name, values in extractor(clips, sampling_rate=RATE, return_tensors="np").items():
        np.testing.assert_array_equal(loaded(clips, sampling_rate=RATE, return_tensors="np")[name], values)


def test_a_missing_or_wrong_sampling_rate_is_an_error(clips):
    extractor = LogMelFeatureExtractor()
    with pytest.raises(ValueError, match="sampling_rate=None.*16000 Hz.*resample"):
        extractor(clips)
    with pytest.raises(ValueError, match="sampling_rate=48000.*16000 Hz.*resample"):
        extractor(clips, sampling_rate=48_000)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "raw_speech holds no clip"),
        ([np.zeros(0)], r"raw_speech\[0\] holds no samples"),
        ([np.zeros(9), np.array([0.0, np.nan])], r"raw_speech\[1\] holds NaN or infinite"),
        ([np.zeros(9), np.array([np.inf])], r"raw_speech\[1\] holds NaN or infinite"),
        (np.zeros((2, 9)), r"raw_speech\[0\] has shape \(2, 9\).*mono"),
    ],
)
def test_unusable_samples_are_errors(bad, message):
    with pytest.raises(ValueError, match=message):
        LogMelFeatureExtractor()(bad, sampling_rate=RATE)


def test_figures_must_fit_the_bands():
    with pytest.raises(ValueError, match="std holds 3 figures for 40 mel bands"):
        LogMelFeatureExtractor(std=[1.0, 2.0, 3.0])


def speech(seconds=1.5, seed=0):
    """Something like a word: harmonics at a moving level, in quiet noise; float64 (samples,), peak below 0.5."""
    t, rng = np.arange(int(seconds * RATE)) / RATE, np.random.default_rng(seed)
    tone = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 20))
    return 0.15 * tone * (0.1 + np.sin(3 * np.pi * t) ** 2) + 1e-3 * rng.normal(size=len(t))


def features_of(clip, **settings):
    return LogMelFeatureExtractor(**settings)(clip, sampling_rate=RATE, return_tensors="np")["input_features"][0]


def test_by_utterance_a_clip_has_mean_0_and_std_1_and_its_bands_keep_their_places():
    features = features_of(speech())
    assert abs(features.mean()) < 1e-4 and abs(features.std() - 1) < 1e-4
    assert features[:, 2].mean() > features[:, -1].mean() + 1  # the timbre is not normalised away


@pytest.mark.parametrize("decibels", [-40, -20, 20])
def test_by_utterance_the_level_changes_nothing(decibels):
    changed = speech() * 10 ** (decibels / 20)
    np.testing.assert_allclose(features_of(changed), features_of(speech()), atol=1e-4)
    assert np.abs(features_of(changed, **PLAIN) - features_of(speech(), **PLAIN)).max() > 0.9  # fixed: it shows


LEVEL = dict(normalization="level", pitch=True)


@pytest.mark.parametrize("decibels", [-40, -20, 20])
def test_by_level_dB_keep_their_scale_and_the_level_changes_nothing(decibels):
    clip = speech()
    plain, features = features_of(clip, **PLAIN), features_of(clip, **LEVEL, trim_db=None)[:, :40]
    np.testing.assert_allclose(features - features.mean(), plain - plain.mean(), atol=1e-4)
    np.testing.assert_allclose(
        features_of(clip * 10 ** (decibels / 20), **LEVEL), features_of(clip, **LEVEL), atol=1e-4
    )


def test_by_level_pauses_do_not_count():
    clip, pause = speech(), np.zeros(RATE)
    longer = features_of(np.concatenate([clip, pause, clip]), normalization="level")
    np.testing.assert_allclose(longer[:80], features_of(clip, normalization="level")[:80], atol=0.02)


@pytest.mark.parametrize("floor", [0.0, 1e-3])
def test_silence_at_the_ends_changes_nothing(floor):
    noise = floor * np.random.default_rng(1).uniform(-1, 1, (2, RATE + 77))
    longer = np.concatenate([noise[0], speech(), noise[1]])
    np.testing.assert_array_equal(features_of(longer), features_of(speech()))
    assert len(features_of(longer, trim_db=None)) > len(features_of(speech())) + 100


def test_digital_silence_and_a_single_sample_are_finite():
    assert not features_of(np.zeros(4_000)).any()
    assert not features_of(np.zeros(4_000), **LEVEL)[:, :40].any()
    for clip in (np.ones(1), np.full(5_000, 1e-30), np.eye(1, 4_000)[0]):
        assert np.isfinite(features_of(clip)).all() and np.isfinite(features_of(clip, **LEVEL)).all()


def test_a_hum_is_not_blown_up():
    hum = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    assert np.abs(features_of(hum)).max() < 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(normalization="batch"), "normalization='batch': choose one of utterance, level, fixed"),
        (dict(trim_db=-3), "trim_db=-3: give dB above 0, or None"),
    ],
)
def test_wrong_settings_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        LogMelFeatureExtractor(**settings)
