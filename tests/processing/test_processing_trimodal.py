"""The processor of the utterance models: any subset, mixed batches, clear refusals."""

import itertools
import logging

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, BertTokenizer

from affecthub import ClipFramesVideoProcessor, LogMelFeatureExtractor, TrimodalProcessor
from affecthub.processing.video_processing_clip_frames import uniform_indices

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "so", "glad"]
TEXTS = ["hello world", None, "so glad so glad"]


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    audio = [rng.normal(0, 0.1, n).astype(np.float32) for n in (16_000, 8_000, 4_000)]
    videos = [rng.integers(0, 256, (n, 40, 48, 3), dtype=np.uint8) for n in (9, 2, 1)]
    return audio, videos


def make(parts=("tokenizer", "video_processor", "feature_extractor"), **kwargs):
    every = {
        "tokenizer": BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}),
        "video_processor": ClipFramesVideoProcessor(
            size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, num_frames=3
        ),
        "feature_extractor": LogMelFeatureExtractor(feature_size=10),
    }
    return TrimodalProcessor(**{name: every[name] for name in parts}, **kwargs)


def test_mixed_presence(clips):
    audio, videos = clips
    batch = make()(
        text=TEXTS, audio=[audio[0], audio[1], None], videos=[None, videos[1], videos[0]], sampling_rate=16_000
    )
    assert batch["text_present"].tolist() == [1, 0, 1]
    assert batch["audio_present"].tolist() == [1, 1, 0]
    assert batch["video_present"].tolist() == [0, 1, 1]
    assert batch["input_ids"].shape == (3, 6)
    assert batch["input_features"].shape == (3, 63, 10)
    assert batch["feature_attention_mask"].sum(1).tolist() == [63, 32, 0]
    assert batch["pixel_values_videos"].shape == (3, 3, 3, 16, 16)
    assert batch["video_attention_mask"].tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert not batch["pixel_values_videos"][0].any() and not batch["input_features"][2].any()


@pytest.mark.parametrize("turns", [0, 1])
def test_a_tokenizer_s_options_as_any_processor_takes_them(turns):
    processor = make(("tokenizer",), turns_before=turns)
    texts = [text or "hello" for text in TEXTS]
    plain = processor(text=texts)
    for same in ({"padding": True, "truncation": True}, {"text_kwargs": {"padding": "longest"}}):
        assert processor(text=texts, **same)["input_ids"].tolist() == plain["input_ids"].tolist()
    assert processor(text=texts, padding="max_length", max_length=20)["input_ids"].shape == (3, 20)
    cut = processor(text=texts, text_kwargs={"max_length": 4})
    assert cut["input_ids"].shape == (3, 4) and cut["attention_mask"].shape == (3, 4)
    with pytest.raises(TypeError, match="'max_lenght'.*'max_length'.*text_kwargs"):
        processor(text=texts, max_lenght=4)
    with pytest.raises(ValueError, match="padding=False: the texts of a batch are padded"):
        processor(text=texts, padding=False)


def test_a_batch_gives_what_its_samples_give_alone(clips):
    audio, videos = clips
    processor = make()
    together = processor(text=TEXTS, audio=audio, videos=videos, sampling_rate=16_000)
    for i in range(3):
        alone = processor(text=[TEXTS[i]], audio=audio[i], videos=videos[i], sampling_rate=16_000)
        frames = int(alone["feature_attention_mask"].sum())
        torch.testing.assert_close(
            together["input_features"][i, :frames], alone["input_features"][0], rtol=0, atol=1e-4
        )
        seen = int(alone["video_attention_mask"].sum())
        torch.testing.assert_close(
            together["pixel_values_videos"][i, :seen], alone["pixel_values_videos"][0], rtol=0, atol=1e-5
        )


