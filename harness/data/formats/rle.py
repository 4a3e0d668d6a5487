"""Run lengths as COCO, CVAT and Kaggle write them, decoded and checked."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

Pixels = NDArray[np.bool_]
BITS, OFFSET, MORE, SIGN = 5, 48, 0x20, 0x10  # of a character of COCO's compressed form
MOST_CHARACTERS = 13  # of one number


def from_counts(counts: Any, height: int, width: int, where: str, *, by_column: bool) -> Pixels:
    """Return pixels (H, W) of counts that alternate between outside and inside, outside first. Raises DataError."""
    if not isinstance(counts, list) or any(
        isinstance(c, bool) or not isinstance(c, int) or c < 0 for c in counts
    ):
        raise DataError(f"{where}: run lengths are whole numbers of 0 or more; export it again")
    if sum(counts) != height * width:
        raise DataError(
            f"{where}: run lengths of {sum(counts)} px for {width} x {height} px; export it again, or correct the size"
        )
    inside = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(inside, np.array(counts, np.int64))
    return flat.reshape((height, width), order="F" if by_column else "C")


def counts_of(text: str, where: str) -> list[int]:
    """Return the counts of COCO's compressed form: groups of 5 bits, from the third on less the one before last."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - OFFSET
        if not 0 <= code < 2 * MORE or shift >= BITS * MOST_CHARACTERS:
            raise DataError(f"{where}: {letter!r} is in no compressed run length; export it again")
        value |= (code & (MORE - 1)) << shift
        shift += BITS
        if code & MORE:
            continue
        value -= (1 << shift) if code & SIGN else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError(f"{where}: a compressed run length is cut off; export it again")
    return counts


def from_starts(text: str, height: int, width: int, where: str) -> Pixels:
    """Return pixels (H, W) of `start length start length ...`, by column, the first pixel is 1. Raises DataError."""
    words = text.split()
    if len(words) % 2 or not all(word.isascii() and word.isdigit() and len(word) < 12 for word in words):
        raise DataError(f"{where}: run lengths are pairs of start and length; export it again")
    numbers = np.array([int(word) for word in words], np.int64).reshape(-1, 2)
    starts, stops = numbers[:, 0] - 1, numbers.sum(axis=1) - 1
    if len(numbers) and (starts.min() < 0 or stops.max() > height * width):
        raise DataError(f"{where}: run lengths leave the picture of {width} x {height} px; correct the row")
    change = np.zeros(height * width + 1, np.int32)
    np.add.at(change, starts, 1)
    np.add.at(change, stops, -1)
    return (np.cumsum(change)[:-1] > 0).reshape((height, width), order="F")
