"""The four colour variants of a frame that the reference experiments took for new participants."""

from collections.abc import Callable

import cv2
import numpy as np

BRIGHTNESS = 40
"""Grey levels of 255 added or taken away."""

CONTRAST = 1.4
"""Factor on the distance from middle grey."""

HUE = 20
"""Degrees of 360 by which colours are turned."""


def brighten(image: np.ndarray, levels: int = BRIGHTNESS) -> np.ndarray:
    """Add grey levels to an image uint8 (height, width, 3); what leaves 0..255 is cut."""
    return np.clip(image.astype(np.int16) + levels, 0, 255).astype(np.uint8)


def scale_contrast(image: np.ndarray, factor: float = CONTRAST) -> np.ndarray:
    """Scale the distance of each value from 128, uint8 (height, width, 3)."""
    return np.clip((image.astype(np.float32) - 128) * factor + 128, 0, 255).astype(np.uint8)


def turn_hue(image: np.ndarray, degrees: int = HUE) -> np.ndarray:
    """Turn the colours of an RGB image uint8 (height, width, 3) around the colour circle; greys stay."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + degrees // 2) % 180  # OpenCV's hue is half the angle
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


COLOUR_VARIANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "brightness_up": brighten,
    "brightness_down": lambda image: brighten(image, -BRIGHTNESS),
    "contrast": scale_contrast,
    "hue": turn_hue,
}
"""Name -> the change; each takes and gives uint8 (height, width, 3), RGB."""
