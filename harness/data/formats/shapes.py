"""What an annotation draws: outlines, runs of pixels, small pictures; each checked as it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.documents import AGAIN, listing, shown
from harness.errors import DataError

COORDINATE_LIMIT = 1_000_000.0  # px; beyond it no picture has pixels
ROUND = 360  # corners of a circle; off by at most 4e-5 of its radius

BOX = "only a box, no outline"
LINE = "only a line, which has no area"
POINT = "only points, which have no area"
FEW = "an outline of fewer than three points"

Points = NDArray[np.float64]  # (n, 2), x and y in px; 0 is the outer edge of the first pixel, .5 its center
Positions = NDArray[np.int64]
Size = tuple[int, int]  # width, height


class Rings(NamedTuple):
    """Closed outlines of one object; a point inside an even number of them is outside."""

    rings: tuple[Points, ...]


class Runs(NamedTuple):
    """Pixels from each start to before its end, counted along rows of the picture, or along its columns."""

    starts: Positions
    ends: Positions
    by_columns: bool


class Bitmap(NamedTuple):
    """A small PNG in base64, and where its first pixel lies; `zipped` is that zlib packed it once more."""

    x: int
    y: int
    png: str
    zipped: bool
    size: Size | None  # where the annotation says it
    where: str


Area = Rings | Runs | Bitmap


class Object(NamedTuple):
    """One annotated object; its areas are united. A `flaw` says why they are not its outline."""

    label: str
    areas: tuple[Area, ...]
    flaw: str = ""
    ignored: bool = False


@dataclass(frozen=True)
class Listed:
    """A picture as its annotation lists it; `where` is for errors, `file` the annotation file."""

    name: str
    where: str
    file: Path
    size: Size | None
    objects: list[Object]


def ring(flat: Sequence[Any], where: str) -> Points:
    """Return the points of x, y, x, y, ... Raises DataError for an odd number, and for what is no number."""
    if len(flat) % 2:
        raise DataError(f"{where}: {len(flat)} coordinates, an odd number; {AGAIN}")
    if not set(map(type, flat)) <= {int, float}:
        wrong = next(value for value in flat if type(value) not in (int, float))
        raise DataError(f"{where}: {shown(wrong)} is no coordinate; {AGAIN}")
    try:
        points = np.array(flat, np.float64).reshape(-1, 2)
    except OverflowError:
        points = np.array([[np.inf, np.inf]])
    if len(points) and not float(np.abs(points).max()) <= COORDINATE_LIMIT:
        raise DataError(f"{where}: a coordinate is beyond {COORDINATE_LIMIT:,.0f} px; {AGAIN}")
    return points


def ring_of_pairs(pairs: object, where: str) -> Points:
    """Return the points of [x, y], [x, y], ... Raises DataError."""
    flat: list[Any] = []
    for pair in listing(pairs, where):
        if not isinstance(pair, list) or len(pair) != 2:
            raise DataError(f"{where}: {shown(pair)} is no point [x, y]; {AGAIN}")
        flat += pair
    return ring(flat, where)


def outlined(label: str, rings: Sequence[Points]) -> Object:
    """Return an object with an outline, and with holes where there are several rings."""
    flaw = FEW if any(len(points) < 3 for points in rings) else ""
    return Object(label, (Rings(tuple(rings)),), flaw)


def boxed(label: str, x0: float, y0: float, x1: float, y1: float, where: str) -> Object:
    """Return an object of which only a box is known, from (x0, y0) to (x1, y1) px."""
    return Object(label, (Rings((ring([x0, y0, x1, y0, x1, y1, x0, y1], where),)),), BOX)


def oval(x: float, y: float, radii: tuple[float, float], where: str, *, turned: float = 0.0) -> Points:
    """Return the outline of an ellipse, `turned` by degrees, clockwise as seen."""
    angles = [2 * pi * k / ROUND for k in range(ROUND)]
    corners = [(radii[0] * cos(angle), radii[1] * sin(angle)) for angle in angles]
    c, s = cos(turned * pi / 180), sin(turned * pi / 180)
    return ring([v for a, b in corners for v in (x + c * a - s * b, y + s * a + c * b)], where)
