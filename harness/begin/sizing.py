"""Sizes that keep the objects: of pictures, of training crops, and of tiles where pictures are too large for memory."""

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.measures import TINY, Numbers

Floats = NDArray[np.float64]

MULTIPLE = 32  # px; encoders halve a picture five times
KEPT = 64  # px of area that small objects should still have
SMALL = 0.05  # quantile of the objects' areas that stands for them
WORTH = 0.8  # of the longest side; a size above it is not worth the loss
SMALLEST_SIZE, USUAL_SIZE = 256, 512
BYTES_A_PIXEL = 700  # of a picture in validation by a U-Net with ResNet-101, float32 (docs/new.md)
AT_ONCE = 8  # pictures that go through together
FREE = 0.8  # of the memory that is free, for all processes together
CROPS = (64, 128)
WIDER = 3.0  # sides of an object, in the median, that a crop shows
TILES = (512, 2048)


class Sizes(NamedTuple):
    """Settings in px, and what they were chosen from; of objects, specks below TINY px left out."""

    size: int | None  # data.size
    crop: int
    tile: int | None
    longest: int  # side of any picture
    smallest: int  # area of the small objects, in the files
    kept: int  # their area at that size
    lost: float  # share of the objects that have under TINY px where pictures of that side are shown at the usual size


def choose_sizes(samples: pd.DataFrame, areas: Sequence[Numbers], *, memory: int, processes: int) -> Sizes:
    """Return sizes for samples with manifest columns and their objects' areas, for processes that share free bytes."""
    sides = samples[["height", "width"]].max(axis=1).to_numpy(float)
    side = np.repeat(sides, [len(one) for one in areas])
    area = np.concatenate(areas).astype(float)
    told = area >= TINY if (area >= TINY).any() else area > 0
    side, area = side[told], area[told]
    needed = side * np.minimum(1, np.sqrt(KEPT / area))
    wanted = max(SMALLEST_SIZE, _up(float(np.quantile(needed, 1 - SMALL, method="higher"))))
    size = None if wanted >= WORTH * np.median(sides) else wanted
    factor = np.ones(len(side)) if size is None else np.minimum(1, size / side)
    longest = int(sides.max())
    shown = longest if size is None else size
    return Sizes(
        size,
        crop=_crop(np.sqrt(area) * factor, shown),
        tile=_tile(shown, FREE * memory / processes / AT_ONCE),
        longest=longest,
        smallest=int(np.quantile(area, SMALL)),
        kept=int(np.quantile(area * factor**2, SMALL)),
        lost=float(np.mean(area * np.minimum(1, USUAL_SIZE / side) ** 2 < TINY)),
    )


def free_memory() -> int:
    """Return the bytes that the system can give now."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _crop(objects: Floats, shown: int) -> int:
    """Return a crop that shows an object with what is around it."""
    wanted = _up(WIDER * float(np.median(objects)))
    return max(MULTIPLE, min(max(CROPS[0], min(CROPS[1], wanted)), _up(shown)))


def _tile(shown: int, free: float) -> int | None:
    """Return the tile for pictures of this side; None where one goes through in one piece."""
    side = int(math.sqrt(free / BYTES_A_PIXEL))
    if shown <= min(side, TILES[1]):
        return None
    return max(TILES[0], min(TILES[1], side) // MULTIPLE * MULTIPLE)


def _up(value: float) -> int:
    return math.ceil(value / MULTIPLE) * MULTIPLE
