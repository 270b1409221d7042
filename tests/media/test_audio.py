import av
import librosa
import numpy as np
import pytest

from affecthub.media.audio import downmix, resample


def frame_of(samples, layout, kind="fltp", rate=48_000):
    """An audio frame of float (channels, samples), in any sample format."""
    frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).astype(np.float32).copy(), format="flt", layout=layout)
    frame.sample_rate, frame.pts = rate, 0
    (converted,) = av.AudioResampler(format=kind, layout=layout, rate=rate).resample(frame)
    return converted


@pytest.mark.parametrize("kind", ["fltp", "flt", "s16", "s16p", "s32", "u8", "dblp"])
def test_stereo_is_the_mean_in_every_sample_format(kind, make_tones):
    stereo = make_tones(0.05, 48_000, [300, 700])
    tolerance = 0.02 if kind == "u8" else 1e-4
    np.testing.assert_allclose(downmix(frame_of(stereo, "stereo", kind)), stereo.mean(0), atol=tolerance)


def test_stereo_tone_keeps_its_level(make_tones):
    tone = make_tones(0.1, 48_000, [440, 440])
    assert np.sqrt(np.mean(downmix(frame_of(tone, "stereo")) ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("layout", ["5.1", "5.1(side)"])
def test_surround_follows_bs775(layout, make_tones):
    whole = 2 * 0.7071 + 1 + 2 * 0.5
    for channel, weight in enumerate([0.7071, 0.7071, 1.0, 0.0, 0.5, 0.5]):
        only = make_tones(0.02, 48_000, [440 if c == channel else None for c in range(6)])
        peak = np.abs(downmix(frame_of(only, layout))).max()
        assert peak == pytest.approx(0.5 * weight / whole, abs=1e-4)


def test_surround_equals_ffmpegs_own_integer_mix(make_tones):
    frame = frame_of(make_tones(0.1, 48_000, [200, 300, 440, 60, 500, 600]), "5.1", "s16")
    (reference,) = av.AudioResampler(format="s16", layout="mono", rate=48_000).resample(frame)
    np.testing.assert_allclose(downmix(frame), reference.to_ndarray()[0] / 32768, atol=2e-4)


def test_full_scale_in_every_channel_does_not_clip():
    assert np.abs(downmix(frame_of(np.ones((6, 480)), "5.1"))).max() == pytest.approx(1.0, abs=1e-6)


def test_eight_planes_are_mixed(make_tones):
    tone = make_tones(0.1, 48_000, [None, None, 440, *[None] * 5])
    np.testing.assert_allclose(downmix(frame_of(tone, "7.1")), tone[2] / (2 * 0.7071 + 1 + 4 * 0.5), atol=1e-5)


@pytest.mark.parametrize(("rate", "target"), [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000)])
def test_resampling_equals_librosa(rate, target, make_tones):
    tone = make_tones(1.0, rate, [440])[0]
    ours = resample(tone, rate, target)
    reference = librosa.resample(tone, orig_sr=rate, target_sr=target)
    assert ours.dtype == np.float32 and len(ours) == target
    inner = slice(200, -200)  # filters differ in what they assume beyond the ends
    np.testing.assert_allclose(ours[inner], reference[inner], atol=2e-3)


def test_resampling_removes_what_lies_above_the_new_nyquist_frequency(make_tones):
    tone = make_tones(1.0, 48_000, [12_000])[0]
    assert np.abs(resample(tone, 48_000, 16_000)[200:-200]).max() < 1e-3


def test_same_rate_is_left_alone(make_tones):
    tone = make_tones(0.1, 16_000, [440])[0]
    assert resample(tone, 16_000, 16_000) is tone
