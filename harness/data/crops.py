"""Cut one training crop from a picture: positive-aware, reflected beyond its edge, 255 in the mask there."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.pictures import fit, fit_mask

Pixels = NDArray[np.uint8]
IGNORE = 255


@dataclass(frozen=True)
class Cropping:
    """Settings of a training crop; sizes in px."""

    size: int
    zoom: float = 1.0  # the crop shows a window of size/zoom to size*zoom px
    positive_share: float = 0.8  # share of positive pictures whose crop is sure to hold an object


def cut_crop(
    image: Pixels, mask: Pixels, cropping: Cropping, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Return a crop (size, size[, 3]) and its mask (size, size).

    With probability `positive_share` the crop shows an object drawn uniformly among the picture's objects
    (if it has any), so that large objects do not crowd out small ones.
    """
    side = round(cropping.size * math.exp(rng.uniform(-1, 1) * math.log(cropping.zoom)))
    drawn = _draw_object(mask, rng) if rng.random() < cropping.positive_share else None
    point = None if drawn is None else _draw_point(drawn, rng)
    corner = _window(mask.shape, side, point, rng)
    if drawn is not None and not (_cut_mask(drawn, corner, side, cropping.size) == 1).any():
        side = cropping.size  # the object is lost in shrinking: show it at full size
        corner = _window(mask.shape, side, point, rng)
    return _cut_image(image, corner, side, cropping.size), _cut_mask(mask, corner, side, cropping.size)


def _draw_object(mask: Pixels, rng: np.random.Generator) -> Pixels | None:
    """Return the mask of one 8-connected object alone."""
    count, labels = cv2.connectedComponents((mask == 1).astype(np.uint8), connectivity=8)
    return (labels == rng.integers(1, count)).astype(np.uint8) if count > 1 else None


def _draw_point(drawn: Pixels, rng: np.random.Generator) -> tuple[int, int]:
    rows, columns = np.nonzero(drawn)
    pick = rng.integers(len(rows))
    return int(rows[pick]), int(columns[pick])


def _window(
    shape: tuple[int, ...], side: int, point: tuple[int, int] | None, rng: np.random.Generator
) -> tuple[int, int]:
    """Return the top left corner of a window, inside the picture where it fits, holding `point` if given."""
    corner = []
    for axis, length in enumerate(shape[:2]):
        low, high = min(0, length - side), max(0, length - side)
        if point is not None:
            low, high = max(low, point[axis] - side + 1), min(high, point[axis])
        corner.append(int(rng.integers(low, high + 1)))
    return corner[0], corner[1]


def _cut_image(image: Pixels, corner: tuple[int, int], side: int, size: int) -> Pixels:
    inside, before, after = _edges(image.shape, corner, side)
    return fit(reflect(image[inside], before, after), size)


def _cut_mask(mask: Pixels, corner: tuple[int, int], side: int, size: int) -> Pixels:
    inside, before, after = _edges(mask.shape, corner, side)
    edges = list(zip(before, after, strict=True))
    return fit_mask(np.pad(mask[inside], edges, constant_values=IGNORE), size)


def _edges(
    shape: tuple[int, ...], corner: tuple[int, int], side: int
) -> tuple[tuple[slice, slice], tuple[int, int], tuple[int, int]]:
    """Return the part of a window that lies inside the picture, and what is missing before and after it."""
    (top, left), (height, width) = corner, shape[:2]
    before = max(0, -top), max(0, -left)
    after = max(0, top + side - height), max(0, left + side - width)
    inside = slice(max(0, top), min(height, top + side)), slice(max(0, left), min(width, left + side))
    return inside, before, after


def reflect(image: Pixels, before: tuple[int, int], after: tuple[int, int]) -> Pixels:
    """Return `image` extended by reflection without repeating the edge (OpenCV's REFLECT_101)."""
    for axis in (0, 1):
        edges = [(0, 0)] * image.ndim
        edges[axis] = (before[axis], after[axis])
        image = np.pad(image, edges, mode="reflect" if image.shape[axis] > 1 else "edge")
    return image
