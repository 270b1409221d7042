"""The processor of audio-visual fusion: raw waveforms beside frames."""

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, Wav2Vec2FeatureExtractor

from affecthub import AudioVisualProcessor, FrameProcessor

RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)
CLIPS = [RNG.normal(0.1, 0.2, n).astype(np.float32) for n in (4_000, 2_500)]


def make(**kwargs):
    return AudioVisualProcessor(
        FrameProcessor.square(16, num_frames=3).video_processor, Wav2Vec2FeatureExtractor(), **kwargs
    )


def test_mixed_presence_and_normalised_waveforms():
    batch = make()(audio=[None, *CLIPS], videos=[FRAME, None, FRAME], sampling_rate=16_000)
    assert batch["audio_present"].tolist() == [0, 1, 1]
    assert batch["video_present"].tolist() == [1, 0, 1]
    assert batch["audio_attention_mask"].sum(1).tolist() == [0, 4_000, 2_500]
    for row, clip in ((1, CLIPS[0]), (2, CLIPS[1])):
        expected = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
        np.testing.assert_allclose(batch["input_values"][row, : len(clip)], expected, atol=1e-4)
        assert not batch["input_values"][row, len(clip) :].any()


def test_audio_beyond_max_seconds_is_cut():
    assert make(max_seconds=0.1)(audio=CLIPS, sampling_rate=16_000)["input_values"].shape == (2, 1_600)


def test_save_and_load(tmp_path):
    processor = make(max_seconds=0.2)
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, AudioVisualProcessor) and loaded.max_seconds == 0.2
    call = dict(audio=CLIPS, videos=[FRAME, FRAME], sampling_rate=16_000)
    for key, value in processor(**call).items():
        torch.testing.assert_close(loaded(**call)[key], value, rtol=0, atol=0)
    assert set(processor(**call)) == set(loaded.model_input_names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(), "Nothing to process"),
        (dict(audio=[CLIPS[0]]), "sampling_rate=None"),
        (dict(audio=[CLIPS[0]], sampling_rate=44_100), "44100"),
        (dict(audio=[np.zeros(0, np.float32)], sampling_rate=16_000), "no samples"),
        (dict(audio=[np.full(9, np.nan, np.float32)], sampling_rate=16_000), "NaN"),
        (dict(audio=[np.zeros((2, 9), np.float32)], sampling_rate=16_000), "mono"),
        (dict(audio=[None], videos=[None]), r"Samples \[0\] of the batch hold neither audio nor video"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        make()(**call)
