"""The test of two searches on the folds of nested cross-validation: does one find better models than the other?

docs/statistics.md has the test, why this one, and how often it says "better" of two equal searches.
"""

from dataclasses import replace

from harness.evaluate.comparisons import corrected_test, difference
from harness.evaluate.groups import GroupCounts, fold_scores, refuse_other_groups
from harness.evaluate.heldout import HeldOutTest, level_of_look, swap_test
from harness.evaluate.intervals import Interval

BY_FOLDS = "differences of folds, corrected t (Nadeau & Bengio 2003)"


def nested_test(
    candidate: GroupCounts, rival: GroupCounts, *, look: int, seed: int = 0, level: float = 0.95
) -> HeldOutTest:
    """Return whether what one search finds has a higher IoU than what another finds, in folds that neither saw.

    Groups and folds must both say so. Swaps within groups (`heldout.swap_test`, pooled IoU) know nothing of the luck
    that all groups of a fold share, as they are predicted by the same networks; the corrected t test over fold scores
    (Nadeau & Bengio 2003) knows nothing of how few groups there are. p is the larger of the two, and the interval, of
    the gain in mean IoU over folds, the wider of theirs. Raises PromotionRefused where the looks are spent, DataError
    where the two were not counted on the same groups in the same folds.
    """
    wanted = level_of_look(look)
    refuse_other_groups(candidate, rival)
    of_groups = difference(candidate, rival, level=level)
    of_folds = corrected_test(fold_scores(candidate), fold_scores(rival))
    p_value = max(swap_test(candidate.one_fold, rival.one_fold, seed=seed), of_folds.one_sided)
    interval = _wider(of_groups.interval, of_folds.value, of_folds.half(level))
    differ = (candidate.tp != rival.tp) | (candidate.union != rival.union)
    return HeldOutTest(
        p_value <= wanted and interval.low >= 0,
        of_groups.value,
        interval,
        p_value,
        wanted,
        look,
        int(differ.sum()),
        "by nested cross-validation, at the thresholds that the searches chose",
    )


def _wider(of_groups: Interval, value: float, half: float) -> Interval:
    """Return an interval that holds both, and is named after the wider one."""
    low, high = max(-1.0, min(of_groups.low, value - half)), min(1.0, max(of_groups.high, value + half))
    method = of_groups.method if of_groups.width >= 2 * half else BY_FOLDS
    return replace(of_groups, low=low, high=high, method=method)
