"""Two masks of one thing, laid on each other as their pictures were: where they agree, and what only one has."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.copies.align import Alignment, Matrix
from harness.data.copies.fingerprint import SIDE
from harness.data.measures import TINY
from harness.data.pictures import Pixels

REACH = 0.75  # px at SIDE by which a movement may be wrong; planted copies stay below 0.5, see docs/audit.md
REACH_PLAIN = 1.5  # the same without key points: textures at half of SIDE were moved by whole px
DIAGONAL = 2**0.5  # px of the coarser file that one outline, drawn twice on two rasters, may be apart
MARGIN = 8  # px around the labels
UNSEEN = 255

Box = tuple[int, int, int, int]  # x, y, w, h


@dataclass(frozen=True)
class Laid:
    """Two masks (H, W) in the px of the finer one, cut to what surrounds their labels; 255 is seen by neither.

    `reach` is the px there by which the movement may be wrong, `least` the px an object needs to show in both;
    `onto` (3, 3) takes px of the cut to the first picture, `beyond` to the second one, mirrored if the pair is.
    """

    first: Pixels
    second: Pixels
    reach: float
    least: float
    onto: Matrix
    beyond: Matrix


@dataclass(frozen=True)
class Agreement:
    """IoU of two masks as they lie, and `forgiving`: counting px within reach of the other's label as agreed.

    `only_first` and `only_second` count objects, large enough to show in both, of which the other has nothing there.
    """

    iou: float
    forgiving: float
    only_first: int
    only_second: int


def lay(first: Pixels, second: Pixels, found: Alignment, *, exact: bool) -> Laid | None:
    """Return two masks of 0, 1, 255 laid on each other; None without a label. `exact`: the pictures are equal."""
    theirs = np.ascontiguousarray(second[:, ::-1]) if found.mirrored else second
    there = _at_full_size(found.movement, first.shape, theirs.shape)
    growth = _scale(there)
    onto: Matrix = (
        _inverse(there) if growth > 1 else np.eye(3)
    )  # the second may have more px of the same thing
    beyond = there @ onto
    sides = ((first, onto), (theirs, beyond))
    boxes = [_moved(_box(mask), _inverse(back)) for mask, back in sides if (mask == 1).any()]
    if not boxes:
        return None
    coarser = max(
        growth, 1 / growth
    )  # its px in px of the finer one: its outlines are no finer than half of it
    share = REACH if found.inliers else REACH_PLAIN
    reach = 0.0 if exact else share * max(first.shape) / SIDE / _scale(onto) + DIAGONAL * coarser
    corner, size = _around(boxes, MARGIN + 2 * int(np.ceil(reach)))
    onto, beyond = onto @ corner, beyond @ corner
    return Laid(_cut(first, onto, size), _cut(theirs, beyond, size), reach, TINY * coarser**2, onto, beyond)


def agreement(laid: Laid) -> Agreement | None:
    """Return how far two masks agree where both see for sure; None where neither has a label there."""
    unseen = (laid.first == UNSEEN) | (laid.second == UNSEEN)
    seen = _distance(unseen) > laid.reach
    ours, theirs = ((mask == 1) & seen for mask in (laid.first, laid.second))
    either = int((ours | theirs).sum())
    if not either:
        return None
    far = [mine & (_distance(other) > laid.reach) for mine, other in ((ours, theirs), (theirs, ours))]
    only = [_alone(mine, apart, laid.least) for mine, apart in zip((ours, theirs), far, strict=True)]
    missed = int((far[0] | far[1]).sum())
    return Agreement(float((ours & theirs).sum() / either), 1 - missed / either, *only)


def _at_full_size(movement: Matrix, first: tuple[int, ...], second: tuple[int, ...]) -> Matrix:
    """Return the movement (3, 3) between px of two files, from one between their pictures at SIDE."""
    whole = np.vstack([movement, [0, 0, 1]])
    return np.asarray(_inverse(_to_side(second)) @ whole @ _to_side(first), np.float64)


def _to_side(shape: tuple[int, ...]) -> Matrix:
    """Return what takes px of a file to px at SIDE; px have their centers at whole numbers."""
    height, width = shape[:2]
    shares = [max(1, round(length * SIDE / max(height, width))) / length for length in (width, height)]
    matrix = np.diag([*shares, 1.0])
    matrix[:2, 2] = [(share - 1) / 2 for share in shares]
    return matrix


def _inverse(movement: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(movement), np.float64)


def _scale(movement: Matrix) -> float:
    return float(np.sqrt(abs(np.linalg.det(movement))))


def _box(mask: Pixels) -> Box:
    x, y, w, h = cv2.boundingRect(np.asarray(mask == 1, np.uint8))
    return x, y, w, h


def _moved(box: Box, movement: Matrix) -> NDArray[np.float64]:
    """Return the corners (4, 2) of a box, moved."""
    x, y, w, h = box
    corners = np.array([(x, y, 1), (x + w, y, 1), (x, y + h, 1), (x + w, y + h, 1)], float)
    return np.asarray((corners @ movement.T)[:, :2])


def _around(boxes: list[NDArray[np.float64]], margin: int) -> tuple[Matrix, tuple[int, int]]:
    """Return the movement from a cut around all corners to the px that they are in, and its size (w, h)."""
    corners = np.concatenate(boxes)
    low, high = np.floor(corners.min(0)) - margin, np.ceil(corners.max(0)) + margin
    corner = np.eye(3)
    corner[:2, 2] = low
    width, height = (high - low).astype(int).tolist()
    return corner, (width, height)


def _cut(mask: Pixels, movement: Matrix, size: tuple[int, int]) -> Pixels:
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        mask, movement[:2], size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=UNSEEN
    )
    return np.asarray(moved, np.uint8)


def _distance(where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each px's distance to the nearest px that is set, in px."""
    if not where.any():
        return np.full(where.shape, np.inf, np.float32)
    return np.asarray(
        cv2.distanceTransform((~where).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
    )


def _alone(mine: NDArray[np.bool_], apart: NDArray[np.bool_], least: float) -> int:
    """Return how many objects of so many px lie apart from the other mask in all of them."""
    _, labels = cv2.connectedComponents(mine.astype(np.uint8), connectivity=8)
    px = np.bincount(labels.ravel())
    px[np.unique(labels[mine & ~apart])] = 0
    return int((px[1:] >= least).sum())
