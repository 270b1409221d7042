"""The endpoint's handler, called as the service calls it: bodies in, answers or one sentence out."""

import base64
import importlib.util
import json
import sys

import pytest

from affecthub.inference.pipeline_affect import AffectRecognitionPipeline

from ..hub.tiny import write_clip, write_folder, write_long_clip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The handler of a published folder, loaded as the service's toolkit does, and what it was loaded from."""
    root = tmp_path_factory.mktemp("endpoint")
    model, processor = write_folder(root / "model", max_seconds=5.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "model")
        spec = importlib.util.spec_from_file_location("handler", root / "model" / "handler.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "handler", module)
        spec.loader.exec_module(module)
        handler = module.EndpointHandler(str(root / "model"))
    pipe = AffectRecognitionPipeline(model=model, processor=processor, device=handler.pipeline.device)
    return handler, pipe


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(scope="module")
def service(served):
    """What a client gets: the toolkit answers any exception with its message and status 400."""
    handler, _ = served

    def answer(body, content_type="application/json"):
        try:
            data = json.loads(body) if content_type == "application/json" else {"inputs": bytes(body)}
            return 200, json.loads(json.dumps(handler(data)))
        except ValueError as error:  # no other: it would be a defect of the handler
            return 400, {"error": str(error)}

    return answer


def encoded(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_json_text(service, served):
    status, answer = service('{"inputs": "hello world"}')
    assert status == 200 and answer == served[1]("hello world")


def test_json_with_base64(service, served, clip):
    inputs = {"video": encoded(clip), "audio": encoded(clip), "text": "hello"}
    status, answer = service(json.dumps({"inputs": inputs}))
    assert status == 200 and answer == served[1]({"video": clip, "text": "hello"})
    assert answer["missing"] == []


def test_binary_body(service, served, clip):
    assert service(clip.read_bytes(), "audio/mpeg") == (200, served[1](clip))


def test_a_list_of_inputs(service, clip):
    status, answers = service(json.dumps({"inputs": ["hello", {"video": encoded(clip)}, {"text": "world"}]}))
    assert status == 200
    assert [answer["modalities"] for answer in answers] == [["text"], ["audio", "video"], ["text"]]


def test_parameters(service, tmp_path):
    video = encoded(write_long_clip(tmp_path / "long.mp4", seconds=6))
    body = {"inputs": {"video": video}, "parameters": {"window_seconds": 2, "hop_seconds": 4, "batch_size": 2}}
    status, answers = service(json.dumps(body))
    assert status == 200 and [answer["start"] for answer in answers] == [0, 4]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"inputs": ', "Expecting value"),
        ("[1, 2]", 'must be a JSON object with "inputs"'),
        ("{}", 'must be a JSON object with "inputs"'),
        ('{"inputs": null}', "got None"),
        ('{"inputs": []}', "the list is empty"),
        ('{"inputs": 7}', "got 7"),
        ('{"inputs": {}}', "nothing of what this model takes"),
        ('{"inputs": {"path": "x"}}', "['path'] are unknown"),
        ('{"inputs": {"video": "not base64!"}}', "video is no base64 of a media file"),
        ('{"inputs": {"video": "/etc/passwd"}}', "no base64"),
        ('{"inputs": {"video": "http://127.0.0.1/clip.mp4"}}', "no base64"),
        ('{"inputs": {"video": ["a"]}}', "must be the base64"),
        ('{"inputs": {"video": ""}}', "the file is empty (0 bytes)"),
        ('{"inputs": {"video": "AAAA"}}', "not a media file"),
        ('{"inputs": {"text": 7}}', "text=7: a string is needed"),
        ('{"inputs": {"text": "\\ud800"}}', "not valid Unicode"),
        ('{"inputs": {"physio": [1]}}', "this model takes ['text', 'audio', 'video']"),
        ('{"inputs": "a", "parameters": 3}', "parameters: a JSON object is needed"),
        ('{"inputs": "a", "parameters": {"top_k": 3}}', "['top_k'] are unknown"),
        ('{"inputs": "a", "parameters": {"batch_size": 0}}', "batch_size=0"),
        ('{"inputs": "a", "parameters": {"window_seconds": "5"}}', "window_seconds='5'"),
    ],
)
def test_bad_requests_get_a_sentence(service, body, said):
    status, answer = service(body)
    assert status == 400
    assert said in answer["error"]
    assert "\n" not in answer["error"] and "Traceback" not in answer["error"]


@pytest.mark.parametrize("content", [b"", b"<html>an error page</html>", b"\xff\xfe not UTF-8"])
def test_binary_bodies_that_are_no_media(service, content):
    status, answer = service(content, "audio/mpeg")
    assert status == 400 and answer["error"].startswith("<bytes>: ")


def test_a_text_is_never_taken_for_a_path_or_an_address(service, clip):
    for text in (str(clip), "http://127.0.0.1:9/clip.mp4"):
        status, answer = service(json.dumps({"inputs": text}))
        assert status == 200 and answer["modalities"] == ["text"]


def test_a_body_that_names_other_files_opens_none(service, clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    script = b"ffconcat version 1.0\nfile 'clip.mp4'\n"
    assert service(script, "audio/mpeg")[0] == 400
    assert service(json.dumps({"inputs": {"video": base64.b64encode(script).decode()}}))[0] == 400
