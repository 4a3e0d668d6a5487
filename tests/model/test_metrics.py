import time
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray

from harness.model.metrics import (
    NO_PIXELS,
    ObjectCounts,
    PixelCounts,
    count_objects,
    count_pixels,
    count_row,
    iou,
)

Mask = NDArray[np.uint8]
Predicted = NDArray[np.bool_]

TRUTH = np.array([[1, 1, 0, 0], [1, 255, 255, 0], [0, 0, 0, 0]], np.uint8)
PREDICTED = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]], bool)


def boxes(shape: tuple[int, int], *corners: Sequence[int]) -> Mask:
    """Return a mask with boxes (top, bottom, left, right)."""
    mask = np.zeros(shape, np.uint8)
    for top, bottom, left, right in corners:
        mask[top:bottom, left:right] = 1
    return mask


def counted(masks: list[Mask], *, everywhere: bool) -> PixelCounts:
    return sum((count_pixels(np.full(mask.shape, everywhere), mask) for mask in masks), NO_PIXELS)


def f1(masks: list[Mask], predictions: list[Predicted]) -> float:
    counts = [count_objects(p, mask) for p, mask in zip(predictions, masks, strict=True)]
    found, objects, predicted = (
        sum(getattr(c, n) for c in counts) for n in ("found", "objects", "predicted")
    )
    return 2 * found / max(1, objects + predicted)


def test_pixels_are_counted_as_by_hand() -> None:
    assert count_pixels(PREDICTED, TRUTH) == PixelCounts(tp=2, fp=2, fn=1, valid=10)
    assert iou(count_pixels(PREDICTED, TRUTH)) == 2 / 5
    total = count_pixels(PREDICTED, TRUTH) + count_pixels(~PREDICTED, TRUTH)
    assert total == PixelCounts(tp=3, fp=7, fn=3, valid=20)


def test_what_is_predicted_on_ignored_pixels_never_counts() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(np.array([0, 1, 255], np.uint8), (40, 50), p=[0.6, 0.1, 0.3])
    predicted = rng.random((40, 50)) < 0.3
    flipped = predicted ^ (truth == 255)
    assert count_pixels(predicted, truth) == count_pixels(flipped, truth)
    assert count_objects(predicted, truth) == count_objects(flipped, truth)


def test_counts_equal_smps_where_nothing_is_ignored() -> None:
    rng = np.random.default_rng(1)
    masks = [(rng.random((32, 48)) < share).astype(np.uint8) for share in (0.0, 0.01, 0.2, 0.9)]
    predictions = [(rng.random((32, 48)) < 0.5) for _ in masks]
    total = sum((count_pixels(p, m) for p, m in zip(predictions, masks, strict=True)), NO_PIXELS)
    stacked = [
        torch.from_numpy(np.stack(arrays)[:, None].astype(np.int64)) for arrays in (predictions, masks)
    ]
    stats = smp.metrics.get_stats(*stacked, mode="binary")
    assert (total.tp, total.fp, total.fn) == tuple(int(part.sum()) for part in stats[:3])
    assert total.valid == sum(int(part.sum()) for part in stats)
    assert iou(total) == pytest.approx(float(smp.metrics.iou_score(*stats, reduction="micro")), abs=1e-7)


@pytest.mark.parametrize("empty", [0, 50, 90, 99])
def test_one_class_everywhere_scores_nothing_or_the_coverage_however_many_are_empty(empty: int) -> None:
    rng = np.random.default_rng(empty)
    masks = [boxes((40, 40)) for _ in range(empty)]
    for _ in range(100 - empty):
        top, left = rng.integers(0, 36, 2)
        masks.append(boxes((40, 40), (top, top + 4, left, left + 3)))
        masks[-1][:, :2] = 255
    positive, valid = (
        sum(int(test(mask).sum()) for mask in masks) for test in (lambda m: m == 1, lambda m: m != 255)
    )
    assert iou(counted(masks, everywhere=False)) == 0.0
    assert iou(counted(masks, everywhere=True)) == pytest.approx(positive / valid, abs=1e-6)
    for everywhere in (False, True):
        assert f1(masks, [np.full(mask.shape, everywhere) for mask in masks]) <= 0.01


def test_nothing_to_find_and_nothing_predicted_scores_zero() -> None:
    assert iou(NO_PIXELS) == 0.0
    assert count_objects(np.zeros((5, 5), bool), np.zeros((5, 5), np.uint8)) == ObjectCounts(0, 0, 0, 0)


