"""A threshold stands where a model errs more below it, and nowhere else."""

import json
from dataclasses import replace

import numpy as np
import pytest

from affecthub.evaluation.clusters import Clusters
from affecthub.hub.card import CARDS, CardFacts, read_facts, render_card
from affecthub.inference.predict import quality_of_card
from affecthub.insight.thresholds import curves_of


def curve(people, rows, planted, seed):
    """Errors of 10 % of the rows, of 70 % where a picture is poorer than 4."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 20, people * rows)
    errors = (rng.random(len(values)) < np.where((values < 4) & planted, 0.7, 0.1)).astype(float)
    keys = [str(number) for number in range(len(values))]
    of = {"unit": "grey levels", "rows": dict(zip(keys, values, strict=True))}
    measures = {"sharpness": of, "features measured": of}
    clusters = Clusters("participant", np.repeat(np.arange(people), rows))
    (found,) = curves_of(measures, errors, keys, clusters).items()
    assert found[0] == "sharpness" and sum(part["rows"] for part in found[1]["parts"]) == len(values)
    return found[1]


def test_a_planted_threshold_is_found_and_chance_makes_none(tmp_path):
    bare = read_facts(CARDS / "dialogue.json")
    found = curve(20, 15, True, seed=0)
    assert 2 < found["threshold"] < 6.5 and found["difference"][0] > 0.2
    assert found["parts"][0]["error"] > 0.5 > found["parts"][-1]["error"]
    assert sum(curve(20, 15, False, seed)["threshold"] is not None for seed in range(20)) <= 1
    assert curve(4, 75, True, seed=0)["threshold"] is None  # of few people nothing is known
    suggested = {"split": "validation", "error": "share of wrong answers, mood", "clusters": "20 participants"}
    facts = replace(bare, quality=suggested | {"curves": {"sharpness": found, "brightness": curve(20, 15, False, 0)}})
    card = render_card(facts).content
    assert (
        "Below" in card and "`predict --quality` judges nothing below" in card and "No threshold is supported" in card
    )
    assert CardFacts.from_json(facts.to_json()).quality == json.loads(json.dumps(facts.quality))
    (tmp_path / "card.json").write_text(facts.to_json())
    assert quality_of_card(str(tmp_path)).sharpness == found["threshold"]
    (tmp_path / "card.json").write_text(bare.to_json())
    with pytest.raises(ValueError, match="holds no errors by quality"):
        quality_of_card(str(tmp_path))
