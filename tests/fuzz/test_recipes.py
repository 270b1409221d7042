"""Whatever a recipe or a description of a study holds, it is read, or refused in a sentence that names file or key."""

import contextlib
import io
import time
from dataclasses import fields
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from affecthub.datasets_scripts.genex.study import Study
from affecthub.datasets_scripts.yaml_files import read_yaml
from affecthub.training.recipe import RECIPES, parse_run, recipe_names

SLOWEST = 10.0
"""s, for any of them."""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.dates(),
    st.text(max_size=8),
    st.sampled_from(
        ["Meld", "Clips", "Genex", "all", "bf16", "emotion", "(?P<participant>x)", "[", "os.system", "Smile"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4) | SCALARS, v, max_size=3),
    max_leaves=6,
)
SNIPPETS = (
    "a: &a [*a]",
    "x: &x {y: 1}\nz: {<<: *x}",
    "? [a]\n: 1",
    "a: !!bool maybe",
    "a: !!timestamp x",
    "a: 2024-13-45",
    "yes: 1",
    "a: \t- b",
    "%YAML 9.9\n---\na: 1",
    "a: 1\n...\n---\nb: 2",
    "[" * 400,
    "a: !!python/object/apply:os.system [ls]",
    "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9 if i else ['x'] * 9)}]\n" for i in range(12)),
)


@st.composite
def texts(draw, seeds):
    """YAML, with pieces taken out, doubled, put in and bytes exchanged."""
    content = draw(st.sampled_from([*seeds, *SNIPPETS])).encode()
    for _ in range(draw(st.integers(0, 3))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        last = min(last, first + 40)
        piece = draw(
            st.sampled_from([b"", content[first:last] * 2, b"\n", b"\t", b": ", b"&a ", b"*a", b"- ", b"{", b"\xff"])
        )
        content = content[:first] + piece + content[last:]
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + content


def read(path, reader):
    """What a reader gives; None where it refuses in a sentence that names the file."""
    began = time.monotonic()
    try:
        return reader(path)
    except ValueError as error:
        assert str(path) in str(error) and not isinstance(error, UnicodeError), repr(error)
    finally:
        assert time.monotonic() - began < SLOWEST
    return None


PRESENT = [(RECIPES / f"{name}.yaml").read_text(encoding="utf-8") for name in recipe_names()]


@given(content=texts(PRESENT))
def test_yaml(folder, content):
    path = folder / "any.yaml"
    path.write_bytes(content)
    found = read(path, read_yaml)
    assert found is None or all(isinstance(key, str) for key in found)


@given(values=st.dictionaries(st.sampled_from([*(f.name for f in fields(Study)), "other"]), VALUES, max_size=4))
def test_a_study(folder, values):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    study = read(path, Study.from_yaml)
    if study:
        study.recording(Path("RespCam_LE 3299_Task_(1).mp4"))


KEYS = [
    "name", "data", "data.class_path", "data.init_args", "data.init_args.targets", "data.init_args.limit", "inputs",
    "inputs.num_frames", "inputs.max_seconds", "split.fold", "split.accept", "split.protocol", "model",
    "model.config", "model.task_weights", "model.modalities", "training.epochs", "training.phases",
    "training.precision", "training.scheduler_options", "training.seed", "augmentation", "augmentation.audio",
    "output_dir", "resume", "recipe",
]  # fmt: skip


@settings(max_examples=max(settings().max_examples // 8, 5))  # the parser is slow to make
@given(key=st.sampled_from(KEYS), value=VALUES)
def test_a_recipe(folder, key, value):
    content = {"data": {"class_path": "Meld"}} if key.startswith("data.init") else {}
    place = content
    *sections, last = key.split(".")
    for name in sections:
        place = place.setdefault(name, {})
    place[last] = value
    path, printed, began = folder / "mine.yaml", io.StringIO(), time.monotonic()
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            parse_run([f"--recipe={path}"])
    except SystemExit as left:
        assert left.code == 2 and printed.getvalue().startswith("train.py: ")
    assert time.monotonic() - began < SLOWEST
