"""How well the outlines of a prediction lie on those of the truth, as counts that add up over pictures."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.model.objects import IGNORE

TOLERANCE = 2  # px, Euclidean

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_REACH = np.hypot(*np.mgrid[-TOLERANCE : TOLERANCE + 1, -TOLERANCE : TOLERANCE + 1]) <= TOLERANCE

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary pixels of truth and of prediction, and of each those within TOLERANCE of the other's."""

    boundary_true: int
    boundary_true_near: int
    boundary_predicted: int
    boundary_predicted_near: int


def count_boundary(predicted: NDArray[np.bool_], truth: NDArray[np.uint8]) -> BoundaryCounts:
    """Return the boundary counts of one picture; both (H, W), truth in {0, 1, 255}.

    A boundary pixel is one of the mask with a valid neighbor (of four) outside of it: the edges of the picture and of
    ignored pixels are no boundary, so that one class everywhere has none.
    """
    valid = truth != IGNORE
    true = _boundary(truth == 1, valid)
    shown = _boundary(predicted & valid, valid)
    return BoundaryCounts(
        int(true.sum()),
        int((true & _around(shown)).sum()),
        int(shown.sum()),
        int((shown & _around(true)).sum()),
    )


def _boundary(mask: NDArray[np.bool_], valid: NDArray[np.bool_]) -> Mask:
    outside = cv2.dilate((valid & ~mask).astype(np.uint8), _CROSS)
    return np.asarray(np.bitwise_and(outside, mask), np.uint8)


def _around(boundary: Mask) -> Mask:
    return np.asarray(cv2.dilate(boundary, _REACH.astype(np.uint8)), np.uint8)
