"""Measures of recordings say what their unit says."""

import json

import cv2
import numpy as np
import pytest

from affecthub.insight.quality import measured, write_quality
from affecthub.media.quality import SILENT, brightness, level, sharpness


def test_a_full_scale_sine_is_three_decibels_below_full_scale():
    tone = np.sin(np.arange(16_000) * 0.1).astype(np.float32)
    assert level(tone) == pytest.approx(-3.01, abs=0.02)
    assert level(tone / 10) == pytest.approx(-23.01, abs=0.02)
    assert level(np.zeros(10)) == level(np.zeros(0)) == SILENT


def test_brightness_is_of_white_and_sharpness_is_of_edges_and_not_of_size():
    frames = np.full((2, 120, 160, 3), 51, dtype=np.uint8)
    assert brightness(frames) == pytest.approx(20) and sharpness(frames) == 0
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (448, 448, 3), dtype=np.uint8), (0, 0), 3)
    half = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA)
    assert sharpness(half[None]) == pytest.approx(sharpness(picture[None]), rel=0.05)
    assert sharpness(cv2.GaussianBlur(picture, (0, 0), 12)[None]) < 0.5 * sharpness(picture[None])
    assert measured(np.array([[1.0, np.nan], [2.0, 3.0]])) == 75


def test_measures_are_kept_by_key(run_of):
    run = run_of("trimodal_ensemble")
    found = write_quality(run, most=4)
    assert json.loads((run.folder / "quality.json").read_text()) == found
    assert list(found) == ["sound level", "brightness", "sharpness"]
    keys = {str(key) for key in run.samples.rows["key"]}
    assert all(len(of["rows"]) == 4 and set(of["rows"]) <= keys for of in found.values())
