"""Take a picture's fingerprint and say, from this picture alone, whether a copy of it could be recognized."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.copies.align import SAME, align
from harness.data.copies.fingerprint import KEY_POINTS, Fingerprint, Gray, fingerprint, gray_at_side

QUALITY = 85  # of the JPEG that the half is written as
CUT = 3  # px at SIDE that the half starts off the edge, so that its JPEG blocks lie elsewhere
ENOUGH = 12  # key points by which the half must be found again
FEWER = 100  # key points of the half that are tried first, as all of them take longer


def recognize(pixels: NDArray[Any], *, without: NDArray[np.bool_] | None = None) -> Fingerprint:
    """Return the fingerprint of a picture (H, W) or (H, W, 3), with `found_again` measured on a half of it.

    The half is cut off, written as a JPEG and aligned with the whole. Flat and brushed surfaces, which have no key
    points that survive this, are told by it without looking at another picture. The parts `without`, a mask of any
    size of the whole picture, count as flat.
    """
    picture = gray_at_side(pixels)
    shown = None if without is None else _at_size(~without, picture)
    whole, half = fingerprint(picture, shown=shown), _as_jpeg(_half(picture))
    shown_half = None if shown is None else _half(shown)
    again = _found_again(whole, fingerprint(half, most=FEWER, shown=shown_half))
    if again < ENOUGH:
        again = _found_again(whole, fingerprint(half, most=KEY_POINTS, shown=shown_half))
    return replace(whole, found_again=again)


def _at_size(mask: NDArray[np.bool_], picture: Gray) -> Gray:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _found_again(whole: Fingerprint, half: Fingerprint) -> int:
    found = align(whole, half, mirrored=False)
    return found.inliers if found is not None and found.agreement >= SAME else 0


def is_verifiable(mark: Fingerprint) -> bool:
    """Tell whether copies and overlaps of the picture can be recognized by its key points."""
    return mark.found_again >= ENOUGH


def _half(picture: Gray) -> Gray:
    """Return about half of the picture, cut so that its longest side stays as it is."""
    height, width = picture.shape
    half = picture[CUT : CUT + height // 2] if height <= width else picture[:, CUT : CUT + width // 2]
    return np.ascontiguousarray(half) if half.size else picture


def _as_jpeg(picture: Gray) -> Gray:
    file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), np.uint8)
