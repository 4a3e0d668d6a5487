"""Outlines and patches painted into masks: a pixel belongs to an outline when its center lies inside, by even-odd."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

FARTHEST = 1e6  # px; what lies farther from a picture is no outline of it
STEP = 0.5  # px between the points of an edge that is drawn because no center lies inside

Points = NDArray[np.float64]  # (N, 2): x, y in px, the upper left corner of the picture is 0, 0
Mask = NDArray[np.uint8]


class Outline(NamedTuple):
    """One object: rings that even-odd turns into area, so that a ring inside another one is a hole."""

    rings: tuple[Points, ...]


class Patch(NamedTuple):
    """One object as pixels (h, w), the upper left one at x, y."""

    x: int
    y: int
    pixels: NDArray[np.bool_]


Shape = Outline | Patch


def ring(numbers: Any, where: str) -> Points:
    """Return the points of x, y, x, y, ... Raises DataError for what is none, and for points far outside."""
    if not isinstance(numbers, list | tuple) or not numbers or len(numbers) % 2:
        raise DataError(f"{where}: an outline is a list of x, y, x, y, ...; export it again")
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in numbers):
        raise DataError(f"{where}: an outline holds something that is no number; export it again")
    try:
        points = np.array(numbers, np.float64).reshape(-1, 2)
    except OverflowError:
        points = np.array([[np.inf, np.inf]])
    if not (np.abs(points) <= FARTHEST).all():  # not a number, too
        raise DataError(
            f"{where}: an outline lies more than {FARTHEST:,.0f} px away, or nowhere; export it again"
        )
    return points


def pairs(value: Any, where: str) -> Points:
    """Return the points of [[x, y], [x, y], ...]. Raises DataError as `ring`."""
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(p, list) and len(p) == 2 for p in value)
    ):
        raise DataError(f"{where}: its points are no list of x, y; export it again")
    return ring([number for point in value for number in point], where)


def box_outline(x: float, y: float, width: float, height: float) -> Outline:
    """Return a rectangle."""
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return Outline((np.array(corners, np.float64),))


def ellipse_outline(x: float, y: float, across: float, down: float) -> Outline:
    """Return an ellipse of these radii as a ring of 128 points."""
    turn = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    return Outline((np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1),))


def paint(mask: Mask, shape: Shape, value: int) -> None:
    """Set the pixels of an object in a mask (H, W); what lies outside is left out."""
    if isinstance(shape, Patch):
        _paint_patch(mask, shape, value)
    elif not _fill(mask, shape.rings, value):
        for points in shape.rings:  # too thin for a center: it must not vanish
            _trace(mask, points, value)


def _paint_patch(mask: Mask, patch: Patch, value: int) -> None:
    height, width = patch.pixels.shape
    top, left = max(0, patch.y), max(0, patch.x)
    seen = patch.pixels[top - patch.y :, left - patch.x :]
    part = mask[top : patch.y + height, left : patch.x + width]
    part[seen[: part.shape[0], : part.shape[1]]] = value


def _fill(mask: Mask, rings: Sequence[Points], value: int) -> bool:
    """Fill the rings by scan lines through the pixels' centers; tell whether any center was inside."""
    rows, crossings = _crossings(rings)
    if not len(rows):
        return False
    order = np.lexsort((crossings, rows))
    rows, columns = rows[order][::2], np.ceil(crossings[order] - 0.5)
    starts, stops = columns[::2], columns[1::2]
    covers = stops > starts
    inside = covers & (rows >= 0) & (rows < mask.shape[0]) & (stops > 0) & (starts < mask.shape[1])
    rows = rows[inside]
    first, last = (np.clip(side[inside], 0, mask.shape[1]).astype(np.intp) for side in (starts, stops))
    if len(rows):
        top, left = rows.min(), first.min()
        change = np.zeros((rows.max() - top + 1, last.max() - left + 1), np.int32)
        np.add.at(change, (rows - top, first - left), 1)
        np.add.at(change, (rows - top, last - left), -1)
        filled = np.cumsum(change, axis=1)[:, :-1] > 0
        part = mask[top : top + filled.shape[0], left : left + filled.shape[1]]
        part[filled] = value
    return bool(covers.any())


def _crossings(rings: Sequence[Points]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows of pixels whose center line the rings cross, and the x of each crossing."""
    ends = [np.concatenate([points, np.roll(points, -1, axis=0)], axis=1) for points in rings]
    x0, y0, x1, y1 = np.concatenate(ends).T
    first, last = (np.ceil(side - 0.5).astype(np.intp) for side in (np.minimum(y0, y1), np.maximum(y0, y1)))
    counts = last - first
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = first[edge] + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (rows + 0.5 - y0[edge]) / (y1 - y0)[edge]
    return rows, x0[edge] + slope * (x1 - x0)[edge]


def _trace(mask: Mask, points: Points, value: int) -> None:
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        steps = int(np.ceil(np.abs(end - start).max() / STEP)) + 1
        columns, rows = np.floor(np.linspace(start, end, steps + 1)).astype(np.intp).T
        inside = (columns >= 0) & (rows >= 0) & (columns < mask.shape[1]) & (rows < mask.shape[0])
        mask[rows[inside], columns[inside]] = value
