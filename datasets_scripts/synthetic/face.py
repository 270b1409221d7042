"""The drawn faces of the synthetic sample corpus: brows, eyes, nose and mouth follow an emotion.

The geometry exaggerates the prototypes of Ekman & Friesen, *Unmasking the Face* (1975). Only geometry carries the
emotion: colours, hair and place belong to the speaker and the clip, so that a classifier cannot read the emotion from
them, and the mouth moves at one rhythm for all, so that the picture says nothing of the voice.
"""

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

SIZE = 64  # px, a side of the rendered frame
_CANVAS = 3 * SIZE  # px; drawn large and averaged down, which places edges at fractions of a pixel
_TALK_HZ = 3.0  # openings of the mouth a second, the same for every emotion


@dataclass(frozen=True)
class Expression:
    """One face's geometry; every number is about 0..1, or -1..1 where it has a direction."""

    brow_raise: float
    """How far the brows stand above the eyes."""
    brow_tilt: float
    """1 lifts the inner ends (grief), -1 lowers them (anger)."""
    eye_open: float
    """Height of the eyes."""
    mouth_curve: float
    """1 lifts the corners (a smile), -1 lowers them."""
    mouth_open: float
    """Height of the mouth's opening."""
    mouth_width: float
    """Width of the mouth."""
    mouth_square: float = 0.0
    """0 is an oval opening, 1 a square one."""
    teeth: float = 0.0
    """Share of the opening that teeth fill."""
    nose_wrinkle: float = 0.0
    """Strength of the folds beside the nose."""
    tongue: float = 0.0
    """How far the tongue is out."""
    tears: float = 0.0
    """Length of the tears under the eyes."""


EXPRESSIONS: dict[str, Expression] = {
    "neutral": Expression(0.35, 0.0, 0.55, 0.0, 0.06, 0.55),
    "surprise": Expression(1.0, 0.0, 1.0, 0.0, 1.0, 0.42),
    "fear": Expression(0.85, 0.9, 0.95, -0.45, 0.5, 0.95, mouth_square=1.0, teeth=0.4),
    "sadness": Expression(0.45, 1.0, 0.3, -1.0, 0.08, 0.6, tears=1.0),
    "joy": Expression(0.55, 0.1, 0.4, 0.85, 1.0, 1.0, teeth=0.4),
    "disgust": Expression(0.1, -0.5, 0.16, -0.7, 0.4, 0.65, nose_wrinkle=1.0, tongue=1.0),
    "anger": Expression(0.0, -1.0, 0.5, -0.15, 0.45, 0.85, mouth_square=1.0, teeth=1.0),
}


@dataclass(frozen=True)
class Look:
    """What makes a speaker's face their own: RGB colours and the shape of the head; says nothing of emotion."""

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    background: tuple[int, int, int]
    head_width: float
    """Half the width of the head, in frame widths."""
    fringe: float
    """How far the hair comes down the forehead, in frame heights."""


