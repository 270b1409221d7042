"""Whatever the files of a run's folder hold, a report is made of it, or refused in a sentence that names the file."""

import copy
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affecthub.evaluation.findings import Finding
from affecthub.evaluation.predictions import METADATA
from affecthub.evaluation.report import report_of
from affecthub.media.faults import FAULTS

from ..evaluation.studies import write_run

DAMAGE = st.sampled_from([None, 7, "<b>x", [1, "a"], {"a": 1}, -3.5, float("nan"), 10**30, "GONE"])
SCORES = {
    "kind": "single_label",
    "rows": 12,
    "accuracy": 0.5,
    "intervals": {"accuracy": [0.2, 0.7]},
    "baseline": {"accuracy": 0.4, "majority_label": "a"},
}
RESULTS = {
    "data": {"name": "mine", "synthetic": True, "splits": {"train": 24, "test": 12}},
    "results": {"test": {"mood": SCORES}},
    "ablation": [{"modalities": ["text"], "rows": 12, "figures": {"accuracy": 0.5}}],
    "audit": [vars(Finding("same_sound", "severe", 1, "two", [], "drop one")) | {"accepted": True}],
    "training": {"seconds": 3.0},
}
MADE_BY = {
    **{"python": "3.11", "system": "Linux", "cores": 2, "threads": 2, "accelerator": None, "gpus": [], "cuda": None},
    "packages": {"torch": "2"},
}


FEWER = settings.get_profile("hunt").max_examples // 4
"""Examples: a report takes long."""


@pytest.fixture(scope="module")
def run(folder):
    """A run that a report can be made of."""
    path = write_run(folder / "whole", fold=0)
    (path / "model").mkdir()
    (path / "model" / "metrics.json").write_text(json.dumps(RESULTS))
    (path / "environment.json").write_text(json.dumps(MADE_BY))
    assert report_of([path])["models"]
    return path


def places(value, at=()):
    """Every place in nested mappings and lists, but the whole."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield (*at, key)
        yield from places(part, (*at, key))


def damaged(draw, value):
    """A copy in which one thing is something else, or gone."""
    value = part = copy.deepcopy(value)
    *way, last = draw(st.sampled_from(list(places(value))))
    for key in way:
        part = part[key]
    other = draw(DAMAGE)
    if other == "GONE":
        del part[last]
    else:
        part[last] = other
    return value


def refused_or_made(path):
    """Make a report; what it refuses, it refuses in one sentence."""
    try:
        report_of([path])
    except FAULTS as error:
        assert str(error) and not isinstance(error, UnicodeError), repr(error)


@settings(max_examples=FEWER)
@given(data=st.data())
def test_what_a_run_says_of_itself(folder, run, data):
    path = shutil.copytree(run, folder / "damaged", dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["model/metrics.json", "environment.json"]))
    text = json.dumps(damaged(data.draw, json.loads((path / name).read_text())))
    (path / name).write_text(text[: data.draw(st.sampled_from([len(text), len(text) // 2]))])
    refused_or_made(path)


@given(data=st.data())
def test_what_a_model_answered(folder, run, data):
    path = shutil.copytree(run, folder / "damaged", dirs_exist_ok=True)
    table = pq.read_table(path / "predictions.parquet")
    said, name = json.loads(table.schema.metadata[METADATA]), data.draw(st.sampled_from(table.column_names))
    place, values = table.column_names.index(name), table[name].to_pylist()
    how = data.draw(st.sampled_from(["facts", "drop", "text", "number", "nulls", "one null"]))
    if how == "facts":
        said = damaged(data.draw, said)
    elif how == "drop":
        table = table.drop_columns([name])
    elif how in ("text", "number"):
        table = table.set_column(place, name, pa.array(["x" if how == "text" else 7] * len(table)))
    else:
        kept = [None] * len(values) if how == "nulls" else [None, *values[1:]]
        table = table.set_column(place, name, pa.array(kept, table[name].type))
    table = table.replace_schema_metadata({METADATA: json.dumps(said)})
    pq.write_table(table, path / "predictions.parquet")
    refused_or_made(path)
