"""The headline under one split less that under another, of the same groups: every group is left out of both at once.

`comparisons.difference` pairs trials of one split. Here a group may lie in several folds of one split and in another
fold of the other, so that the headlines change by what all its rows tell together.
"""

import numpy as np

from harness.errors import DataError
from harness.evaluate.comparisons import Difference, difference
from harness.evaluate.groups import Floats, GroupCounts, fold_scores, headline
from harness.evaluate.intervals import Spread, difference_intervals, left_out

FEWEST = 6  # groups that tell; below, no interval is given (as for a look at held-out groups)
ROUGH = (
    20  # below, an interval is rough: its coverage was measured from so many groups on (docs/statistics.md)
)


def inflation(a: GroupCounts, b: GroupCounts, *, level: float = 0.95) -> Difference:
    """Return headline a - headline b with its interval over groups: jackknife, t with groups - 1 degrees of freedom.

    d_g is by how much the difference falls without group g; variance (n - 1)/n sum (d_g - mean d)^2 over the n groups
    with something to find or predicted. Raises DataError where the groups are not the same.
    """
    if set(a.names) != set(b.names):
        raise DataError(
            f"group counts: one split has {a.groups} groups, the other {b.groups}, or they are named otherwise; "
            "only splits of the same groups can be paired"
        )
    place = [b.names.index(name) for name in a.names]
    moved = a.by_group(_falls(a)) - b.by_group(_falls(b))[place]
    told = (a.by_group(a.union) > 0) | (b.by_group(b.union)[place] > 0)
    value, parts, groups = float(headline(a) - headline(b)), moved[told], int(told.sum())
    variance = (groups - 1) / max(1, groups) * float(((parts - parts.mean()) ** 2).sum()) if groups else 0.0
    error, freedom = float(np.sqrt(variance)), max(1, groups - 1)
    spread = Spread(np.array([error]), np.array([float(freedom)]), np.array([groups]))
    (interval,) = difference_intervals(np.array([value]), spread, level)
    return Difference(value, interval, error * float(np.sqrt(groups)), freedom)


def _falls(counts: GroupCounts) -> Floats:
    """Return (rows,): by how much the headline falls without a row; where that is all of its fold, without the fold."""
    scores, told = fold_scores(counts), counts.union > 0
    alone = told & ((told @ counts.in_fold)[counts.fold] == 1)
    without = (scores - scores.mean())[counts.fold] / max(1, counts.folds - 1)
    return np.asarray(np.where(alone, without, left_out(counts) / counts.folds))


def pooled_inflation(a: GroupCounts, b: GroupCounts, *, level: float = 0.95) -> Difference:
    """Return the same of the pooled IoU, where folds tell nothing."""
    return difference(by_name(a), by_name(b), level=level)


def by_name(counts: GroupCounts) -> GroupCounts:
    """Return the groups as one fold, in the order of their names."""
    whole, order = counts.one_fold, np.argsort(counts.names)
    names = tuple(counts.names[number] for number in order)
    return GroupCounts(whole.tp[order], whole.union[order], whole.fold, whole.group, names)