def test_pixels_are_resized_cropped_and_normalised(clips):
    """Against Pillow's bicubic resize and the plain formula."""
    from PIL import Image

    _, videos = clips
    processor = make()
    pixels = processor(videos=[videos[1]])["pixel_values_videos"][0, 0].numpy()
    resized = np.asarray(Image.fromarray(videos[1][0]).resize((19, 16), Image.Resampling.BICUBIC)).astype(np.float32)
    cropped = resized[:, 1:17]
    mean, std = (np.array(getattr(processor.video_processor, name)) for name in ("image_mean", "image_std"))
    expected = ((cropped / 255 - mean) / std).transpose(2, 0, 1)
    assert np.abs(pixels - expected).max() < 2 / 255 / std.min()  # one step of rounding, or two


def test_any_subset_of_parts_saves_and_loads(clips, tmp_path):
    audio, videos = clips
    inputs = {
        "tokenizer": {"text": TEXTS[:1]},
        "video_processor": {"videos": [videos[0]]},
        "feature_extractor": {"audio": [audio[0]], "sampling_rate": 16_000},
    }
    for size in (1, 2, 3):
        for parts in itertools.combinations(inputs, size):
            folder = tmp_path / "-".join(parts)
            processor = make(parts, max_text_tokens=5, max_seconds=0.5)
            processor.save_pretrained(folder)
            loaded = AutoProcessor.from_pretrained(folder)
            assert isinstance(loaded, TrimodalProcessor)
            assert (loaded.max_text_tokens, loaded.max_seconds) == (5, 0.5)
            call = {key: value for part in parts for key, value in inputs[part].items()}
            for key, value in processor(**call).items():
                torch.testing.assert_close(loaded(**call)[key], value, rtol=0, atol=0)
            assert set(processor(**call)) <= set(processor.model_input_names)


def test_uniform_frames_are_the_middles_of_equal_segments():
    assert uniform_indices(12, 3).tolist() == [2, 6, 10]
    assert uniform_indices(2, 3).tolist() == [0, 1]


def test_a_very_long_text_is_cut_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        batch = make(("tokenizer",), max_text_tokens=16)(text="hello " * 2000)
    assert batch["input_ids"].shape == (1, 16)
    assert "2002 tokens" in caplog.text and "max_text_tokens=16" in caplog.text


def test_audio_beyond_max_seconds_is_cut(clips):
    batch = make(("feature_extractor",), max_seconds=0.25)(audio=clips[0][0], sampling_rate=16_000)
    assert batch["input_features"].shape[1] == 1 + 4000 // 256


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(), "Nothing to process"),
        (dict(text=[]), "Nothing to process"),
        (dict(text=["hello", None]), r"Samples \[1\] of the batch hold neither"),
        (dict(text=["hello"], audio=[None, None]), "differ in length: {'text': 1, 'audio': 2}"),
        (dict(text=[3]), "text=3 is no string"),
        (dict(audio=[np.zeros(100, np.float32)]), "sampling_rate"),
        (dict(audio=[np.zeros(100, np.float32)], sampling_rate=44_100), "44100"),
        (dict(audio=[np.zeros(0, np.float32)], sampling_rate=16_000), "empty|no samples|0 samples"),
        (dict(videos=[np.zeros((3, 8, 8, 3), np.float32)]), r"float32 \(3, 8, 8, 3\)"),
        (dict(videos=[np.zeros((8, 8, 3), np.uint8)]), r"uint8 \(8, 8, 3\)"),
        (dict(videos=[np.zeros((0, 8, 8, 3), np.uint8)]), r"\(0, 8, 8, 3\)"),
        (dict(text="hello", return_tensors="np"), "only 'pt'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        make()(**call)


def test_a_modality_without_its_part_is_refused():
    with pytest.raises(ValueError, match="without a tokenizer"):
        make(("feature_extractor",))(text="hello")


def test_a_part_of_the_wrong_kind_is_refused():
    with pytest.raises(TypeError, match="LogMelFeatureExtractor"):
        TrimodalProcessor(tokenizer=LogMelFeatureExtractor())
