import librosa
import numpy as np
import pytest
import scipy

from affecthub.processing.pitch import HIGHEST, LOWEST, pitch_and_periodicity

RATE, HOP = 16_000, 160


def voice(hertz, noise=0.0, rate=RATE):
    """Twelve harmonics at a pitch (samples,) in Hz, with white noise: float64 (samples,)."""
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 13))
    return 0.2 * tone + noise * np.random.default_rng(0).normal(size=len(tone))


def semitones(hertz):
    return 12 * np.log2(np.asarray(hertz) / 100)


@pytest.mark.parametrize("hertz", [70, 110, 220.5, 443, 590])
def test_a_steady_voice_has_its_pitch(hertz):
    pitch, periodicity = pitch_and_periodicity(voice(np.full(RATE, hertz)), RATE, HOP).T
    assert len(pitch) == 1 + RATE // HOP
    np.testing.assert_allclose(pitch[5:-5], semitones(hertz), atol=0.1)
    assert periodicity[5:-5].min() > 0.85  # of 70 Hz, a frame holds less than three periods


def test_a_gliding_voice_in_noise_is_followed_as_by_yin():
    hertz = np.geomspace(90, 380, 2 * RATE)
    clip = voice(hertz, noise=0.01)
    pitch = pitch_and_periodicity(clip, RATE, HOP)[:, 0]
    yin = librosa.yin(clip, fmin=LOWEST, fmax=HIGHEST, sr=RATE, hop_length=HOP, frame_length=1024)
    inner = slice(10, -10)
    np.testing.assert_allclose(pitch[inner], semitones(hertz[::HOP])[: len(pitch) - 1][10:-9], atol=0.3)
    assert np.median(np.abs(pitch - semitones(yin))[inner]) < 0.2


def test_a_frame_is_that_of_its_autocorrelation():
    clip = voice(np.full(4_000, 150.0), noise=0.05)
    pitch, periodicity = pitch_and_periodicity(clip, RATE, HOP)[10]
    window = scipy.signal.get_window("hann", 640)
    frame = clip[10 * HOP - 320 : 10 * HOP + 320]
    own, of_window = (scipy.signal.correlate(x, x)[639:888] for x in ((frame - frame.mean()) * window, window))
    normalised = own / own[0] * of_window[0] / of_window
    lag = 90 + normalised[90:130].argmax()  # about 107, the period
    assert abs(pitch - semitones(RATE / lag)) < 0.2
    assert abs(periodicity - normalised[lag]) < 1e-3


def test_noise_and_silence_have_no_voice():
    noise = np.random.default_rng(0).normal(size=RATE)
    assert pitch_and_periodicity(noise, RATE, HOP)[:, 1].mean() < 0.4
    assert not pitch_and_periodicity(np.zeros(4_000), RATE, HOP)[:, 1].any()
    beside = np.concatenate([voice(np.full(8_000, 120.0)), 1e-3 * voice(np.full(8_000, 120.0))])
    assert not pitch_and_periodicity(beside, RATE, HOP)[60:, 1].any()


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_any_sampling_rate(rate):
    pitch = pitch_and_periodicity(voice(np.full(rate, 200.0), rate=rate), rate, rate // 100)[:, 0]
    np.testing.assert_allclose(pitch[5:-5], semitones(200), atol=0.3)


def test_a_single_sample_is_finite():
    assert np.isfinite(pitch_and_periodicity(np.ones(1), RATE, HOP)).all()
