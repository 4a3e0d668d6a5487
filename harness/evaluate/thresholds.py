"""Thresholds on the logit: for each fold from the other folds alone, for deployment from all of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.histogram import THRESHOLDS

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class FoldCounts:
    """Pixels of a fold's groups, one row each: tp and fp above each of THRESHOLDS (groups, thresholds)."""

    groups: NDArray[np.str_]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    positive: NDArray[np.int64]

    def iou(self, without: "FoldCounts | None" = None) -> Scores:
        """Return the IoU at each threshold, of the groups that another fold does not have; 0 where nothing counts."""
        kept = np.isin(self.groups, without.groups, invert=True) if without else np.s_[:]
        tp, union = self.tp[kept].sum(axis=0), self.positive[kept].sum() + self.fp[kept].sum(axis=0)
        return np.asarray(tp / np.maximum(union, 1))


@dataclass(frozen=True)
class CrossFitted:
    """IoU of each fold at logit 0, at the threshold that the other folds chose, and at that best for itself.

    The last one is chosen with the fold's own masks: it is shown for what it is worth, and is no score.
    """

    chosen: tuple[float, ...]  # logits, by fold
    deployed: float  # logit that is best on all folds
    at_zero: tuple[float, ...]
    at_chosen: tuple[float, ...]
    at_own: tuple[float, ...]

    @property
    def iou(self) -> float:
        """The cross-fitted headline: mean over the folds, each at the threshold that the others chose."""
        return statistics.fmean(self.at_chosen)

    @property
    def gain(self) -> float:
        """What choosing a threshold adds to the headline on data it was not chosen on; negative where it harms."""
        return self.iou - statistics.fmean(self.at_zero)

    @property
    def own_gain(self) -> float:
        """What it seems to add where each fold chooses for itself: optimistic, never negative."""
        return statistics.fmean(self.at_own) - statistics.fmean(self.at_zero)

    @property
    def spread(self) -> float:
        """Largest less smallest of the chosen logits: what the threshold depends on the folds; 0 is stable."""
        return max(self.chosen) - min(self.chosen)


def fold_counts(pixels: pd.DataFrame) -> FoldCounts:
    """Return the counts by group of a fold's table `pixels`."""
    names, owner = np.unique(pixels["group"].to_numpy(str), return_inverse=True)

    def summed(column: NDArray[np.int64]) -> NDArray[np.int64]:
        total = np.zeros((len(names), *column.shape[1:]), np.int64)
        np.add.at(total, owner, column)
        return total

    tp, fp = (summed(np.stack(pixels[name].tolist())) for name in ("tp", "fp"))
    return FoldCounts(names, tp, fp, summed(pixels["positive"].to_numpy(np.int64)))


def cross_fit(folds: Sequence[FoldCounts]) -> CrossFitted:
    """Return the thresholds that maximize the headline, for each fold without any picture of its groups.

    The headline on the other folds is the mean of their IoUs; of repeated folds, groups that they share with the fold
    in question are left out. Of equally good thresholds the one nearest to 0 is taken, then the lower one. Raises
    ValueError for fewer than two folds.
    """
    if len(folds) < 2:
        raise ValueError(f"thresholds are cross-fitted over two folds or more, not {len(folds)}")
    own = [fold.iou() for fold in folds]
    # a fold without its own groups scores 0 at every threshold, so that all may be summed
    chosen = [_best(np.sum([other.iou(without=fold) for other in folds], axis=0)) for fold in folds]
    zero = int(np.flatnonzero(THRESHOLDS == 0)[0])
    return CrossFitted(
        chosen=tuple(float(THRESHOLDS[best]) for best in chosen),
        deployed=float(THRESHOLDS[_best(np.mean(own, axis=0))]),
        at_zero=tuple(float(scores[zero]) for scores in own),
        at_chosen=tuple(float(scores[best]) for scores, best in zip(own, chosen, strict=True)),
        at_own=tuple(float(scores.max()) for scores in own),
    )


def _best(scores: Scores) -> int:
    order = np.lexsort((THRESHOLDS, np.abs(THRESHOLDS)))
    return int(order[np.argmax(scores[order])])
