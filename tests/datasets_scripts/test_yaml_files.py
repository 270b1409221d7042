"""Hostile and mistaken YAML is refused in a sentence and in no time; `tests/fuzz` hunts for more."""

import os
from pathlib import Path

import pytest

from affecthub.datasets_scripts.genex.study import Study
from affecthub.datasets_scripts.text_files import Limits, limits
from affecthub.datasets_scripts.yaml_files import read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
REFUSED = {
    "- a": "it holds a list",
    "5": "it holds a single value",
    "name: 2024-13-45": "line 1: '2024-13-45' is no timestamp",
    "name: !!bool maybe": "line 1: 'maybe' is no bool",
    "name: !!python/name:os.system ''": "is no python/name",
    "name: a\nname: b": "lines 1 and 2: two values are named 'name': delete one",
    "yes: 1": "line 1: the key 'yes' is no text; write it in quotes",
    "? [a]\n: 1": "the key a list is no text",
    "name:\n\t- b": "line 2, column 1: no readable YAML: found character",
    "name: \0": "no readable YAML: control characters",
    "a: &a [*a]": "line 1: what `&` names here holds itself",
    "a: *b": "undefined alias",
    "a: 1\n---\nb: 2": "another document",
    "a: " + "9" * 5000: "line 1: '99999999999999999999'... has 5,000 characters and is no text",
    "a: " + "[" * 100_000: "maximum nesting depth|lies within 51 mappings",  # PyYAML's, or where it counts none ours
    "\n".join(" " * i + "a:" for i in range(100)): "lies within 51 mappings and lists; 50 is the limit",
    "a: [" + "x," * 400_000 + "]": "holds over 100,000 keys and values",
    "a: " + "x" * 2**20: "it has 1,048,579 bytes; 1,048,576 is the limit",
    BOMB: "with what its aliases stand for it holds [0-9,]+ values; 100,000 is the limit",
}


@pytest.mark.parametrize(("content", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_refused_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "study.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=f"study.yaml.*{message}"):
        read_yaml(tmp_path / "study.yaml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_is_meant_is_read(tmp_path, encoding):
    (tmp_path / "a.yaml").write_text("a: &a {b: ü}\nc: {<<: *a, d: 2}\n", encoding=encoding)
    assert read_yaml(tmp_path / "a.yaml") == {"a": {"b": "ü"}, "c": {"b": "ü", "d": 2}}
    (tmp_path / "a.yaml").write_text("# nothing is said\n")
    assert read_yaml(tmp_path / "a.yaml") == {}


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, message in ((tmp_path / "pipe.yaml", "pipe"), (tmp_path, "folder"), ("/dev/zero", "device")):
        with pytest.raises(ValueError, match=f"no regular file but a {message}; give the path of the file itself"):
            read_yaml(path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_yaml("a\0b.yaml")


def test_a_limit_can_be_raised(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_LIMITS", "depth=3, yaml_bytes=1e3")
    assert limits() == Limits(depth=3, yaml_bytes=1000)
    (tmp_path / "a.yaml").write_text("a: [[[x]]]")
    with pytest.raises(ValueError, match="raise the limit: AFFECTHUB_LIMITS=depth=NUMBER"):
        read_yaml(tmp_path / "a.yaml")
    for wrong in ("dept=3", "depth=0", "depth=many", "depth=inf", "depth"):
        monkeypatch.setenv("AFFECTHUB_LIMITS", wrong)
        with pytest.raises(ValueError, match=f"AFFECTHUB_LIMITS: '{wrong}' is no NAME=NUMBER above 0"):
            limits()


@pytest.mark.parametrize("value", ["[a]", "5", "null", "2024-01-01", ".nan", "true", "{a: 1}", "{a: {b: c}}"])
@pytest.mark.parametrize("field", ["name", "gsr_table", "columns", "expressions", "face_camera"])
def test_a_study_holds_texts_alone(tmp_path, field, value):
    (tmp_path / "study.yaml").write_text(f"{field}: {value}")
    with pytest.raises(ValueError, match=f"study.yaml: {field}: .*write"):
        Study.from_yaml(tmp_path / "study.yaml")


def test_a_pattern_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"face_camera: '\(\?P<participant' is no regular expression"):
        Study(face_camera="(?P<participant")


def test_a_pattern_that_takes_for_ever_is_named():
    study = Study(face_camera="(?P<participant>(a|aa)+)(?P<stimulus>b)")
    with pytest.raises(ValueError, match=r"face_camera: .* needs over 1 s for the name 'a+c'; write .*repeat"):
        study.recording(Path(f"{'a' * 60}c.mp4"))
