"""Sizes that keep the objects: of pictures, of training crops, and of tiles where pictures are too large for memory."""

import math
import os
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MULTIPLE = 32  # px; encoders halve a picture five times
KEPT = 64  # px of area that the small objects should still have
SMALL = 0.05  # quantile of the pictures' smallest objects that stands for them
WORTH = 0.8  # of the longest side; a size above it is not worth the loss
SMALLEST_SIZE = 256
BYTES_A_PIXEL = 700  # of a picture in validation by a U-Net with ResNet-101, float32 (docs/new.md)
AT_ONCE = 8  # pictures that go through together
FREE = 0.8  # of the memory that is free, for all processes together
CROPS = (64, 128)
WIDER = 2.0  # sides of a large object that a crop shows
TILES = (512, 2048)


class Sizes(NamedTuple):
    """Settings in px, and what they were chosen from."""

    size: int | None  # data.size
    crop: int
    tile: int | None
    longest: int  # side of any picture
    smallest: int  # area of the small objects, in the files
    kept: int  # their area at that size
    lost_at_512: float  # share of positive pictures whose smallest object has under 4 px at the usual 512 px


def choose_sizes(samples: pd.DataFrame, *, memory: int, processes: int) -> Sizes:
    """Return sizes for samples with manifest columns, for processes that share so many free bytes."""
    positive = samples[samples["positive"] > 0]
    sides = positive[["height", "width"]].max(axis=1).to_numpy(float)
    areas = positive["smallest_px"].to_numpy(float)
    longest = int(samples[["height", "width"]].to_numpy().max())
    needed = float(np.quantile(_needed(sides, areas), 1 - SMALL, method="higher"))
    size: int | None = max(SMALLEST_SIZE, _up(needed))
    if size is not None and size >= WORTH * np.median(sides):
        size = None
    factor = np.ones(len(sides)) if size is None else size / sides
    shown = longest if size is None else size
    return Sizes(
        size,
        crop=_crop(np.sqrt(positive["largest_px"].to_numpy(float)) * factor, shown),
        tile=_tile(shown, FREE * memory / processes / AT_ONCE),
        longest=longest,
        smallest=int(np.quantile(areas, SMALL)),
        kept=int(np.quantile(areas * factor**2, SMALL)),
        lost_at_512=float(np.mean(areas * np.minimum(1, 512 / sides) ** 2 < 4)),
    )


def free_memory() -> int:
    """Return the bytes that the system can give now."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _needed(sides: Floats, areas: Floats) -> Floats:
    """Return the longest side at which each picture's smallest object keeps its area, at most the picture's own."""
    return np.asarray(sides * np.minimum(1, np.sqrt(KEPT / np.maximum(areas, 1))))


def _crop(objects: Floats, shown: int) -> int:
    """Return a crop that shows a large object with what is around it."""
    wanted = _up(WIDER * float(np.quantile(objects, 0.75)))
    return max(MULTIPLE, min(max(CROPS[0], min(CROPS[1], wanted)), _up(shown)))


def _tile(shown: int, free: float) -> int | None:
    """Return the tile for pictures of this side; None where one goes through in one piece."""
    side = int(math.sqrt(free / BYTES_A_PIXEL))
    if shown <= min(side, TILES[1]):
        return None
    return max(TILES[0], min(TILES[1], side) // MULTIPLE * MULTIPLE)


def _up(value: float) -> int:
    return math.ceil(value / MULTIPLE) * MULTIPLE
