"""Several faces in a recording are told apart by where they are, frame by frame, and numbered as they come.

Nobody is recognised: a number holds within one recording, and where a face was away for more than `FORGET` s, or two
change places out of sight, it says nothing. Association is by overlap and distance of boxes, one to one (Kuhn 1955,
"The Hungarian Method for the Assignment Problem"), as in SORT (Bewley et al. 2016, ICIP) without its Kalman filter.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from .decode import upright
from .faces import MIN_CONFIDENCE, Face, FaceDetector, crop, crop_box, default_detector
from .quality import SILENT, level
from .windows import Event, Picture, Span, Window, windows_of

MOST = 8
"""Faces that are followed at once, unless another number is asked for."""

SMALLEST = 20
"""px; MTCNN finds no smaller face."""

LOOK = 0.2
"""s from one search for faces to the next."""

MOTION = 0.08
"""s from one frame to the next of which the motion is measured, at least."""

FORGET = 10.0
"""s without sight after which a face that comes back is another one."""

NEAR = 0.75
"""Widths of a face that it moves at most from one sight to the next, where the boxes do not overlap."""

GROWTH = 2.0
"""Factor by which a face changes its size at most from one sight to the next."""

FEWEST = 3
"""Sights of a face in a window that is judged."""

QUIET = -50.0
"""dBFS, below which nobody is taken to speak."""

TOGETHER = 0.3
"""Correlation of mouth and sound from which somebody is taken to speak."""


@dataclass(frozen=True)
class Sight:
    """A face at one moment."""

    time: float
    """s from the beginning of the recording."""
    picture: np.ndarray
    """The face, uint8 (height, width, 3), RGB, all of one size."""
    size: int
    """px, the shorter side of its box in the frame."""
    yaw: float | None
    """Degrees, see `Face.yaw`."""


@dataclass
class Track:
    """A face that is followed."""

    face: Face
    """As it was last seen."""
    seen: float
    """When that was, s."""
    person: int | None = None
    """Its number, from 1; None until it was in a window that is judged."""
    sights: list[Sight] = field(default_factory=list)
    motion: list[tuple[float, float]] = field(default_factory=list)
    """When, s, and how much more the mouth moved than the rest of the face, grey levels."""


@dataclass(frozen=True)
class Person:
    """A face in one window."""

    number: int
    """From 1, within the recording."""
    pictures: np.ndarray
    """uint8 (time, height, width, 3), RGB, as many as the model takes; of each moment the nearest sight."""
    size: float
    """px, median."""
    yaw: float | None
    """Degrees, median of the absolute values."""
    speech: float | None
    """Correlation of the mouth's motion with the level of the sound, -1..1; None without sound or motion."""
    speaks: bool | None
    """An estimate: whether it is the one whose mouth moves most like the sound; None without sound or motion."""


class Follower:
    """Follows faces through the pictures of one recording.

    Args:
        shape: height and width of a picture of a face, px.
        most: faces at once.
        detector: of faces.
    """

    def __init__(self, shape: tuple[int, int], most: int = MOST, detector: FaceDetector | None = None):
        self.shape, self.most, self.detector = shape, most, detector or default_detector()
        self.tracks: list[Track] = []
        self.crowd = 0
        """The most faces that were in sight at once."""
        self.seen = float("-inf")
        """When a face was last in sight, s."""
        self._count = 0
        self._looked = self._moved = float("-inf")
        self._grey: np.ndarray | None = None

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        """Hand events on, having looked at the pictures among them."""
        for event in events:
            if isinstance(event, Picture):
                self.look(event)
            yield event

    def look(self, picture: Picture) -> None:
        """Look at a picture, unless it comes too soon after the one before, or is none that is later."""
        if picture.time >= self._moved + MOTION - 1e-3:
            self._moved = picture.time
            self._see(picture.time, upright(picture.frame, None, None, picture.pixel_width))

    def people(self, window: Window, num_frames: int, rate: int) -> list[Person]:
        """Who is in sight in a window; what was seen before it is forgotten.

        Args:
            window: with its sound, if there is any; none begins earlier than the one before.
            num_frames: pictures of a person.
            rate: Hz of the sound.
        """
        seen: list[tuple[int, list[Sight], float | None]] = []
        for track in self.tracks:
            track.sights = [sight for sight in track.sights if sight.time >= window.start]
            track.motion = [entry for entry in track.motion if entry[0] >= window.start]
            inside = [sight for sight in track.sights if sight.time < window.end]
            if len(inside) >= min(FEWEST, max(1, int((window.end - window.start) / LOOK))):
                if track.person is None:
                    self._count += 1
                    track.person = self._count
                motion = [entry for entry in track.motion if entry[0] < window.end]
                seen.append((track.person, inside, _speech(motion, window, rate)))
        spoken = [speech for *_, speech in seen if speech is not None]
        heard = bool(spoken) and _level(window.audio) > QUIET
        first = max(spoken) if heard and max(spoken) >= TOGETHER else None
        return [_person(*one, num_frames, window, first) for one in sorted(seen, key=lambda one: one[0])]

    def _see(self, time: float, image: np.ndarray) -> None:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self._grey is not None and self._grey.shape == grey.shape:
            for track in self.tracks:
                if time - track.seen <= 2 * LOOK:
                    track.motion.append((time, _talking(self._grey, grey, track.face)))
        self._grey = grey
        if time >= self._looked + LOOK - 1e-3:
            self._looked = time
            self.update(time, image, self.detector.detect(image))

    def update(self, time: float, image: np.ndarray, faces: Sequence[Face]) -> None:
        """Go on with the faces of a frame."""
        faces = [face for face in faces if face.confidence >= MIN_CONFIDENCE and face.size >= SMALLEST]
        self.crowd, self.seen = max(self.crowd, len(faces)), time if faces else self.seen
        self.tracks = [track for track in self.tracks if time - track.seen <= FORGET]
        pairs = _assigned([track.face for track in self.tracks], faces)
        for place, track in enumerate(self.tracks):
            if place in pairs:
                track.face, track.seen = faces[pairs[place]], time
        new = sorted(set(range(len(faces))) - set(pairs.values()), key=lambda i: -faces[i].area)
        visible = sum(track.seen == time for track in self.tracks)
        self.tracks += [Track(faces[i], time) for i in new[: max(self.most - visible, 0)]]
        for track in self.tracks:
            if track.seen == time:
                cut = crop(image, crop_box(track.face.box, image.shape))
                picture = cv2.resize(cut, self.shape[::-1], interpolation=cv2.INTER_AREA)
                track.sights.append(Sight(time, picture, track.face.size, track.face.yaw))


