"""How large the groups are: a group that holds much of the set decides the fold it is in."""

from typing import Any

import numpy as np
import pandas as pd

from harness.data.audit.sides import Assignment, fold_name

LARGEST = 10  # groups that are named


def group_sizes(samples: pd.DataFrame, split: Assignment) -> dict[str, Any]:
    """Return how many groups have how many images, in classes that double, and the largest of those with several."""
    by_group = samples.assign(labelled=samples["positive"] > 0).groupby("group")
    table = by_group.agg(images=("labelled", "size"), labelled=("labelled", "sum")).reset_index()
    several = table[table["images"] > 1]
    largest = several.sort_values(["images", "group"], ascending=[False, True]).head(LARGEST)
    return {
        "bars": _bars(table["images"].to_numpy()),
        "largest": [_named(row, split) for row in largest.itertuples()],
    }


def _bars(sizes: "np.ndarray[Any, np.dtype[np.intp]]") -> list[dict[str, Any]]:
    """Return the number of groups of 1, 2, 3-4, 5-8, ... images."""
    classes = np.ceil(np.log2(sizes)).astype(int)
    counts = np.bincount(classes)
    return [{"label": _class_name(number), "groups": int(count)} for number, count in enumerate(counts)]


def _class_name(number: int) -> str:
    low, high = 2 ** (number - 1) + 1, 2**number
    if number < 2:
        return "1 image" if number == 0 else "2 images"
    return f"{low} to {high} images"


def _named(row: Any, split: Assignment) -> dict[str, Any]:
    fold = fold_name(int(split.folds[row.group]))
    return {
        "group": str(row.group),
        "images": int(row.images),
        "with an object": int(row.labelled),
        "fold": fold,
    }
