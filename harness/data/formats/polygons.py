"""Fill outlines: a pixel counts when its center lies inside, by the even-odd rule within one object.

All outlines of a picture are cut into the rows of pixel centers at once, in numpy. A center on an outline counts at its
left and upper side, so that two areas with a common border share no pixel. An object so thin that it covers no center
does not vanish: the pixels that its outline runs through (looked at every half pixel) count instead.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.shapes import Points, Positions, Rings, Size
from harness.data.formats.spans import concatenated, joined
from harness.errors import DataError

CROSSINGS_LIMIT = 50_000_000  # of outlines with rows of pixels, in one picture
AT_ONCE = 4_000_000  # crossings that are sorted together
POINTS_AT_ONCE = 500_000


class Edges(NamedTuple):
    """The sides of outlines, from `a` to `b` (n, 2) px, and the number of the object each belongs to."""

    a: Points
    b: Points
    group: Positions

    def some(self, which: slice | NDArray[np.bool_]) -> "Edges":
        """Return the edges of these places."""
        return Edges(self.a[which], self.b[which], self.group[which])


def outside(areas: Sequence[Rings], size: Size) -> NDArray[np.bool_]:
    """Tell for each area whether all of it lies outside of the picture."""
    if not areas:
        return np.zeros(0, np.bool_)
    points = np.concatenate([ring for area in areas for ring in area.rings])
    firsts = np.cumsum([0, *(sum(map(len, area.rings)) for area in areas)])[:-1]
    low, high = np.minimum.reduceat(points, firsts), np.maximum.reduceat(points, firsts)
    off = (low >= size) | ((high <= 0) & (low < 0))
    return np.asarray(off.any(axis=1), np.bool_)


def filled(areas: Sequence[Rings], size: Size, where: str) -> tuple[Positions, Positions]:
    """Return the covered pixels as stretches along the rows of a picture. Raises DataError for too fine outlines."""
    parts, total = [], 0
    for some in _parts(areas):
        edges = _edges(some)
        counts = _rows_crossed(edges, size)[1]
        total += int(counts.sum())
        _refuse_too_many(total, where)
        for few in _halved(edges, counts):
            parts.append(joined(*_spans(few, size, where)))
    return concatenated(parts)


def _refuse_too_many(count: int, where: str) -> None:
    if count > CROSSINGS_LIMIT:
        raise DataError(
            f"{where}: its outlines cross more than {CROSSINGS_LIMIT:,} rows of pixels; simplify them, "
            "or cut the picture into tiles"
        )


def _parts(areas: Sequence[Rings]) -> Iterator[Sequence[Rings]]:
    first = points = 0
    for number, area in enumerate(areas):
        points += sum(map(len, area.rings))
        if points >= POINTS_AT_ONCE or number == len(areas) - 1:
            yield areas[first : number + 1]
            first, points = number + 1, 0


def _edges(areas: Sequence[Rings]) -> Edges:
    rings = [ring for area in areas for ring in area.rings]
    a = np.concatenate(rings)
    lengths = np.array([len(ring) for ring in rings])
    ends = np.cumsum(lengths)
    following = np.arange(1, len(a) + 1)
    following[ends[lengths > 0] - 1] = (ends - lengths)[lengths > 0]
    group = np.repeat(np.arange(len(areas)), [sum(map(len, area.rings)) for area in areas])
    return Edges(a, a[following], group)


def _rows_crossed(edges: Edges, size: Size) -> tuple[Positions, Positions]:
    """Return for each edge the first row whose centers it crosses, and how many rows it crosses."""
    low, high = np.minimum(edges.a[:, 1], edges.b[:, 1]), np.maximum(edges.a[:, 1], edges.b[:, 1])
    first, last = (np.clip(np.ceil(y - 0.5), 0, size[1]).astype(np.int64) for y in (low, high))
    return first, last - first


def _halved(edges: Edges, counts: Positions) -> Iterator[Edges]:
    """Yield whole objects, as few at once as their crossings ask for."""
    if counts.sum() <= AT_ONCE or edges.group[0] == edges.group[-1]:
        yield edges
        return
    middle = np.searchsorted(edges.group, (edges.group[0] + edges.group[-1]) // 2, side="right")
    for part in (slice(None, middle), slice(middle, None)):
        yield from _halved(edges.some(part), counts[part])


def _spans(edges: Edges, size: Size, where: str) -> tuple[Positions, Positions]:
    """Return the stretches of some objects: between the 1st and 2nd crossing of each row, the 3rd and 4th, ..."""
    width, height = size
    base = edges.group[0]
    keys = np.sort(_crossings(Edges(edges.a, edges.b, edges.group - base), size))
    lines, columns = np.divmod(keys, width + 1)
    starts = (lines % height)[::2] * width + columns[::2]
    lengths = columns[1::2] - columns[::2]
    covered = np.bincount((lines // height)[::2], lengths, minlength=int(edges.group[-1] - base) + 1)
    thin = (covered == 0)[edges.group - base]
    touched = _touched(edges.some(thin), size, where)
    return concatenated([(starts, starts + lengths), (touched, touched + 1)])


def _crossings(edges: Edges, size: Size) -> Positions:
    """Return each crossing as one number, (object x rows + row) x (width + 1) + first column right of it."""
    first, counts = _rows_crossed(edges, size)
    some = counts > 0
    first, counts = first[some], counts[some]
    down = (edges.a[:, 1] < edges.b[:, 1])[some, None]
    top, bottom = (
        np.where(down, *ends) for ends in ((edges.a[some], edges.b[some]), (edges.b[some], edges.a[some]))
    )
    slope = (bottom[:, 0] - top[:, 0]) / (bottom[:, 1] - top[:, 1])
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(edge)) - (np.cumsum(counts) - counts - first)[edge]
    x = top[edge, 0] + (rows + 0.5 - top[edge, 1]) * slope[edge]
    columns = np.clip(np.ceil(x - 0.5), 0, size[0]).astype(np.int64)
    keys: Positions = (edges.group[some][edge] * size[1] + rows) * (size[0] + 1) + columns
    return keys


def _touched(edges: Edges, size: Size, where: str) -> Positions:
    """Return the pixels that the edges run through."""
    along = edges.b - edges.a
    counts = np.ceil(2 * np.abs(along).max(axis=1, initial=0)).astype(np.int64) + 1
    _refuse_too_many(int(counts.sum()), where)
    edge = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]
    share = step / np.maximum(counts - 1, 1)[edge]
    pixels = np.floor(edges.a[edge] + share[:, None] * along[edge]).astype(np.int64)
    pixels = pixels[((pixels >= 0) & (pixels < size)).all(axis=1)]
    positions: Positions = np.unique(pixels[:, 1] * size[0] + pixels[:, 0])
    return positions
