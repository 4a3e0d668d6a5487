"""Intervals of the headline and of pooled IoU, from groups left out in turn within their folds. Pure arithmetic.

docs/statistics.md has the formulas, their sources, and the coverage that was measured.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from harness.evaluate.groups import Bools, Floats, GroupCounts, Ints, fold_scores, headline, pooled, ratio

JACKKNIFE = "groups left out in turn within folds (jackknife), t"
NO_SPREAD = "no group differs: a bound on the share of groups that would"
ROUNDING = 1e-12  # a smaller error is none


@dataclass(frozen=True)
class Interval:
    """Where a score lies with probability `level`; `groups` are those with something to find or predicted."""

    low: float
    high: float
    level: float
    method: str
    groups: int

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True)
class Spread:
    """Standard error of a score over groups, and the degrees of freedom it was estimated with."""

    error: float
    freedom: float
    groups: int

    def half(self, level: float) -> float:
        """Return half the width of the t interval."""
        return float(student.ppf((1 + level) / 2, self.freedom)) * self.error


def headline_interval(counts: GroupCounts, *, level: float = 0.95) -> Interval:
    """Return the interval of the mean over folds of one trial's IoU.

    It covers what the choice of groups does, not what another training would: that is the same models, other groups.
    """
    return _share_interval(float(headline(counts)), spread(counts), level)


def pooled_interval(counts: GroupCounts, *, level: float = 0.95) -> Interval:
    """Return the interval of one trial's pooled IoU."""
    return _share_interval(float(pooled(counts)), spread(counts.one_fold), level)


def spread(counts: GroupCounts, minus: GroupCounts | None = None) -> Spread:
    """Return the standard error of a trial's headline, or of its difference to that of another on the same groups.

    Each group is left out of its fold in turn. A fold with one group is measured by how far it lies from the mean of
    all folds. Groups with nothing to find and nothing predicted tell nothing and are not counted.
    """
    told, moved, scores = counts.union > 0, left_out(counts), fold_scores(counts)
    if minus is not None:
        told, moved = told | (minus.union > 0), moved - left_out(minus)
        scores = scores - fold_scores(minus)
    shares = _shares(moved, scores, told, counts)
    by_group = np.asarray(np.bincount(counts.group, shares, counts.groups), np.float64)
    return _spread(by_group, _strata(told, counts), told, counts)


def left_out(counts: GroupCounts) -> Floats:
    """Return (..., rows): by how much a fold's IoU falls when the row is left out of it."""
    tp, union = counts.tp @ counts.in_fold, counts.union @ counts.in_fold
    without = ratio(tp[..., counts.fold] - counts.tp, union[..., counts.fold] - counts.union)
    return np.asarray(ratio(tp, union)[..., counts.fold] - without)


def difference_interval(value: float, spread: Spread, level: float) -> Interval:
    """Return the t interval of a difference of two IoUs."""
    if spread.error == 0:
        return _bound(value, -1, spread.groups, level)
    half = spread.half(level)
    return Interval(max(-1.0, value - half), min(1.0, value + half), level, JACKKNIFE, spread.groups)


def _share_interval(value: float, spread: Spread, level: float) -> Interval:
    """Return the t interval on the logit scale, so that it stays inside (0, 1)."""
    if spread.error == 0 or not 0 < value < 1:
        return _bound(value, 0, spread.groups, level)
    half = spread.half(level) / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-half, half]))
    return Interval(float(low), float(high), level, JACKKNIFE, spread.groups)


def _bound(value: float, lowest: float, groups: int, level: float) -> Interval:
    """Return what is left to say where all groups agree: at most a share q of all groups behaves otherwise.

    Of n groups none does, so q = 1 - ((1 - level) / 2)^(1 / n) (Clopper-Pearson); those may score anything.
    """
    q = 1 - ((1 - level) / 2) ** (1 / groups) if groups else 1.0
    rest = (1 - q) * value
    return Interval(rest + q * lowest, rest + q, level, NO_SPREAD, groups)


def _shares(moved: Floats, scores: Floats, told: Bools, counts: GroupCounts) -> Floats:
    """Return each row's part in the error of the mean over folds; their squares sum to its variance."""
    told_in = told @ counts.in_fold
    mean = (np.where(told, moved, 0) @ counts.in_fold) / np.maximum(1, told_in)
    weight = np.sqrt((told_in - 1).clip(0) / np.maximum(1, told_in))
    of_many = weight[counts.fold] * (moved - mean[counts.fold])
    alone = (scores - scores.mean()) * np.sqrt(counts.folds / max(1, counts.folds - 1))
    shares = np.where(told_in[counts.fold] > 1, of_many, alone[counts.fold])
    return np.asarray(np.where(told, shares, 0) / counts.folds)


def _strata(told: Bools, counts: GroupCounts) -> Ints:
    """Return (groups,): the first fold of a group, or -1 where it is alone there."""
    first = np.full(counts.groups, counts.folds)
    np.minimum.at(first, counts.group, counts.fold)
    return np.asarray(np.where((told @ counts.in_fold)[first] > 1, first, -1), np.int64)


def _spread(by_group: Floats, strata: Ints, told: Bools, counts: GroupCounts) -> Spread:
    """Return the error, with Satterthwaite's degrees of freedom over folds."""
    kept = np.bincount(counts.group, told, counts.groups) > 0
    names, stratum = np.unique(strata[kept], return_inverse=True)
    squares = np.bincount(stratum, by_group[kept] ** 2, len(names))
    free = np.maximum(1, np.bincount(stratum, minlength=len(names)) - 1)
    total, groups = float(squares.sum()), int(kept.sum())
    if total < ROUNDING**2:
        return Spread(0.0, 1.0, groups)
    return Spread(float(np.sqrt(total)), total**2 / float((squares**2 / free).sum()), groups)
