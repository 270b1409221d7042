"""The colour variants change colours as they say, and nothing else."""

import colorsys

import numpy as np
import pytest

from affecthub.media.colour import COLOUR_VARIANTS, brighten, scale_contrast, turn_hue


def test_brightness_and_contrast_by_hand():
    image = np.array([[[0, 100, 250]]], np.uint8)
    assert brighten(image, 40).tolist() == [[[40, 140, 255]]]
    assert brighten(image, -40).tolist() == [[[0, 60, 210]]]
    assert scale_contrast(image, 1.5).tolist() == [[[0, 86, 255]]]


@pytest.mark.parametrize("rgb", [(200, 50, 30), (20, 180, 90), (90, 40, 220)])
def test_hue_turns_by_the_angle(rgb):
    turned = turn_hue(np.array([[rgb]], np.uint8), 60)[0, 0]
    before, after = (colorsys.rgb_to_hsv(*(np.array(c) / 255)) for c in (rgb, turned))
    assert (after[0] - before[0]) % 1 == pytest.approx(60 / 360, abs=0.01)
    assert after[1:] == pytest.approx(before[1:], abs=0.02)


@pytest.mark.parametrize("name", COLOUR_VARIANTS)
def test_each_variant_keeps_the_shape_and_changes_something(name):
    image = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    original = image.copy()
    changed = COLOUR_VARIANTS[name](image)
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (changed != image).any() and (image == original).all()
