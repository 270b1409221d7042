"""A history in the pipeline and at the endpoint: it is used, and what is no history is refused in a sentence."""

import pytest
import torch

from affecthub.inference.handler import _decoded
from affecthub.inference.pipeline_affect import TASK, AffectRecognitionPipeline

from ..hub.test_stranger import build
from ..hub.tiny import write_clip


def piped(model_type, modalities=None, **processor_fields):
    torch.manual_seed(0)
    model, processor = build(model_type, modalities)
    for name, value in processor_fields.items():
        setattr(processor, name, value)
    if model_type == "dialogue":
        torch.nn.init.normal_(model.context_classifier.weight)
    return AffectRecognitionPipeline(model=model, processor=processor, task=TASK, device="cpu")


@pytest.fixture(scope="module")
def pipe():
    return piped("dialogue")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("history") / "clip.mp4")


def test_turns_before_and_after_change_the_answer(pipe):
    plain = pipe("hello")["scores"]
    for around in (
        {"history": ["world"]},
        {"following": ["world"]},
        {"history": [{"text": "world", "speaker": "Ann"}]},
    ):
        assert pipe({"text": "hello", "speaker": "Ann", **around})["scores"] != pytest.approx(plain, abs=1e-6)
    assert pipe("hello", history=["world"])["scores"] == pipe({"text": "hello", "history": ["world"]})["scores"]
    assert pipe("hello", history=[])["scores"] == pytest.approx(plain, abs=1e-6)


def test_a_clip_is_a_turn_like_any_other(pipe, clip):
    answer = pipe({"video": str(clip), "history": ["hello"]})
    assert answer["modalities"] == ["audio", "video"]
    heard = pipe({"text": "hello", "history": [str(clip)]})
    assert heard["modalities"] == ["text"] and heard["scores"] != pytest.approx(pipe("hello")["scores"], abs=1e-6)


def test_only_the_nearest_turns_are_read(pipe, monkeypatch):
    turns = ["hello", "world"]
    assert (
        pipe("hello", history=["no_such_file.mp4"] * 400 + turns)["scores"] == pipe("hello", history=turns)["scores"]
    )


def test_the_text_encoder_reads_a_history():
    pipe = piped("unimodal_baseline", ["text"], turns_before=2)
    assert pipe("hello", history=["world"])["scores"] != pytest.approx(pipe("hello")["scores"], abs=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"history": "hello"}, "history: a list of turns is needed"),
        ({"history": [{"text": "hello", "speaker": "Ann"}], "speaker": "Ann"}, "holds the turn that is to be judged"),
        ({"history": [{"text": "a", "history": ["b"]}]}, "a turn has no history of its own"),
        ({"history": [7]}, "pass a path, an http"),
        ({"history": [{"smell": "b"}]}, r"holds \['smell'\]"),
        ({"speaker": 3}, "speaker=3: a string is needed"),
    ],
)
def test_histories_that_are_none(pipe, given, said):
    with pytest.raises(ValueError, match=said):
        pipe({"text": "hello", **given})


def test_the_same_words_by_somebody_else_are_another_turn(pipe):
    turn = {"text": "hello", "speaker": "Ben"}
    assert pipe({"text": "hello", "speaker": "Ann", "history": [turn]})["label"]
    assert pipe({"text": "hello", "history": ["hello"]})["label"]  # nobody knows whether it is


def test_a_model_that_takes_no_turns_says_so():
    with pytest.raises(ValueError, match="history: this model takes no such turns"):
        piped("trimodal_ensemble")({"text": "hello", "history": ["world"]})


def test_a_history_belongs_to_one_input(pipe):
    with pytest.raises(ValueError, match="history belongs to one input"):
        pipe(["hello", "world"], history=["so"])


def test_the_endpoint_opens_no_path_that_a_history_names(clip):
    decoded = _decoded({"text": "hello", "history": [str(clip), {"text": "so", "history": ["/etc/passwd"]}]})
    assert decoded["history"][0] == {"text": str(clip)}
    assert decoded["history"][1]["history"] == [{"text": "/etc/passwd"}]
    with pytest.raises(ValueError, match="video is no base64"):
        _decoded({"text": "hello", "history": [{"video": str(clip)}]})
