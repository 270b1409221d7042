"""The processor of the physiology models: any subset, vectors and sequences, statistics saved with it."""

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from affecthub import FrameProcessor, PhysioFeatureExtractor, PhysioVideoProcessor

FRAME = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
ROWS = np.random.default_rng(1).normal(3, 2, (20, 4))


def make(video=True, physio=True):
    statistics = PhysioFeatureExtractor.fit(ROWS, list("abcd"), [str(i) for i in range(20)])
    return PhysioVideoProcessor(
        FrameProcessor.square(16, num_frames=3).video_processor if video else None, statistics if physio else None
    )


def test_mixed_presence():
    batch = make()(videos=[FRAME, None, np.stack([FRAME] * 2)], physio=[ROWS[0], ROWS[1:4], None])
    assert batch["video_present"].tolist() == [1, 0, 1]
    assert batch["physio_present"].tolist() == [1, 1, 0]
    assert batch["pixel_values_videos"].shape == (3, 2, 3, 16, 16)
    assert batch["physio_values"].shape == (3, 3, 4)
    assert not batch["pixel_values_videos"][1].any() and not batch["physio_values"][2].any()


@pytest.mark.parametrize("parts", [(True, True), (True, False), (False, True)])
def test_any_subset_of_parts_saves_and_loads(parts, tmp_path):
    processor = make(*parts)
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, PhysioVideoProcessor)
    call = ({"videos": [FRAME]} if parts[0] else {}) | ({"physio": [ROWS[:2]]} if parts[1] else {})
    expected = processor(**call)
    for key, value in expected.items():
        torch.testing.assert_close(loaded(**call)[key], value, rtol=0, atol=0)
    assert set(expected) == set(loaded.model_input_names)
    if parts[1]:
        assert loaded.feature_extractor.fitted_digest == processor.feature_extractor.fitted_digest


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(), "Nothing to process"),
        (dict(videos=[FRAME], physio=[ROWS[0], ROWS[1]]), "differ in length: {'videos': 1, 'physio': 2}"),
        (
            dict(videos=[FRAME, None], physio=[None, None]),
            r"Samples \[1\] of the batch hold neither video nor",
        ),
        (dict(physio=[ROWS[0, :3]]), r"physio\[0\] has shape \(3,\)"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        make()(**call)


def test_a_modality_without_its_part_is_refused():
    with pytest.raises(ValueError, match="without a feature_extractor"):
        make(physio=False)(physio=[ROWS[0]])
