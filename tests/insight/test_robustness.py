"""Disturbances do what their unit says, and a model is judged under those that it can meet."""

import json
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from affecthub.evaluation.predictions import list_column, predictions_of
from affecthub.insight.robustness import DISTURBANCES, disturbed, fits, write_robustness

from .planted import features, pictures, sounds

NAMED = {each.name: each for each in DISTURBANCES}


def sample_of(**held):
    return dict.fromkeys(("text", "audio", "video", "physio")) | held


def apply(name, level, processor=None, seed=0, **held):
    return disturbed(sample_of(**held), NAMED[name], level, processor, [seed, 3])


def decibels(signal, noise):
    return 10 * np.log10(np.square(signal).mean() / np.square(noise).mean())


def test_sound_gets_noise_of_the_ratio():
    tone = np.sin(np.arange(16_000) / 5).astype(np.float32)
    noisy = apply("noise in the sound", 5.0, sounds(), audio=tone)["audio"]
    assert decibels(tone, noisy - tone) == pytest.approx(5, abs=0.2)


def test_pictures_get_noise_of_the_ratio():
    frames = np.random.default_rng(0).integers(100, 150, (4, 32, 32, 3), dtype=np.uint8)
    noisy = apply("noise in the pictures", 10.0, video=frames)["video"]
    noise = noisy.astype(float) - frames
    assert decibels(frames - frames.mean(), noise) == pytest.approx(10, abs=0.3)


def test_a_stop_is_half_the_light():
    frames = np.full((1, 4, 4, 3), 200, dtype=np.uint8)
    dark = apply("darkness", 2.0, video=frames)["video"]
    assert (dark[0, 0, 0, 0] / 200) ** 2.2 == pytest.approx(1 / 4, rel=0.02)


def test_blur_spreads_a_point_as_far_as_it_says():
    frames = np.zeros((1, 100, 100, 3), dtype=np.uint8)
    frames[0, 40:60, 40:60] = 255
    spread = apply("blur", 4.0, video=frames)["video"][0, :, 50, 0].astype(float)
    before, places = frames[0, :, 50, 0].astype(float), np.arange(100)
    variances = [np.average((places - 49.5) ** 2, weights=of) for of in (spread, before)]
    assert np.sqrt(variances[0] - variances[1]) == pytest.approx(4, abs=0.2)


def test_frames_sensors_and_words_go_missing_by_their_share_and_one_stays():
    frames = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    kept = apply("dropped frames", 50.0, pictures(), video=frames)["video"]
    assert len(kept) == 3 and (np.diff(kept[:, 0, 0, 0].astype(int)) > 0).all()
    assert len(apply("dropped frames", 100.0, pictures(), video=frames)["video"]) == 1
    values = apply("lost sensors", 25.0, features(), physio=np.ones((3, 8)))["physio"]
    assert np.isnan(values).all(axis=0).sum() == 2 and np.isnan(values).sum() == 6
    assert np.isnan(apply("lost sensors", 100.0, physio=np.ones((1, 8)))["physio"]).sum() == 7
    assert apply("lost words", 75.0, text="one two three four")["text"] in ("one", "two", "three", "four")


def test_what_is_lost_at_a_level_is_lost_at_worse_ones():
    lost = [np.isnan(apply("lost sensors", level, physio=np.ones((1, 8)))["physio"][0]) for level in (25.0, 50.0)]
    assert (lost[1] | ~lost[0]).all() and lost[1].sum() > lost[0].sum()


def test_modalities_go_missing_by_chance_but_never_all():
    counts = []
    for seed in range(400):
        changed = apply("missing modalities", 50.0, seed=seed, text="a", audio=np.zeros(3), video=np.zeros(3))
        counts.append(sum(value is not None for value in changed.values()))
    assert min(counts) == 1 and np.mean(counts) == pytest.approx(1.5 + 1 / 8, abs=0.12)


def test_the_sample_itself_stays_and_its_turns_are_disturbed_too():
    frames = np.full((1, 4, 4, 3), 200, dtype=np.uint8)
    turn = sample_of(video=frames)
    sample = sample_of(video=frames) | {"history": [turn], "following": []}
    changed = disturbed(sample, NAMED["darkness"], 1.0, pictures(), [0, 0])
    assert (changed["history"][0]["video"] == changed["video"]).all() and changed["video"].max() < 200
    assert (sample["video"] == 200).all() and (turn["video"] == 200).all()


def test_a_model_meets_the_disturbances_of_its_modalities_alone():
    met = {each.name for each in DISTURBANCES if fits(each, sounds())}
    assert met == {"noise in the sound"}
    processor = pictures()
    processor.video_processor.num_frames = 1
    assert {each.name for each in DISTURBANCES if fits(each, processor)} == {
        "noise in the pictures",
        "blur",
        "darkness",
    }


@pytest.mark.parametrize("name", ["trimodal_ensemble", "dialogue", "physio_cross_attention"])
def test_curves_are_kept_beside_the_model(run_of, name):
    run = run_of(name)
    found = write_robustness(run, most=4)
    assert json.loads((run.folder / "robustness.json").read_text()) == found
    assert found["rows"] == 4 and found["of_rows"] == len(run.samples) and found["split"] == "test"
    assert {curve["disturbance"] for curve in found["curves"]} == {
        each.name for each in DISTURBANCES if fits(each, run.processor)
    }
    for curve in found["curves"]:
        assert curve["touched"] == 4 or curve["disturbance"] == "missing modalities"
        assert len(curve["levels"]) >= 4
    assert write_robustness(run, most=4) == found  # seeds are fixed


def test_figures_are_of_the_calibrated_model_and_intervals_draw_people(run_of, tmp_path):
    run = run_of("trimodal_ensemble")
    run = replace(run, folder=tmp_path, model=deepcopy(run.model))
    keys = [str(key) for key in run.samples.rows["key"]]
    parts = {
        name: {
            "key": pa.array(of),
            "participant": pa.array([f"{name} {i % 2}" for i in range(len(of))]),
            "present": pa.array([["text"]] * len(of)),
            "reference.emotion": pa.array([0] * len(of)),
            "logits.emotion": list_column(np.zeros((len(of), 7), dtype=np.float32)),
        }
        for name, of in {"train": ["a"], "test": keys[::-1]}.items()
    }
    told = {"emotion": {"kind": "single_label", "labels": list("abcdefg")}}
    facts = {"data": "x", "synthetic": True, "unit": "x", "protocol": "fixed", "architecture": "x", "subsets": []}
    predictions_of(parts, told, modalities=["text"], **facts).write(tmp_path / "predictions.parquet")
    plain = write_robustness(run, metric="nll")
    run.model.config.calibration = {"emotion": {"temperature": 1000.0}}
    flat = write_robustness(run, metric="nll")
    assert plain["clusters"] == flat["clusters"] == "2 participants"
    assert flat["undisturbed"]["value"] == pytest.approx(np.log(7), abs=1e-3) != plain["undisturbed"]["value"]
    with pytest.raises(ValueError, match="its data were changed since"):
        renamed = run.samples.rows.map(lambda row: {"key": f"{row['key']}'"})
        run.clusters(SimpleNamespace(rows=renamed), [0])


def test_a_metric_of_another_kind_is_refused(run_of):
    with pytest.raises(ValueError, match="metric='mae'.*accuracy"):
        write_robustness(run_of("trimodal_ensemble"), metric="mae")
