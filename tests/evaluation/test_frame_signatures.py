"""Signatures of real footage and of drawn pictures: what is the same picture, and what is not."""

import cv2
import numpy as np
import pytest

from affecthub.evaluation.frame_signatures import frame_signature, nearest_frames, sign_files, sign_frames
from affecthub.media.colour import COLOUR_VARIANTS, brighten, scale_contrast, turn_hue

skimage = pytest.importorskip("skimage.data", reason="the pictures come with scikit-image")


@pytest.fixture(scope="module")
def pictures():
    """Five real photographs, one by night, and six random scenes, uint8 (height, width, 3) of several sizes."""
    photos = [skimage.astronaut(), skimage.coffee(), skimage.cat(), skimage.stereo_motorcycle()[0], skimage.rocket()]
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 256, (6, 9, 12, 3), dtype=np.uint8)
    return photos + [cv2.resize(scene, (160, 120), interpolation=cv2.INTER_CUBIC) for scene in scenes]


def jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)


def cut(image, share, corner=False):
    """Without a share of both sides, at the middle or at a corner."""
    sides = [round(side * (1 - share)) for side in image.shape[:2]]
    down, right = [0 if corner else (side - kept) // 2 for side, kept in zip(image.shape[:2], sides, strict=True)]
    return image[down : down + sides[0], right : right + sides[1]]


def moved(image, degrees=0.0, right=0.0, down=0.0, border=cv2.BORDER_CONSTANT):
    """Turned and shifted, by shares of the sides; black comes in, or the border."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1) + [
        [0, 0, right * width],
        [0, 0, down * height],
    ]
    return cv2.warpAffine(image, matrix, (width, height), borderMode=border)


def painted(image, top, left, bottom, right, colour):
    """With a rectangle of a colour over it, by shares of the sides."""
    image, (height, width) = image.copy(), image.shape[:2]
    image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = colour
    return image


def warped(image):
    """Mirrored, cut, compressed."""
    return jpeg(np.ascontiguousarray(cut(image, 0.1)[:, ::-1]))


VARIANTS = COLOUR_VARIANTS | {
    "mirrored": lambda image: image[:, ::-1],
    "cut by 10 %": lambda image: cut(image, 0.1),
    "cut by 10 % at a corner": lambda image: cut(image, 0.1, corner=True),
    "cut by 20 %": lambda image: cut(image, 0.2),
    "turned by 3 degrees": lambda image: moved(image, 3),
    "turned by 5 degrees": lambda image: moved(image, -5),
    "turned by 10 degrees": lambda image: moved(image, 10),
    "shifted by 3 %": lambda image: moved(image, right=0.03, down=0.015),
    "shifted by 10 %": lambda image: moved(image, right=-0.1),
    "shifted by 10 %, border repeated": lambda image: moved(image, right=0.1, down=0.05, border=cv2.BORDER_REPLICATE),
    "with a logo": lambda image: painted(image, 0.04, 0.72, 0.18, 0.96, (220, 20, 40)),
    "with a subtitle": lambda image: painted(image, 0.83, 0.0, 1.0, 1.0, 0),
    "in a letterbox": lambda image: cv2.copyMakeBorder(image, image.shape[0] // 6, image.shape[0] // 6, 0, 0, 0),
    "mirrored, cut, compressed": warped,
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


def test_aligned_faces_of_different_people_are_no_duplicates():
    faces = [np.repeat((255 * face).astype(np.uint8)[..., None], 3, axis=2) for face in skimage.lfw_subset()[:100]]
    signatures = sign_frames(faces)
    matches = nearest_frames(signatures[:50], signatures[50:])
    assert not matches.duplicate.any()


def test_any_block_size_finds_the_same():
    rng = np.random.default_rng(1)
    frames = [cv2.resize(small, (64, 64)) for small in rng.integers(0, 256, (60, 6, 6, 3), dtype=np.uint8)]
    signatures = sign_frames([*frames[:50], *map(warped, frames[:10])])
    found = [nearest_frames(signatures[:50], signatures[50:], chunk=chunk) for chunk in (7, 4096)]
    assert found[0].nearest.tolist() == found[1].nearest.tolist() == list(range(10))
    np.testing.assert_array_equal(found[0].correlation, found[1].correlation)


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
