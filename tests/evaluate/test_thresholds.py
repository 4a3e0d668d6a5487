"""Thresholds that a fold's own masks have no part in, and what it costs where they have."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.evaluate.thresholds import CrossFitted, FoldCounts, cross_fit, fold_counts
from harness.model.histogram import THRESHOLDS

FOLDS, GROUPS, POSITIVE = 5, 4, 10_000


def above(middle: NDArray[np.float64], pixels: int) -> NDArray[np.int64]:
    """Return how many pixels lie above each threshold, (groups, thresholds), where logits scatter about a middle."""
    return np.round(pixels / (1 + np.exp(THRESHOLDS - middle[:, None]))).astype(np.int64)


def fold(number: int, shifts: NDArray[np.float64]) -> FoldCounts:
    """Return a fold of one group a shift: how far its logits lie from where 0 is the best threshold."""
    names = np.array([f"{number}-{group}" for group in range(len(shifts))])
    tp, fp = above(shifts + 2.4, POSITIVE), above(shifts - 4, 4 * POSITIVE)
    return FoldCounts(names, tp, fp, np.full(len(shifts), POSITIVE))


def study(rng: np.random.Generator, common: float) -> CrossFitted:
    """Return what a study finds whose folds differ from each other by chance, and all by a common shift."""
    shifts = common + rng.normal(0, 1.5, (FOLDS, 1)) + rng.normal(0, 0.5, (FOLDS, GROUPS))
    return cross_fit([fold(number, of_fold) for number, of_fold in enumerate(shifts)])


def test_where_folds_differ_by_chance_own_thresholds_seem_to_gain_and_cross_fitted_ones_do_not() -> None:
    rng = np.random.default_rng(5)
    studies = [study(rng, common=0.0) for _ in range(300)]
    assert np.mean([s.own_gain for s in studies]) > 0.02
    assert np.mean([s.gain for s in studies]) <= 0.002
    assert np.mean([s.spread for s in studies]) > 0.5


def test_where_all_folds_ask_for_another_threshold_the_cross_fitted_one_gains() -> None:
    found = cross_fit([fold(number, np.full(GROUPS, 3.0)) for number in range(FOLDS)])
    assert set(found.chosen) == {found.deployed}
    assert found.deployed == pytest.approx(3.0, abs=0.5)
    assert found.gain == found.own_gain > 0.1
    assert found.spread == 0


def slow_iou(folds: list[FoldCounts], threshold: int) -> float:
    scores = []
    for one in folds:
        tp, fp = (int(counts[:, threshold].sum()) for counts in (one.tp, one.fp))
        scores.append(tp / (int(one.positive.sum()) + fp))
    return float(np.mean(scores))


def test_each_choice_is_the_best_of_all_thresholds_on_the_other_folds() -> None:
    rng = np.random.default_rng(1)
    folds = [fold(number, rng.normal(0, 2.5) + np.zeros(GROUPS)) for number in range(FOLDS)]
    found = cross_fit(folds)
    for number in range(FOLDS):
        others = [other for other in folds if other is not folds[number]]
        scores = [slow_iou(others, t) for t in range(len(THRESHOLDS))]
        assert found.chosen[number] == THRESHOLDS[int(np.argmax(scores))]
        own = [slow_iou([folds[number]], t) for t in range(len(THRESHOLDS))]
        at = THRESHOLDS.tolist().index(found.chosen[number])
        assert (found.at_zero[number], found.at_chosen[number]) == (own[16], own[at])
        assert found.at_own[number] == max(own)
    assert found.iou == pytest.approx(np.mean(found.at_chosen))
    assert len(set(found.chosen)) > 1


def test_a_fold_has_no_part_in_its_own_choice() -> None:
    folds = [fold(number, np.zeros(GROUPS)) for number in range(3)]
    moved = [*folds[:-1], fold(2, np.full(GROUPS, 5.0))]
    assert cross_fit(moved).chosen[-1] == cross_fit(folds).chosen[-1]
    assert cross_fit(moved).chosen[0] != cross_fit(folds).chosen[0]


def test_of_repeated_folds_the_same_groups_have_no_part_either() -> None:
    """Two assignments of four groups; what fold 0 is scored on stands in folds 2 and 3, too."""
    shifts = np.array([4.0, 4.0, 0.0, 0.0])
    whole = fold(0, shifts)

    def of(*groups: int) -> FoldCounts:
        rows = list(groups)
        return FoldCounts(whole.groups[rows], whole.tp[rows], whole.fp[rows], whole.positive[rows])

    assert cross_fit([of(0, 1), of(2, 3), of(0, 2), of(1, 3)]).chosen[:2] == (
        cross_fit([of(0, 1), of(2, 3)]).chosen
    )


def test_equally_good_thresholds_are_taken_nearest_to_zero_and_then_the_lower_one() -> None:
    tp, none = np.full((1, 33), 50), np.zeros((1, 33), np.int64)
    folds = [FoldCounts(np.array([name]), tp, none, np.array([100])) for name in "ab"]
    assert cross_fit(folds).chosen == (0.0, 0.0)
    tp[:, 16] = 49
    assert cross_fit(folds).deployed == -0.5


def test_folds_without_anything_to_find_score_zero_at_every_threshold() -> None:
    none = np.zeros((1, 33), np.int64)
    found = cross_fit([FoldCounts(np.array([name]), none, none, np.array([0])) for name in "ab"])
    assert (found.iou, found.deployed) == (0.0, 0.0)


@pytest.mark.parametrize("count", [0, 1])
def test_one_fold_alone_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"two folds or more, not {count}"):
        cross_fit([fold(0, np.zeros(1))] * count)


def test_counts_of_photographs_are_summed_by_group() -> None:
    tp = [np.arange(33) + n for n in range(3)]
    table = pd.DataFrame({"group": ["b", "a", "b"], "tp": tp, "fp": tp[::-1], "positive": [1, 2, 4]})
    counts = fold_counts(table)
    assert counts.groups.tolist() == ["a", "b"]
    assert counts.positive.tolist() == [2, 5]
    assert counts.tp[1].tolist() == (tp[0] + tp[2]).tolist()
    assert counts.fp[0].tolist() == tp[1].tolist()
