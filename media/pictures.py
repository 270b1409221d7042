"""Single pictures: JPEG bytes and files, RGB in memory."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .container import MediaError
from .files import write_file

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]


def write_image(path: Path, image: np.ndarray) -> None:
    """Write RGB uint8 (height, width, 3) as JPEG, under a temporary name first."""
    write_file(path, encode_image(image))


def encode_image(image: np.ndarray, options: Sequence[int] = ()) -> bytes:
    """RGB uint8 (height, width, 3) as JPEG of quality 95; `options` are further ones of OpenCV."""
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [*_QUALITY, *options])
    return content.tobytes()


def decode_image(content: bytes) -> np.ndarray:
    """RGB uint8 (height, width, 3) of a JPEG's bytes.

    Raises:
        MediaError: they are none.
    """
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise MediaError(f"a stored picture of {len(content):,} bytes is damaged; prepare the data set again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_image(path: str | Path) -> np.ndarray:
    """A stored frame, RGB uint8 (height, width, 3).

    Raises:
        FileNotFoundError: it is gone, as when the cache was emptied.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"{path}: no readable picture; build the data set again to extract its frames")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_picture(path: str | Path) -> np.ndarray:
    """A picture file of any format that OpenCV knows, RGB uint8 (height, width, 3), turned upright by its EXIF.

    Raises:
        MediaError: it is missing, or no picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise MediaError(f"{path}: no readable picture; get the file again, or leave the row out")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
