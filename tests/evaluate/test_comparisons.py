"""Comparing two trials: by hand, beside scipy, and what is said in words."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulated_groups import Model, World, draw, studies_of, true_iou
from harness.errors import DataError
from harness.evaluate.comparisons import (
    Difference,
    Posterior,
    corrected_test,
    difference,
    differences,
    groups_needed,
    more_groups,
    posterior,
    power,
    sentence,
    word_of,
)
from harness.evaluate.groups import GroupCounts, fold_scores, group_counts

# Mean .02, standard deviation .0158114, times sqrt(1/5 + 1/4): an error of .0106066, t = 1.885618
A, B = [0.51, 0.53, 0.52, 0.54, 0.50], [0.50] * 5


def of_shares(shares: list[float], folds: int = 1) -> GroupCounts:
    tp = np.array(shares) * 100
    return group_counts(tp, 0 * tp, 100 - tp, np.arange(tp.size) % folds)


def pair(skill: float, groups: int, seed: int) -> list[GroupCounts]:
    counts = draw(World(0.4), [Model(skill=skill), Model()], (1, groups), np.random.default_rng(seed))
    return studies_of(counts)[0]


def test_the_corrected_test_is_nadeau_and_bengios() -> None:
    found = corrected_test(A, B)
    assert found.statistic == pytest.approx(1.885618, abs=1e-6)
    assert found.p_value == pytest.approx(0.132419, abs=1e-6)  # t with 4 degrees of freedom, its closed form
    plain = stats.ttest_rel(A, B)
    assert found.statistic == pytest.approx(plain.statistic / np.sqrt(1 + 5 / 4))


def test_five_folds_tell_a_difference_of_186_hundredths_of_its_deviation() -> None:
    wobble = np.array([-1.0, 1, -1, 1, 0])  # standard deviation 1
    for mean, told in ((1.85, False), (1.88, True)):
        assert (corrected_test(mean + wobble, np.zeros(5)).p_value < 0.05) == told


def test_the_posterior_is_a_student_distribution_cut_at_the_rope() -> None:
    found = posterior(A, B, rope=0.01)
    assert (found.better, found.equal, found.worse) == pytest.approx((0.800419, 0.175871, 0.02371), abs=2e-6)
    mirrored = posterior(B, A, rope=0.01)
    assert (mirrored.worse, mirrored.better) == pytest.approx((found.better, found.worse))


def test_one_sided_is_the_share_of_chance_differences_as_large() -> None:
    first, second = corrected_test(A, B), corrected_test(B, A)
    assert first.one_sided == pytest.approx(posterior(A, B, rope=0).worse)
    assert first.one_sided + second.one_sided == pytest.approx(1)
    assert min(first.one_sided, second.one_sided) == pytest.approx(first.p_value / 2)
    assert corrected_test(A, A).one_sided == 0.5
    assert corrected_test(np.full(5, 0.75), np.full(5, 0.5)).one_sided == 0
    assert corrected_test(np.full(5, 0.5), np.full(5, 0.75)).one_sided == 1


def test_without_a_rope_the_posterior_is_the_one_sided_p_value_of_the_corrected_test() -> None:
    assert posterior(A, B, rope=0).worse == pytest.approx(corrected_test(A, B).p_value / 2)


def test_repeats_of_folds_count_as_little_as_their_training_sets_are_new() -> None:
    once, ten = corrected_test(A, B), corrected_test(A * 10, B * 10, repeats=10)
    error = np.std(np.tile(A, 10), ddof=1) * np.sqrt(1 / 50 + 1 / 4)
    assert ten.statistic == pytest.approx(0.02 / error)
    assert ten.statistic < 2 * once.statistic


@pytest.mark.parametrize(
    ("shift", "word"), [(0.1, "better"), (-0.1, "worse"), (0.0, "equal"), (0.01, "unknown")]
)
def test_one_word_is_said_where_it_is_sure(shift: float, word: str) -> None:
    wobble = np.array([-0.002, 0.002, 0.001, -0.001, 0.0])
    assert posterior(0.5 + shift + wobble, np.full(5, 0.5)).word == word


def test_trials_equal_in_every_fold_are_equal_and_a_fixed_difference_is_sure() -> None:
    assert posterior(A, A).word == "equal"
    assert corrected_test(A, A).p_value == 1
    assert posterior(np.full(5, 0.75), np.full(5, 0.5)).word == "better"
    assert corrected_test(np.full(5, 0.75), np.full(5, 0.5)).p_value == 0


@pytest.mark.parametrize(("scores", "repeats"), [([0.5], 1), ([0.5, 0.6], 2), ([0.5, 0.6, 0.7], 2)])
def test_fewer_than_two_folds_are_refused(scores: list[float], repeats: int) -> None:
    with pytest.raises(DataError, match="fold scores"):
        corrected_test(scores, scores, repeats=repeats)


def test_groups_of_one_size_in_one_fold_have_the_interval_of_a_paired_t_test() -> None:
    a, b = [0.9, 0.5, 0.7, 0.2, 0.6, 0.4], [0.8, 0.3, 0.7, 0.3, 0.4, 0.1]
    found, usual = difference(of_shares(a), of_shares(b)), stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((usual.low, usual.high))
    assert found.deviation == pytest.approx(np.std(np.subtract(a, b), ddof=1))
    assert found.freedom == pytest.approx(5)


def test_one_group_a_fold_has_the_interval_of_a_paired_t_test_over_folds() -> None:
    a, b = [0.9, 0.5, 0.7, 0.2, 0.6, 0.4], [0.8, 0.3, 0.7, 0.3, 0.4, 0.1]
    found = difference(of_shares(a, folds=6), of_shares(b, folds=6)).interval
    usual = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((usual.low, usual.high))


def test_a_group_on_which_only_one_of_the_two_predicts_counts() -> None:
    a = group_counts([5, 6, 0, 0], [0] * 4, [4, 2, 0, 0], [0] * 4)
    b = group_counts([5, 4, 0, 0], [0, 0, 3, 0], [4, 4, 0, 0], [0] * 4)
    there, back = difference(a, b), difference(b, a)
    assert there.interval.groups == back.interval.groups == 3
    assert there.interval.low == pytest.approx(-back.interval.high)


def test_many_trials_are_compared_with_one_as_each_alone() -> None:
    counts = draw(World(0.4), [Model()] * 5, (1, 30), np.random.default_rng(0))
    (alone,) = studies_of(counts)
    tp, union = (np.stack([getattr(trial, name) for trial in alone]) for name in ("tp", "union"))
    found = differences(replace(alone[0], tp=tp, union=union), alone[2])
    assert found[2].value == 0
    for one, trial in zip(found, alone, strict=True):
        other = difference(trial, alone[2])
        assert (one.value, one.interval.low, one.deviation) == pytest.approx(
            (other.value, other.interval.low, other.deviation), abs=1e-12
        )


def test_trials_of_other_groups_have_no_difference() -> None:
    with pytest.raises(DataError, match="paired"):
        difference(of_shares([0.5] * 6, folds=2), of_shares([0.5] * 6, folds=3))


def test_a_difference_turns_around_with_the_trials_and_pairs_are_narrower_than_strangers() -> None:
    a, b = pair(0.3, 40, 1)
    there, back = difference(a, b), difference(b, a)
    assert (there.value, there.interval.low) == pytest.approx((-back.value, -back.interval.high))
    order = np.concatenate(
        [np.random.default_rng(0).permutation(np.flatnonzero(a.fold == k)) for k in range(5)]
    )
    at = np.argsort(np.concatenate([np.flatnonzero(a.fold == k) for k in range(5)]))
    strangers = replace(b, tp=b.tp[order][at], union=b.union[order][at])
    assert difference(a, strangers).value == pytest.approx(there.value)
    assert there.interval.width < difference(a, strangers).interval.width


def test_trials_that_count_alike_differ_by_nothing_and_groups_bound_what_others_might() -> None:
    a, _ = pair(0, 40, 1)
    found = difference(a, a)
    assert (found.value, found.deviation) == (0, 0)
    assert (
        found.interval.high == -found.interval.low == pytest.approx(1 - 0.025 ** (1 / found.interval.groups))
    )
    assert more_groups(found) is None


def test_paired_intervals_of_drawn_studies_hold_the_true_difference() -> None:
    world, models = World(0.6), (Model(0.2, missed=0.3), Model())
    better, base = true_iou(world, models, 100_000)
    studies = studies_of(draw(world, models, (400, 20), np.random.default_rng(4)))
    intervals = [difference(a, b).interval for a, b in studies]
    held = np.mean([found.low <= better - base <= found.high for found in intervals])
    assert 0.92 <= held <= 0.99


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_number_of_groups_needed_is_the_usual_one_of_a_paired_t_test(effect: float, pairs: int) -> None:
    assert groups_needed(effect, 1.0) == pairs  # Cohen 1988; G*Power
    assert power(effect, 1.0, pairs - 1) < 0.8 <= power(effect, 1.0, pairs)


def test_power_rises_with_gain_and_groups_and_falls_with_spread() -> None:
    assert power(0.05, 0.2, 30) < power(0.05, 0.2, 60) < power(0.1, 0.2, 60)
    assert power(0.05, 0.2, 30) > power(0.05, 0.3, 30)
    assert power(0.05, 0.2, 1) == 0
    assert power(0.05, 0.0, 2) == 1
    assert power(5.0, 0.01, 400) == 1
    assert groups_needed(0.0, 0.2) is None
    assert groups_needed(1e-9, 0.2) is None


def test_more_groups_are_counted_from_those_there_are_in_whole_rows_of_folds() -> None:
    a, b = pair(0.1, 40, 2)
    found = difference(a, b)
    needed = groups_needed(0.01, found.deviation)
    assert needed is not None
    assert more_groups(found, gain=0.01) == needed - found.interval.groups
    assert more_groups(found, gain=0.01, folds=5) == -(-(needed - found.interval.groups) // 5) * 5
    assert more_groups(found, gain=0.9) == 0


def test_the_sentence_says_which_by_how_much_and_what_would_help() -> None:
    a, b = pair(0.1, 40, 2)
    found = difference(a, b)
    unknown = sentence("trial 3", "trial 5", found, posterior(fold_scores(a), fold_scores(b)))
    assert unknown.startswith("Whether trial 3 or trial 5 is better is unknown")
    assert f"about {more_groups(found)} more groups" in unknown
    above, below, near = (moved(found, *ends) for ends in ((0.01, 0.2), (-0.2, -0.01), (-0.004, 0.009)))
    assert "better than trial 5" in sentence("trial 3", "trial 5", above, Posterior(0.97, 0.02, 0.01))
    assert "worse than trial 5" in sentence("trial 3", "trial 5", below, Posterior(0.01, 0.02, 0.97))
    assert "equal in practice" in sentence("trial 3", "trial 5", near, Posterior(0.01, 0.98, 0.01))
    assert "counted alike" in sentence("trial 3", "trial 5", difference(a, a), posterior(A, A))
    assert "no number of groups" in sentence("a", "b", replace(found, value=0.0), Posterior(0.3, 0.4, 0.3))


def moved(found: Difference, low: float, high: float) -> Difference:
    return replace(found, interval=replace(found.interval, low=low, high=high))


@pytest.mark.parametrize(
    ("low", "high", "belief", "word"),
    [
        (0.001, 0.2, Posterior(0.96, 0.03, 0.01), "better"),
        (-0.001, 0.2, Posterior(0.96, 0.03, 0.01), "unknown"),  # folds are sure, groups are not
        (0.001, 0.2, Posterior(0.94, 0.05, 0.01), "unknown"),  # groups are sure, folds are not
        (-0.2, -0.001, Posterior(0.01, 0.03, 0.96), "worse"),
        (-0.2, 0.001, Posterior(0.01, 0.03, 0.96), "unknown"),
        (-0.01, 0.01, Posterior(0.01, 0.98, 0.01), "equal"),
        (-0.01, 0.011, Posterior(0.01, 0.98, 0.01), "unknown"),
    ],
)
def test_a_word_needs_both_folds_and_groups(low: float, high: float, belief: Posterior, word: str) -> None:
    found = moved(difference(*pair(0.1, 40, 2)), low, high)
    assert word_of(found, belief) == word
