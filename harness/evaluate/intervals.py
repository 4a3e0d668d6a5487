"""Intervals of the headline and of pooled IoU, from groups left out in turn within their folds. Pure arithmetic.

docs/statistics.md has the formulas, their sources, and the coverage that was measured.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit  # of scipy.stats, without the time its import takes

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
    """Standard errors (...) of scores over groups, the degrees of freedom they were estimated with, and the groups."""

    error: Floats
    freedom: Floats
    groups: Ints

    def half(self, level: float) -> Floats:
        """Return half the width of the t interval."""
        return np.asarray(stdtrit(self.freedom, (1 + level) / 2) * self.error)


def headline_interval(counts: GroupCounts, *, level: float = 0.95) -> Interval:
    """Return the interval of the mean over folds of one trial's IoU.

    It covers what the choice of groups does, not what another training would: that is the same models, other groups.
    """
    return headline_intervals(counts, level=level)[0]


def headline_intervals(counts: GroupCounts, *, level: float = 0.95) -> list[Interval]:
    """Return the same for each trial of counts (trials, rows)."""
    return _of_shares(headline(counts), spread(counts), level)


def pooled_interval(counts: GroupCounts, *, level: float = 0.95) -> Interval:
    """Return the interval of one trial's pooled IoU."""
    return _of_shares(pooled(counts), spread(counts.one_fold), level)[0]


def difference_intervals(values: Floats, spread: Spread, level: float) -> list[Interval]:
    """Return the t intervals of differences of two IoUs."""
    half = spread.half(level)
    low, high = (values - half).clip(-1), (values + half).clip(max=1)
    return _intervals(low, high, _bounds(values, -1, spread.groups, level), spread, level)


def spread(counts: GroupCounts, minus: GroupCounts | None = None) -> Spread:
    """Return the standard error of the headline, or of its difference to that of another trial on the same groups.

    Each group is left out of its fold in turn. A fold with one group is measured by how far it lies from the mean of
    all folds. Groups with nothing to find and nothing predicted tell nothing and are not counted.
    """
    told, moved, scores = counts.union > 0, left_out(counts), fold_scores(counts)
    if minus is not None:
        told, moved = told | (minus.union > 0), moved - left_out(minus)
        scores = scores - fold_scores(minus)
    parts = counts.by_group(_parts(moved, scores, told, counts))
    return _spread(parts, told @ counts.in_fold, counts.by_group(told) > 0, counts)


def left_out(counts: GroupCounts) -> Floats:
    """Return (..., rows): by how much a fold's IoU falls when the row is left out of it."""
    tp, union = counts.tp @ counts.in_fold, counts.union @ counts.in_fold
    without = ratio(tp[..., counts.fold] - counts.tp, union[..., counts.fold] - counts.union)
    return np.asarray(ratio(tp, union)[..., counts.fold] - without)


def _of_shares(values: Floats, spread: Spread, level: float) -> list[Interval]:
    """Return t intervals on the logit scale, so that they stay inside (0, 1)."""
    inside = values.clip(1e-9, 1 - 1e-9)
    half = spread.half(level) / (inside * (1 - inside))
    low, high = expit(logit(inside) - half), expit(logit(inside) + half)
    return _intervals(low, high, _bounds(values, 0, spread.groups, level), spread, level)


def _bounds(values: Floats, lowest: float, groups: Ints, level: float) -> tuple[Floats, Floats]:
    """Return what is left to say where all groups agree: at most a share q of all groups behaves otherwise.

    Of n groups none does, so q = 1 - ((1 - level) / 2)^(1 / n) (Clopper-Pearson); those may score anything.
    """
    q = np.where(groups > 0, 1 - ((1 - level) / 2) ** (1 / np.maximum(1, groups)), 1.0)
    return (1 - q) * values + q * lowest, (1 - q) * values + q


def _intervals(
    low: Floats, high: Floats, bounds: tuple[Floats, Floats], spread: Spread, level: float
) -> list[Interval]:
    """Return the intervals, or the bounds where there is no spread."""
    columns = (low, high, *bounds, spread.error > 0, spread.groups)
    return [
        Interval(float(a), float(b), level, JACKKNIFE, int(groups))
        if spreads
        else Interval(float(least), float(most), level, NO_SPREAD, int(groups))
        for a, b, least, most, spreads, groups in zip(*map(np.atleast_1d, columns), strict=True)
    ]


def _parts(moved: Floats, scores: Floats, told: Bools, counts: GroupCounts) -> Floats:
    """Return (..., rows): parts in the error of the mean over folds; their squares sum to its variance."""
    told_in = told @ counts.in_fold
    mean = (np.where(told, moved, 0) @ counts.in_fold) / np.maximum(1, told_in)
    weight = np.sqrt((told_in - 1).clip(0) / np.maximum(1, told_in))
    of_many = weight[..., counts.fold] * (moved - mean[..., counts.fold])
    alone = (scores - scores.mean(-1, keepdims=True)) * np.sqrt(counts.folds / max(1, counts.folds - 1))
    parts = np.where(told_in[..., counts.fold] > 1, of_many, alone[..., counts.fold])
    return np.asarray(np.where(told, parts, 0) / counts.folds)


def _spread(parts: Floats, told_in: Floats, told: Bools, counts: GroupCounts) -> Spread:
    """Return the errors of parts (..., groups), with Satterthwaite's degrees of freedom over folds.

    A group of several repeats is of its first fold; groups that are alone in their folds are one fold together.
    """
    first = counts.first_fold
    alone = told & (told_in[..., first] <= 1)
    in_fold = np.asarray(first[:, None] == np.arange(counts.folds), np.float64)
    squares = np.where(alone, 0, parts**2) @ in_fold
    free = ((told & ~alone) @ in_fold - 1).clip(1)
    singles = np.where(alone, parts**2, 0).sum(-1)
    total = squares.sum(-1) + singles
    lost = (squares**2 / free).sum(-1) + singles**2 / (alone.sum(-1) - 1).clip(1)
    none = total < ROUNDING**2
    freedom = np.where(none, 1.0, total**2 / np.where(none, 1, lost))
    return Spread(np.where(none, 0.0, np.sqrt(total)), freedom, told.sum(-1))
