"""Scores beside the headline, from out-of-fold counts: pictures and objects. Pure arithmetic."""

from collections.abc import Sequence

import pandas as pd

from harness.model.metrics import PixelCounts, iou


def scores_beside(rows: pd.DataFrame) -> dict[str, float]:
    """Return the scores shown next to the headline, for out-of-fold rows of one fold or several.

    iou_positive_pictures: mean IoU over the photographs that hold an object.
    clean_with_false_object: share of the photographs without one in which an object is predicted.
    object_recall, object_precision, object_f1: over all objects, matched one to one at IoU >= 0.1.
    A score without its denominator (no clean photograph, say) is left out; F1 is 0 when nothing is found.
    """
    positive, clean = rows[rows["objects"] > 0], rows[rows["objects"] == 0]
    found, objects, predicted = (int(rows[name].sum()) for name in ("found", "objects", "predicted"))
    scores = {"object_f1": 2 * found / max(1, objects + predicted)}
    if len(positive):
        scores["iou_positive_pictures"] = mean_iou(positive)
        scores["object_recall"] = found / objects
    if len(clean):
        scores["clean_with_false_object"] = float((clean["false"] > 0).mean())
    if predicted:
        scores["object_precision"] = found / predicted
    return scores


def mean_iou(rows: pd.DataFrame) -> float:
    """Return the mean over photographs of their own IoU."""
    return sum(iou(counts) for counts in _counts(rows)) / len(rows)


def _counts(rows: pd.DataFrame) -> Sequence[PixelCounts]:
    columns = rows[["tp", "fp", "fn", "valid"]].to_numpy().tolist()
    return [PixelCounts(*map(int, values)) for values in columns]
