"""The best of many trials, scored on groups that did not choose it."""

import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.simulated_groups import Model, World, draw, true_iou
from harness.errors import DataError
from harness.evaluate.groups import GroupCounts, group_counts, headline
from harness.evaluate.intervals import headline_interval
from harness.evaluate.optimism import PARTS, correct_best, deal, scored_unseen, weighted_headlines


def drawn(models: list[Model], groups: int, seed: int, folds: int = 5) -> GroupCounts:
    tp, fp, fn = (
        draw(World(0.6), models, (1, groups), np.random.default_rng(seed))[:, :, 0].sum(-1).swapaxes(0, 1)
    )
    return group_counts(tp, fp, fn, np.arange(groups) % folds)


def test_one_trial_or_trials_that_count_alike_have_no_optimism() -> None:
    one = drawn([Model()], 30, 0)
    for trials in (one, replace(one, tp=one.tp.repeat(7, 0), union=one.union.repeat(7, 0))):
        found = correct_best(trials, seed=0)
        assert found.optimism == pytest.approx(0, abs=1e-12)
        usual = headline_interval(one.trial(0))
        assert (found.interval.low, found.interval.high) == pytest.approx((usual.low, usual.high))


@pytest.mark.parametrize("folds", [1, 5, 20])
def test_a_trial_never_scores_on_a_group_that_helped_to_choose_it(folds: int) -> None:
    """Trial n is perfect on group n and blind elsewhere: chosen without group n, it scores nothing there."""
    tp = np.eye(20) * 8
    trials = group_counts(tp, 0 * tp, 8 - tp, np.arange(20) % folds)
    found = correct_best(trials, seed=0)
    assert found.score > 0
    assert found.corrected == 0


def test_every_round_scores_every_group_once() -> None:
    trials = drawn([Model(), Model(), Model()], 23, 1)
    unseen = scored_unseen(trials, seed=0, rounds=7)
    low, high = trials.union.min(0), trials.union.max(0)
    assert ((low - 1e-9 <= unseen.union) & (unseen.union <= high + 1e-9)).all()
    same = group_counts(np.ones((3, 23)), np.ones((3, 23)), np.ones((3, 23)), trials.fold)
    assert scored_unseen(same, seed=0, rounds=7).union.tolist() == [3] * 23


def test_every_group_is_in_one_part_and_no_fold_loses_more_than_its_share() -> None:
    trials = drawn([Model()], 40, 1)  # eight groups a fold
    parts = deal(trials, np.random.default_rng(0))
    assert parts.sum(0).tolist() == [1] * 40
    assert (parts @ trials.in_fold).tolist() == [[8 / PARTS] * 5] * PARTS
    alone = deal(drawn([Model()], 40, 1, folds=40), np.random.default_rng(0))
    assert alone.sum(1).max() < 20  # folds of one group are not all left out at once


def test_weighted_headlines_are_the_headlines_of_the_rows_that_are_left() -> None:
    trials = drawn([Model(), Model()], 12, 2, folds=3)
    keep = np.array([1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0], float)  # nothing is left of fold 2
    kept = keep > 0
    rest = group_counts(
        trials.tp[:, kept], 0 * trials.tp[:, kept], (trials.union - trials.tp)[:, kept], trials.fold[kept]
    )
    assert rest.folds == 2
    assert weighted_headlines(trials, keep[None])[0] == pytest.approx(headline(rest))


def test_a_trial_that_is_far_better_is_chosen_everywhere_and_keeps_its_score() -> None:
    found = correct_best(drawn([Model(-3.0)] * 5 + [Model(1.5)], 40, 3), seed=0)
    assert found.best == 5
    assert found.optimism == pytest.approx(0, abs=1e-12)


def test_the_best_of_equal_trials_is_brought_back_to_their_true_iou() -> None:
    (truth,) = true_iou(World(0.6), (Model(),), 100_000)
    found = [correct_best(drawn([Model()] * 40, 30, seed), seed=0) for seed in range(60)]
    before, after = (np.mean([getattr(x, name) for x in found]) for name in ("score", "corrected"))
    assert before - truth > 0.03
    assert abs(after - truth) < 0.02  # three Monte Carlo errors and the headline's own bias
    assert np.mean([x.interval.low <= truth <= x.interval.high for x in found]) > 0.85


def test_more_equal_trials_bring_more_optimism() -> None:
    few, many = (
        np.mean([correct_best(drawn([Model()] * n, 30, seed), seed=0).optimism for seed in range(20)])
        for n in (2, 40)
    )
    assert 0 < few < many


def test_the_same_seed_gives_the_same_number_and_trials_may_come_in_any_order() -> None:
    trials = drawn([Model()] * 40, 30, 5)
    found = correct_best(trials, seed=0)
    assert found == correct_best(trials, seed=0)
    assert found.corrected != correct_best(trials, seed=1).corrected
    order = np.random.default_rng(0).permutation(40)
    other = correct_best(replace(trials, tp=trials.tp[order], union=trials.union[order]), seed=0)
    assert order[other.best] == found.best
    assert other.corrected == pytest.approx(found.corrected)


def test_dealings_of_another_seed_hardly_change_the_number() -> None:
    trials = drawn([Model()] * 40, 30, 5)
    assert np.std([correct_best(trials, seed=seed).corrected for seed in range(10)]) < 0.005


def test_a_group_of_several_repeats_is_left_out_of_all_of_them() -> None:
    tp = np.tile(np.eye(8) * 5, 2)
    names = np.tile(np.arange(8), 2)
    trials = group_counts(tp, 0 * tp, 5 - tp, [*(names[:8] % 2), *(names[8:] % 4 // 2 + 2)], names)
    assert correct_best(trials, seed=0).corrected == 0


def test_one_group_cannot_check_a_choice_and_two_can() -> None:
    with pytest.raises(DataError, match="one group"):
        correct_best(group_counts([[1]], [[1]], [[1]], [0]), seed=0)
    two = correct_best(group_counts([[1, 2], [2, 1]], [[1, 1]] * 2, [[1, 1]] * 2, [0, 1]), seed=0)
    assert 0 <= two.corrected <= 1


def test_five_thousand_trials_of_three_hundred_groups_take_seconds() -> None:
    rng = np.random.default_rng(0)
    tp, fp, fn = rng.integers(0, 500, (3, 5000, 300))
    trials = group_counts(tp, fp, fn, np.arange(300) % 5)
    start = time.perf_counter()
    correct_best(trials, seed=0)
    assert time.perf_counter() - start < 20  # 3 s on a busy machine
