"""Counts of pixels and objects of one picture, and IoU from sums of counts."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model.objects import IGNORE, Objects, match_objects


@dataclass(frozen=True)
class PixelCounts:
    """Pixels that are not 255, by truth and prediction."""

    tp: int
    fp: int
    fn: int
    valid: int

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        return PixelCounts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.valid + other.valid
        )


NO_PIXELS = PixelCounts(0, 0, 0, 0)


def count_pixels(predicted: NDArray[np.bool_], truth: NDArray[np.uint8]) -> PixelCounts:
    """Return the counts for one picture; both (H, W), truth in {0, 1, 255}."""
    valid, target = truth != IGNORE, truth == 1
    tp = int((predicted & target).sum())
    return PixelCounts(tp, int((predicted & valid).sum()) - tp, int(target.sum()) - tp, int(valid.sum()))


def iou(counts: PixelCounts) -> float:
    """Return TP / (TP + FP + FN) of summed counts; 0 when there is nothing to find and nothing predicted.

    All background scores 0, all foreground the coverage, however many pictures are empty.
    """
    union = counts.tp + counts.fp + counts.fn
    return counts.tp / union if union else 0.0


@dataclass(frozen=True)
class ObjectCounts:
    """8-connected objects of one picture: true, found, predicted, and predicted without a true one."""

    objects: int
    found: int
    predicted: int
    false: int


def count_objects(predicted: NDArray[np.bool_], truth: NDArray[np.uint8]) -> ObjectCounts:
    """Return the object counts for one picture, matched as `match_objects` says."""
    return summed(match_objects(predicted, truth))


def summed(objects: Objects) -> ObjectCounts:
    """Return the counts of matched objects."""
    found = len(objects.pairs)
    return ObjectCounts(objects.true_count, found, objects.predicted_count, objects.predicted_count - found)


def count_row(predicted: NDArray[np.bool_], truth: NDArray[np.uint8]) -> dict[str, int]:
    """Return all counts of one picture, one out-of-fold row."""
    return asdict(count_pixels(predicted, truth)) | asdict(count_objects(predicted, truth))
