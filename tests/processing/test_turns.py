"""Turns of a conversation: who speaks, which of them are read, and what a tokenizer makes of them."""

import numpy as np
import pytest
import torch
from transformers import BertTokenizer

from affecthub import DialogueProcessor, LogMelFeatureExtractor, TrimodalProcessor
from affecthub.processing.turns import speaker_slots, window_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *":?abc", "ann", "ben"]
WORDS += ["one", "two", "three", "four", "five", "six"]


@pytest.fixture
def tokenizer():
    return BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})


def words(tokenizer, ids):
    return " ".join(word for word in tokenizer.convert_ids_to_tokens(ids) if word != "[PAD]")


def own_words(tokenizer, batch, row):
    return words(tokenizer, batch["input_ids"][row][batch["text_turn_mask"][row].bool()])


@pytest.mark.parametrize(
    ("speakers", "present", "slots"),
    [
        (["ann", "ben", "ann"], 2, [0, 1, 0]),
        (["cy", "ben", "ann", "cy"], 2, [2, 1, 0, 2]),  # of two equally near, the earlier first
        ([None, "ben", None], 2, [4, 1, 0]),
        (["d", "c", "b", "x", "ann"], 4, [3, 3, 2, 1, 0]),  # more than there are slots
        (["ann", None, None, "ann"], 3, [0, 4, 4, 0]),
        ([None], 0, [0]),
    ],
)
def test_speakers_are_told_from_the_turn_that_is_judged(speakers, present, slots):
    assert speaker_slots(speakers, present, 5) == slots


def test_a_window_holds_the_nearest_turns():
    sample = {"text": "now", "history": [{"text": str(i)} for i in range(5)], "following": [{"text": "next"}]}
    window = window_of(sample, 2, 2)
    assert [turn and turn["text"] for turn in window] == ["3", "4", "now", "next", None]
    assert [turn and turn["text"] for turn in window_of({"text": "now"}, 2, 0)] == [None, None, "now"]


def test_earlier_turns_stand_before_the_text_whose_tokens_are_marked(tokenizer):
    processor = TrimodalProcessor(tokenizer=tokenizer, turns_before=2, speakers="neutral")
    history = [{"text": "six"}, {"text": "one two", "speaker": "Ben"}, {"text": "three", "speaker": "Ann"}]
    batch = processor.encode([{"text": "four", "speaker": "Ann", "history": history}, {"text": "five six"}])
    assert words(tokenizer, batch["input_ids"][0]) == "[CLS] b : one two [SEP] a : three [SEP] a : four [SEP]"
    assert own_words(tokenizer, batch, 0) == "a : four"
    assert words(tokenizer, batch["input_ids"][1]) == "[CLS] a : five six [SEP]"
    assert own_words(tokenizer, batch, 1) == "a : five six"
    assert set(batch) == set(processor.model_input_names) and batch["token_type_ids"][0].sum() == 4


@pytest.mark.parametrize(("speakers", "text"), [("none", "one [SEP] two"), ("names", "ann : one [SEP] ben : two")])
def test_what_stands_before_each_turn(tokenizer, speakers, text):
    processor = TrimodalProcessor(tokenizer=tokenizer, turns_before=1, speakers=speakers)
    batch = processor.encode([{"text": "two", "speaker": "Ben", "history": [{"text": "one", "speaker": "Ann"}]}])
    assert words(tokenizer, batch["input_ids"][0]) == f"[CLS] {text} [SEP]"


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (9, "one two [SEP] three [SEP] four five"),
        (8, "three [SEP] four five"),
        (6, "three [SEP] four five"),
        (5, "four five"),
        (4, "four five"),
        (3, "four"),
    ],
)
def test_where_there_is_no_room_the_oldest_turns_go_first(tokenizer, room, text, caplog):
    processor = TrimodalProcessor(tokenizer=tokenizer, turns_before=2, max_text_tokens=room)
    batch = processor.encode([{"text": "four five", "history": [{"text": "one two"}, {"text": "three"}]}])
    assert words(tokenizer, batch["input_ids"][0]) == f"[CLS] {text} [SEP]"
    assert ("is cut to max_text_tokens" in caplog.text) == (room == 3)


def test_a_text_without_history_and_an_absent_one(tokenizer):
    processor = TrimodalProcessor(tokenizer, feature_extractor=LogMelFeatureExtractor(), turns_before=2)
    sound = {"audio": np.ones(2000, np.float32), "history": [{"text": "one"}]}
    batch = processor.encode([{"text": "two"}, sound])
    assert batch["text_present"].tolist() == [1, 0] and batch["audio_present"].tolist() == [0, 1]
    assert set(processor.encode([sound])) == {"input_features", "feature_attention_mask", "audio_present"}


def test_a_processor_that_reads_no_history_says_so(tokenizer):
    with pytest.raises(ValueError, match="history was passed to a processor that reads none"):
        TrimodalProcessor(tokenizer=tokenizer)(text=["one"], history=[[{"text": "two"}]])
    with pytest.raises(ValueError, match="Batches differ in length: .*'history': 1"):
        TrimodalProcessor(tokenizer=tokenizer, turns_before=1)(text=["one", "two"], history=[[{"text": "two"}]])
    with pytest.raises(ValueError, match="speakers='who': choose one of none, neutral, names"):
        TrimodalProcessor(tokenizer=tokenizer, speakers="who")


def test_turns_of_a_dialogue_have_an_axis_of_their_own(tokenizer):
    processor = DialogueProcessor(tokenizer, feature_extractor=LogMelFeatureExtractor(), turns_before=2, turns_after=1)
    sound = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    history = [{"text": "one", "speaker": "Ann"}, {"text": None, "audio": None}, {"audio": sound, "speaker": "Ben"}]
    samples = [
        {"text": "two three", "speaker": "Ann", "history": history},
        {"text": "four", "audio": sound[:2000], "following": [{"text": "five", "speaker": "Cy"}]},
    ]
    batch = processor.encode(samples)
    assert batch["text_present"].tolist() == [[0, 0, 1, 0], [0, 0, 1, 1]]
    assert batch["audio_present"].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert batch["speaker_ids"].tolist() == [[7, 1, 0, 7], [7, 7, 0, 1]]
    assert words(tokenizer, batch["input_ids"][1, 3]) == "[CLS] five [SEP]"
    alone = processor.encode_each([{"audio": sound}])
    torch.testing.assert_close(batch["input_features"][0, 1], alone["input_features"][0])
    assert set(batch) <= set(processor.model_input_names)


def test_it_is_saved_and_loaded(tokenizer, tmp_path):
    processor = DialogueProcessor(tokenizer, turns_before=3, turns_after=2)
    processor.save_pretrained(tmp_path)
    loaded = DialogueProcessor.from_pretrained(tmp_path)
    assert (loaded.turns_before, loaded.turns_after, loaded.modalities) == (3, 2, ["text"])
    TrimodalProcessor(tokenizer, turns_before=4, speakers="names").save_pretrained(tmp_path)
    loaded = TrimodalProcessor.from_pretrained(tmp_path)
    assert (loaded.turns_before, loaded.speakers) == (4, "names")
