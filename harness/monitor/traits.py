"""What a picture measures beside the light and focus of the audit: noise, texture, color, traces of JPEG."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.measures import measure, objects_of
from harness.data.pictures import Pixels

TRAITS_VERSION = 1  # part of what is kept on disk; raise it when a number changes
FINE, MIDDLE, COARSE = 1.5, 3.0, 6.0  # px, standard deviations between which texture is measured
WINDOW = 4.0  # px, standard deviation, in which gradients are held against each other
TINY = 1e-6
BLOCK = 8  # px, of JPEG
SMALLEST = 16  # px; a smaller picture has no texture

Gray = NDArray[np.float32]


@dataclass(frozen=True)
class Traits:
    """Numbers of one picture at the size of its file."""

    noise: float  # gray levels, standard deviation (Immerkaer 1996)
    texture: float  # octaves, structure of 1.5 to 3 px over that of 3 to 6: high is fine
    direction: float  # 0 to 1, mean coherence of the local structure tensor: 1 is all lines
    color: float  # gray levels, mean of red less that of blue
    blocks: float  # octaves, steps across the edges of JPEG's blocks over all others

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> "Traits":
        return cls(**json.loads(kept))


def keep_traits(pixels_sha256: str, white: int | None) -> str:
    """Return the key under which a picture's traits are kept."""
    return f"traits {TRAITS_VERSION} {white} {pixels_sha256}"


def traits_of(image: Pixels) -> Traits:
    """Return the traits of an 8-bit picture, (H, W) or (H, W, 3) RGB."""
    gray = (image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    color = 0.0 if image.ndim == 2 else float(image[:, :, 0].mean() - image[:, :, 2].mean())
    if min(gray.shape) < SMALLEST:
        return Traits(0.0, 0.0, 0.0, round(color, 3), 0.0)
    numbers = (_noise(gray), _texture(gray), _direction(gray), color, _blocks(gray))
    return Traits(*(round(number, 4) for number in numbers))


def light_of(image: Pixels) -> dict[str, float]:
    """Return brightness, contrast and sharpness of a picture, as the audit measures them."""
    clean = np.zeros(image.shape[:2], np.uint8)
    found = measure(image, clean, objects_of(clean), None)
    return {"brightness": found.gray_mean, "contrast": found.gray_spread, "sharpness": found.focus}


def _noise(gray: Gray) -> float:
    """Return the mean size of what a Laplacian that no edge passes leaves, as a standard deviation."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    left = np.abs(cv2.filter2D(gray, cv2.CV_32F, kernel)[1:-1, 1:-1])
    return float(math.sqrt(math.pi / 2) / 6 * left.mean())


def _texture(gray: Gray) -> float:
    fine, middle, coarse = (cv2.GaussianBlur(gray, (0, 0), sigma) for sigma in (FINE, MIDDLE, COARSE))
    return _octaves(float((fine - middle).std()), float((middle - coarse).std()))


def _direction(gray: Gray) -> float:
    """Return the mean coherence of gradients in a window: of streaks, lines and edges, wherever they point to."""
    smooth = cv2.GaussianBlur(gray, (0, 0), MIDDLE)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    products = (across * across, down * down, across * down)
    xx, yy, xy = (cv2.GaussianBlur(one, (0, 0), WINDOW) for one in products)
    total = xx + yy
    return float((np.hypot(xx - yy, 2 * xy) / np.maximum(total, TINY)).mean())


def _blocks(gray: Gray) -> float:
    """Return steps across block edges over other steps, both ways together; blocks begin at the first px."""
    edges, others = 0.0, 0.0
    for axis in (0, 1):
        steps = np.abs(np.diff(gray, axis=axis)).mean(1 - axis)
        at_edge = np.arange(1, len(steps) + 1) % BLOCK == 0
        edges += float(steps[at_edge].mean())
        others += float(steps[~at_edge].mean())
    return _octaves(edges, others)


def _octaves(one: Any, other: Any) -> float:
    return math.log2(one / other) if one and other else 0.0
