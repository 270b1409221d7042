"""Frames that show the same picture, also after a change of light, colour, size or frame, mirrored, or a little moved.

A frame's signature is a thumbnail of its lightness, (max + min) / 2 of red, green and blue, which turning the hue
leaves as it is; black bars on both sides of a frame are left out. Two signatures are compared in two steps:

- the low cosine coefficients of the middle of one picture, weighted by their frequency (as in the pHash of Zauner,
  "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, but as numbers), against those of the
  other one as it would be mirrored, cropped, turned or shifted in `VIEWS` ways: this finds candidates;
- a candidate is laid over the picture by an affine transform (ECC; Evangelidis & Psarakis, IEEE TPAMI 30, 2008), and
  what the middles of both hold of detail has to correlate: overlays and bars at the border do not matter.

A copy that lacks a fifth at one corner, or is turned by more than ten degrees, is not found.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.fft import dct
from tqdm.auto import tqdm

from affecthub.media.pictures import read_picture

SIDE = 32
"""Pixels of the thumbnail's side."""

BLACK = 24
"""Lightness, of 255, below which a row or column of pixels may be a black bar."""

DETAIL = 2.5
"""Standard deviation of the detail, of 255, under which a frame (black, or blank) has no picture to recognise."""

SPREAD = 5.0
"""Of the middle's 16 fields, so many have to hold detail (inverse Simpson index of its energy): an edge before a
blank wall is no picture that could be told from others."""

CORNERED = 0.08
"""Least ratio of the eigenvalues of the gradients' structure tensor: lines of one direction look alike anywhere."""

WEAKER = 0.6
"""Share of these three bounds that a frame must have to be compared with one that has them whole: a copy that is
darker, greyer or cut often has a little less than its original."""

WEAKER_LOSES = 0.025
"""What is taken off the correlation of such a pair, as a bright disc is more like another than a face is."""

SEEN = 0.7
"""Share of the frame's side that candidates are found by."""

COMPARED = 0.64
"""Share of the frame's side that decides: logos and subtitles stay outside."""

GRID = 24
"""Values of the compared middle's side."""

FINE, COARSE = 0.6, 3.0
"""Standard deviations, in values of the grid, of the two Gaussians whose difference is the detail."""

COEFFICIENTS = 6
"""Cosine coefficients a side; of the 36, the mean is left out."""

MIN_LIKENESS = 0.7
"""Cosine of the coefficients of a candidate. Of the copies that were found, the least had 0.73."""

CANDIDATES = 4
"""So many are looked at for each frame."""

TRIED = 3
"""So many views of the first of them are laid over the frame, until one fits; of the others, one."""

MIN_CORRELATION = 0.94
"""Of the details of two near-duplicates; see docs/reliability.md for what it finds, and what it was measured on."""

LIMITS = {"scale": (0.7, 1.4), "stretch": 1.3, "turned": 1.42, "turn": 0.45, "shift": 0.15, "outside": 0.04}
"""Of the transform between two copies: scale; ratio of the scales in two directions, and of one that turns, which
stretches the thumbnail of a wide frame; off-diagonal entries; shift of the middle, and how far the compared part may
reach outside, of the side."""


def _views() -> list[tuple[np.ndarray, np.ndarray]]:
    """Linear part (2, 2) and shift (2,), in sides, of the ways in which a copy may have been changed."""
    turned = [(1, a, r, 0, 0) for a, r in product((-9.5, 9.5), (1, 1.6, 1 / 1.6))]  # of frames that were wide or high
    turned += [(1, -4.5, 1, 0, 0), (1, 4.5, 1, 0, 0)]
    scaled = [(s, 0, 1, 0, 0) for s in (1, 0.8, 0.9, 1.1, 1.22)]
    shifted = [(1, 0, 1, 0.07 * x, 0.07 * y) for x, y in product((-1, 0, 1), repeat=2) if x or y]
    both = [(s, 0, 1, 0.06 * x, 0.06 * y) for s, x, y in product((0.88, 1.12), (-1, 1), (-1, 1))]
    found = []
    for mirror, (scale, angle, aspect, x, y) in product((1, -1), [*scaled, *turned, *shifted, *both]):
        cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
        linear = np.array([[mirror * cos, -mirror * sin / aspect], [sin * aspect, cos]])
        found.append((linear, np.array([mirror * x, y])))
    return found


