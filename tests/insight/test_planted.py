"""Maps hit a planted cue where a model has learned it, and only by chance where it has not."""

import numpy as np
import pytest

from affecthub.insight.attention import attend
from affecthub.insight.attribution import attribute

from .planted import PLANTED

ATTENDED = {"vit": "vision", "frame": "temporal", "token": "text", "step": "temporal"}
"""Cue -> the field of attentions that looks at places of its kind."""


def attributed(planted, model, processor, inputs):
    found = attribute(model, processor, inputs)
    return planted.score(found.parts)


def attended(name):
    def look(planted, model, processor, inputs):
        (found,) = (each for each in attend(model, processor, inputs) if each.field == ATTENDED[name])
        if found.pictures is not None:
            return found.pictures[0].ravel()
        return found.relevance[0][1:-1] if found.over == "tokens" else found.relevance[0]

    return look


def hits(planted, model, processor, look, count):
    """Share of samples in which the place of the cue is the one that counts most."""
    samples, _, places = planted.batch(np.random.default_rng(5), count)
    found = [look(planted, model, processor, processor.encode([sample])).argmax() for sample in samples]
    return np.mean(np.array(found) == places)


@pytest.fixture(scope="module", params=PLANTED)
def learned(request):
    """A cue's name, the cue, and the model that has learned it."""
    planted = PLANTED[request.param]
    model, processor, accuracy = planted.trained()
    assert accuracy > 0.85
    return request.param, planted, model, processor


def test_a_learned_cue_is_hit_by_attribution(learned):
    _, planted, model, processor = learned
    assert hits(planted, model, processor, attributed, 24) > max(0.8, 4 / planted.places)


def test_a_learned_cue_is_hit_by_attention(learned):
    name, planted, model, processor = learned
    if name not in ATTENDED:
        pytest.skip("nothing in it attends to places of this kind, or needs to")
    # residual connections carry the cue as well, so that a model need not look at it alone
    assert hits(planted, model, processor, attended(name), 24) > max(0.5, 2.5 / planted.places)


@pytest.mark.parametrize("name", PLANTED)
def test_untrained_models_hit_no_cue_by_attribution(name):
    planted = PLANTED[name]
    found = [hits(planted, *planted.untrained(seed), attributed, 8) for seed in range(10)]
    assert np.mean(found) < 1 / planted.places + 0.25


@pytest.mark.parametrize("name", ATTENDED)
def test_untrained_models_hit_no_cue_by_attention(name):
    planted = PLANTED[name]
    found = [hits(planted, *planted.untrained(seed), attended(name), 8) for seed in range(10)]
    assert np.mean(found) < 1 / planted.places + 0.25


def test_attributions_of_a_learned_model_sum_to_what_the_sample_changes(learned):
    _, planted, model, processor = learned
    samples, _, _ = planted.batch(np.random.default_rng(6), 4)
    for sample in samples:
        found = attribute(model, processor, processor.encode([sample]))
        assert abs(found.error) < 0.05 * abs(found.output - found.baseline) + 0.05
