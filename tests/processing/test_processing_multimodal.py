"""The processor of token fusion: any subset of four modalities, and features whose statistics are saved with it."""

import itertools

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, BertTokenizer

from affecthub import (
    ClipFramesVideoProcessor,
    LogMelFeatureExtractor,
    MultimodalProcessor,
    PhysioFeatureExtractor,
    TrimodalProcessor,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world"]
RNG = np.random.default_rng(0)
ROWS = RNG.normal(3, 2, (20, 4))
SAMPLES = [
    {"text": "hello world"},
    {"audio": RNG.normal(0, 0.1, 4_000).astype(np.float32), "physio": ROWS[0]},
    {"video": RNG.integers(0, 256, (2, 40, 48, 3), dtype=np.uint8), "text": "hello"},
    {
        "text": "hello hello world",
        "audio": RNG.normal(0, 0.1, 8_000).astype(np.float32),
        "video": RNG.integers(0, 256, (9, 40, 48, 3), dtype=np.uint8),
        "physio": ROWS[1:4],
    },
]
LENGTHS = {
    "attention_mask": ("input_ids",),
    "feature_attention_mask": ("input_features",),
    "video_attention_mask": ("pixel_values_videos",),
    "physio_attention_mask": ("physio_values",),
}


def make(modalities=("text", "audio", "video", "physio"), **kwargs):
    size = {"height": 16, "width": 16}
    every = {
        "text": BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}),
        "audio": LogMelFeatureExtractor(feature_size=10),
        "video": ClipFramesVideoProcessor(size={"shortest_edge": 16}, crop_size=size, num_frames=3),
        "physio": PhysioFeatureExtractor.fit(ROWS, list("abcd"), [str(i) for i in range(20)]),
    }
    return MultimodalProcessor(**{MultimodalProcessor.part_of[name]: every[name] for name in modalities}, **kwargs)


def same(one, other):
    assert one.keys() == other.keys()
    for key, values in one.items():
        torch.testing.assert_close(values, other[key], rtol=0, atol=0)


def test_any_four_subsets_stand_in_one_batch():
    batch = make().encode(SAMPLES)
    present = {name: batch[f"{name}_present"].tolist() for name in ("text", "audio", "video", "physio")}
    assert present == {"text": [1, 0, 1, 1], "audio": [0, 1, 0, 1], "video": [0, 0, 1, 1], "physio": [0, 1, 0, 1]}
    assert batch["physio_values"].shape == (4, 3, 4)
    assert batch["physio_attention_mask"].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]]
    expected = (ROWS[1:4] - ROWS.mean(axis=0)) / ROWS.std(axis=0)
    np.testing.assert_allclose(batch["physio_values"][3], expected, rtol=1e-5, atol=1e-6)
    assert not batch["physio_values"][0].any() and not batch["pixel_values_videos"][1].any()


def test_a_batch_gives_what_its_samples_give_alone():
    processor = make()
    together = processor.encode(SAMPLES)
    for i, sample in enumerate(SAMPLES):
        alone = processor.encode([sample])
        for mask, (values,) in LENGTHS.items():
            if mask in alone:
                length = alone[mask].shape[1]
                torch.testing.assert_close(together[values][i, :length], alone[values][0], rtol=0, atol=1e-4)
                assert not together[mask][i, length:].any()


def test_it_does_to_an_utterance_what_the_trimodal_processor_does():
    whole, utterance = make(), make(("text", "audio", "video"))
    parts = {name: getattr(utterance, name) for name in TrimodalProcessor.part_names}
    samples = [{name: value for name, value in sample.items() if name != "physio"} for sample in SAMPLES]
    for processor in (whole, utterance):
        same(dict(processor.encode(samples)), dict(TrimodalProcessor(**parts).encode(samples)))


@pytest.mark.parametrize(
    "modalities",
    [chosen for size in (1, 2, 3, 4) for chosen in itertools.combinations(("text", "audio", "video", "physio"), size)],
    ids="-".join,
)
def test_any_subset_of_parts_saves_and_loads(modalities, tmp_path):
    processor = make(modalities, max_text_tokens=5, max_seconds=0.5)
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is MultimodalProcessor
    assert loaded.modalities == processor.modalities and set(loaded.modalities) == set(modalities)
    assert (loaded.max_text_tokens, loaded.max_seconds) == (5, 0.5)
    samples = [{name: SAMPLES[3][name] for name in modalities}]
    same(dict(loaded.encode(samples)), dict(processor.encode(samples)))
    assert set(processor.encode(samples)) <= set(loaded.model_input_names)
    if "physio" in modalities:
        assert loaded.part_for("physio").fitted_digest == processor.part_for("physio").fitted_digest


def test_a_loaded_processor_saves_what_it_was_saved_as(tmp_path):
    make().save_pretrained(tmp_path / "first")
    AutoProcessor.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    first, second = (tmp_path / name / "processor_config.json" for name in ("first", "second"))
    assert first.read_text() == second.read_text()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(), "Nothing to process"),
        (dict(text=["hello"], physio=[ROWS[0], ROWS[1]]), "differ in length: {'text': 1, 'physio': 2}"),
        (
            dict(text=["hello", None], physio=[None, None]),
            r"Samples \[1\] of the batch hold neither text, audio",
        ),
        (dict(physio=[ROWS[0, :3]]), r"physio\[0\] has shape \(3,\)"),
        (dict(text=[3], physio=[ROWS[0]]), "text=3 is no string"),
        (dict(physio=[ROWS[0]], return_tensors="np"), "only 'pt'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        make()(**call)


def test_a_modality_without_its_part_is_refused():
    with pytest.raises(ValueError, match="`physio` was passed to a processor without a physio_feature_extractor"):
        make(("text",))(text=["hello"], physio=[ROWS[0]])


def test_a_part_of_the_wrong_kind_is_refused():
    with pytest.raises(TypeError, match="a FeatureExtractionMixin was expected"):
        MultimodalProcessor(physio_feature_extractor=BertTokenizer(vocab={"[UNK]": 0}))