def draw_clip(emotion: str, look: Look, frames: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a talking face.

    Args:
        emotion: the emotion that the face shows, a key of `EXPRESSIONS`.
        look: the speaker.
        frames: number of frames.
        fps: frames per second.
        rng: draws the intensity, place and rhythm of this clip.

    Returns:
        (frames, 64, 64, 3) uint8, RGB.
    """
    expression = _jitter(EXPRESSIONS[emotion], rng)
    centre = 0.5 + rng.normal(0.0, 0.012, 2)
    phase, blink = rng.uniform(0, 2 * np.pi), rng.integers(2 * frames)  # half of the clips blink, once
    video = np.empty((frames, SIZE, SIZE, 3), np.uint8)
    for i in range(frames):
        wave = np.sin(2 * np.pi * _TALK_HZ * i / fps + phase)
        moved = replace(
            expression,
            mouth_open=max(0.03, expression.mouth_open * (1 + 0.2 * wave)),
            eye_open=expression.eye_open * (0.15 if i == blink else 1.0),
        )
        sway = 0.008 * np.array([np.sin(i / fps * 2.1 + phase), np.cos(i / fps * 2.9 + phase)])
        video[i] = draw_face(moved, look, centre + sway)
    return video


def draw_face(expression: Expression, look: Look, centre: np.ndarray) -> np.ndarray:
    """Draw one frame, (64, 64, 3) uint8 RGB, with the head at `centre` = (x, y) in frame widths."""
    pen = _Pen(look, centre)
    _draw_head(pen, look)
    for side in (-1, 1):
        _draw_eye(pen, side, expression)
        _draw_brow(pen, side, expression)
    _draw_nose(pen, expression)
    _draw_mouth(pen, expression)
    return cv2.resize(pen.canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _jitter(expression: Expression, rng: np.random.Generator) -> Expression:
    """Vary the intensity by 8 % and each number by 0.04; what is exactly 0 is absent from the face and stays so."""
    gain = rng.normal(1.0, 0.08)
    numbers = {field.name: getattr(expression, field.name) for field in fields(expression)}
    return Expression(**{name: x and x * gain + rng.normal(0.0, 0.04) for name, x in numbers.items()})


class _Pen:
    """Draws on a large canvas in face coordinates: the centre of the head is (0, 0), the frame is 1 wide, y down."""

    def __init__(self, look: Look, centre: np.ndarray) -> None:
        self.canvas = np.empty((_CANVAS, _CANVAS, 3), np.uint8)
        self.canvas[:] = look.background
        self.centre = centre
        red, green, blue = look.skin
        self.ink = int(0.45 * red), int(0.45 * green), int(0.45 * blue)

    def points(self, points: np.ndarray) -> np.ndarray:
        return np.rint((np.asarray(points) + self.centre) * _CANVAS).astype(np.int32)

    def oval(self, centre: tuple[float, float], radii: tuple[float, float], colour: tuple[int, int, int]) -> None:
        x, y = self.points(np.array([centre]))[0].tolist()
        axes = (max(1, round(radii[0] * _CANVAS)), max(1, round(radii[1] * _CANVAS)))
        cv2.ellipse(self.canvas, (x, y), axes, 0, 0, 360, colour, -1)

    def fill(self, points: np.ndarray, colour: tuple[int, int, int]) -> None:
        cv2.fillPoly(self.canvas, [self.points(points)], colour)

    def line(self, points: np.ndarray, colour: tuple[int, int, int], width: float) -> None:
        cv2.polylines(self.canvas, [self.points(points)], False, colour, max(1, round(width * _CANVAS)))


def _draw_head(pen: _Pen, look: Look) -> None:
    pen.oval((0, -0.06), (look.head_width + 0.04, 0.46), look.hair)
    for side in (-1, 1):
        pen.oval((side * look.head_width, 0.0), (0.06, 0.08), look.skin)
    pen.oval((0, 0.02), (look.head_width, 0.47), look.skin)
    angles = np.linspace(np.pi, 2 * np.pi, 20)
    arc = np.stack([(look.head_width + 0.02) * np.cos(angles), -0.35 + 0.18 * np.sin(angles)], axis=1)
    pen.fill(np.concatenate([arc, [[0.0, -0.35 + look.fringe]]]), look.hair)


def _draw_eye(pen: _Pen, side: int, expression: Expression) -> None:
    height = 0.14 * expression.eye_open
    pupil = min(0.06, height)
    x, y = side * 0.2, -0.06
    pen.oval((x, y), (0.145, height + 0.018), pen.ink)
    pen.oval((x, y), (0.13, height), (250, 250, 250))
    pen.oval((x, y), (pupil, pupil), (25, 20, 20))
    if expression.tears:
        for drop in (0.11, 0.22):
            pen.oval((x + side * 0.03, y + drop), (0.04, 0.07 * expression.tears), (90, 170, 250))


def _draw_brow(pen: _Pen, side: int, expression: Expression) -> None:
    middle = -0.18 - 0.12 * expression.brow_raise
    tilt = 0.095 * expression.brow_tilt
    arch = 0.03 * expression.brow_raise
    brow = np.array([[side * 0.06, middle - tilt], [side * 0.18, middle - arch], [side * 0.33, middle + tilt]])
    pen.line(brow, (30, 22, 20), 0.07)


def _draw_nose(pen: _Pen, expression: Expression) -> None:
    pen.line(np.array([[0.0, -0.02], [-0.045, 0.115], [0.03, 0.125]]), pen.ink, 0.018)
    if expression.nose_wrinkle:
        for y in (-0.07, -0.02):
            bend = 0.03 * expression.nose_wrinkle
            pen.line(np.array([[-0.06, y - bend], [0.0, y + bend], [0.06, y - bend]]), pen.ink, 0.022)
        for side in (-1, 1):
            pen.line(np.array([[side * 0.08, 0.07], [side * 0.17, 0.12], [side * 0.21, 0.22]]), pen.ink, 0.022)


def _draw_mouth(pen: _Pen, expression: Expression) -> None:
    upper, lower = _lips(expression)
    rim = np.concatenate([upper, lower[::-1], upper[:1]])
    pen.fill(rim, (70, 15, 25))
    if expression.teeth:
        pen.fill(np.concatenate([upper, (upper + expression.teeth * (lower - upper))[::-1]]), (245, 245, 240))
    if expression.teeth > 0.8:  # clenched: a line between the two rows
        pen.line((upper + lower) / 2, (70, 15, 25), 0.015)
    if expression.tongue:
        bottom = lower[len(lower) // 2, 1]
        pen.oval((0.0, bottom), (0.09, 0.09 * expression.tongue), (235, 110, 130))
    pen.line(rim, (140, 45, 55), 0.028)


def _lips(expression: Expression) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper and the lower lip, each (15, 2) points from corner to corner."""
    x = np.linspace(-1.0, 1.0, 15)
    middle = 0.28 - 0.19 * expression.mouth_curve * (x**2 - 0.5)
    opening = 0.17 * expression.mouth_open * (1 - np.abs(x) ** (2 + 8 * expression.mouth_square))
    rise = 1.0 - 0.75 * max(0.0, expression.mouth_curve)  # a smile opens downwards
    across = 0.31 * expression.mouth_width * x
    return np.stack([across, middle - rise * opening], 1), np.stack([across, middle + opening], 1)
