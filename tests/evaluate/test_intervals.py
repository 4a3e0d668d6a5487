"""Intervals over groups: by hand, beside scipy, in order, and where there is nothing to spread."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulated_groups import Model, World, draw, studies_of, true_iou
from harness.evaluate.groups import GroupCounts, group_counts, headline, pooled, ratio
from harness.evaluate.intervals import (
    JACKKNIFE,
    NO_SPREAD,
    headline_interval,
    headline_intervals,
    pooled_interval,
    spread,
)


def counts_of(tp: list[float], union: list[float], fold: list[int]) -> GroupCounts:
    return group_counts(tp, [0] * len(tp), np.subtract(union, tp), fold)


def drawn(groups: int, seed: int, folds: int = 5) -> GroupCounts:
    counts = draw(World(0.4), [Model()], (1, groups), np.random.default_rng(seed))
    return studies_of(counts, folds)[0][0]


def test_the_interval_is_its_formula_on_counts_by_hand() -> None:
    # Leaving a group out of a fold gives 3/4 or 1/2: its variance is 1/64, of the mean of two folds 1/128.
    found = headline_interval(counts_of([1, 3, 1, 3], [2, 4, 2, 4], [0, 0, 1, 1]))
    # t with 2 degrees of freedom is 4.30265; half = 4.30265 x sqrt(1/128) / (2/9) = 1.71136 logits around ln 2
    assert (found.low, found.high) == pytest.approx((0.26538, 0.91717), abs=2e-5)
    assert (found.groups, found.level, found.method) == (4, 0.95, JACKKNIFE)


def test_groups_of_one_size_in_one_fold_have_the_error_of_a_mean() -> None:
    tp = np.array([10, 20, 30, 60, 70, 10])
    found = spread(counts_of(tp.tolist(), [100] * 6, [0] * 6))
    assert found.error == pytest.approx(stats.sem(tp / 100))
    assert found.freedom == pytest.approx(5)


def test_one_group_a_fold_has_the_error_of_a_mean_over_folds() -> None:
    tp, union = np.array([10, 20, 30, 60]), np.array([40, 90, 50, 80])
    found = spread(counts_of(tp.tolist(), union.tolist(), [0, 1, 2, 3]))
    assert found.error == pytest.approx(stats.sem(tp / union))
    assert found.freedom == pytest.approx(3)


def test_with_many_groups_it_is_the_interval_of_scipys_bootstrap() -> None:
    counts = drawn(400, 1, folds=1)
    rows = np.arange(400)
    values = stats.bootstrap(
        (rows,),
        lambda rows, axis: ratio(counts.tp[rows].sum(axis), counts.union[rows].sum(axis)),
        n_resamples=2000,
        vectorized=True,
        rng=np.random.default_rng(0),
        method="BCa",
    ).confidence_interval
    found = pooled_interval(counts)
    assert (found.low, found.high) == pytest.approx((values.low, values.high), abs=0.1 * found.width)


def test_a_repeat_of_the_same_folds_tells_nothing_new() -> None:
    once = drawn(30, 2)
    names = np.tile(np.arange(30), 2)
    twice = group_counts(
        np.tile(once.tp, 2),
        0 * names,
        np.tile(once.union - once.tp, 2),
        [*once.fold, *(once.fold + 5)],
        names,
    )
    assert spread(twice).error == pytest.approx(spread(once).error)
    assert spread(twice).freedom == pytest.approx(spread(once).freedom)
    assert headline_interval(twice).groups == 30


def test_trials_have_the_same_intervals_together_as_alone() -> None:
    rng = np.random.default_rng(0)
    fold, group = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 5]), np.tile(np.arange(6), 2)
    tp, fn = rng.integers(0, 3, (2, 60, 12)) * rng.integers(0, 2, (2, 60, 12))
    tp[0] = 0  # finds nothing
    together = group_counts(tp, 0 * tp, fn, fold, group)
    for number, found in enumerate(headline_intervals(together)):
        alone = headline_interval(together.trial(number))
        assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
        assert (found.method, found.groups) == (alone.method, alone.groups)
        assert found.method == (JACKKNIFE if number else NO_SPREAD)


def test_more_groups_narrow_the_interval_and_a_higher_level_widens_it() -> None:
    widths = [np.mean([headline_interval(drawn(n, seed)).width for seed in range(20)]) for n in (20, 80, 320)]
    assert widths[0] > 1.7 * widths[1] > 1.7**2 * widths[2]
    one = drawn(30, 0)
    assert headline_interval(one, level=0.99).width > headline_interval(one, level=0.9).width


def test_the_order_of_groups_and_the_names_of_folds_change_nothing() -> None:
    counts, rng = drawn(30, 3), np.random.default_rng(0)
    order = rng.permutation(30)
    other = group_counts(
        counts.tp[order], 0 * order, (counts.union - counts.tp)[order], 7 - counts.fold[order]
    )
    for interval in (headline_interval, pooled_interval):
        a, b = interval(counts), interval(other)
        assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=1e-12)


def test_groups_with_nothing_to_find_and_nothing_predicted_tell_nothing() -> None:
    few = counts_of([1, 3, 1, 3], [2, 4, 2, 4], [0, 0, 1, 1])
    more = counts_of([1, 3, 1, 3, 0, 0, 0], [2, 4, 2, 4, 0, 0, 0], [0, 0, 1, 1, 0, 0, 1])
    assert headline_interval(few) == headline_interval(more)


@pytest.mark.parametrize("groups", [1, 5, 50])
@pytest.mark.parametrize(("tp", "union"), [(0, 8), (5, 8), (8, 8)])
def test_where_no_group_differs_the_share_of_others_is_bounded(groups: int, tp: int, union: int) -> None:
    found = headline_interval(counts_of([tp] * groups, [union] * groups, [n % 5 for n in range(groups)]))
    most = 1 - 0.025 ** (1 / groups)
    assert found.method == NO_SPREAD
    assert (found.low, found.high) == pytest.approx(((1 - most) * tp / union, (1 - most) * tp / union + most))
    assert found.low <= tp / union <= found.high


def test_nothing_to_find_and_nothing_predicted_at_all_leaves_everything_open() -> None:
    found = headline_interval(counts_of([0, 0, 0], [0, 0, 0], [0, 0, 1]))
    assert (found.low, found.high, found.groups) == (0, 1, 0)


def test_a_fold_with_one_group_or_none_that_tells_still_has_an_interval() -> None:
    alone = headline_interval(counts_of([1, 3, 2], [2, 4, 7], [0, 0, 1]))
    empty = headline_interval(counts_of([1, 3, 0], [2, 4, 0], [0, 0, 1]))
    for found in (alone, empty):
        assert 0 < found.low < found.high < 1


def test_few_and_empty_groups_never_give_a_number_that_is_none() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        size = int(rng.integers(1, 7))
        tp, fn = rng.integers(0, 3, (2, size)) * rng.integers(0, 2, (2, size))
        counts = group_counts(tp, 0 * tp, fn, rng.integers(0, 3, size))
        for value, found in (
            (headline(counts), headline_interval(counts)),
            (pooled(counts), pooled_interval(counts)),
        ):
            assert 0 <= found.low <= float(value) + 1e-12
            assert float(value) - 1e-12 <= found.high <= 1


def test_intervals_of_drawn_studies_hold_the_true_iou_about_as_often_as_they_say() -> None:
    world = World(0.6)
    (truth,) = true_iou(world, (Model(),), 100_000)
    studies = studies_of(draw(world, [Model()], (400, 20), np.random.default_rng(5)))
    for interval in (headline_interval, pooled_interval):
        held = np.mean([(found := interval(a)).low <= truth <= found.high for (a,) in studies])
        assert 0.92 <= held <= 0.985  # three Monte Carlo errors around .95


def test_a_hundred_thousand_groups_take_no_room() -> None:
    rng = np.random.default_rng(0)
    tp, wrong = rng.integers(1, 99, 100_000), rng.integers(1, 99, 100_000)
    tracemalloc.start()
    found = headline_interval(group_counts(tp, wrong, wrong, np.arange(100_000) % 5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.groups == 100_000
    assert found.width < 0.01
    assert peak < 5e8
