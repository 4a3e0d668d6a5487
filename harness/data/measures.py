"""What a picture and its mask measure, from pixels that are decoded anyway: light, focus, objects, their losses."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.pictures import Pixels

Numbers = NDArray[Any]

TINY = 4  # px; an object with fewer is hardly more than a mistake of the pen
PLAIN = 0.75  # share of its moments' ellipse that a mask fills, from which on its shape is anybody's
FEWEST_SHAPE = 100  # px; fewer show no shape
SIGNATURE = 16  # cells along each side of a label's signature
SMOOTH = 1.0  # px, standard deviation
STEP = 1.125  # from one size that is tried to the next
MULTIPLE = 32  # px; sizes that are proposed

SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Measures:
    """Numbers of one sample; px of the file, upright, unless said otherwise."""

    gray_mean: float  # of 0 to 255
    gray_spread: float  # standard deviation
    focus: (
        float  # Laplacian over gradient, each a standard deviation: free of light and contrast; 0 if constant
    )
    smallest_px: int  # area of the smallest object; 0 without any
    largest_px: int
    shortest_side: int  # shortest side of the objects' upright boxes
    holes_px: int  # background and ignored pixels that the target encloses
    edges: int  # how many of the picture's four edges the target touches
    shown: int  # longest side after resizing to data.size
    tiny: int  # objects with fewer than TINY px there, lost ones included
    lost: int  # objects without a pixel there
    keeps_at: int  # data.size from which on no object is lost
    target_x: int  # the box of all target pixels
    target_y: int
    target_w: int
    target_h: int
    signature: str  # how the target fills that box, SIGNATURE^2 hexadecimal digits; empty for few px and plain shapes


@dataclass(frozen=True)
class Objects:
    """The 8-connected objects of a mask (H, W), by their pixels (P,)."""

    shape: tuple[int, int]
    rows: Numbers
    columns: Numbers
    number: Numbers  # of the object that each pixel belongs to, from 0
    areas: Numbers  # (objects,)
    sides: Numbers  # (objects,) shorter side of each upright box
    box: tuple[int, int, int, int]  # x, y, w, h of all

    def areas_at(self, size: int) -> Numbers:
        """Return each object's pixels after `fit_mask` to `size`; where that enlarges, the pixels of the file."""
        longest = max(self.shape)
        if size >= longest:
            return self.areas
        seen = [_centers(side, max(1, round(side * size / longest))) for side in self.shape]
        kept = seen[0][self.rows] & seen[1][self.columns]
        return np.bincount(self.number[kept], minlength=len(self.areas))


def objects_of(mask: Pixels) -> Objects:
    """Return the objects of a mask of 0, 1 and 255; only the box around them is looked at."""
    target = (mask == 1).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(target)
    part = target[y : y + h, x : x + w]
    none = np.zeros(0, dtype=np.intp)
    shape = (mask.shape[0], mask.shape[1])
    if not part.size:
        return Objects(shape, none, none, none, none, none, (0, 0, 0, 0))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
    rows, columns = np.nonzero(labels)
    sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].min(axis=1)
    number = labels[rows, columns] - 1
    return Objects(shape, rows + y, columns + x, number, stats[1:, cv2.CC_STAT_AREA], sides, (x, y, w, h))


def measure(image: Pixels, mask: Pixels, objects: Objects, size: int | None) -> Measures:
    """Return the measures of an 8-bit picture and its mask, which is shown at `size`."""
    x, y, w, h = objects.box
    part = (mask[y : y + h, x : x + w] == 1).astype(np.uint8)
    mean, spread, focus = _light(image)
    shown = size or max(objects.shape)
    areas = objects.areas_at(shown)
    lost = int((areas == 0).sum())
    return Measures(
        gray_mean=round(mean, 3),
        gray_spread=round(spread, 3),
        focus=round(focus, 5),
        smallest_px=int(objects.areas.min(initial=part.size)),
        largest_px=int(objects.areas.max(initial=0)),
        shortest_side=int(objects.sides.min(initial=max(w, h))),
        holes_px=_holes(part),
        edges=_edges(objects),
        shown=shown,
        tiny=int((areas < TINY).sum()),
        lost=lost,
        keeps_at=_keeping_size(objects, shown) if lost else shown,
        target_x=x,
        target_y=y,
        target_w=w,
        target_h=h,
        signature=_signature(part),
    )


