"""The test on held-out groups: what a look costs, p values by hand, and how often it is wrong."""

import tracemalloc
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulated_groups import Model, World, draw, studies_of
from harness.errors import DataError, PromotionRefused
from harness.evaluate.groups import GroupCounts, group_counts
from harness.evaluate.heldout import LOOKS, held_out_test, level_of_look, swap_test


def of_shares(shares: list[float]) -> GroupCounts:
    tp = np.array(shares) * 100
    return group_counts(tp, 0 * tp, 100 - tp, np.zeros(tp.size))


def pairs(gain: float, groups: int, studies: int, seed: int = 0) -> list[list[GroupCounts]]:
    models = [Model(skill=gain), Model()]
    return studies_of(draw(World(0.6), models, (studies, groups), np.random.default_rng(seed)), folds=1)


def test_each_look_asks_for_more_and_the_fifth_is_refused() -> None:
    assert [level_of_look(look) for look in range(1, LOOKS + 1)] == [0.02, 0.007, 0.002, 0.001]
    for look in (0, 5):
        with pytest.raises(PromotionRefused, match="spent") as refused:
            level_of_look(look)
        assert refused.value.exit_code == 4


@pytest.mark.parametrize(("groups", "better"), [(5, False), (6, True)])
def test_where_every_group_gains_the_p_value_is_one_of_all_swaps(groups: int, better: bool) -> None:
    gains = np.linspace(0.1, 0.3, groups)
    found = held_out_test(of_shares((0.5 + gains).tolist()), of_shares([0.5] * groups), look=1)
    assert found.p_value == 1 / 2**groups
    assert (found.better, found.groups) == (better, groups)
    assert not held_out_test(of_shares((0.5 + gains).tolist()), of_shares([0.5] * groups), look=4).better


def test_where_one_group_loses_a_little_two_swaps_reach_what_was_seen() -> None:
    gains = np.array([0.1, 0.15, 0.2, 0.25, 0.3, -0.01])
    p_value = swap_test(of_shares((0.5 + gains).tolist()), of_shares([0.5] * 6))
    assert p_value == 2 / 2**6


