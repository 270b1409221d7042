"""Attributions are complete, and features are weighed with intervals that know who was measured."""

import json

import numpy as np
import pytest

from affecthub.insight.attribution import attribute, feature_importance, pooled, write_attribution
from affecthub.insight.opened import inputs_of


@pytest.mark.parametrize("name", ["trimodal_ensemble", "dialogue", "frame_cnn", "physio_cross_attention"])
def test_the_parts_of_all_modalities_sum_to_what_the_sample_changes(run_of, name):
    run = run_of(name)
    inputs = inputs_of(run.model, run.processor, [run.samples[0]])
    found = attribute(run.model, run.processor, inputs, steps=64)
    assert set(found.totals) == set(run.processor.modalities)
    assert abs(found.error) < 0.05 * abs(found.output - found.baseline) + 1e-3
    if not run.processor.turns_apart:  # else the turns around it have their share
        assert {of: values.sum() for of, values in found.parts.items()} == pytest.approx(found.totals, abs=1e-4)


def test_the_output_is_the_labels_logit_less_the_mean_of_all(run_of):
    run = run_of("trimodal_ensemble")
    inputs = inputs_of(run.model, run.processor, [run.samples[0]])
    logits = run.model(**inputs).logits[0].detach()
    label = run.corpus.targets[0].labels[2]
    assert attribute(run.model, run.processor, inputs, label, steps=2).output == pytest.approx(
        float(logits[2] - logits.mean()), abs=1e-5
    )


def test_only_what_is_asked_for_is_attributed(run_of):
    run = run_of("trimodal_ensemble")
    inputs = inputs_of(run.model, run.processor, [run.samples[0]])
    assert set(attribute(run.model, run.processor, inputs, modalities=("text",), steps=2).parts) == {"text"}
    with pytest.raises(ValueError, match="physio"):
        attribute(run.model, run.processor, inputs, modalities=("physio",))


def test_a_label_that_there_is_not_is_refused(run_of):
    with pytest.raises(ValueError, match="label='glee'.*neutral"):
        write_attribution(run_of("trimodal_ensemble"), 1, "glee")


def test_what_was_found_is_kept_beside_the_model(run_of):
    run = run_of("trimodal_ensemble")
    found = write_attribution(run, 2)
    assert json.loads((run.folder / "attribution.json").read_text()) == found
    example = found["examples"][0]
    parts = example["parts"]
    assert example["output"] - example["baseline"] + example["error"] == pytest.approx(
        sum(each["total"] for each in parts.values()), abs=1e-4
    )
    assert parts["text"]["labels"][0] == "[CLS]" and parts["text"]["values"][0] == 0
    assert (run.folder / parts["video"]["picture"]).read_bytes().startswith(b"\x89PNG")
    assert len(parts["audio"]["labels"]) == len(parts["audio"]["values"]) == 50
    assert sum(parts["audio"]["values"]) == pytest.approx(parts["audio"]["total"], abs=1e-4)


def test_every_feature_is_weighed(run_of):
    run = run_of("physio_cross_attention")
    found = feature_importance(run, 4)
    assert found["rows"] == 4
    assert {each["feature"] for each in found["features"]} == set(run.corpus.feature_names)
    sizes = [each["importance"] for each in found["features"]]
    assert sizes == sorted(sizes, reverse=True) and "participants" not in found
    assert all(each["interval"][0] <= each["importance"] <= each["interval"][1] for each in found["features"])


def test_pooled_pixels_keep_their_sum():
    values = np.random.default_rng(0).normal(size=(2, 45, 60))
    found = pooled(values)
    assert found.shape == (2, 15, 20) and np.allclose(found.sum(axis=(1, 2)), values.sum(axis=(1, 2)))
