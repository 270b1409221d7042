"""Whatever a client sends, the endpoint answers in time, with an answer that is JSON or with one sentence."""

import base64
import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affecthub.inference.handler import KEYS, EndpointHandler
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline

from ..hub.test_stranger import build
from .media_cases import damaged, whole

SLOWEST = 10.0
"""s."""


@pytest.fixture(scope="module", params=["trimodal_ensemble", "dialogue", "token_fusion"])
def handler(request):
    """As the service loads it, of a tiny model."""
    model, processor = build(request.param, None)
    made = EndpointHandler.__new__(EndpointHandler)
    made.pipeline = AffectRecognitionPipeline(model=model, processor=processor, device="cpu")
    made.limits = made.pipeline.limits_of({"work_seconds": 8, "body_bytes": 1_000_000, "windows": 500})
    return made


EXTREME = st.sampled_from(
    [0, -1, 1e-300, 1e-5, 0.3, 5, 1e300, 10**400, math.nan, math.inf, 2**63, True, None, "5", [], {}]
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "\ud800", "\0", "a" * 200_000, "/etc/passwd", "file:///etc/hostname", "clip.mp4"]
)
FILES = (
    damaged().map(lambda case: base64.b64encode(case[1]).decode())
    | st.sampled_from(["faststart", "mkv", "wav", "png"]).map(lambda kind: base64.b64encode(whole(kind)).decode())
    | TEXTS
    | st.binary(max_size=50)
)
NUMBERS = st.lists(st.floats(width=32) | EXTREME, max_size=4)
VALUES = {
    "video": FILES | EXTREME,
    "audio": FILES | EXTREME,
    "text": TEXTS | EXTREME,
    "physio": NUMBERS | st.lists(NUMBERS, max_size=3) | EXTREME,
    "speaker": TEXTS | EXTREME,
}
ANYTHING = st.recursive(
    EXTREME | TEXTS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXTS, part, max_size=3),
    max_leaves=12,
)
INPUT = TEXTS | st.fixed_dictionaries({}, optional=VALUES)
TURNS = st.lists(INPUT, max_size=3) | ANYTHING
INPUTS = (
    INPUT
    | st.builds(
        lambda one, turns: one | turns,
        st.fixed_dictionaries({}, optional=VALUES),
        st.fixed_dictionaries({}, optional={"history": TURNS, "following": TURNS}),
    )
    | st.lists(INPUT, max_size=3)
    | ANYTHING
)
PARAMETERS = st.fixed_dictionaries(
    {}, optional={name: EXTREME for name in ("window_seconds", "hop_seconds", "batch_size", "strict", "limits")}
)
BODIES = st.fixed_dictionaries({"inputs": INPUTS}, optional={"parameters": PARAMETERS | ANYTHING}) | ANYTHING


def nested(levels):
    """A conversation about a conversation."""
    body = {"text": "hello"}
    for _ in range(levels):
        body = {"text": "hello", "history": [body]}
    return {"inputs": body}


def deep(levels):
    """A list in a list."""
    value = []
    for _ in range(levels):
        value = [value]
    return value


HOSTILE = {
    "conversations": nested(50_000),
    "physio": {"inputs": {"physio": deep(50_000)}},
    "lists": {"inputs": deep(50_000)},
    "parameters": {"inputs": "hello", "parameters": {1: 2, "a": 3}},
    "keys": {"inputs": {1: 2, "a": 3}},
    "inputs": {"inputs": ["hello"] * 1000},
    "history": {"inputs": {"text": "hello", "history": ["hello"] * 1000}},
    "file": {"inputs": {"video": "A" * 2_000_000}},
    "bytes": {"inputs": bytes(2_000_000)},
    "text": {"inputs": {"text": "a" * 10_000_000}},
    "windows": {"inputs": {"video": bytes(whole("mkv"))}, "parameters": {"window_seconds": 1, "hop_seconds": 1e-300}},
}


def answered(handler, body):
    """Whether a body is answered, by JSON, rather than refused by one sentence."""
    begin, said = time.monotonic(), None
    try:
        json.dumps(handler(body), allow_nan=False)
    except ValueError as error:
        said = str(error)
        assert said and "\n" not in said.strip() and len(said) < 800, said[:2000]
    assert time.monotonic() - begin < SLOWEST
    return said is None


@given(BODIES)
def test_any_body_gets_an_answer_or_a_sentence(handler, body):
    answered(handler, body)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_body_beyond_the_limits_is_refused(handler, name):
    assert not answered(handler, HOSTILE[name])