def test_objects_are_counted_as_by_hand() -> None:
    truth = boxes((40, 40), (0, 6, 0, 6), (20, 24, 20, 24), (30, 34, 0, 4))
    predicted = boxes((40, 40), (1, 7, 1, 7), (20, 24, 23, 27), (10, 12, 30, 32), (33, 40, 3, 10)).astype(
        bool
    )
    # found well; found at 4/28; false; a touch of 1/64 is neither
    assert count_objects(predicted, truth) == ObjectCounts(objects=3, found=2, predicted=4, false=2)


@pytest.mark.parametrize(("length", "found"), [(10, 1), (11, 0)])
def test_an_overlap_of_just_a_tenth_finds_an_object_and_less_does_not(length: int, found: int) -> None:
    truth = boxes((3, 20), (1, 2, 2, 2 + length))
    predicted = boxes((3, 20), (1, 2, 5, 6)).astype(bool)  # one pixel of it
    assert count_objects(predicted, truth) == ObjectCounts(1, found, 1, 1 - found)


def test_objects_that_touch_at_a_corner_are_one() -> None:
    assert count_objects(np.eye(6, dtype=bool), np.eye(6, dtype=np.uint8)) == ObjectCounts(1, 1, 1, 0)


def test_objects_are_matched_one_to_one() -> None:
    two = boxes((20, 40), (0, 10, 0, 10), (0, 10, 12, 22))
    over_both = boxes((20, 40), (0, 10, 0, 22)).astype(bool)
    assert count_objects(over_both, two) == ObjectCounts(objects=2, found=1, predicted=1, false=0)
    assert count_objects(two.astype(bool), over_both.astype(np.uint8)) == ObjectCounts(1, 1, 2, 1)


def test_the_best_pairing_wins_and_not_the_first() -> None:
    truth = boxes((30, 60), (0, 10, 0, 20), (0, 10, 22, 42))
    predicted = boxes((30, 60), (0, 10, 12, 35)).astype(bool)  # touches both; the second much more
    predicted[0:10, 0:10] = True
    assert count_objects(predicted, truth) == ObjectCounts(objects=2, found=2, predicted=2, false=0)


def test_an_object_predicted_wholly_on_ignored_pixels_is_not_counted() -> None:
    truth = boxes((30, 30), (0, 5, 0, 5))
    truth[20:] = 255
    predicted = boxes((30, 30), (0, 5, 0, 5), (22, 28, 2, 8), (17, 25, 20, 25)).astype(bool)
    assert count_objects(predicted, truth) == ObjectCounts(objects=1, found=1, predicted=2, false=1)


def test_a_better_prediction_finds_more_objects() -> None:
    rng = np.random.default_rng(2)
    truth = boxes((200, 200), *((y, y + 5, x, x + 5) for y in range(5, 190, 20) for x in range(5, 190, 20)))
    shifted = [np.roll(truth, shift, axis=1).astype(bool) for shift in (0, 3, 4, 8)]
    found = [count_objects(predicted, truth).found for predicted in shifted]
    assert found == [100, 100, 100, 0] or found == [100, 100, 0, 0]
    noise = rng.random(truth.shape) < 0.02
    assert count_objects(shifted[0] | noise, truth).false > count_objects(shifted[0], truth).false == 0


def test_a_noisy_prediction_of_a_large_picture_is_counted_in_seconds() -> None:
    rng = np.random.default_rng(3)
    truth = boxes(
        (2000, 2000), *((y, y + 6, x, x + 6) for y in range(10, 1990, 40) for x in range(10, 1990, 40))
    )
    predicted = rng.random(truth.shape) < 0.08
    started = time.monotonic()
    counts = count_objects(predicted, truth)
    assert counts.predicted > 100_000
    assert counts.objects == 2500
    assert 0 < counts.found <= 2500
    assert counts.false == counts.predicted - counts.found
    assert time.monotonic() - started < 20


def test_a_row_holds_all_counts() -> None:
    row = count_row(PREDICTED, TRUTH)
    assert row == {
        "tp": 2,
        "fp": 2,
        "fn": 1,
        "valid": 10,
        "objects": 1,
        "found": 1,
        "predicted": 3,
        "false": 2,
    }
    assert all(isinstance(value, int) for value in row.values())


def test_labels_agree_with_opencvs_own_count() -> None:
    truth = (np.random.default_rng(4).random((60, 60)) < 0.2).astype(np.uint8)
    assert count_objects(truth > 0, truth).objects == cv2.connectedComponents(truth, connectivity=8)[0] - 1
    assert count_objects(truth > 0, truth).false == 0
