"""Small masks that annotations hold as PNG in base64 (LabelMe, Supervisely), unpacked within limits."""

import base64
import binascii
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.data.formats.documents import AGAIN
from harness.data.formats.shapes import Bitmap, Size
from harness.data.pictures import PIXEL_LIMIT
from harness.errors import DataError

ROOM = 1_000_000  # bytes beside the pixels: heads, palettes, what a tool notes


def pixels_of(bitmap: Bitmap, size: Size) -> NDArray[np.bool_]:
    """Return a bitmap (H, W), True on its object, which lies inside a picture of `size`. Raises DataError.

    The object is where the PNG is opaque, if it has transparency, else where it is not 0: as both tools write it.
    """
    file = _unpacked(bitmap, size)
    try:
        with Image.open(io.BytesIO(file), formats=("PNG",)) as picture:
            _refuse_other_size(bitmap, picture.size, size)
            if getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"{bitmap.where}: an animated PNG; {AGAIN}")
            return _object(picture)
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they like on broken bytes
        raise DataError(
            f"{bitmap.where}: its PNG is broken or cut off ({type(error).__name__}); {AGAIN}"
        ) from error


def areas(bitmaps: list[Bitmap], size: Size, where: str) -> list[NDArray[np.bool_]]:
    """Return the pixels of all bitmaps of one picture. Raises DataError where together they are too many."""
    found, total = [], 0
    for bitmap in bitmaps:
        found.append(pixels_of(bitmap, size))
        total += found[-1].size
        if total > PIXEL_LIMIT:
            raise DataError(
                f"{where}: its bitmaps hold more than {PIXEL_LIMIT:,} pixels; crop them to their objects"
            )
    return found


def _unpacked(bitmap: Bitmap, size: Size) -> bytes:
    try:
        file = base64.b64decode(bitmap.png, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{bitmap.where}: no base64, or cut off; {AGAIN}") from error
    if not bitmap.zipped:
        return file
    limit = 4 * size[0] * size[1] + ROOM
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(file, limit)
    except zlib.error as error:
        raise DataError(f"{bitmap.where}: no zlib data ({error}); {AGAIN}") from error
    if not unpacking.eof:
        large = bool(unpacking.unconsumed_tail)
        what = f"unpacks to more than {limit:,} bytes" if large else "its zlib data are cut off"
        raise DataError(f"{bitmap.where}: {what}; {AGAIN}")
    return unpacked


def _refuse_other_size(bitmap: Bitmap, found: Size, size: Size) -> None:
    if bitmap.size is not None and found != bitmap.size:
        wanted = f"{bitmap.size[0]} x {bitmap.size[1]}"
        raise DataError(f"{bitmap.where}: its PNG has {found[0]} x {found[1]} px, not {wanted}; {AGAIN}")
    if bitmap.x + found[0] > size[0] or bitmap.y + found[1] > size[1]:
        raise DataError(
            f"{bitmap.where}: {found[0]} x {found[1]} px at {bitmap.x}, {bitmap.y} leave a picture of "
            f"{size[0]} x {size[1]}; {AGAIN}"
        )


def _object(picture: Image.Image) -> NDArray[np.bool_]:
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        return np.array(picture.convert("RGBA"))[:, :, 3] > 0
    values: NDArray[Any] = np.array(picture.convert("RGB") if picture.mode == "P" else picture)
    return np.asarray((values if values.ndim == 2 else values.max(axis=2)) != 0)
