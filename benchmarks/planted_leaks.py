"""Which copies of a frame the audit finds, and which different frames it takes for copies.

    python benchmarks/planted_leaks.py [PICTURE_OR_VIDEO ...] [--recordings VIDEO ...] [--speed 10000]

Frames are scikit-image's photographs (of the dev dependencies), its 100 faces of as many people, and whatever is
named; of a video the frame at two fifths. With --recordings, each second of some videos is a recording of five frames,
of which at least one is to be found. Clean frames are those faces and, of the photographs, pieces that do not
overlap; frames in which the audit sees no picture to recognise are counted and left out.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from affecthub.evaluation.frame_signatures import MIN_CORRELATION, frame_signature, nearest_frames
from affecthub.media.container import MediaError, probe
from affecthub.media.decode import read_clip
from affecthub.media.pictures import read_picture

PHOTOS = ("astronaut", "camera", "cat", "coffee", "rocket", "stereo_motorcycle")
RNG = np.random.default_rng(0)
Change = Callable[[np.ndarray], np.ndarray]


def jpeg(quality: int) -> Change:
    """Compressed by JPEG."""

    def change(image: np.ndarray) -> np.ndarray:
        decoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
        assert decoded is not None
        return decoded

    return change


def cut(share: float, right: float = 0.5, down: float = 0.5) -> Change:
    """Without a share of both sides; where the rest lies, 0..1."""

    def change(image: np.ndarray) -> np.ndarray:
        height, width = (round(side * (1 - share)) for side in image.shape[:2])
        top, left = round((image.shape[0] - height) * down), round((image.shape[1] - width) * right)
        return image[top : top + height, left : left + width]

    return change


def move(degrees: float = 0.0, right: float = 0.0, down: float = 0.0, border: int = cv2.BORDER_CONSTANT) -> Change:
    """Turned about the middle and shifted by shares of the sides."""

    def change(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        matrix += [[0, 0, right * width], [0, 0, down * height]]
        return cv2.warpAffine(image, matrix, (width, height), borderMode=border)

    return change


def paint(top: float, left: float, bottom: float, right: float, colour: tuple, text: str) -> Change:
    """A rectangle with a text over it, by shares of the sides."""

    def change(image: np.ndarray) -> np.ndarray:
        image, (height, width) = image.copy(), image.shape[:2]
        corners = (round(left * width), round(top * height)), (round(right * width), round(bottom * height))
        cv2.rectangle(image, *corners, colour, -1)
        place = corners[0][0] + width // 50, corners[1][1] - height // 25
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, height / 350, (255, 255, 255), 2)
        return image

    return change


def letterbox(image: np.ndarray) -> np.ndarray:
    """Black bars above and below."""
    bar = round(0.17 * image.shape[0])
    return cv2.copyMakeBorder(image, bar, bar, 0, 0, cv2.BORDER_CONSTANT)


def grey(image: np.ndarray) -> np.ndarray:
    """Without colour."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def mirror(image: np.ndarray) -> np.ndarray:
    """Left is right."""
    return np.ascontiguousarray(image[:, ::-1])


def chain(*changes: Change) -> Change:
    """Several changes in turn."""

    def change(image: np.ndarray) -> np.ndarray:
        for step in changes:
            image = np.ascontiguousarray(step(image))
        return image

    return change


logo = paint(0.04, 0.72, 0.18, 0.96, (220, 20, 40), "TV7")
KINDS = {
    "the same bytes": lambda image: image,
    "JPEG, quality 75": jpeg(75),
    "JPEG, quality 40": jpeg(40),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "grey": grey,
    "gamma 1.5": lambda image: (255 * (image / 255) ** 1.5).astype(np.uint8),
    "gamma 0.6": lambda image: (255 * (image / 255) ** 0.6).astype(np.uint8),
    "brighter by 40": lambda image: cv2.convertScaleAbs(image, alpha=1, beta=40),
    "contrast 0.7": lambda image: cv2.convertScaleAbs(image, alpha=0.7, beta=20),
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), image.shape[0] / 120),
    "noise of 15": lambda image: np.clip(image + RNG.normal(0, 15, image.shape), 0, 255).astype(np.uint8),
    "mirrored": mirror,
    "cut by 10 %": cut(0.1),
    "cut by 10 % at a corner": cut(0.1, 0, 0),
    "cut by 20 %": cut(0.2),
    "cut by 20 % at a corner": cut(0.2, 0, 1),
    "turned by 3 degrees": move(3),
    "turned by 5 degrees": move(-5),
    "turned by 10 degrees": move(10),
    "shifted by 3 %": move(right=0.03, down=0.015),
    "shifted by 10 %": move(right=-0.1, down=-0.05),
    "shifted by 10 %, border repeated": move(right=0.1, down=0.05, border=cv2.BORDER_REPLICATE),
    "a logo": logo,
    "a subtitle": paint(0.82, 0, 1, 1, (0, 0, 0), "and then she said no"),
    "a letterbox": letterbox,
    "mirrored and cut by 10 %": chain(mirror, cut(0.1)),
    "mirrored, JPEG 40, a logo": chain(mirror, jpeg(40), logo),
    "cut by 10 %, turned by 3 degrees, grey": chain(cut(0.1), move(3), grey),
    "cut by 10 %, a letterbox": chain(cut(0.1), letterbox),
}


