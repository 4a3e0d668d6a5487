"""Boundary pixels within two pixels of the other's, held to distances computed one by one."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from harness.model.boundary import TOLERANCE, BoundaryCounts, count_boundary

Mask = NDArray[np.uint8]


def box(side: int, top: int, bottom: int, left: int, right: int) -> Mask:
    mask = np.zeros((side, side), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def slow(predicted: NDArray[np.bool_], truth: Mask) -> BoundaryCounts:
    """Count as the definition says, a pixel at a time."""
    valid = truth != 255
    outlines = []
    for mask in (truth == 1, predicted & valid):
        found = []
        for y, x in np.argwhere(mask):
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                v, u = y + down, x + right
                if 0 <= v < len(mask) and 0 <= u < mask.shape[1] and valid[v, u] and not mask[v, u]:
                    found.append((y, x))
                    break
        outlines.append(np.array(found).reshape(-1, 2))
    near = cdist(*outlines) <= TOLERANCE
    return BoundaryCounts(
        len(outlines[0]), int(near.any(axis=1).sum()), len(outlines[1]), int(near.any(axis=0).sum())
    )


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_all_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array([0, 1, 255], np.uint8), (7, 9), p=[0.6, 0.3, 0.1])
    truth = np.kron(coarse, np.ones((5, 5), np.uint8))
    predicted = np.roll(truth == 1, int(rng.integers(0, 6)), axis=1) ^ (rng.random(truth.shape) < 0.02)
    assert count_boundary(predicted, truth) == slow(predicted, truth)


@pytest.mark.parametrize(("wider", "near"), [(0, 1.0), (1, 1.0), (2, 1.0), (3, 0.0)])
def test_an_outline_two_pixels_off_is_near_and_one_three_pixels_off_is_not(wider: int, near: float) -> None:
    truth = box(60, 20, 40, 20, 40)
    predicted = box(60, 20 - wider, 40 + wider, 20 - wider, 40 + wider).astype(bool)
    counts = count_boundary(predicted, truth)
    assert (counts.boundary_true, counts.boundary_predicted) == (76, 76 + 8 * wider)
    assert counts.boundary_true_near == near * 76
    corners = 12 if wider == 2 else 0  # and their neighbors are 2.2 px or more from the nearest
    assert counts.boundary_predicted_near == near * counts.boundary_predicted - corners


def test_one_class_everywhere_has_no_boundary() -> None:
    truth = box(30, 0, 10, 0, 10)
    assert count_boundary(np.ones((30, 30), bool), truth) == BoundaryCounts(19, 0, 0, 0)
    assert count_boundary(np.zeros((30, 30), bool), truth) == BoundaryCounts(19, 0, 0, 0)


def test_the_edge_of_ignored_pixels_is_no_boundary() -> None:
    truth = box(30, 10, 20, 10, 20)
    truth[:, 20:] = 255
    counts = count_boundary(truth == 1, truth)
    assert counts == BoundaryCounts(28, 28, 28, 28)
