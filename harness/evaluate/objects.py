"""Scores of objects by size, and recall against false objects (FROC), from a fold's table of objects."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.objects import LARGEST, SIZES

RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false objects a photograph at which FROC is read


def by_size(objects: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each size class: objects, found, false, recall, precision, f1.

    A true object, found or not, is of the class of its own area, a false one of that of the predicted area. recall:
    found / objects. precision: found / (found + false). f1: 2 found / (objects + found + false). A score without its
    denominator is NaN.
    """
    kinds, sizes = pd.Index(["matched", "missed", "false"]), pd.Index([*SIZES, LARGEST], name="size")
    counts = np.zeros((3, len(sizes)), np.int64)
    place = kinds.get_indexer(pd.Index(objects["kind"])), sizes.get_indexer(pd.Index(objects["size"]))
    np.add.at(counts, place, objects["count"].to_numpy(np.int64))
    found, missed, false = counts
    columns = {
        "objects": found + missed,
        "found": found,
        "false": false,
        "recall": found / _or_nan(found + missed),
        "precision": found / _or_nan(found + false),
        "f1": 2 * found / _or_nan(2 * found + missed + false),
    }
    return pd.DataFrame(columns, index=sizes)


def froc(objects: pd.DataFrame, photographs: int) -> pd.DataFrame:
    """Return recall and false objects a photograph as the least peak logit of a predicted object falls.

    Columns peak, false, recall; the first row is nothing predicted. Objects are those predicted at logit 0, in their
    pairing with true ones, ranked by their highest logit; equal peaks come together. So the curve ends at what is
    predicted at 0. No rows without a true object. Where a photograph has more than MOST_FALSE false objects, the rest
    counts at its highest peak: the curve is a lower bound there. Bunch et al. 1978; Bandos et al. 2009.
    """
    shown = objects[objects["kind"] != "missed"]
    true = int((objects["kind"] != "false").sum())
    if not true:
        return pd.DataFrame({"peak": [], "false": [], "recall": []}, dtype=float)
    peaks = shown["peak"].to_numpy(float)
    order = np.argsort(-peaks, kind="stable")
    peaks, is_false = peaks[order], (shown["kind"] == "false").to_numpy()[order]
    false = np.cumsum(np.where(is_false, shown["count"].to_numpy()[order], 0))
    last = np.append(peaks[1:] != peaks[:-1], True)[: len(peaks)]  # of those with equal peaks
    columns = {
        "peak": (np.inf, peaks),
        "false": (0, false / photographs),
        "recall": (0, np.cumsum(~is_false) / true),
    }
    return pd.DataFrame({name: np.append(start, rest[last]) for name, (start, rest) in columns.items()})


def recall_at(curve: pd.DataFrame, rates: Sequence[float] = RATES) -> list[float]:
    """Return the largest recall of an FROC curve with at most so many false objects a photograph, for each rate.

    Without interpolation: a point that some threshold reaches. With fewer false objects than the rate it is the recall
    at logit 0. Empty for a curve without rows (nothing to find).
    """
    if curve.empty:
        return []
    return [float(curve["recall"][curve["false"] <= rate].max()) for rate in rates]


def _or_nan(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(counts > 0, counts, np.nan)
