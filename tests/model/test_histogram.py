"""Counts at the thresholds follow from the bins to the pixel."""

import numpy as np
import pytest

from harness.model.histogram import (
    COARSE,
    FINE,
    LIMIT,
    THRESHOLDS,
    bins_of,
    centers,
    coarse,
    coarsened,
    counts_above,
    edges,
    histogram_of,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 6, (60, 70)).astype(np.float32)
LOGITS[:4] = np.round(LOGITS[:4] * 2) / 2  # many lie just on a threshold
LOGITS[4, :7] = [0.0, -0.0, 1e-38, -1e-38, 3e38, -3e38, 8.0]
TRUTH = RNG.choice(np.array([0, 1, 255], np.uint8), LOGITS.shape, p=[0.7, 0.2, 0.1])


def test_counts_from_the_bins_are_those_of_comparing_each_pixel() -> None:
    histogram = histogram_of(bins_of(LOGITS), TRUTH)
    for value, counts in ((1, histogram.positive), (0, histogram.negative)):
        wanted = [int(((t < LOGITS) & (value == TRUTH)).sum()) for t in THRESHOLDS]
        assert counts_above(counts).tolist() == wanted
        assert counts_above(coarsened(counts)).tolist() == wanted
        assert counts.sum() == (value == TRUTH).sum()


@pytest.mark.parametrize("bins", [FINE, COARSE])
def test_each_threshold_is_an_edge_and_zero_is_one(bins: int) -> None:
    assert set(THRESHOLDS) <= set(edges(bins))
    assert 0.0 in THRESHOLDS
    assert centers(bins)[bins // 2] == LIMIT / bins


def test_a_logit_lies_above_the_lower_edge_of_its_bin_and_not_above_the_upper_one() -> None:
    inside = LOGITS[(LOGITS > -LIMIT) & (LOGITS <= LIMIT)]
    lower, upper = (edges()[bins_of(inside) + end] for end in (0, 1))
    assert ((lower < inside) & (inside <= upper)).all()
    assert (bins_of(inside) == coarse(bins_of(inside)) * (FINE // COARSE) + bins_of(inside) % 16).all()


def test_logits_beyond_the_limits_are_in_the_end_bins() -> None:
    far = np.array([-3.4e38, -33, -32, 32, 32.1, 3.4e38], np.float32)
    assert bins_of(far).tolist() == [0, 0, 0, FINE - 1, FINE - 1, FINE - 1]
