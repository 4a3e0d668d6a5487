"""The objects of one picture, true and predicted, and which of them belong together."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from harness.model.histogram import COARSE, Bins, coarse

IGNORE = 255
OBJECT_IOU = 0.1  # a true object is found by a predicted one that overlaps it at least this much
SIZES = {"tiny": 64, "small": 1024, "medium": 9216}  # px that a class ends before; the last two as COCO's
LARGEST = "large"
MOST_FALSE = (
    256  # false objects of a picture, by highest peak, with a row each; the rest has one a size class
)
NOTHING = np.array([], np.int64)

Labels = NDArray[np.int32]
Values = NDArray[Any]
Columns = dict[str, Values]


@dataclass(frozen=True)
class Objects:
    """8-connected objects of one picture, labeled from 1, and the pairs of them that match."""

    true: Labels  # (H, W)
    predicted: Labels  # (H, W)
    true_count: int
    predicted_count: int
    pairs: NDArray[np.int64]  # (found, 2): label of the true one, of the predicted one
    ious: NDArray[np.float64]  # (found,)


def match_objects(predicted: NDArray[np.bool_], truth: NDArray[np.uint8]) -> Objects:
    """Return the objects of one picture, matched one to one at IoU >= OBJECT_IOU (Hungarian assignment).

    A predicted object that lies entirely on ignored pixels is none. A prediction of every valid pixel finds nothing,
    unless all of them are target: it says that there is something, and nothing of where.
    """
    valid, target = truth != IGNORE, truth == 1
    true_count, true_labels = cv2.connectedComponents(target.astype(np.uint8), connectivity=8)
    shown = predicted & valid
    count, labels = cv2.connectedComponents(shown.astype(np.uint8), connectivity=8)
    pairs, ious = _matched(true_labels, labels, true_count, count)
    if (shown == valid).all() and not (target == valid).all():
        pairs, ious = pairs[:0], ious[:0]
    return Objects(true_labels, labels, true_count - 1, count - 1, pairs, ious)


def size_of(pixels: Values) -> Values:
    """Return the size class of each object by its area in px of the photograph at original resolution."""
    return np.array([*SIZES, LARGEST])[np.searchsorted(list(SIZES.values()), pixels, side="right")]


def object_columns(found: Objects, logits: NDArray[np.float32], bins: Bins) -> Columns:
    """Return columns with a row for each object: the matched and missed true ones by label, then the false ones.

    kind: matched, missed, false. iou: of a matched one. pixels, size: of the true object, of a false one its own.
    predicted_pixels, peak, mean: of what was predicted, NaN for a missed one; highest and mean logit. bins, counts: the
    pixels of a true object in coarse bins. count: 1, and more where a row stands for several false objects: their
    pixels and peak are the largest then, and their mean is NaN.
    """
    facts = _facts(found, logits)
    return {
        name: np.concatenate([true, false])
        for (name, true), false in zip(
            _true(found, facts, bins).items(), _false(found, facts).values(), strict=True
        )
    }


def _facts(found: Objects, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return area, highest and mean logit of the predicted objects, (3, labels); NaN for no object, label 0."""
    shown = found.predicted > 0
    labels, values = found.predicted[shown], logits[shown].astype(np.float64)
    area = np.bincount(labels, minlength=found.predicted_count + 1).astype(np.float64)
    area[0] = np.nan
    peak = np.full(len(area), -np.inf)
    np.maximum.at(peak, labels, values)
    peak[0] = np.nan
    return np.stack([area, peak, np.bincount(labels, weights=values, minlength=len(area)) / area])


def _true(found: Objects, facts: NDArray[np.float64], bins: Bins) -> Columns:
    labels = np.zeros(found.true_count + 1, np.int64)
    labels[found.pairs[:, 0]] = found.pairs[:, 1]
    overlap = np.full(len(labels), np.nan)
    overlap[found.pairs[:, 0]] = found.ious
    area, peak, mean = facts[:, labels[1:]]
    inside = found.true > 0
    code, pixels = np.unique(found.true[inside] * np.int64(COARSE) + coarse(bins[inside]), return_counts=True)
    owner, bin_ = np.divmod(code, COARSE)
    starts = np.searchsorted(owner, np.arange(2, len(labels)))
    areas = np.bincount(found.true[inside], minlength=len(labels))[1:]
    return {
        "kind": np.where(labels[1:] > 0, "matched", "missed"),
        "iou": overlap[1:],
        "pixels": areas,
        "size": size_of(areas),
        "predicted_pixels": area,
        "peak": peak,
        "mean": mean,
        "bins": _lists(np.split(bin_.astype(np.int16), starts)[: len(areas)]),
        "counts": _lists(np.split(pixels, starts)[: len(areas)]),
        "count": np.ones(len(areas), np.int64),
    }


def _false(found: Objects, facts: NDArray[np.float64]) -> Columns:
    labels = np.setdiff1d(np.arange(1, found.predicted_count + 1), found.pairs[:, 1])
    order = labels[np.argsort(-facts[1, labels], kind="stable")]
    area, peak, mean = facts[:, order[:MOST_FALSE]]
    rest = facts[:2, order[MOST_FALSE:]]
    sizes = size_of(rest[0])
    parts = [rest[:, sizes == size] for size in (*SIZES, LARGEST) if (sizes == size).any()]
    area = np.append(area, [part[0].max() for part in parts])
    rows = len(area)
    return {
        "kind": np.full(rows, "false"),
        "iou": np.full(rows, np.nan),
        "pixels": area.astype(np.int64),
        "size": size_of(area),
        "predicted_pixels": area,
        "peak": np.append(peak, [part[1].max() for part in parts]),
        "mean": np.append(mean, [np.nan] * len(parts)),
        "bins": _lists([NOTHING.astype(np.int16)] * rows),
        "counts": _lists([NOTHING] * rows),
        "count": np.append(np.ones(rows - len(parts), np.int64), [part.shape[1] for part in parts]).astype(
            np.int64
        ),
    }


def _lists(arrays: list[Values]) -> Values:
    """Return arrays of any lengths as the values of one column."""
    column = np.empty(len(arrays), object)
    column[:] = [None] * len(arrays)
    for row, array in enumerate(arrays):
        column[row] = array
    return column


def _matched(
    true_labels: Labels, labels: Labels, true_count: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    both = (true_labels > 0) & (labels > 0)
    if not both.any():
        return np.empty((0, 2), np.int64), np.empty(0)
    pairs, overlap = np.unique(true_labels[both].astype(np.int64) * count + labels[both], return_counts=True)
    true_ids, ids = np.divmod(pairs, count)
    areas = np.bincount(true_labels.ravel(), minlength=true_count)[true_ids]
    areas += np.bincount(labels.ravel(), minlength=count)[ids]
    ratio = overlap / (areas - overlap)
    near = ratio >= OBJECT_IOU  # at most ten predicted objects for each true one, however many there are
    (true_near, rows), (near_ids, columns) = (
        np.unique(x[near], return_inverse=True) for x in (true_ids, ids)
    )
    table = np.zeros((len(true_near), len(near_ids)))
    table[rows, columns] = ratio[near]
    row, column = linear_sum_assignment(table, maximize=True)
    kept = table[row, column] > 0
    chosen = np.stack([true_near[row[kept]], near_ids[column[kept]]], axis=1)
    return chosen.astype(np.int64), table[row[kept], column[kept]]
