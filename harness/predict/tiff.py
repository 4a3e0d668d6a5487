"""Read a TIFF of any size by rows, without decoding what lies elsewhere; its pages; what cannot be read, and why."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from harness.errors import DataError

MOST_AT_ONCE = 2**26  # px of a row of tiles, or of a strip, which are decoded together
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
SEPARATE = 2  # planar configuration: a plane a channel
JPEG = (6, 7)

logging.getLogger("tifffile").setLevel(
    logging.CRITICAL
)  # what it says of broken files is said here in a line

Stored = NDArray[Any]  # uint8 or uint16
Rows = Callable[[int, int], Stored]  # first row, row after the last: (rows, W) gray or (rows, W, 3) RGB


def pages_of(tiff: TiffFile, where: str) -> list[TiffPage]:
    """Return the pages that are pictures, smaller copies of others left out. Raises DataError."""
    pages = [page for page in tiff.pages if isinstance(page, TiffPage) and not page.is_reduced]
    told = (tiff.imagej_metadata or {}).get("images", 1) if tiff.is_imagej else 1
    if told > len(tiff.pages):  # ImageJ describes the first page of a large stack and appends the others
        raise DataError(f"{where}: an ImageJ stack of {told} pictures with one page; save its pages as TIFF")
    if not pages:
        raise DataError(f"{where}: a TIFF without a picture; save it again")
    return pages


def rows_of(page: TiffPage, where: str) -> Rows:
    """Return what reads rows of a page at their stored depth, without alpha. Raises DataError for what it cannot."""
    _refuse_unusual(page, where)
    stored = _Plain(page, where) if _is_plain(page) else _Segments(page, where)
    inverted = page.photometric == PHOTOMETRIC.MINISWHITE

    def rows(top: int, bottom: int) -> Stored:
        pixels = stored(top, bottom)
        channels = 3 if pixels.shape[2] > 2 else 1
        pixels = pixels[:, :, :3] if channels == 3 else pixels[:, :, 0]
        return 255 - pixels if inverted else pixels

    return rows


def is_deep_and_separate(page: TiffPage) -> bool:
    """Tell channels of 16 bits in planes of their own, which other decoders get wrong."""
    return page.bitspersample == 16 and page.planarconfig == SEPARATE and page.samplesperpixel > 1


def _refuse_unusual(page: TiffPage, where: str) -> None:
    kinds: dict[int, tuple[int, ...]] = {
        PHOTOMETRIC.MINISWHITE: (1, 2),
        PHOTOMETRIC.MINISBLACK: (1, 2),
        PHOTOMETRIC.RGB: (3, 4),
    }
    if page.compression in JPEG:
        kinds[PHOTOMETRIC.YCBCR] = (3,)  # decoded to RGB
    deep = page.bitspersample == 16
    reason = ""
    if page.dtype not in (np.uint8, np.uint16) or page.bitspersample not in (8, 16):
        reason = f"pixels of {page.bitspersample} bits ({page.dtype})"
    elif page.samplesperpixel not in kinds.get(page.photometric, ()):
        reason = f"{page.samplesperpixel} channels of the kind {_name(page.photometric)}"
    elif page.photometric == PHOTOMETRIC.MINISWHITE and deep:
        reason = "16 bits with 0 for white"
    elif page.imagedepth != 1:
        reason = f"a volume of {page.imagedepth} layers"
    elif (turned := page.tags.get(274)) is not None and turned.value != 1:
        reason = f"orientation {int(turned.value)}, which needs the whole picture"
    if reason:
        raise DataError(f"{where}: {reason}; save it as 8- or 16-bit gray or RGB, upright, in tiles")


def _is_plain(page: TiffPage) -> bool:
    """Tell strips that lie in the file as the rows do."""
    return bool(page.is_contiguous) and not page.is_tiled and page.planarconfig != SEPARATE


class _Plain:
    """Rows of a page that lies in the file as it is."""

    def __init__(self, page: TiffPage, where: str) -> None:
        self.page, self.where = page, where

    def __call__(self, top: int, bottom: int) -> Stored:
        page = self.page
        shape = (bottom - top, page.imagewidth, page.samplesperpixel)
        dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        row = page.imagewidth * page.samplesperpixel * dtype.itemsize
        data = _bytes_at(page, page.dataoffsets[0] + top * row, (bottom - top) * row, self.where)
        return np.frombuffer(data, dtype).reshape(shape).astype(page.dtype)


class _Segments:
    """Rows of a page in tiles or compressed strips; the last ones decoded are kept, as the next rows share them."""

    def __init__(self, page: TiffPage, where: str) -> None:
        self.page, self.where = page, where
        self.length = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        self.across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        self.kept: tuple[int, Stored] | None = None
        if self.length * page.imagewidth > MOST_AT_ONCE:
            raise DataError(
                f"{where}: strips of {self.length:,} rows of {page.imagewidth:,} px, which are decoded at once; save "
                "it in tiles"
            )
        self._segment(0, 0)  # whether it can be decoded at all

    def __call__(self, top: int, bottom: int) -> Stored:
        page = self.page
        found = np.empty((bottom - top, page.imagewidth, page.samplesperpixel), page.dtype)
        for number in range(top // self.length, -(-bottom // self.length)):
            begins = number * self.length
            first, last = max(top, begins), min(bottom, begins + self.length)
            found[first - top : last - top] = self._row_of_segments(number)[first - begins : last - begins]
        return found

    def _row_of_segments(self, number: int) -> Stored:
        if self.kept is None or self.kept[0] != number:
            self.kept = number, self._decoded(number)
        return self.kept[1]

    def _decoded(self, number: int) -> Stored:
        page = self.page
        height = min(self.length, page.imagelength - number * self.length)
        found = np.zeros((height, page.imagewidth, page.samplesperpixel), page.dtype)
        separate = page.planarconfig == SEPARATE and page.samplesperpixel > 1
        for plane in range(page.samplesperpixel if separate else 1):
            for column in range(self.across):
                pixels = self._segment(number, column, plane)
                if pixels is not None:  # else nothing was ever written there
                    left = column * (page.tilewidth if page.is_tiled else page.imagewidth)
                    part = pixels[0, :height, : page.imagewidth - left]
                    to = slice(plane, plane + 1) if separate else slice(None)
                    found[: part.shape[0], left : left + part.shape[1], to] = part
        return found

    def _segment(self, number: int, column: int, plane: int = 0) -> Stored | None:
        """Return the pixels of a tile or strip, (1, H, W, channels)."""
        page = self.page
        down = -(-page.imagelength // self.length)
        index = (plane * down + number) * self.across + column
        if index >= len(page.dataoffsets):
            raise DataError(f"{self.where}: its list of tiles is cut off; copy it again")
        if not page.databytecounts[index]:
            return None
        data = _bytes_at(page, page.dataoffsets[index], page.databytecounts[index], self.where)
        tables = {"jpegtables": page.jpegtables} if page.compression in JPEG else {}
        try:
            return page.decode(data, index, **tables)[0]
        except (ValueError, KeyError, ImportError) as error:
            if isinstance(error, ImportError) or "imagecodecs" in str(error):
                raise DataError(_needs_imagecodecs(page, self.where)) from None
            raise


def _bytes_at(page: TiffPage, offset: int, count: int, where: str) -> bytes:
    file = page.parent.filehandle
    file.seek(offset)
    data = file.read(count)
    if len(data) != count:
        raise DataError(f"{where}: cut off: {len(data):,} of {count:,} bytes at {offset:,}; copy it again")
    return bytes(data)


def _needs_imagecodecs(page: TiffPage, where: str) -> str:
    try:
        name = COMPRESSION(page.compression).name
    except ValueError:
        name = f"number {page.compression}"
    return (
        f"{where}: its compression {name} is read here only with imagecodecs; `pip install imagecodecs`, or save it "
        "with deflate or without compression"
    )


def _name(photometric: int) -> str:
    try:
        return PHOTOMETRIC(photometric).name
    except ValueError:
        return str(photometric)
