"""Copies made on purpose, to measure what the search for copies finds: the same thing under another picture."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Plant = Callable[[Pixels, np.random.Generator], Pixels]


def re_encoded(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A JPEG of quality 60 to 90."""
    return as_jpeg(picture, int(rng.integers(60, 91)))


def resized(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Half to nine tenths of its size."""
    return _resized(picture, float(rng.uniform(0.5, 0.9)))


def relit(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Another exposure: darker or lighter by up to a half, a little fog, another gamma."""
    shares = (np.arange(256) / 255) ** rng.uniform(0.7, 1.4)
    table = np.clip(255 * shares * rng.uniform(0.5, 1.3) + rng.uniform(0, 20), 0, 255)
    return np.asarray(np.round(table).astype(np.uint8)[picture], np.uint8)


def mirrored(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirrored left to right or top to bottom."""
    return np.ascontiguousarray(picture[:, ::-1] if rng.random() < 0.5 else picture[::-1])


def turned(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """One to three quarter turns."""
    return np.ascontiguousarray(np.rot90(picture, int(rng.integers(1, 4))))


def shifted(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut by up to a tenth at two sides, so that all lies elsewhere."""
    height, width = picture.shape[:2]
    top, left = (int(rng.integers(1, max(2, length // 10))) for length in (height, width))
    return np.ascontiguousarray(picture[top:, left:])


def half(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """The left, right, upper or lower half, off the edge by a few px: blocks of a JPEG seldom lie where they lay."""
    turns = int(rng.integers(4))
    turned = np.rot90(picture, turns)
    rows = len(turned)
    off = min(int(rng.integers(1, 8)), rows - rows // 2)
    return np.ascontiguousarray(np.rot90(turned[off : off + rows // 2], -turns))


def tilted(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Turned by up to 8 degrees, a tenth larger or smaller, corners cut off."""
    height, width = picture.shape[:2]
    center = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(center, rng.uniform(-8, 8), rng.uniform(0.9, 1.1))
    moved = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR)
    inset = [round(length * 0.14) for length in (height, width)]
    return np.ascontiguousarray(moved[inset[0] : height - inset[0], inset[1] : width - inset[1]])


def zoomed(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A cut of half to seven tenths of each side, which fills the frame: the same thing from nearer."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.5, 0.7)
    size = [max(1, round(share * length)) for length in (height, width)]
    top, left = (
        int(rng.integers(whole - part + 1)) for whole, part in zip((height, width), size, strict=True)
    )
    return np.ascontiguousarray(picture[top : top + size[0], left : left + size[1]])


def as_jpeg(picture: Pixels, quality: int) -> Pixels:
    """Return the picture as it comes back from a JPEG."""
    file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED), np.uint8)


def _resized(picture: Pixels, factor: float) -> Pixels:
    size = [max(1, round(length * factor)) for length in (picture.shape[1], picture.shape[0])]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


PLANTS: dict[str, Plant] = {
    "re-encoded": re_encoded,
    "resized": resized,
    "relit": relit,
    "mirrored": mirrored,
    "turned": turned,
    "shifted": shifted,
    "half": half,
    "tilted": tilted,
}
HARD: dict[str, Plant] = {"zoomed": zoomed}  # what is not promised to be found, and told where it is not
