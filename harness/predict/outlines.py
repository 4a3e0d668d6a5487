"""The outline of one object, exact to the pixel: rings along the edges of its pixels, COCO's run lengths, WKT.

Contours as OpenCV gives them go through the centers of pixels: an object one pixel wide would have no area. Here each
ring's corners are corners of pixels, and the area inside the outer ring less that of the holes is the object's area.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.int32]  # (n, 3): row, first column, column after the last
Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are behind the object
Ring = list[int]  # x, y, x, y, ... not closed


def drawn(runs: Runs, box: Box) -> NDArray[np.uint8]:
    """Return the object alone, 0 and 1, in its box."""
    left, top, right, bottom = box
    steps = np.zeros((bottom - top, right - left + 1), np.int8)
    steps[runs[:, 0] - top, runs[:, 1] - left] += 1
    steps[runs[:, 0] - top, runs[:, 2] - left] -= 1
    return np.asarray(np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1], np.uint8)


def rings_of(mask: NDArray[np.uint8], left: int, top: int) -> list[Ring]:
    """Return the outer ring of an object in its box, then its holes, in px of the picture; corners are shared."""
    doubled = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer_first = sorted(range(len(contours)), key=lambda number: hierarchy[0][number][3] >= 0)
    # doubled, a pixel x has the columns 2x and 2x + 1: the border between pixels is what half of it rounds to
    corners = [(contours[number][:, 0] + 1) // 2 for number in outer_first]
    return [_simplified(points + np.array([left, top])) for points in corners]


def _simplified(points: NDArray[Any]) -> Ring:
    """Return a ring without points that stand twice in a row or on a straight line."""
    points = points[(points != np.concatenate([points[-1:], points[:-1]])).any(axis=1)]
    steps = np.sign(np.diff(points, axis=0, prepend=points[-1:]))  # to each point
    turns = (steps != np.concatenate([steps[1:], steps[:1]])).any(axis=1)
    corners: Ring = points[turns].ravel().tolist()
    return corners


def run_lengths(mask: NDArray[np.uint8], left: int, top: int, shape: tuple[int, int]) -> list[int]:
    """Return COCO's uncompressed run lengths of an object in a picture of this shape: down each column in turn."""
    steps = np.diff(np.pad(mask.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    edges = []
    for step in (1, -1):
        column, row = np.nonzero(steps == step)
        edges.append((column + left).astype(np.int64) * shape[0] + row + top)
    ends = np.stack(edges, axis=1).ravel()
    return [int(length) for length in np.diff(ends, prepend=0, append=shape[0] * shape[1])]


def as_wkt(rings: Sequence[Ring]) -> str:
    """Return rings as well-known text, which has holes; empty for none."""
    if not rings:
        return ""
    texts = []
    for ring in rings:
        corners = [*zip(ring[::2], ring[1::2], strict=True)]
        texts.append("(" + ", ".join(f"{x} {y}" for x, y in [*corners, corners[0]]) + ")")
    return f"POLYGON ({', '.join(texts)})"
