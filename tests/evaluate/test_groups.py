"""Counts of groups: sums, scores and refusals, by hand."""

import numpy as np
import pandas as pd
import pytest

from harness.errors import DataError
from harness.evaluate.groups import (
    GroupCounts,
    counts_of_rows,
    fold_scores,
    group_counts,
    headline,
    pooled,
    refuse_other_groups,
)
from harness.model.metrics import PixelCounts, iou

ROWS = pd.DataFrame(
    {
        "fold": [0, 0, 0, 1, 1],
        "group": ["b", "b", "a", "c", "d"],
        "tp": [1, 2, 3, 0, 4],
        "fp": [1, 0, 0, 0, 0],
        "fn": [0, 0, 3, 0, 4],
    }
)


def test_pictures_are_summed_to_groups_and_groups_to_folds() -> None:
    counts = counts_of_rows(ROWS)
    assert counts.tp.tolist() == [3, 3, 0, 4]
    assert counts.union.tolist() == [6, 4, 0, 8]
    assert fold_scores(counts).tolist() == [0.6, 0.5]
    assert float(headline(counts)) == pytest.approx(0.55)
    assert float(pooled(counts)) == pytest.approx(10 / 18)


def test_the_score_of_a_fold_is_the_iou_of_its_summed_counts_also_where_there_is_nothing() -> None:
    for tp, fp, fn in ([3, 1, 2], [0, 0, 0], [0, 5, 0]):
        summed = PixelCounts(2 * tp, 2 * fp, 2 * fn, 100)
        counts = group_counts([tp, tp], [fp, fp], [fn, fn], [0, 0])
        assert float(headline(counts)) == float(pooled(counts)) == iou(summed)


def test_trials_are_scored_together_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    tp, fp, fn = rng.integers(0, 9, (3, 4, 10))
    together = group_counts(tp, fp, fn, np.arange(10) % 3)
    for number in range(4):
        alone = group_counts(tp[number], fp[number], fn[number], np.arange(10) % 3)
        assert fold_scores(together)[number].tolist() == fold_scores(alone).tolist()
        assert fold_scores(together.trial(number)).tolist() == fold_scores(alone).tolist()


def test_repeats_are_summed_to_groups_in_one_fold() -> None:
    counts = group_counts([1, 2, 3, 4], [0] * 4, [1] * 4, [0, 1, 2, 3], ["a", "b", "b", "a"])
    assert counts.one_fold.tp.tolist() == [5, 5]
    assert counts.one_fold.union.tolist() == [7, 7]
    assert counts.one_fold.folds == 1


@pytest.mark.parametrize(
    ("tp", "fold", "group"),
    [
        ([1, 2], [0, 0], ["a", "a"]),  # two rows of a group in a fold
        ([1, 2], [0], ["a"]),
        ([], [], []),
        ([-1, 2], [0, 0], ["a", "b"]),
        ([np.nan, 2], [0, 0], ["a", "b"]),
    ],
)
def test_counts_that_are_none_are_refused(tp: list[float], fold: list[int], group: list[str]) -> None:
    with pytest.raises(DataError, match="group counts"):
        group_counts(tp, [0] * len(tp), [0] * len(tp), fold, group)


def test_trials_of_other_groups_or_folds_are_not_paired() -> None:
    def counts(fold: list[int], group: list[str]) -> GroupCounts:
        return group_counts([1] * len(fold), [0] * len(fold), [0] * len(fold), fold, group)

    same = counts([0, 0, 1], ["a", "b", "c"])
    refuse_other_groups(same, counts([0, 0, 1], ["a", "b", "c"]))
    others = [
        counts([0, 1, 1], ["a", "b", "c"]),
        counts([0, 0, 1], ["b", "a", "c"]),
        counts([0, 0, 1], ["a", "b", "d"]),
        counts([0, 0, 1, 1], ["a", "b", "c", "d"]),
        counts([0, 0, 1], ["a", "b", "a"]),
    ]
    for other in others:
        with pytest.raises(DataError, match="paired"):
            refuse_other_groups(same, other)
    with pytest.raises(DataError, match="paired"):
        refuse_other_groups(counts([0, 0, 1], ["a", "b", "a"]), counts([0, 0, 1], ["a", "b", "b"]))
