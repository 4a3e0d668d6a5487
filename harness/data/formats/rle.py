"""Run lengths as COCO, CVAT and Kaggle write them, checked against the size of their picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.data.formats.documents import AGAIN, shown
from harness.data.formats.shapes import Positions, Runs, Size
from harness.errors import DataError

LONGEST = 7  # characters of one number in COCO's text, 35 bits


def coco_counts(counts: Sequence[Any], size: Size, where: str) -> Runs:
    """Return the runs of COCO's `counts`, a list: background, target, ... down the columns. Raises DataError."""
    return _alternating(_whole_numbers(counts, where), size[0] * size[1], where)


def coco_text(text: str, size: Size, where: str) -> Runs:
    """Return the runs of COCO's compressed `counts`. Raises DataError.

    A character holds five bits and whether more follow, a number's last one its sign; from the fourth number on they
    are differences to the last but one (maskApi.c of the COCO API).
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    last = (codes & 32) == 0
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise DataError(f"{where}: {shown(text)} is no compressed run lengths, or cut off; {AGAIN}")
    firsts = np.append(0, np.flatnonzero(last)[:-1] + 1)
    lengths = np.diff(np.append(firsts, len(codes)))
    if lengths.max() > LONGEST:
        raise DataError(f"{where}: a run longer than any picture; {AGAIN}")
    place = 5 * (np.arange(len(codes)) - np.repeat(firsts, lengths))
    numbers = np.add.reduceat((codes & 31) << place, firsts)
    numbers -= np.where(codes[last] & 16, 1 << 5 * lengths, 0)
    for parity in (1, 2):
        numbers[parity::2] = np.cumsum(numbers[parity::2])
    return _alternating(numbers, size[0] * size[1], where)


def kaggle(text: str, size: Size, where: str) -> Runs:
    """Return the runs of `start length start length ...`, from 1, down the columns. Raises DataError."""
    numbers = _whole_numbers(_written(text.split(), where), where)
    if len(numbers) % 2:
        raise DataError(f"{where}: {len(numbers)} numbers, not pairs of start and length; {AGAIN}")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    pixels = size[0] * size[1]
    wrong = (starts < 0) | (lengths < 1) | (starts + lengths > pixels)
    if wrong.any():
        pair = f"{starts[wrong][0] + 1} {lengths[wrong][0]}"
        raise DataError(f"{where}: the run {pair} leaves a picture of {size[0]} x {size[1]} px; {AGAIN}")
    return Runs(starts, starts + lengths, True)


def cvat(text: str, corner: tuple[int, int], box: Size, size: Size, where: str) -> Runs:
    """Return the runs of a CVAT mask: background, target, ... along the rows of a box. Raises DataError."""
    (left, top), (width, height) = corner, box
    if left + width > size[0] or top + height > size[1]:
        raise DataError(
            f"{where}: a mask of {width} x {height} px at {left}, {top} leaves its picture of "
            f"{size[0]} x {size[1]}; {AGAIN}"
        )
    runs = _alternating(_whole_numbers(_written(text.split(","), where), where), width * height, where)
    first, last = runs.starts // width, (runs.ends - 1) // width
    counts = last - first + 1
    run = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(run)) - (np.cumsum(counts) - counts - first)[run]
    starts = np.maximum(runs.starts[run], rows * width)
    ends = np.minimum(runs.ends[run], (rows + 1) * width)
    shift = (rows + top) * size[0] + left - rows * width
    return Runs(starts + shift, ends + shift, False)


def _written(words: Sequence[str], where: str) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError:
        raise DataError(
            f"{where}: {shown(' '.join(words[:20]))} is no list of run lengths; {AGAIN}"
        ) from None


def _whole_numbers(counts: Sequence[Any], where: str) -> Positions:
    try:
        if not set(map(type, counts)) <= {int}:
            raise ValueError
        numbers = np.array(counts, np.int64)
    except (ValueError, OverflowError):
        raise DataError(f"{where}: {shown(counts)} is no list of run lengths; {AGAIN}") from None
    if len(numbers) and max(-int(numbers.min()), int(numbers.max())) >= 1 << 40:
        raise DataError(f"{where}: a run longer than any picture; {AGAIN}")
    return numbers


def _alternating(counts: Positions, pixels: int, where: str) -> Runs:
    """Return every second run, of those that together are all pixels."""
    if (counts < 0).any():
        raise DataError(f"{where}: a run of {counts.min()} pixels; {AGAIN}")
    if counts.sum() != pixels:
        raise DataError(
            f"{where}: run lengths of {counts.sum()} pixels in all, of {pixels} in the picture; {AGAIN}"
        )
    ends = np.cumsum(counts)[1::2]
    starts = ends - counts[1::2]
    return Runs(starts[ends > starts], ends[ends > starts], True)