VIEWS = _views()
"""58 ways; the first is none."""


class Matches(NamedTuple):
    """For every held-out frame, the training frame that is most like it."""

    nearest: np.ndarray
    """int (held-out frames,), position among the training frames."""
    correlation: np.ndarray
    """float (held-out frames,), of the details, -1..1; under -0.9 where nothing could be laid over it."""

    @property
    def duplicate(self) -> np.ndarray:
        """bool (held-out frames,), whether the two show the same picture."""
        return self.correlation >= MIN_CORRELATION


def frame_signature(frame: np.ndarray) -> bytes | None:
    """What a frame shows, in 1,024 bytes; None for a flat frame, or one of too little detail, which shows nothing.

    Args:
        frame: uint8 (height, width, 3); RGB or BGR, which makes no difference here.
    """
    small = cv2.resize(frame, (SIDE * 4, SIDE * 4), interpolation=cv2.INTER_AREA).astype(np.float32)
    lightness = _without_bars((small.max(axis=2) + small.min(axis=2)) / 2)
    thumbnail = cv2.resize(lightness, (SIDE, SIDE), interpolation=cv2.INTER_AREA).round()
    return thumbnail.astype(np.uint8).tobytes() if _tells(thumbnail, WEAKER) else None


def _without_bars(lightness: np.ndarray) -> np.ndarray:
    """Without bars that are black and as wide on both sides; at most half of the frame."""
    for _ in range(2):
        lit = np.flatnonzero((lightness >= BLACK).mean(axis=1) > 0.03)
        bar = min(lit[0], len(lightness) - 1 - lit[-1], len(lightness) // 4) if len(lit) else 0
        lightness = lightness[bar : len(lightness) - bar].T
    return np.ascontiguousarray(lightness)


def _tells(thumbnail: np.ndarray, share: float = 1) -> bool:
    """Whether the middle of a picture holds detail by which it can be recognised, or a share of that."""
    middle = _warped(thumbnail, _MIDDLE)
    energy = _by_field(_detail(middle) ** 2)
    down, right = np.gradient(cv2.GaussianBlur(middle, (0, 0), 1))
    least, most = np.linalg.eigvalsh(np.cov([down.ravel(), right.ravel()], bias=True))
    spread = energy.sum() ** 2 / max((energy**2).sum(), 1e-9)
    return bool(
        energy.sum() >= (share * DETAIL * GRID) ** 2 and spread >= share * SPREAD and least >= share * CORNERED * most
    )


def _by_field(values: np.ndarray) -> np.ndarray:
    """Sums over the 16 fields of the middle."""
    return values.reshape(4, GRID // 4, 4, GRID // 4).sum(axis=(1, 3)).ravel()


def _detail(middle: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(middle, (0, 0), FINE) - cv2.GaussianBlur(middle, (0, 0), COARSE)


def _matrix(view: tuple[np.ndarray, np.ndarray], share: float, grid: int) -> np.ndarray:
    """float32 (2, 3): from a place in the grid to one in the thumbnail, both as (x, y)."""
    linear = view[0] * share * SIDE / grid
    origin = (SIDE - 1) / 2 + view[1] * SIDE - linear @ np.full(2, (grid - 1) / 2)
    return np.column_stack([linear, origin]).astype(np.float32)


_MIDDLE = _matrix(VIEWS[0], COMPARED, GRID)


def _warped(thumbnail: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(thumbnail, matrix, (GRID, GRID), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def sign_frames(frames: Iterable[np.ndarray | None], total: int | None = None) -> list[bytes | None]:
    """`frame_signature` of each frame, one in memory at a time, None of none; `total` is for the progress bar."""
    return [
        None if frame is None else frame_signature(frame)
        for frame in tqdm(frames, total=total, desc="hashing frames", unit="frame")
    ]


def sign_files(paths: Sequence[str | Path | None]) -> list[bytes | None]:
    """`frame_signature` of each picture file, None of none, by as many threads as there are cores.

    Raises:
        MediaError: a file is missing or no picture; the message names it.
    """
    with ThreadPoolExecutor() as pool:
        signatures = pool.map(_sign_file, paths)
        return list(tqdm(signatures, total=len(paths), desc="hashing frames", unit="frame"))


def _sign_file(path: str | Path | None) -> bytes | None:
    return None if path is None else frame_signature(read_picture(path))


def nearest_frames(train: Sequence[bytes], held_out: Sequence[bytes], chunk: int = 2048) -> Matches:
    """The training frame that is most like each held-out frame; see docs/reliability.md for its time and memory.

    Every pair of frames is compared in all `VIEWS`, as products of matrices; there is no index.

    Args:
        train, held_out: signatures, at least one each.
        chunk: training frames a block; a block of likenesses takes 4 x 16 x `VIEWS` x chunk bytes.
    """
    known, asked = _thumbnails(train), _thumbnails(held_out)
    plain = _coefficients(known, 1)[:, 0]
    blocks = [slice(start, start + 16) for start in range(0, len(asked), 16)]
    bar = tqdm(total=len(asked), desc="comparing frames", unit="frame", delay=3)
    with ThreadPoolExecutor() as pool, bar:
        found = []
        for part in pool.map(lambda rows: _nearest(known, plain, asked[rows], chunk), blocks):
            found += part
            bar.update(len(part))
    return Matches(*(np.array(column) for column in zip(*found, strict=True)))


def _thumbnails(signatures: Sequence[bytes]) -> np.ndarray:
    """uint8 (frames, SIDE, SIDE)."""
    return np.frombuffer(b"".join(signatures), dtype=np.uint8).reshape(-1, SIDE, SIDE)


def _projection(view: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """float32 (coefficients, pixels): from a thumbnail to its middle's weighted cosine coefficients, in a view."""
    places = np.stack(np.meshgrid(*[np.arange(16.0)] * 2), axis=-1).reshape(-1, 2)
    matrix = _matrix(view, SEEN, 16)
    x, y = np.clip(places @ matrix[:, :2].T + matrix[:, 2], 0, SIDE - 1.001).T
    sampled = np.zeros((len(places), SIDE, SIDE))
    for right, down in product((0, 1), repeat=2):  # bilinear
        weights = (x % 1 if right else 1 - x % 1) * (y % 1 if down else 1 - y % 1)
        sampled[np.arange(len(places)), y.astype(int) + down, x.astype(int) + right] += weights
    waves = np.asarray(dct(np.eye(16), norm="ortho", axis=0))[:COEFFICIENTS]
    orders = np.arange(COEFFICIENTS)
    weighted = np.kron(waves, waves) * np.hypot(orders[:, None], orders).reshape(-1, 1)
    return (weighted @ sampled.reshape(len(places), -1))[1:].astype(np.float32)


@cache
def _projections(views: int) -> np.ndarray:
    """float32 (pixels, coefficients of the first so many views)."""
    return np.concatenate([_projection(view) for view in VIEWS[:views]]).T


def _coefficients(thumbnails: np.ndarray, views: int) -> np.ndarray:
    """float32 (frames, views, coefficients), of length 1, in the first so many views."""
    projections = _projections(views)
    pixels = thumbnails.reshape(len(thumbnails), -1)
    found = np.empty((len(pixels), projections.shape[1]), dtype=np.float32)
    for start in range(0, len(pixels), 4096):
        found[start : start + 4096] = pixels[start : start + 4096].astype(np.float32) @ projections
    found = found.reshape(len(pixels), views, -1)
    return found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-6)


def _nearest(known: np.ndarray, plain: np.ndarray, asked: np.ndarray, chunk: int) -> list[tuple[int, float]]:
    """Of some held-out frames, the place of the nearest training frame and the correlation of their details."""
    viewed = _coefficients(asked, len(VIEWS))
    count = min(CANDIDATES, len(plain))
    places = np.zeros((len(asked), 0), dtype=np.int64)
    likeness = np.zeros((len(asked), 0), dtype=np.float32)
    for first in range(0, len(plain), chunk):
        block = plain[first : first + chunk]
        products = viewed.reshape(-1, viewed.shape[2]) @ block.T
        best = products.reshape(len(asked), len(VIEWS), -1).max(axis=1)
        top = np.argpartition(best, -min(count, best.shape[1]), axis=1)[:, -count:]
        places = np.concatenate([places, top + first], axis=1)
        likeness = np.concatenate([likeness, np.take_along_axis(best, top, axis=1)], axis=1)
        order = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
        places, likeness = (np.take_along_axis(of, order, axis=1) for of in (places, likeness))
    found = []
    for thumbnail, views, candidates, alike in zip(asked, viewed, places, likeness, strict=True):
        best = (int(candidates[0]), -1.0)
        for rank, place in enumerate(candidates[alike >= MIN_LIKENESS]):
            pair = known[place].astype(np.float32), thumbnail.astype(np.float32)
            telling = sum(_tells(one) for one in pair)
            tried = 0 if telling == 0 else TRIED if rank == 0 else 1
            for view in np.argsort(-(views @ plain[place]))[:tried]:
                if best[1] < MIN_CORRELATION:
                    correlation = _laid_over(*pair, VIEWS[view]) - (WEAKER_LOSES if telling == 1 else 0)
                    best = max(best, (int(place), correlation), key=lambda found: found[1])
        found.append(best)
    return found


def _laid_over(known: np.ndarray, asked: np.ndarray, view: tuple[np.ndarray, np.ndarray]) -> float:
    """Correlation of the details of two pictures, one laid over the other; -1 where that cannot be done."""
    middle, start = _warped(known, _MIDDLE), _matrix(view, COMPARED, GRID)
    for blur in _BLURS:
        try:
            _, matrix = cv2.findTransformECC(middle, asked, start.copy(), cv2.MOTION_AFFINE, _STEPS, None, blur)  # pyright: ignore[reportCallIssue, reportArgumentType]
            break
        except cv2.error:  # it does not converge
            continue
    else:
        return -1.0
    if not _plausible(matrix):
        return -1.0
    return float(np.corrcoef(_detail(middle).ravel(), _detail(_warped(asked, matrix)).ravel())[0, 1])


_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
_BLURS = (3, 5)


def _plausible(matrix: np.ndarray) -> bool:
    """Whether a transform keeps to `LIMITS`: anything can be laid over a point of something."""
    linear = matrix[:, :2] * GRID / (COMPARED * SIDE)
    if not np.isfinite(matrix).all():
        return False
    most, least = np.linalg.svd(linear, compute_uv=False)
    low, high = LIMITS["scale"]
    centre = matrix[:, :2] @ np.full(2, (GRID - 1) / 2) + matrix[:, 2] - (SIDE - 1) / 2
    corners = np.array(list(product((0, GRID - 1), repeat=2))) @ matrix[:, :2].T + matrix[:, 2]
    outside = max(-corners.min(), corners.max() - (SIDE - 1)) / SIDE
    turns = linear[0, 1] * linear[1, 0] * np.linalg.det(linear) < 0
    return bool(
        low <= least
        and most <= high
        and most <= LIMITS["turned" if turns else "stretch"] * least
        and max(abs(linear[0, 1]), abs(linear[1, 0])) <= LIMITS["turn"]
        and abs(centre).max() <= LIMITS["shift"] * SIDE
        and outside <= LIMITS["outside"]
    )
