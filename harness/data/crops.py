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

    With probability `positive_share` the window holds an object drawn uniformly among the picture's objects
    (if it has any), so that large objects do not crowd out small ones.
    """
    side = round(cropping.size * math.exp(rng.uniform(-1, 1) * math.log(cropping.zoom)))
    wanted = rng.random() < cropping.positive_share
    point = _point_of_an_object(mask, rng) if wanted else None
    small, small_mask = _shown(image, mask, _window(mask.shape, side, point, rng), side, cropping.size)
    if point is not None and not (small_mask == 1).any():  # lost in shrinking: show it at full size
        corner = _window(mask.shape, cropping.size, point, rng)
        return _shown(image, mask, corner, cropping.size, cropping.size)
    return small, small_mask


def _point_of_an_object(mask: Pixels, rng: np.random.Generator) -> tuple[int, int] | None:
    target = (mask == 1).astype(np.uint8)
    count, labels = cv2.connectedComponents(target, connectivity=8)
    if count < 2:
        return None
    rows, columns = np.nonzero(labels == rng.integers(1, count))
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


def _shown(
    image: Pixels, mask: Pixels, corner: tuple[int, int], side: int, size: int
) -> tuple[Pixels, Pixels]:
    top, left = corner
    height, width = mask.shape
    inside = np.s_[max(0, top) : min(height, top + side), max(0, left) : min(width, left + side)]
    before = max(0, -top), max(0, -left)
    after = max(0, top + side - height), max(0, left + side - width)
    padded = reflect(image[inside], before, after)
    edges = list(zip(before, after, strict=True))
    return fit(padded, size), fit_mask(np.pad(mask[inside], edges, constant_values=IGNORE), size)


def reflect(image: Pixels, before: tuple[int, int], after: tuple[int, int]) -> Pixels:
    """Return `image` extended by reflection without repeating the edge (OpenCV's REFLECT_101)."""
    for axis in (0, 1):
        edges = [(0, 0)] * image.ndim
        edges[axis] = (before[axis], after[axis])
        image = np.pad(image, edges, mode="reflect" if image.shape[axis] > 1 else "edge")
    return image
