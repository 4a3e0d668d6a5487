"""Stretches of pixels on a line, joined and painted at once, however many there are."""

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.shapes import Positions


def joined(starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """Return the same pixels as stretches apart from each other, in order; empty ones vanish."""
    some = ends > starts
    order = np.argsort(starts[some], kind="stable")
    starts, ends = starts[some][order], np.maximum.accumulate(ends[some][order])
    if not len(starts):
        return starts, ends
    gap = starts[1:] > ends[:-1]
    return starts[np.append(True, gap)], ends[np.append(gap, True)]


def painted(starts: Positions, ends: Positions, count: int) -> NDArray[np.bool_]:
    """Return `count` pixels, True in the stretches."""
    starts, ends = joined(starts, ends)
    borders = np.concatenate([[0], np.stack([starts, ends], axis=1).ravel(), [count]])
    return np.repeat(np.arange(len(borders) - 1) % 2 == 1, np.diff(borders))


def concatenated(parts: list[tuple[Positions, Positions]]) -> tuple[Positions, Positions]:
    """Return all starts and all ends."""
    nothing = np.zeros(0, np.int64)
    return (
        np.concatenate([nothing, *(starts for starts, _ in parts)]),
        np.concatenate([nothing, *(ends for _, ends in parts)]),
    )