def count_sizes(areas: Sequence[Numbers]) -> pd.DataFrame:
    """Return how many objects of each sample are small, medium and large: thirds of all objects' areas."""
    every = np.concatenate(areas) if len(areas) else np.zeros(0)
    bounds = np.quantile(every, [1 / 3, 2 / 3], method="lower") if len(every) else np.zeros(2)
    # `left`: an area at the bound is of the smaller kind
    kinds = [np.searchsorted(bounds, one, side="left") for one in areas]
    counts = [np.bincount(kind, minlength=3) for kind in kinds]
    return pd.DataFrame(np.reshape(counts, (-1, 3)), columns=list(SIZES))


def _light(image: Pixels) -> tuple[float, float, float]:
    """Return mean, standard deviation and focus of the gray picture."""
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean, spread = _mean_std(gray)
    # smoothed, or the steps between gray levels would pass for sharpness in a faint picture
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), SMOOTH)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=1) for dx in (1, 0))
    gradient = math.hypot(_mean_std(across)[1], _mean_std(down)[1])
    bend = _mean_std(cv2.Laplacian(smooth, cv2.CV_32F, ksize=1))[1]
    return mean, spread, bend / gradient if gradient else 0.0


def _mean_std(values: Numbers) -> tuple[float, float]:
    mean, std = cv2.meanStdDev(values)
    return float(np.ravel(mean)[0]), float(np.ravel(std)[0])


def _centers(length: int, fewer: int) -> NDArray[np.bool_]:
    """Return which of `length` pixels OpenCV's exact nearest neighbor takes for `fewer`."""
    line = np.arange(length, dtype=np.float32)[None]
    taken = cv2.resize(line, (fewer, 1), interpolation=cv2.INTER_NEAREST_EXACT)
    seen = np.zeros(length, dtype=bool)
    seen[np.asarray(taken, dtype=np.intp)] = True
    return seen


def _keeping_size(objects: Objects, size: int) -> int:
    """Return the smallest size tried above which, at every larger size tried, no object is lost."""
    longest = max(objects.shape)
    keeps = longest
    for tried in reversed(_sizes_between(size, longest)):
        if (objects.areas_at(tried) == 0).any():
            break
        keeps = tried
    return keeps


def _sizes_between(size: int, longest: int) -> list[int]:
    """Return multiples of 32 px above `size` and below `longest`, an eighth apart."""
    sizes, at = [], float(size)
    while (at := max(at * STEP, at + 1)) < longest:
        rounded = math.ceil(at / MULTIPLE) * MULTIPLE
        if rounded < longest and rounded not in sizes:
            sizes.append(rounded)
    return sizes


def _holes(part: Pixels) -> int:
    """Return the pixels of a target's box that are not target and not open to the outside."""
    if not part.size:
        return 0
    outside = np.pad(1 - part, 1, constant_values=1)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    return int(stats[1:, cv2.CC_STAT_AREA].sum() - stats[labels[0, 0], cv2.CC_STAT_AREA])


def _edges(objects: Objects) -> int:
    (height, width), (x, y, w, h) = objects.shape, objects.box
    return sum((x == 0, y == 0, x + w == width, y + h == height)) if w else 0


def _signature(part: Pixels) -> str:
    """Return how full each cell of the box is, 0 to f; empty where another object could look the same by chance."""
    moments = cv2.moments(part, binaryImage=True) if part.size else {"m00": 0.0}
    area = moments["m00"]
    if area < FEWEST_SHAPE:
        return ""
    # a pixel is a square of its own: a twelfth of variance along each axis
    xx, yy, xy = moments["mu20"] / area + 1 / 12, moments["mu02"] / area + 1 / 12, moments["mu11"] / area
    if area > PLAIN * 4 * math.pi * math.sqrt(max(0.0, xx * yy - xy * xy)):
        return ""
    cells = cv2.resize(part * 255, (SIGNATURE, SIGNATURE), interpolation=cv2.INTER_AREA)
    # rounded up, so that a thin line leaves a trace in each cell it crosses
    digits = (np.asarray(cells, dtype=np.uint16) + 16) // 17
    return digits.astype(np.uint8).tobytes().hex()[1::2]