def people_in(
    follower: Follower, events: Iterable[Event], spans: Iterable[Span], kinds: set[type], num_frames: int, rate: int
) -> Iterator[tuple[Window, list[Person]]]:
    """Windows with their sound, and who is in sight in each.

    Args:
        follower: of this recording.
        events, spans, kinds: as `windows_of`.
        num_frames: pictures of a person in a window.
        rate: Hz of the sound.
    """
    options = {"num_frames": 1, "frame_size": SMALLEST, "sampling_rate": rate}
    for window in windows_of(follower.watch(events), spans, kinds, **options):
        yield window, follower.people(window, num_frames, rate)


def _person(
    number: int, sights: list[Sight], speech: float | None, num_frames: int, window: Window, first: float | None
) -> Person:
    times = np.array([sight.time for sight in sights])
    middles = window.start + (np.arange(num_frames) + 0.5) / num_frames * (window.end - window.start)
    pictures = [sights[int(np.abs(times - middle).argmin())].picture for middle in middles]
    turned = [abs(sight.yaw) for sight in sights if sight.yaw is not None]
    speaks = None if speech is None else speech == first
    size, yaw = float(np.median([sight.size for sight in sights])), float(np.median(turned)) if turned else None
    return Person(number, np.stack(pictures), size, yaw, speech, speaks)


def _assigned(before: Sequence[Face], now: Sequence[Face]) -> dict[int, int]:
    """Places of faces before -> of the same faces now."""
    if not before or not now:
        return {}
    cost = np.array([[_distance(old, new) for new in now] for old in before])
    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, 1e6))
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if np.isfinite(cost[row, column])}


def _distance(old: Face, new: Face) -> float:
    """1 - IoU + the distance of the centres in widths; infinite where it cannot be the same face."""
    a, b = np.array(old.box, float), np.array(new.box, float)
    wide = (a[2] - a[0] + b[2] - b[0]) / 2
    apart = float(np.hypot(*((a[:2] + a[2:] - b[:2] - b[2:]) / 2))) / max(wide, 1.0)
    shared = float(np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)))
    overlap = shared / max(old.area + new.area - shared, 1.0)
    grown = max(old.size, new.size) / max(min(old.size, new.size), 1)
    return 1 - overlap + apart if grown <= GROWTH and (overlap > 0.1 or apart <= NEAR) else float("inf")


def _talking(before: np.ndarray, now: np.ndarray, face: Face) -> float:
    """How much more the mouth moves than the upper half of the face, grey levels."""
    left, top, right, bottom = face.box
    return _change(before, now, face.mouth) - _change(before, now, (left, top, right, (top + bottom) // 2))


def _change(before: np.ndarray, now: np.ndarray, box: tuple[int, int, int, int]) -> float:
    left, top, right, bottom = (max(0, side) for side in box)
    parts = [image[top:bottom, left:right] for image in (before, now)]
    return float(cv2.absdiff(*parts).mean()) if parts[0].size else 0.0


def _level(sound: np.ndarray | None) -> float:
    return SILENT if sound is None else level(sound)


def _speech(motion: list[tuple[float, float]], window: Window, rate: int) -> float | None:
    """Correlation of a mouth's motion with the sound's level, of each smoothed over three frames."""
    if window.audio is None or len(motion) < 8:
        return None
    times, moved = np.array(motion).T
    ends = np.round((times - window.start) * rate).astype(int)
    step = max(int(np.median(np.diff(ends))), 1)
    parts = [window.audio[max(end - step, 0) : max(end, 1)] for end in ends]
    loud = np.array([_level(part) for part in parts])
    loud, moved = (np.convolve(values, np.ones(3) / 3, "valid") for values in (np.maximum(loud, QUIET - 20), moved))
    if loud.std() < 1e-6 or moved.std() < 1e-6:
        return None
    return float(np.corrcoef(loud, moved)[0, 1])
