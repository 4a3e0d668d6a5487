"""Every score beside the headline, of a fold and of all folds of a trial. Pure arithmetic on what is kept of them."""

import statistics
from collections.abc import Mapping, Sequence

import pandas as pd

from harness.evaluate.calibration import calibration_error
from harness.evaluate.groups import counts_of_rows, pooled
from harness.evaluate.intervals import headline_interval, pooled_interval
from harness.evaluate.objects import RATES, by_size, froc, recall_at
from harness.evaluate.pixels import aupro, boundary_dice, fold_histogram, pr_auc
from harness.evaluate.thresholds import cross_fit, fold_counts
from harness.model.metrics import PixelCounts, iou
from harness.model.outoffold import OutOfFold


def fold_scores(rows: pd.DataFrame, kept: OutOfFold | None) -> dict[str, float]:
    """Return every score beside the headline of one fold; without what is kept, those from counts at logit 0."""
    return scores_beside(rows) | (kept_scores(kept) if kept else {})


def scores_beside(rows: pd.DataFrame) -> dict[str, float]:
    """Return the scores that follow from the counts at logit 0, for out-of-fold rows of one fold or several.

    iou_positive_pictures, dice_positive_pictures: mean over the photographs that hold an object of their own IoU and
    Dice, 2 TP / (2 TP + FP + FN).
    clean_with_false_object: share of the photographs without one in which an object is predicted.
    object_recall, object_precision, object_f1: over all objects, matched one to one at IoU >= 0.1.
    A score without its denominator (no clean photograph, say) is left out; F1 is 0 when nothing is found.
    """
    positive, clean = rows[rows["objects"] > 0], rows[rows["objects"] == 0]
    found, objects, predicted = (int(rows[name].sum()) for name in ("found", "objects", "predicted"))
    scores = {"object_f1": 2 * found / max(1, objects + predicted)}
    if len(positive):
        scores["iou_positive_pictures"] = mean_iou(positive)
        scores["dice_positive_pictures"] = mean_dice(positive)
        scores["object_recall"] = found / objects
    if len(clean):
        scores["clean_with_false_object"] = float((clean["false"] > 0).mean())
    if predicted:
        scores["object_precision"] = found / predicted
    return scores


def kept_scores(kept: OutOfFold) -> dict[str, float]:
    """Return the scores of a fold that need more than counts at logit 0; one without its denominator is left out.

    pr_auc, aupro, boundary_dice, calibration_error; recall_at_R: recall at R false objects a photograph at most, R in
    RATES; froc: their mean (CAMELYON16); object_recall_SIZE: recall by size class.
    """
    histogram = fold_histogram(kept.histograms)
    scores: dict[str, float | None] = {
        "pr_auc": pr_auc(histogram),
        "aupro": aupro(histogram, kept.objects),
        "boundary_dice": boundary_dice(kept.pixels),
        "calibration_error": calibration_error(histogram),
    }
    if recalls := recall_at(froc(kept.objects, len(kept.rows))):
        scores |= {f"recall_at_{rate:g}": recall for rate, recall in zip(RATES, recalls, strict=True)}
        scores["froc"] = statistics.fmean(recalls)
    sizes = by_size(kept.objects)["recall"].dropna()
    scores |= {f"object_recall_{size}": float(recall) for size, recall in sizes.items()}
    return {name: score for name, score in scores.items() if score is not None}


def threshold_scores(folds: Sequence[OutOfFold]) -> dict[str, float]:
    """Return what choosing the threshold changes, of the folds of one trial; see `cross_fit`.

    threshold: the logit for deployment, best on all folds. iou_cross_fitted: the headline with each fold at the
    threshold that the others chose; cross_fitted_gain: what that adds to the headline. own_threshold_gain: what it
    would seem to add were each fold's threshold its own best one. threshold_spread: logits between the folds' choices.
    """
    found = cross_fit([fold_counts(fold.pixels) for fold in folds])
    return {
        "threshold": found.deployed,
        "iou_cross_fitted": found.iou,
        "cross_fitted_gain": found.gain,
        "own_threshold_gain": found.own_gain,
        "threshold_spread": found.spread,
    }


def interval_scores(rows: pd.DataFrame) -> dict[str, float]:
    """Return the 95 % intervals over groups of a trial's headline and of its pooled IoU, from rows of all its folds.

    iou_low, iou_high: of the headline; iou_pooled (all counts summed), iou_pooled_low, iou_pooled_high.
    """
    counts = counts_of_rows(rows)
    headline, whole = headline_interval(counts), pooled_interval(counts)
    return {
        "iou_low": headline.low,
        "iou_high": headline.high,
        "iou_pooled": float(pooled(counts)),
        "iou_pooled_low": whole.low,
        "iou_pooled_high": whole.high,
    }


def mean_of_folds(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over folds of each score that all of them have."""
    names = sorted(set.intersection(*(set(of_fold) for of_fold in scores)))
    return {name: statistics.fmean(of_fold[name] for of_fold in scores) for name in names}


def mean_iou(rows: pd.DataFrame) -> float:
    """Return the mean over photographs of their own IoU."""
    return sum(iou(counts) for counts in _counts(rows)) / len(rows)


def mean_dice(rows: pd.DataFrame) -> float:
    """Return the mean over photographs of their own Dice, which is 2 IoU / (1 + IoU)."""
    return sum(2 * iou(counts) / (1 + iou(counts)) for counts in _counts(rows)) / len(rows)


def _counts(rows: pd.DataFrame) -> Sequence[PixelCounts]:
    columns = rows[["tp", "fp", "fn", "valid"]].to_numpy().tolist()
    return [PixelCounts(*map(int, values)) for values in columns]