def fitted(image: np.ndarray, side: int = 360) -> np.ndarray:
    """The shorter side of so many pixels."""
    scale = side / min(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def read(path: str) -> np.ndarray:
    """A picture, or the middle frame of five of a video."""
    try:
        return read_picture(path)
    except MediaError:
        frames = read_clip(path, num_frames=5, audio=False).frames
    if frames is None:
        raise SystemExit(f"{path}: it holds no pictures; pass pictures and videos.")
    return frames[2]


def photographs(paths: Sequence[str]) -> dict[str, np.ndarray]:
    """Name -> uint8 (height, width, 3), RGB."""
    found = {}
    for name in PHOTOS:
        image = getattr(skimage.data, name)()
        image = image[0] if isinstance(image, tuple) else image
        found[name] = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return found | {Path(path).name: read(path) for path in paths}


def pieces(image: np.ndarray, count: int = 70) -> list[np.ndarray]:
    """About so many squares that do not overlap."""
    side = max(64, round((image.shape[0] * image.shape[1] / count) ** 0.5))
    starts = [range(0, length - side + 1, side) for length in image.shape[:2]]
    return [image[y : y + side, x : x + side] for y in starts[0] for x in starts[1]]


def clean_frames(photos: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Frames of which no two are copies."""
    faces = [
        np.repeat((255 * face).astype(np.uint8)[..., None], 3, axis=2) for face in skimage.data.lfw_subset()[:100]
    ]
    return [*faces, *(piece for photo in photos for piece in pieces(photo))]


def of_recordings(videos: Sequence[str]) -> None:
    """Print, of each kind, the recordings of which a copy of at least one frame is found in the video it is from."""
    frames, places = [], []  # of each frame its video and second
    for number, path in enumerate(videos):
        for second in range(int(probe(path).duration or 0)):
            clip = read_clip(path, num_frames=5, start=float(second), max_seconds=1.0, audio=False)
            if clip.frames is not None:
                frames += [fitted(frame) for frame in clip.frames]
                places += [(number, second)] * 5
    known = [
        (place, signed) for place, frame in zip(places, frames, strict=True) if (signed := frame_signature(frame))
    ]
    print(f"{len({*places})} recordings of {len(videos)} videos\n| kind | found |\n|---|---:|")
    for kind, change in KINDS.items():
        copies = [frame_signature(np.ascontiguousarray(change(frame))) for frame in frames]
        pairs = [(place, copy) for place, copy in zip(places, copies, strict=True) if copy]
        matches = nearest_frames([signature for _, signature in known], [copy for _, copy in pairs])
        found = {
            place
            for (place, _), near, copied in zip(pairs, matches.nearest, matches.duplicate, strict=True)
            if copied and known[near][0][0] == place[0]
        }
        print(f"| {kind} | {len(found)} of {len({*places})} |", flush=True)


def speed(count: int) -> None:
    """Seconds to sign and to compare, four fifths with the rest."""
    frames = [cv2.resize(RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8), (224, 224)) for _ in range(200)]
    start = time.perf_counter()
    for frame in frames:
        frame_signature(frame)
    signing = (time.perf_counter() - start) / len(frames) * count
    small = RNG.integers(0, 256, (count, 16, 16), dtype=np.uint8)
    signatures = [cv2.resize(one, (32, 32), interpolation=cv2.INTER_CUBIC).tobytes() for one in small]
    start = time.perf_counter()
    nearest_frames(signatures[: count * 4 // 5], signatures[count * 4 // 5 :])
    print(f"{count:,} frames: {signing:.1f} s to sign (one core), {time.perf_counter() - start:.1f} s to compare")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="pictures and videos")
    parser.add_argument("--recordings", nargs="+", default=[], help="videos, each second of which is a recording")
    parser.add_argument("--speed", type=int, default=0, help="time so many frames, too")
    options = parser.parse_args()
    photos = photographs(options.paths)
    frames = {name: fitted(photo) for name, photo in photos.items()}
    clean = clean_frames(photos.values())
    signed = [frame_signature(frame) for frame in clean]
    others = [signature for signature in signed if signature]
    known = {name: signature for name, frame in frames.items() if (signature := frame_signature(frame))}
    if blank := [name for name in frames if name not in known]:
        print(f"nothing to recognise in {', '.join(blank)}")
    print(f"{len(frames)} frames\n| kind | found |\n|---|---:|")
    for kind, change in KINDS.items():
        copies = {name: frame_signature(np.ascontiguousarray(change(frames[name]))) for name in known}
        pairs = [(name, copy) for name, copy in copies.items() if copy]
        places = list(known)
        matches = nearest_frames([*known.values(), *others], [copy for _, copy in pairs])
        right = [
            duplicate and near < len(places) and places[near] == name
            for (name, _), near, duplicate in zip(pairs, matches.nearest, matches.duplicate, strict=True)
        ]
        print(f"| {kind} | {sum(right)} of {len(frames)} |")
    halves = [others[::2], others[1::2]]
    alarms = [nearest_frames(halves[i], halves[1 - i]).correlation for i in (0, 1)]
    found = np.concatenate(alarms)
    print(
        f"{len(clean):,} clean frames, {len(others):,} with a picture to recognise: "
        f"{int((found >= MIN_CORRELATION).sum())} alarms; the most alike correlate by {found.max():.3f}"
    )
    if options.recordings:
        of_recordings(options.recordings)
    if options.speed:
        speed(options.speed)


if __name__ == "__main__":
    main()
