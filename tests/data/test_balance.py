import numpy as np
import pytest

from harness.data.balance import CANDIDATES, FREE, cost, place


def free(count: int) -> np.ndarray:
    return np.full(count, FREE, dtype=np.intp)


def test_each_vector_gets_a_bin_and_sums_come_to_their_targets():
    vectors = np.array([[5.0], [4.0], [3.0], [3.0], [3.0]])  # greedy alone ends at 8 and 10
    bins = place(vectors, np.full((2, 1), 9.0), free(5))
    assert cost(vectors, np.full((2, 1), 9.0), bins) == 0


def test_given_bins_are_kept_even_where_they_cost():
    vectors = np.ones((6, 1))
    given = np.array([0, 0, 0, FREE, FREE, FREE])
    bins = place(vectors, np.full((2, 1), 3.0), given)
    assert bins.tolist() == [0, 0, 0, 1, 1, 1]
    assert given.tolist() == [0, 0, 0, FREE, FREE, FREE]


def test_given_bins_are_kept_even_where_an_exchange_would_gain():
    given = np.array([0, 0, 0, 0, FREE, FREE])
    assert place(np.ones((6, 1)), np.full((2, 1), 3.0), given).tolist() == [0, 0, 0, 0, 1, 1]


def test_targets_may_differ_between_bins():
    bins = place(np.ones((10, 1)), np.array([[2.0], [8.0]]), free(10))
    assert np.bincount(bins).tolist() == [2, 8]


def test_a_member_is_handed_over_where_no_exchange_helps():
    vectors = np.array([[4.0, 0.0], [0.0, 4.0], [1.0, 1.0], [1.0, 1.0]])
    targets = np.array([[6.0, 6.0], [0.0, 0.0]])
    assert cost(vectors, targets, place(vectors, targets, free(4))) == 0


@pytest.mark.parametrize("seed", range(20))
def test_exchanges_reach_a_cost_that_no_single_exchange_lowers(seed):
    rng = np.random.default_rng(seed)
    vectors, targets = rng.integers(0, 9, (14, 3)).astype(float), np.zeros((3, 3))
    targets[:] = vectors.sum(0) / 3
    bins = place(vectors, targets, free(14))
    reached = cost(vectors, targets, bins)
    for i in range(14):
        for j in range(14):
            swapped = bins.copy()
            swapped[i], swapped[j] = bins[j], bins[i]
            assert cost(vectors, targets, swapped) >= reached - 1e-6
        for other in range(3):
            moved = bins.copy()
            moved[i] = other
            assert cost(vectors, targets, moved) >= reached - 1e-6


def test_bins_larger_than_the_candidates_are_balanced_too():
    rng = np.random.default_rng(0)
    vectors = -np.sort(-rng.lognormal(0, 1.5, (6 * CANDIDATES, 1)), axis=0)
    targets = np.full((2, 1), vectors.sum() / 2)
    bins = place(vectors, targets, free(len(vectors)))
    assert cost(vectors, targets, bins) < 1e-3


def test_nothing_to_place_changes_nothing():
    assert place(np.empty((0, 2)), np.zeros((3, 2)), free(0)).tolist() == []
