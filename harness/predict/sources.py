"""One picture of a file, given out by rows as the model sees it; what no picture can be made of, in one line."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tifffile import TiffFile, TiffPage

from harness.errors import DataError
from harness.masking import words_of
from harness.predict.tiff import MAGIC, Rows, is_deep_and_separate, pages_of, rows_of
from harness.tracking.served_model import FORMATS, read, to_8_bits

MOST_DECODED = 2**26  # px, 8,192 x 8,192: more is read by rows, which only TIFF can be
SHOWN_AT_ONCE = 64  # rows; looking values up takes eight bytes a pixel
TO_TIFF = "convert it to a tiled TIFF (vips tiffsave IN OUT.tif --tile --compression deflate --bigtiff)"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """A picture: its height and width, and what reads rows of it; `white` as in the model's settings."""

    where: str
    shape: tuple[int, int]
    stored: Rows
    white: int | None

    def rows(self, top: int, bottom: int) -> Pixels:
        """Return rows as the model sees them, (rows, W) gray or (rows, W, 3) RGB. Raises DataError."""
        with decoding(self.where):
            stored = self.stored(top, bottom)
            shown = np.empty(stored.shape, np.uint8)
            for first in range(0, len(stored), SHOWN_AT_ONCE):
                part = slice(first, first + SHOWN_AT_ONCE)
                shown[part] = to_8_bits(stored[part], self.where, self.white)
            return shown


Opener = Callable[[], Source]  # raises DataError


@contextmanager
def pictures_in(path: Path, white: int | None) -> Iterator[Sequence[Opener]]:
    """Yield what opens each picture of a file: one, or one a page of a TIFF. Raises DataError."""
    where = str(path)
    with decoding(where):
        with path.open("rb") as file:
            start = file.read(4)
        tiff = TiffFile(path) if start in MAGIC else None
    if tiff is None:
        yield [lambda: _decoded(path, white)]
        return
    with tiff:
        with decoding(where):
            pages = pages_of(tiff, where)
        if len(pages) == 1:
            yield [lambda: _single_page(path, pages[0], white)]
        else:
            yield [
                partial(_windowed, page, f"{where}, page {number}", white)
                for number, page in enumerate(pages, 1)
            ]


@contextmanager
def decoding(where: str) -> Iterator[None]:
    """Turn whatever decoders raise over broken files into a DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about tags that nobody here reads
            yield
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"{where}: claims far more than {MOST_DECODED:,} px; {TO_TIFF}") from None
    except OSError as error:
        raise DataError(
            f"{where}: cannot be read ({error.strerror or words_of(error)}); copy it again"
        ) from None
    except Exception as error:
        said = words_of(error)
        known = said.startswith(f"{where}: ")  # by the model's own reader, in one line
        raise DataError(said if known else f"{where}: broken or cut off ({said}); copy it again") from None


def _decoded(path: Path, white: int | None) -> Source:
    """Return a picture that is decoded whole, by the decoder of the served model."""
    where = str(path)
    with decoding(where):
        _refuse_large(path)
        data = path.read_bytes()
        if not data:
            raise DataError(f"{where}: the file is empty; copy it again")
        pixels = read(data, where, white)
        to_8_bits(pixels[:0], where, white)  # whether this depth can be shown
    return Source(where, (pixels.shape[0], pixels.shape[1]), lambda top, bottom: pixels[top:bottom], white)


def _refuse_large(path: Path) -> None:
    try:
        picture = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise DataError(f"{path}: no picture of a known kind ({', '.join(FORMATS)}), or cut off") from None
    with picture:
        width, height = picture.size
        if width * height > MOST_DECODED:
            raise DataError(
                f"{path}: {width:,} x {height:,} px; a {picture.format} may have {MOST_DECODED:,} px (8,192 x 8,192), "
                f"as it is decoded whole; {TO_TIFF}"
            )


def _single_page(path: Path, page: TiffPage, white: int | None) -> Source:
    small = page.imagewidth * page.imagelength <= MOST_DECODED
    if small and not is_deep_and_separate(page):
        return _decoded(path, white)  # also palettes, LZW, orientations, as the served model reads them
    return _windowed(page, str(path), white)


def _windowed(page: TiffPage, where: str, white: int | None) -> Source:
    with decoding(where):
        stored = rows_of(page, where)
        to_8_bits(np.empty((0, 0), page.dtype), where, white)
        return Source(where, (page.imagelength, page.imagewidth), stored, white)


def in_color(pixels: Any) -> Pixels:
    """Return (H, W, 3) of gray or RGB."""
    return np.asarray(pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2), np.uint8)
