"""Write a mask while it is computed: a PNG, and above 8,192 x 8,192 px a tiled TIFF that is never held whole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import imwrite

from harness.predict.sources import MOST_DECODED

SIDE = 256  # px of the TIFF's tiles
CLASSIC = 2**31  # px; a TIFF with more is a BigTIFF, as its offsets could end

Pixels = NDArray[np.uint8]


def mask_ending(shape: tuple[int, int]) -> str:
    """Return the ending of the file that a mask of this shape is written to."""
    return ".png" if shape[0] * shape[1] <= MOST_DECODED else ".tif"


def write_mask(path: Path, shape: tuple[int, int], bands: Iterator[Pixels]) -> None:
    """Write bands (rows, W) of 0 and 255, which are taken one by one, to a path with the ending of `mask_ending`."""
    if path.suffix == ".png":
        mask = np.empty(shape, np.uint8)
        top = 0
        for band in bands:
            mask[top : top + len(band)] = band
            top += len(band)
        Image.fromarray(mask).save(path, compress_level=3)
        return
    imwrite(
        path,
        _tiles(bands, shape[1]),
        shape=shape,
        dtype=np.uint8,
        tile=(SIDE, SIDE),
        photometric="minisblack",
        compression="zlib",
        bigtiff=shape[0] * shape[1] > CLASSIC,
        metadata=None,
        software=False,
        maxworkers=1,  # as many threads would each hold tiles
    )


def _tiles(bands: Iterator[Pixels], width: int) -> Iterator[Pixels]:
    """Yield tiles in reading order, the last ones filled up with 0."""
    held = np.empty((0, width), np.uint8)
    for band in bands:
        held = np.concatenate([held, band])
        while len(held) >= SIDE:
            yield from _row_of_tiles(held[:SIDE])
            held = held[SIDE:]
    if len(held):
        yield from _row_of_tiles(held)


def _row_of_tiles(rows: Pixels) -> Iterator[Pixels]:
    padded = np.pad(rows, ((0, SIDE - len(rows)), (0, -rows.shape[1] % SIDE)))
    for left in range(0, padded.shape[1], SIDE):
        yield np.ascontiguousarray(padded[:, left : left + SIDE])
