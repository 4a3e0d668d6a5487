"""Counts of pixels and objects of one picture, and IoU from sums of counts."""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

IGNORE = 255
OBJECT_IOU = 0.1  # a true object is found by a predicted one that overlaps it at least this much


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
    """Return the object counts for one picture, matched one to one at IoU >= OBJECT_IOU (Hungarian assignment).

    A predicted object that lies entirely on ignored pixels is not counted.
    """
    true_count, true_labels = cv2.connectedComponents((truth == 1).astype(np.uint8), connectivity=8)
    shown = predicted & (truth != IGNORE)
    count, labels = cv2.connectedComponents(shown.astype(np.uint8), connectivity=8)
    found = _matched(true_labels, labels, true_count, count)
    return ObjectCounts(true_count - 1, found, count - 1, count - 1 - found)


def _matched(true_labels: NDArray[np.int32], labels: NDArray[np.int32], true_count: int, count: int) -> int:
    both = (true_labels > 0) & (labels > 0)
    if not both.any():
        return 0
    pairs, overlap = np.unique(true_labels[both].astype(np.int64) * count + labels[both], return_counts=True)
    true_ids, ids = np.divmod(pairs, count)
    areas = np.bincount(true_labels.ravel(), minlength=true_count)[true_ids]
    areas += np.bincount(labels.ravel(), minlength=count)[ids]
    ratio = overlap / (areas - overlap)
    near = ratio >= OBJECT_IOU  # at most ten predicted objects for each true one, however many there are
    rows, columns = (np.unique(x[near], return_inverse=True)[1] for x in (true_ids, ids))
    table = np.zeros((rows.max(initial=-1) + 1, columns.max(initial=-1) + 1))
    table[rows, columns] = ratio[near]
    matched = linear_sum_assignment(table, maximize=True)
    return int((table[matched] > 0).sum())


def count_row(predicted: NDArray[np.bool_], truth: NDArray[np.uint8]) -> dict[str, int]:
    """Return all counts of one picture, one out-of-fold row."""
    return asdict(count_pixels(predicted, truth)) | asdict(count_objects(predicted, truth))
