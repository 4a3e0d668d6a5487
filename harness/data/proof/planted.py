"""Pictures whose every object, pixel and level of gray is known: what augmentation is proven on."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SIDE = 128  # px; rows and columns fit into a mask of bytes
FIRST = 2  # number of the first row and column; 0, 1 and 255 are what masks are filled with
IGNORE = 255
CELL = 32  # px; one object a cell, so that no two touch
SIZES = (3, 4, 5, 6, 7, 8, 10, 12)  # px; below 3 px a nearest-neighbor resize alone loses objects
CONTRASTS = (-70, 35, 70, -35)  # gray levels: dark and bright, plain and faint
GROUND, BRIGHT, DARK = 110, 215, 30  # gray levels of grounds: no usual change of light saturates all three
TINT = (1.0, 0.95, 0.85)  # of RGB pictures


@dataclass(frozen=True)
class Planted:
    """One scene with its objects and without them, and two pictures of something else.

    Images are (H, W) or (H, W, 3); `mask` (H, W) has 1 on objects and a block of 255; `numbers` (H, W) tells the
    objects apart, from 1 on (0 elsewhere); `contrast` (N + 1,) is what each adds to its ground; `rows` and
    `columns` (H, W) say of every pixel where it is.
    """

    image: Pixels
    ground: Pixels
    bright: Pixels
    dark: Pixels
    mask: Pixels
    numbers: Pixels
    contrast: NDArray[np.float64]
    rows: Pixels
    columns: Pixels

    @property
    def count(self) -> int:
        return len(self.contrast) - 1


def plant(color: bool) -> Planted:
    """Return the planted scene in gray or in color; always the same one, 15 objects on 3 to 5 % of the pixels."""
    rng = np.random.default_rng(7)
    numbers, mask = _numbers(rng), np.zeros((SIDE, SIDE), np.uint8)
    mask[numbers > 0] = 1
    mask[2 * CELL + 8 : 2 * CELL + 24, CELL + 6 : CELL + 26] = IGNORE  # in the cell without an object
    added = np.array([0, *(CONTRASTS[(i + i // 8) % len(CONTRASTS)] for i in range(numbers.max()))])
    smooth = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 9)
    ground = GROUND + 16 * smooth / np.abs(smooth).max()
    # rough, unlike the ground: equal histograms must not make them alike
    bright, dark = (level + rng.uniform(-10, 10, (SIDE, SIDE)) for level in (BRIGHT, DARK))
    row, column = np.indices((SIDE, SIDE))
    image, bare = _paint(ground + added[numbers], color), _paint(ground, color)
    return Planted(
        image=image,
        ground=bare,
        bright=_paint(bright, color),
        dark=_paint(dark, color),
        mask=mask,
        numbers=numbers,
        contrast=_contrast(image, bare, numbers),
        rows=(row + FIRST).astype(np.uint8),
        columns=(column + FIRST).astype(np.uint8),
    )


def _numbers(rng: np.random.Generator) -> Pixels:
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    corners = [
        (y, x) for y in range(0, SIDE, CELL) for x in range(0, SIDE, CELL) if (y, x) != (2 * CELL, CELL)
    ]
    for number, (top, left) in enumerate(corners, start=1):
        size = SIZES[number % len(SIZES)]
        y, x = rng.integers(4, CELL - 4 - size, 2, endpoint=True)
        y = 0 if top == 0 and number % 2 else y  # some at the edge
        x = 0 if left == 0 and number % 3 == 0 else x
        shape = _disc(size) if size > 5 and number % 2 else 1
        numbers[top + y : top + y + size, left + x : left + x + size] = number * shape
    return numbers


def _disc(size: int) -> NDArray[Any]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _contrast(image: Pixels, ground: Pixels, numbers: Pixels) -> NDArray[np.float64]:
    change = np.abs(image.astype(np.int16) - ground)
    change = change.max(axis=2) if change.ndim == 3 else change
    return np.array([0.0, *(change[numbers == number].mean() for number in range(1, numbers.max() + 1))])


def _paint(levels: NDArray[Any], color: bool) -> Pixels:
    layers = levels[..., None] * TINT if color else levels
    return np.asarray(np.clip(np.rint(layers), 0, 255), np.uint8)