def unskewed_t(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> float:
    def gain(rows: list[int]) -> float:
        ious = [sum(x[row][0] for row in rows) / sum(x[row][1] for row in rows) for x in (a, b)]
        return ious[0] - ious[1]

    rows = list(range(len(a)))
    pseudo = [len(rows) * gain(rows) - (len(rows) - 1) * gain([r for r in rows if r != out]) for out in rows]
    t, skewness = float(np.mean(pseudo) / stats.sem(pseudo)), float(stats.skew(pseudo)) / np.sqrt(len(rows))
    return t + skewness * (t**2 / 3 + 1 / 6) + skewness**2 * t**3 / 27


def test_the_p_value_is_the_share_of_swaps_with_as_large_an_unskewed_t_of_pseudo_values() -> None:
    for a, b in pairs(0.4, 8, 4):
        both = [list(zip(x.tp.tolist(), x.union.tolist(), strict=True)) for x in (a, b)]
        seen, reached = unskewed_t(*both), 0
        for swaps in product((0, 1), repeat=8):
            ours, others = ([both[s ^ side][row] for row, s in enumerate(swaps)] for side in (0, 1))
            reached += unskewed_t(ours, others) >= seen - 1e-9
        assert swap_test(a, b) == reached / 2**8


def test_many_groups_are_swapped_at_random_by_seed() -> None:
    a, b = pairs(0.0, 30, 1)[0]
    assert swap_test(a, b, seed=0) == swap_test(a, b, seed=0) != swap_test(a, b, seed=1)
    assert swap_test(a, b, seed=0) == pytest.approx(swap_test(a, b, seed=1), abs=0.03)
    sure = of_shares(np.linspace(0.6, 0.9, 30).tolist())
    assert swap_test(sure, of_shares([0.5] * 30)) == 1 / 5000


def test_groups_counted_alike_and_empty_ones_change_no_p_value_of_few_groups() -> None:
    a, b = [0.8, 0.9, 0.7, 0.6, 0.8, 0.3], [0.5, 0.4, 0.6, 0.3, 0.4, 0.35]
    alone = swap_test(of_shares(a), of_shares(b))
    empty = replace(of_shares([*a, 0.0]), union=np.array([100.0] * 6 + [0]))
    other = replace(of_shares([*b, 0.0]), union=np.array([100.0] * 6 + [0]))
    assert swap_test(empty, other) == alone
    assert held_out_test(of_shares([*a, 0.5]), of_shares([*b, 0.5]), look=1).groups == 6


def test_a_model_is_not_better_than_itself_and_the_worse_one_never_is() -> None:
    a, b = pairs(1.0, 30, 1)[0]
    same = held_out_test(a, a, look=1)
    assert (same.p_value, same.better, same.gain) == (1, False, 0)
    forth, back = held_out_test(a, b, look=1), held_out_test(b, a, look=1)
    assert forth.better
    assert not back.better
    assert back.p_value > 0.95
    assert forth.gain == pytest.approx(-back.gain)
    assert forth.interval.low <= forth.gain <= forth.interval.high


def test_the_order_of_few_groups_changes_nothing() -> None:
    a, b = pairs(0.3, 10, 1)[0]
    order = np.random.default_rng(0).permutation(10)
    c, d = (replace(x, tp=x.tp[order], union=x.union[order]) for x in (a, b))
    assert swap_test(a, b) == swap_test(c, d)


def test_all_foreground_is_not_better_than_itself_and_what_finds_six_objects_of_six_is() -> None:
    nothing_learned = of_shares([0.01] * 6)
    assert not held_out_test(nothing_learned, nothing_learned, look=1).better
    for found, better in (([0.2, 0.3, 0.1, 0.4, 0.2, 0.3], True), ([0.2, 0.3, 0.1, 0.4, 0.2, 0.0], False)):
        test = held_out_test(of_shares(found), nothing_learned, look=1)
        assert test.better == better
        assert test.gain == pytest.approx(np.mean(found) - 0.01)


def test_models_of_other_groups_are_not_compared() -> None:
    with pytest.raises(DataError, match="paired"):
        held_out_test(of_shares([0.5] * 5), of_shares([0.5] * 6), look=1)


def test_one_group_proves_nothing_and_is_no_error() -> None:
    found = held_out_test(of_shares([0.9]), of_shares([0.1]), look=1)
    assert (found.p_value, found.better) == (0.5, False)


def test_the_sentence_says_what_was_seen_and_what_it_cost() -> None:
    a, b = pairs(1.5, 40, 1)[0]
    assert held_out_test(a, b, look=2).sentence.startswith("Better on held-out groups: +0.")
    assert "level 0.007, look 2 of 4" in held_out_test(a, b, look=2).sentence
    assert held_out_test(b, a, look=1).sentence.startswith("Not shown to be better")


def test_equal_models_are_seldom_called_better_and_better_ones_often() -> None:
    said = [held_out_test(a, b, look=1).better for a, b in pairs(0.0, 15, 400)]
    assert np.mean(said) <= 0.02 + 3 * np.sqrt(0.02 * 0.98 / 400)
    small, large = (
        np.mean([held_out_test(a, b, look=1).better for a, b in pairs(g, 30, 60)]) for g in (0.3, 1.0)
    )
    assert 0.1 < small < large
    assert large > 0.9


def test_swaps_in_blocks_are_all_of_them_and_thousands_of_groups_fit() -> None:
    rng = np.random.default_rng(0)
    union = rng.integers(50, 99, (2, 20_000)).astype(float)
    tp = union * [[0.52], [0.5]]
    both = [
        group_counts(one, 0 * one, of - one, np.zeros(20_000, int)) for one, of in zip(tp, union, strict=True)
    ]
    tracemalloc.start()
    assert swap_test(*both) == 1 / 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5e9
