"""The difference of two splits of the same groups, and its interval."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit

from harness.errors import DataError
from harness.evaluate.comparisons import difference
from harness.evaluate.groups import counts_of_rows, group_counts, headline
from harness.evaluate.inflation import by_name, inflation, pooled_inflation


def drawn(rng, *, groups=20, each=5, folds=5, gain=0.0):
    """Return the rows of the same pictures under two splits: dealt one by one, and in groups."""
    group = np.repeat(np.arange(groups), each)
    skill = np.repeat(rng.normal(0.6, 0.12, groups), each).clip(0.05, 0.9)
    size = np.repeat(rng.lognormal(5, 0.7, groups), each).round() + 1
    both = []
    for better, fold in ((gain, np.arange(len(group)) % folds), (0.0, group % folds)):
        share = (skill + better + rng.normal(0, 0.08, len(group))).clip(0.01, 0.99)
        tp = (share * size).round()
        rows = {"group": group.astype(str), "fold": fold, "tp": tp, "fp": 0, "fn": size - tp}
        both.append(pd.DataFrame(rows))
    return both


def without(rows, group):
    return counts_of_rows(rows[rows["group"] != group])


@pytest.mark.parametrize("groups", [12, 7, 5])  # of 7 and 5 groups some are alone in their fold
def test_the_interval_is_the_jackknife_of_leaving_each_group_out_of_both_scores(groups):
    crop, grouped = drawn(np.random.default_rng(0), groups=groups)
    found = inflation(counts_of_rows(crop), counts_of_rows(grouped))
    value = headline(counts_of_rows(crop)) - headline(counts_of_rows(grouped))
    assert found.value == pytest.approx(float(value), abs=1e-15)
    left = [
        float(headline(without(crop, str(g))) - headline(without(grouped, str(g)))) for g in range(groups)
    ]
    error = np.sqrt((groups - 1) / groups * np.square(np.array(left) - np.mean(left)).sum())
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(stdtrit(groups - 1, 0.975) * error, rel=1e-6)
    assert found.interval.groups == groups


def test_of_one_split_it_is_the_difference_of_two_trials():
    one, other = (counts_of_rows(rows.assign(fold=0)) for rows in drawn(np.random.default_rng(1)))
    ours, theirs = inflation(one, other), difference(one, other)
    assert ours.value == pytest.approx(theirs.value)
    assert ours.interval.low == pytest.approx(theirs.interval.low)
    assert pooled_inflation(one, other).interval.high == pytest.approx(theirs.interval.high)


def test_groups_are_paired_by_name_whatever_their_order():
    a = group_counts([5, 1, 3], [1, 1, 1], [1, 2, 3], [0, 0, 0], ["x", "y", "z"])
    b = group_counts([3, 5, 1], [1, 1, 1], [3, 1, 2], [0, 0, 0], ["z", "x", "y"])
    assert inflation(a, b).deviation == pytest.approx(0, abs=1e-12)
    assert pooled_inflation(a, b).deviation == pytest.approx(0, abs=1e-12)
    assert by_name(b).names == ("x", "y", "z")
    assert by_name(b).tp.tolist() == [5, 1, 3]


def test_other_groups_are_refused():
    a = group_counts([5, 1], [1, 1], [1, 2], [0, 1], ["x", "y"])
    b = group_counts([5, 1], [1, 1], [1, 2], [0, 1], ["x", "z"])
    with pytest.raises(DataError, match="2 groups"):
        inflation(a, b)


@pytest.mark.parametrize(("groups", "gain"), [(20, 0.0), (20, 0.1), (8, 0.0)])
def test_it_covers_the_true_difference_about_as_often_as_it_says(groups, gain):
    rng, hits = np.random.default_rng(2), 0
    for _ in range(300):
        found = inflation(*map(counts_of_rows, drawn(rng, groups=groups, gain=gain)))
        hits += found.interval.low <= gain <= found.interval.high
    assert 0.9 <= hits / 300 <= 0.99


def test_a_larger_leak_gives_a_larger_inflation():
    values = [
        inflation(*map(counts_of_rows, drawn(np.random.default_rng(3), gain=g))).value for g in (0, 0.1, 0.2)
    ]
    assert values == sorted(values)
    assert values[2] > 0.15
