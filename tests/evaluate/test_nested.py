"""The test of two searches: groups and folds must both say so."""

import numpy as np
import pytest

from harness.errors import DataError, PromotionRefused
from harness.evaluate.comparisons import corrected_test, difference
from harness.evaluate.groups import Floats, GroupCounts, fold_scores, group_counts
from harness.evaluate.heldout import swap_test
from harness.evaluate.nested import BY_FOLDS, nested_test

FOLD = np.arange(20) % 5


def of_shares(shares: Floats) -> GroupCounts:
    """Return groups of which these shares are found, four in each of five folds."""
    return group_counts(shares * 100, 0 * shares, 100 - shares * 100, FOLD)


HALF = of_shares(np.full(20, 0.5))
SURE = np.linspace(0.18, 0.22, 20)
LUCKY = (
    np.array([0.35, 0.02, 0.02, 0.02, 0.02])[FOLD] + SURE / 20
)  # all groups gain, nearly all of it in one fold
FEW = np.where(np.arange(20) < 5, 0.5, 0.0) + 0.001 * np.arange(20)  # every fold gains, by one group of four


@pytest.mark.parametrize(
    ("gains", "better"), [(SURE, True), (LUCKY, False), (0 * SURE, False), (-SURE, False)]
)
def test_what_is_sure_of_groups_and_folds_alone_is_called_better(gains: Floats, better: bool) -> None:
    assert nested_test(of_shares(0.5 + gains), HALF, look=1).better == better


@pytest.mark.parametrize("gains", [SURE, LUCKY, FEW, -SURE])
def test_p_is_the_larger_one_and_the_interval_the_wider_one(gains: Floats) -> None:
    candidate = of_shares((0.5 + gains).clip(0, 1))
    found = nested_test(candidate, HALF, look=1)
    folds = corrected_test(fold_scores(candidate), fold_scores(HALF))
    one_sided = folds.p_value / 2 if folds.value > 0 else 1 - folds.p_value / 2
    assert found.p_value == pytest.approx(max(swap_test(candidate.one_fold, HALF.one_fold), one_sided))
    groups = difference(candidate, HALF)
    assert found.gain == groups.value == pytest.approx(folds.value)
    half = 2.7764 * abs(folds.value / folds.statistic)
    assert found.interval.low == pytest.approx(min(groups.interval.low, folds.value - half), abs=1e-4)
    assert found.interval.high == pytest.approx(max(groups.interval.high, folds.value + half), abs=1e-4)
    assert (found.interval.method == BY_FOLDS) == (2 * half > groups.interval.width)


def test_luck_of_a_fold_passes_swaps_and_not_the_folds() -> None:
    lucky = of_shares(0.5 + LUCKY)
    assert swap_test(lucky.one_fold, HALF.one_fold) <= 0.02
    assert not nested_test(lucky, HALF, look=1).better


def test_later_looks_ask_for_more_and_a_fifth_is_refused() -> None:
    candidate = of_shares(0.5 + SURE * np.array([0.65, 1.35, 1.0, 1.25, 0.75])[FOLD])
    told = [nested_test(candidate, HALF, look=look).better for look in (1, 2, 3, 4)]
    assert told == [True, True, False, False]
    with pytest.raises(PromotionRefused, match="spent after 4"):
        nested_test(candidate, HALF, look=5)


def test_the_sentence_says_where_it_was_seen() -> None:
    found = nested_test(of_shares(0.5 + SURE), HALF, look=2)
    assert found.sentence.startswith(
        "Better by nested cross-validation, at the thresholds that the searches chose: +0.2000 IoU ("
    )
    assert found.sentence.endswith("at level 0.007, look 2 of 4.")
    assert found.groups == 20


def test_searches_on_other_folds_cannot_be_paired() -> None:
    other = group_counts(HALF.tp, 0 * HALF.tp, HALF.union - HALF.tp, np.arange(20) // 4)
    with pytest.raises(DataError, match="only trials of one split can be paired"):
        nested_test(HALF, other, look=1)
