"""The processor of the frame models: frames and clips, and the resizing of pretrained encoders."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, ConvNextImageProcessor, ViTImageProcessor

from affecthub import FrameProcessor
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (7, 40, 48, 3), dtype=np.uint8)


def test_frames_and_clips_in_one_batch(clip):
    batch = FrameProcessor.square(16, num_frames=3)(videos=[clip[0], clip, clip[:2]])
    assert batch["pixel_values_videos"].shape == (3, 3, 3, 16, 16)
    assert batch["video_attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]
    assert batch["video_present"].tolist() == [1, 1, 1]
    alone = FrameProcessor.square(16, num_frames=3)(videos=clip[0])["pixel_values_videos"]
    torch.testing.assert_close(alone[0, 0], batch["pixel_values_videos"][0, 0])


def test_nothing_is_cropped_and_values_are_normalised(clip):
    pixels = FrameProcessor.square(16)(videos=clip[0])["pixel_values_videos"][0, 0].numpy()
    resized = np.asarray(Image.fromarray(clip[0]).resize((16, 16), Image.Resampling.BICUBIC)).astype(np.float32)
    assert np.abs(pixels - (resized / 127.5 - 1).transpose(2, 0, 1)).max() < 2 / 127.5


def test_a_size_of_one_number_is_the_shorter_side_s(clip):
    processor = ClipFramesVideoProcessor(size=24, do_center_crop=False)
    height, width = clip[0].shape[:2]
    pixels = processor([clip], input_data_format="channels_last", return_tensors="pt")["pixel_values_videos"]
    assert min(pixels.shape[-2:]) == 24 and max(pixels.shape[-2:]) == 24 * max(height, width) // min(height, width)


def test_a_rate_needs_times(clip):
    with pytest.raises(ValueError, match="fps=2: these are frames without times; pass .*video_metadata"):
        ClipFramesVideoProcessor()([clip], fps=2)


@pytest.mark.parametrize(
    "image_processor",
    [
        ViTImageProcessor(size={"height": 24, "width": 24}),
        ConvNextImageProcessor(size={"shortest_edge": 28}, crop_pct=0.875),
    ],
    ids=["vit", "resnet"],
)
def test_a_frame_looks_as_its_pretrained_encoder_expects(clip, image_processor, tmp_path):
    image_processor.save_pretrained(tmp_path)
    processor = FrameProcessor.from_encoders_pretrained(str(tmp_path))
    pixels = processor(videos=clip[0])["pixel_values_videos"][0, 0]
    expected = image_processor(Image.fromarray(clip[0]), return_tensors="pt")["pixel_values"][0]
    assert pixels.shape == expected.shape
    assert (pixels - expected).abs().max() < 2 / 255 / min(image_processor.image_std)


def test_save_and_load(clip, tmp_path):
    processor = FrameProcessor.square(16, num_frames=3)
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, FrameProcessor)
    for key, value in processor(videos=[clip]).items():
        torch.testing.assert_close(loaded(videos=[clip])[key], value, rtol=0, atol=0)
    assert set(processor(videos=[clip])) == set(processor.model_input_names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(), "Nothing to process"),
        (dict(videos=[]), "Nothing to process"),
        (dict(videos=[np.zeros((8, 8, 3), np.uint8), None]), r"Samples \[1\] of the batch hold no video"),
        (dict(videos=[np.zeros((8, 8), np.uint8)]), r"uint8 \(8, 8\)"),
        (dict(videos=[np.zeros((8, 8, 3), np.float32)]), "float32"),
        (dict(videos=[np.zeros((8, 8, 3), np.uint8)], return_tensors="np"), "only 'pt'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        FrameProcessor.square(16)(**call)


def test_a_part_of_the_wrong_kind_is_refused():
    assert isinstance(FrameProcessor.square(16).video_processor, ClipFramesVideoProcessor)
    with pytest.raises(TypeError, match="ViTImageProcessor"):
        FrameProcessor(ViTImageProcessor())
