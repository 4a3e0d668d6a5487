"""What one draw shows: where objects are to be seen, what is erased, and where every pixel came from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.proof.draws import SAME, Draw, unlike
from harness.data.proof.planted import FIRST, IGNORE, SIDE, Planted

Flags = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Levels = NDArray[Any]

BEYOND = 1.5  # px outside of the picture that are surely outside: nearest neighbors round by half a pixel


@dataclass(frozen=True)
class Facts:
    """A draw, and what follows from it; images (H', W'[, 3]) may have another size than the planted scene."""

    planted: Planted
    draw: Draw

    @cached_property
    def difference(self) -> Levels:
        """Gray levels that the objects add (H', W'): where the image really shows them."""
        return unlike(self.draw.image, self.draw.ground)

    @cached_property
    def blank(self) -> Flags:
        """Pixels that do not depend on what was photographed; single ones are noise."""
        draw = self.draw
        same = (unlike(draw.bright, draw.ground) <= SAME) & (self.difference <= SAME)
        same &= unlike(draw.bright, draw.dark) <= SAME if draw.dark is not draw.bright else False
        return without_specks(np.asarray(same))

    @cached_property
    def seen(self) -> Flags:
        """Pixels whose mask was taken from the planted one, and not filled in."""
        rows, columns = self.draw.rows, self.draw.columns
        last = FIRST + SIDE
        return np.asarray((rows >= FIRST) & (rows < last) & (columns >= FIRST) & (columns < last))

    @cached_property
    def source(self) -> NDArray[np.intp]:
        """Flat position in the planted scene that the mask's pixels were taken from; 0 where not seen."""
        rows = np.where(self.seen, self.draw.rows, FIRST).astype(np.intp)
        columns = np.where(self.seen, self.draw.columns, FIRST).astype(np.intp)
        return np.asarray((rows - FIRST) * SIDE + columns - FIRST)

    @cached_property
    def traceable(self) -> bool:
        """Whether rows and columns outlived the pipeline."""
        return bool(self.seen.mean() > 0.01)

    @cached_property
    def beyond(self) -> NDArray[np.float64]:
        """How many px outside of the picture a filled-in pixel lies, by going on from the nearest one seen.

        Negative inside of it, as where something was erased; minus infinity where seen, or where nothing is known.
        """
        distance = np.full(self.seen.shape, -np.inf)
        if self.seen.all() or not self.traceable:
            return distance
        filled, nearest = np.flatnonzero(~self.seen), _nearest(self.seen)
        places = (
            self._places(nearest) + (_pixels(filled, self.seen) - _pixels(nearest, self.seen)) @ self._slope()
        )
        distance.flat[filled] = np.maximum(-places, places - (SIDE - 1)).max(axis=1)
        return distance

    @property
    def outside(self) -> Flags:
        """Pixels where surely nothing was photographed."""
        return np.asarray(self.beyond > BEYOND)

    def _places(self, pixels: NDArray[np.intp]) -> Levels:
        """Return row and column (N, 2) in the planted scene that pixels were taken from."""
        return np.stack(np.divmod(self.source.ravel()[pixels], SIDE), axis=-1).astype(float)

    def _slope(self) -> Levels:
        """Return the matrix (2, 2) that best says how places change from pixel to pixel."""
        known = np.flatnonzero(self.seen)
        few = known[:: max(1, len(known) // 500)]
        here, places = _pixels(few, self.seen), self._places(few)
        solved = np.linalg.lstsq(here - here.mean(axis=0), places - places.mean(axis=0), rcond=None)
        return np.asarray(solved[0])

    @cached_property
    def ignored(self) -> Flags:
        """Pixels taken from where the planted mask says 255."""
        return np.asarray(self.seen & (self.planted.mask.ravel()[self.source] == IGNORE))

    @cached_property
    def labeled(self) -> Flags:
        return np.asarray(self.draw.mask == 1)

    @cached_property
    def pieces(self) -> NDArray[np.int32]:
        """8-connected pieces of label 1, numbered from 1 on."""
        return np.asarray(cv2.connectedComponents(self.labeled.astype(np.uint8), connectivity=8)[1])

    @cached_property
    def numbers(self) -> Pixels:
        """Number of the planted object that a pixel of the mask was taken from, else 0."""
        return np.asarray(self.planted.numbers.ravel()[self.source] * self.seen)


def near(flags: Flags, distance: int) -> Flags:
    """Return pixels within `distance` px of `flags`, diagonals included."""
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    return np.asarray(cv2.dilate(flags.astype(np.uint8), kernel) > 0)


def without_specks(flags: Flags) -> Flags:
    """Return the pixels that belong to a flagged square of 2 px, at the edge to a part of one: others are noise."""
    framed, square = np.pad(flags.astype(np.uint8), 2, constant_values=1), np.ones((2, 2), np.uint8)
    # an even square has no middle: what the first step moves, the second must move back
    opened = cv2.dilate(cv2.erode(framed, square, anchor=(0, 0)), square, anchor=(1, 1))
    return np.asarray(opened[2:-2, 2:-2] > 0)


def _pixels(positions: NDArray[np.intp], shape: Flags) -> Levels:
    """Return row and column (N, 2) of flat positions."""
    return np.stack(np.divmod(positions, shape.shape[1]), axis=-1).astype(float)


def _nearest(seen: Flags) -> NDArray[np.intp]:
    """Return for each pixel that is not seen, flat, the position of the nearest one that is."""
    missing = (~seen).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        missing, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    position = np.zeros(int(labels.max()) + 1, np.intp)
    position[labels[seen]] = np.flatnonzero(seen)
    return np.asarray(position[labels[~seen]])
