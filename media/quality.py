"""How well something was recorded, in figures, and which of it is too poor to be judged."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import cv2
import numpy as np

from .limits import named

SIDE = 112
"""Pixels of the shorter side, at which sharpness is measured, so that the size of the picture does not change it."""

SILENT = -100.0
"""Level of a recording without any sound, dBFS."""


def level(sound: np.ndarray) -> float:
    """Root mean square of sound (samples,) in dB of full scale."""
    power = float(np.square(sound, dtype=np.float64).mean()) if len(sound) else 0.0
    return max(SILENT, 10 * np.log10(power)) if power > 0 else SILENT


def brightness(frames: np.ndarray) -> float:
    """Mean luma of frames (time, height, width, 3), % of white."""
    return 100 / 255 * float(np.mean([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).mean() for frame in frames]))


def sharpness(frames: np.ndarray) -> float:
    """Deviation of the Laplacian of frames, grey levels (its variance is that of Pech-Pacheco et al. 2000, ICPR)."""
    scale = SIDE / min(frames.shape[1:3])
    size = [max(1, round(side * scale)) for side in frames.shape[2:0:-1]]
    small = (
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for frame in frames
    )
    return float(np.mean([cv2.Laplacian(frame, cv2.CV_64F).std() for frame in small]))


@dataclass(frozen=True)
class Quality:
    """What a window has to have to be judged; None asks for nothing.

    By the first three `affecthub report --looking-inside` shows a model's errors, so that they can be chosen there.
    """

    sound_level: float | None = None
    """dBFS, at least; of a window with sound."""
    brightness: float | None = None
    """% of white, at least; of a window with pictures."""
    sharpness: float | None = None
    """Grey levels, at least; likewise."""
    face_size: float | None = None
    """px, at least: the shorter side of a tracked face."""
    yaw: float | None = None
    """Degrees, at most, that a tracked head is turned aside."""

    @classmethod
    def of(cls, values: "Quality | Mapping[str, float] | str | None") -> "Quality":
        """From what a caller gives: some by name, or as "face_size=40,sound_level=-50".

        Raises:
            ValueError: there is none of that name, or the value is no number.
        """
        if isinstance(values, Quality):
            return values
        found, names = {}, [field.name for field in fields(cls)]
        for name, value in (named(values) if isinstance(values, str) and values else values or {}).items():
            if name not in names:
                raise ValueError(f"quality {name!r}: there is none of this name, only {', '.join(names)}.")
            try:
                found[name] = float(value)
            except (TypeError, ValueError):
                raise ValueError(f"quality {name}={value!r}: a number is needed.") from None
            if not np.isfinite(found[name]):
                raise ValueError(f"quality {name}={value!r}: a finite number is needed.")
        return cls(**found)

    @property
    def of_faces(self) -> bool:
        """Whether it asks for what only a tracked face has."""
        return self.face_size is not None or self.yaw is not None

    def fault(
        self,
        frames: np.ndarray | None,
        sound: np.ndarray | None,
        face_size: float | None = None,
        yaw: float | None = None,
    ) -> str | None:
        """Why a window is not judged; None where it is.

        Args:
            frames: uint8 (time, height, width, 3), RGB.
            sound: float32 (samples,).
            face_size: px.
            yaw: degrees, of either sign.
        """
        asked = [
            ("sound level", "dBFS", self.sound_level, None if sound is None else lambda: level(sound)),
            ("brightness", "% of white", self.brightness, None if frames is None else lambda: brightness(frames)),
            ("sharpness", "grey levels", self.sharpness, None if frames is None else lambda: sharpness(frames)),
            ("face size", "px", self.face_size, None if face_size is None else lambda: face_size),
        ]
        for name, unit, least, measure in asked:
            if least is not None and measure is not None and (value := measure()) < least:
                return f"{name} {value:.3g} {unit}, below {least:g}"
        if self.yaw is not None and yaw is not None and abs(yaw) > self.yaw:
            return f"face turned by about {abs(yaw):.0f} degrees, above {self.yaw:g}"
        return None
