"""Scores of objects by size, and recall against false objects (FROC), from a fold's table of objects."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.model.objects import LARGEST, SIZES

RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false objects a photograph at which FROC is read


def by_size(objects: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each size class: objects, found, false, recall, precision, f1.

    A true object, found or not, is of the class of its own area, a false one of that of the predicted area. recall:
    found / objects. precision: found / (found + false). f1: 2 found / (objects + found + false). A score without its
    denominator is NaN.
    """
    sizes = pd.Index([*SIZES, LARGEST], name="size")
    counts = {
        kind: objects[objects["kind"] == kind].groupby("size")["count"].sum().reindex(sizes, fill_value=0)
        for kind in ("matched", "missed", "false")
    }
    found, false = counts["matched"].astype(float), counts["false"]
    table = pd.DataFrame({"objects": found + counts["missed"], "found": found, "false": false})
    return table.assign(
        recall=found / table["objects"].replace(0, np.nan),
        precision=found / (found + false).replace(0, np.nan),
        f1=2 * found / (table["objects"] + found + false).replace(0, np.nan),
    )


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
    is_false = shown["kind"] == "false"
    steps = pd.DataFrame(
        {"peak": shown["peak"], "false": shown["count"].where(is_false, 0), "found": (~is_false).astype(int)}
    )
    curve = steps.groupby("peak").sum().sort_index(ascending=False).cumsum().reset_index()
    start = pd.DataFrame({"peak": [np.inf], "false": [0], "found": [0]})
    curve = pd.concat([start, curve], ignore_index=True)
    return pd.DataFrame(
        {"peak": curve["peak"], "false": curve["false"] / photographs, "recall": curve["found"] / true}
    )


def recall_at(curve: pd.DataFrame, rates: Sequence[float] = RATES) -> list[float]:
    """Return the largest recall of an FROC curve with at most so many false objects a photograph, for each rate.

    Without interpolation: a point that some threshold reaches. With fewer false objects than the rate it is the recall
    at logit 0. Empty for a curve without rows (nothing to find).
    """
    if curve.empty:
        return []
    return [float(curve["recall"][curve["false"] <= rate].max()) for rate in rates]
