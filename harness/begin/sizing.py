"""Sizes that keep the objects: of pictures, of training crops, and of tiles where pictures are too large for memory."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.measures import TINY, Numbers

Floats = NDArray[np.float64]

MULTIPLE = 32  # px; encoders halve a picture five times
KEPT = 64  # px of area that small objects should still have
KEPT_BY_CPU = TINY  # the same of a small network on a CPU, which needs to see much with few pixels
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
    cpu_size: int | None
    crop: int
    tile: int | None
    longest: int  # side of any picture
    smallest: int  # area of the small objects, in the files
    kept: int  # their area at that size
    lost: float  # share of the objects with under TINY px at the usual size
    cpu_lost: float  # the same at the size of a CPU


def choose_sizes(samples: pd.DataFrame, areas: Sequence[Numbers], *, memory: int, processes: int) -> Sizes:
    """Return sizes for samples with manifest columns and their objects' areas, for processes that share free bytes."""
    sides = samples[["height", "width"]].max(axis=1).to_numpy(float)
    side = np.repeat(sides, [len(one) for one in areas])
    area = np.concatenate(areas).astype(float)
    told = area >= TINY if (area >= TINY).any() else area > 0
    side, area = side[told], area[told]
    size, cpu_size = (_size(side, area, kept, float(np.median(sides))) for kept in (KEPT, KEPT_BY_CPU))
    factor, on_cpu = (
        np.ones(len(side)) if one is None else np.minimum(1, one / side) for one in (size, cpu_size)
    )
    longest = int(sides.max())
    shown = longest if size is None else size
    return Sizes(
        size,
        cpu_size,
        crop=_crop(np.sqrt(area) * on_cpu, shown if cpu_size is None else cpu_size),
        tile=_tile(shown, FREE * memory / processes / AT_ONCE),
        longest=longest,
        smallest=int(np.quantile(area, SMALL)),
        kept=int(np.quantile(area * factor**2, SMALL)),
        lost=float(np.mean(area * np.minimum(1, USUAL_SIZE / side) ** 2 < TINY)),
        cpu_lost=float(np.mean(area * on_cpu**2 < TINY)),
    )


def free_memory() -> int:
    """Return the bytes that the system can give now, what it keeps of files counted in."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _size(side: Floats, area: Floats, kept: float, median: float) -> int | None:
    """Return the size at which all but few objects keep so many px; None where that is hardly smaller."""
    needed = side * np.minimum(1, np.sqrt(kept / area))
    wanted = max(SMALLEST_SIZE, _up(float(np.quantile(needed, 1 - SMALL, method="higher"))))
    return None if wanted >= WORTH * median else wanted


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
