"""The mask of a picture from its objects: 0 background, 255 target, 128 ignore where no target covers it."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.bitmaps import areas as bitmap_areas
from harness.data.formats.polygons import filled
from harness.data.formats.shapes import Bitmap, Object, Rings, Runs, Size
from harness.data.formats.spans import concatenated, painted

TARGET, IGNORE = 255, 128


def mask_of(objects: Sequence[Object], size: Size, where: str) -> NDArray[np.uint8]:
    """Return the mask (H, W). Raises DataError for bitmaps and outlines that cannot be drawn."""
    mask = np.zeros(size[::-1], np.uint8)
    for value, some in (
        (IGNORE, [o for o in objects if o.ignored]),
        (TARGET, [o for o in objects if not o.ignored]),
    ):
        if some:
            mask[_covered(some, size, where)] = value
    return mask


def _covered(objects: Sequence[Object], size: Size, where: str) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of all objects together."""
    width, height = size
    areas = list(chain.from_iterable(o.areas for o in objects))
    lines = [(a.starts, a.ends) for a in areas if isinstance(a, Runs) and not a.by_columns]
    if rings := [a for a in areas if isinstance(a, Rings)]:
        lines.append(filled(rings, size, where))
    covered = painted(*concatenated(lines), width * height).reshape(height, width)
    columns = [(a.starts, a.ends) for a in areas if isinstance(a, Runs) and a.by_columns]
    if columns:
        covered |= painted(*concatenated(columns), width * height).reshape(width, height).T
    bitmaps = [a for a in areas if isinstance(a, Bitmap)]
    for bitmap, pixels in zip(bitmaps, bitmap_areas(bitmaps, size, where), strict=True):
        place = slice(bitmap.y, bitmap.y + pixels.shape[0]), slice(bitmap.x, bitmap.x + pixels.shape[1])
        covered[place] |= pixels
    return covered
