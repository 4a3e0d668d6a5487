"""Out-of-fold counts summed over the pictures of a group: what every interval and test rests on. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from harness.errors import DataError

SUMMED = ("tp", "fp", "fn", "valid", "objects", "found", "predicted", "false")  # of a picture at logit 0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class GroupCounts:
    """Pixels of groups, a row for each group in each fold that scored it (once a repeat).

    tp, union (..., rows): TP and TP + FP + FN; leading axes are trials. fold, group (rows,): from 0, without gaps;
    names: of the groups, by number.
    """

    tp: Floats
    union: Floats
    fold: Ints
    group: Ints
    names: tuple[str, ...]

    @property
    def folds(self) -> int:
        return int(self.fold.max()) + 1

    @property
    def groups(self) -> int:
        return len(self.names)

    @cached_property
    def in_fold(self) -> Floats:
        """Return 1 where a row (rows) is of a fold (folds)."""
        return np.asarray(self.fold[:, None] == np.arange(self.folds), np.float64)

    def by_group(self, values: Floats | Bools) -> Floats:
        """Return values (..., rows) summed over the rows of each group, (..., groups)."""
        rows = np.arange(len(self.group))
        ones = csr_array((np.ones(len(rows)), (rows, self.group)), shape=(len(rows), self.groups))
        flat = np.asarray(values, np.float64).reshape(-1, len(rows))
        return np.asarray((ones.T @ flat.T).T.reshape(*values.shape[:-1], self.groups))

    @cached_property
    def first_fold(self) -> Ints:
        """Return (groups,): the first fold that a group is in; there are several in repeats."""
        first = np.full(self.groups, self.folds)
        np.minimum.at(first, self.group, self.fold)
        return first

    @property
    def one_fold(self) -> "GroupCounts":
        """Return the same groups as one fold; counts of repeats are summed."""
        numbers = np.arange(self.groups)
        tp, union = self.by_group(self.tp), self.by_group(self.union)
        return replace(self, tp=tp, union=union, fold=np.zeros_like(numbers), group=numbers)

    def trial(self, number: int) -> "GroupCounts":
        """Return the counts of one of several trials."""
        return replace(self, tp=self.tp[number], union=self.union[number])


def group_counts(
    tp: ArrayLike,
    fp: ArrayLike,
    fn: ArrayLike,
    fold: ArrayLike,
    group: Sequence[str] | ArrayLike | None = None,
) -> GroupCounts:
    """Return counts (..., rows), checked; without `group` every row is a group of its own.

    Raises DataError where there is no row, lengths differ, a count is negative or not finite, or a group stands twice
    in a fold.
    """
    counts = [np.asarray(values, np.float64) for values in (tp, fp, fn)]
    folds = np.unique(np.asarray(fold), return_inverse=True)[1].astype(np.int64)
    numbers, names = pd.factorize(np.arange(len(folds)) if group is None else np.asarray(group))
    _refuse_unequal(counts, folds, numbers)
    if len(set(zip(folds.tolist(), numbers.tolist(), strict=True))) < len(folds):
        raise DataError("group counts: a group has two rows in one fold; sum its pictures first")
    return GroupCounts(
        counts[0], sum(counts[1:], counts[0]), folds, numbers.astype(np.int64), tuple(map(str, names))
    )


def sum_by_group(rows: pd.DataFrame) -> pd.DataFrame:
    """Return out-of-fold rows, one a picture, summed: a row for each group in each fold, with `pictures`, their number.

    Sorted by fold and group, so that all trials of a split have the same rows.
    """
    summed = rows.groupby(["fold", "group"], sort=True)[list(SUMMED)].sum().reset_index()
    return summed.assign(pictures=rows.groupby(["fold", "group"], sort=True).size().to_numpy())


def counts_of_rows(rows: pd.DataFrame) -> GroupCounts:
    """Return the counts of out-of-fold rows, one a picture, with columns tp, fp, fn, fold, group."""
    summed = rows.groupby(["fold", "group"], sort=True)[["tp", "fp", "fn"]].sum().reset_index()
    return group_counts(*(summed[name].to_numpy() for name in ("tp", "fp", "fn", "fold", "group")))


def counts_of_trials(table: pd.DataFrame) -> tuple[list[int], GroupCounts]:
    """Return the numbers of the trials in a table of `sum_by_group` with a column trial, and their counts together.

    Raises DataError where they were not counted on the same groups in the same folds.
    """
    numbers = sorted(set(table["trial"].tolist()))
    table = table.sort_values(["trial", "fold", "group"], kind="stable")
    each = len(table) // max(1, len(numbers))
    places = (
        [table[name].to_numpy().reshape(-1, each) for name in ("fold", "group")] if _even(table, each) else []
    )
    if not places or any((place != place[0]).any() for place in places):
        raise DataError("group counts: the trials were not counted on the same groups in the same folds")
    tp, fp, fn = (table[name].to_numpy().reshape(-1, each) for name in ("tp", "fp", "fn"))
    return numbers, group_counts(tp, fp, fn, *(place[0] for place in places))


def _even(table: pd.DataFrame, each: int) -> bool:
    return each > 0 and bool((table.groupby("trial").size() == each).all())


def refuse_other_groups(a: GroupCounts, b: GroupCounts) -> None:
    """Raise DataError unless both were counted on the same groups in the same folds, in the same order."""
    if any(list(getattr(a, name)) != list(getattr(b, name)) for name in ("names", "fold", "group")):
        raise DataError(
            f"group counts: one trial has {a.groups} groups in {a.folds} folds, the other {b.groups} in {b.folds}, "
            "or they are named, dealt or ordered otherwise; only trials of one split can be paired"
        )


def fold_scores(counts: GroupCounts) -> Floats:
    """Return (..., folds): the IoU of the summed counts of each fold, as `metrics.iou` has it."""
    return ratio(counts.tp @ counts.in_fold, counts.union @ counts.in_fold)


def headline(counts: GroupCounts) -> Floats:
    """Return (...): the mean over folds of their IoU."""
    return np.asarray(fold_scores(counts).mean(-1))


def pooled(counts: GroupCounts) -> Floats:
    """Return (...): the IoU of all counts summed; another number than the headline."""
    return ratio(counts.tp.sum(-1), counts.union.sum(-1))


def ratio(tp: Floats, union: Floats) -> Floats:
    """Return tp / union; 0 where there is nothing to find and nothing predicted."""
    return np.asarray(np.where(union > 0, tp / np.where(union > 0, union, 1), 0))


def _refuse_unequal(counts: Sequence[Floats], fold: Ints, group: Ints) -> None:
    lengths = {values.shape[-1] if values.ndim else 0 for values in counts} | {len(fold), len(group)}
    if len(lengths) > 1 or len({values.shape for values in counts}) > 1 or not len(fold):
        raise DataError(f"group counts: lengths {sorted(lengths)}; give every group tp, fp, fn and a fold")
    if any(not np.isfinite(values).all() or (values < 0).any() for values in counts):
        raise DataError("group counts: a count is negative or not finite; give pixels")
