"""Signatures of real footage and of drawn pictures: what is the same picture, and what is not."""

import cv2
import numpy as np
import pytest

from affecthub.evaluation.perceptual_hash import frame_signature, nearest_frames, sign_files, sign_frames
from affecthub.media.colour import COLOUR_VARIANTS, brighten, scale_contrast, turn_hue

skimage = pytest.importorskip("skimage.data", reason="the pictures come with scikit-image")


@pytest.fixture(scope="module")
def pictures():
    """Four real photographs and six random scenes, uint8 (height, width, 3) of several sizes."""
    photos = [skimage.astronaut(), skimage.coffee(), skimage.cat(), skimage.rocket()]
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 256, (6, 9, 12, 3), dtype=np.uint8)
    return photos + [cv2.resize(scene, (160, 120), interpolation=cv2.INTER_CUBIC) for scene in scenes]


def jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)


VARIANTS = COLOUR_VARIANTS | {
    "dark": lambda image: (image * 0.5).astype(np.uint8),
    "flat": lambda image: scale_contrast(image, 0.5),
    "opposite hue": lambda image: turn_hue(image, 180),
    "bright and turned": lambda image: turn_hue(brighten(image, 25), 90),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "compressed": jpeg,
    "channels swapped": lambda image: image[..., ::-1],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_find_their_original(variant, pictures):
    known = sign_frames(pictures)
    matches = nearest_frames(known, sign_frames([VARIANTS[variant](np.ascontiguousarray(p)) for p in pictures]))
    assert matches.nearest.tolist() == list(range(len(pictures)))
    assert matches.duplicate.all()


def test_different_pictures_are_no_duplicates(pictures):
    signatures = sign_frames(pictures)
    for i, signature in enumerate(signatures):
        matches = nearest_frames(signatures[:i] + signatures[i + 1 :], [signature])
        assert not matches.duplicate.any()
        assert matches.distance[0] > 0.25


def test_aligned_faces_of_different_people_are_no_duplicates():
    faces = [np.repeat((255 * face).astype(np.uint8)[..., None], 3, axis=2) for face in skimage.lfw_subset()[:100]]
    signatures = sign_frames(faces)
    matches = nearest_frames(signatures[:50], signatures[50:])
    assert not matches.duplicate.any()


def test_nearest_equals_a_plain_search_in_any_block_size():
    rng = np.random.default_rng(1)
    frames = [cv2.resize(small, (64, 64)) for small in rng.integers(0, 256, (60, 6, 6, 3), dtype=np.uint8)]
    signatures = sign_frames(frames)
    bits = np.array([np.unpackbits(np.frombuffer(s[:32], np.uint8)) for s in signatures])
    distances = (bits[40:, None] != bits[None, :40]).sum(axis=2)
    for chunk in (7, 4096):
        matches = nearest_frames(signatures[:40], signatures[40:], chunk=chunk)
        assert (matches.nearest == distances.argmin(axis=1)).all()
        assert matches.distance == pytest.approx(distances.min(axis=1) / 255)
        thumbs = np.array([np.frombuffer(s[32:], np.uint8) for s in signatures], dtype=float)
        expected = [np.corrcoef(thumbs[40 + i], thumbs[n])[0, 1] for i, n in enumerate(matches.nearest)]
        assert matches.correlation == pytest.approx(expected, abs=1e-5)


def test_flat_frames_have_no_signature():
    assert frame_signature(np.zeros((90, 120, 3), np.uint8)) is None
    assert frame_signature(np.full((90, 120, 3), (200, 30, 90), np.uint8)) is None


def test_files_give_the_signatures_of_their_frames(tmp_path, pictures):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, picture in zip(paths, pictures, strict=False):
        cv2.imwrite(str(path), picture[..., ::-1])
    assert sign_files(paths) == sign_frames(pictures[:3])


@pytest.mark.filterwarnings("ignore")
def test_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "frame.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"frame.png: no readable picture"):
        sign_files([tmp_path / "frame.png"])
