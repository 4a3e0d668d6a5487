"""What fold models answer: out of fold on what they did not train on, and on new pictures. Like is held against like.

A model that is the mean of folds answers otherwise than each of them, and it has no picture of its training that it did
not learn. So each new picture is shown to one fold model, and held against what such models said out of fold.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from harness.data.pictures import image_pixels, read_file
from harness.model.histogram import COARSE, bins_of, centers, coarse
from harness.monitor.arrivals import Arrival
from harness.tracking.registry import open_model
from harness.train.foldrun import FoldResult

PLAIN = {"flips": False, "scales": [1.0], "threshold": 0.5}  # as fold models are scored
HIGHEST = 16.0  # logit; above it a probability of 32 bits is 1
SCORES = ("score", "share", "objects")

Map = NDArray[np.float32]


def out_of_fold(folds: Sequence[FoldResult], samples: pd.DataFrame) -> pd.DataFrame | None:
    """Return a row of SCORES for each photograph that is one picture, with its group; None where older code kept none.

    Photographs merged of several crops are left out: a new picture shows no such area.
    """
    parts = []
    for fold in folds:
        kept = fold.kept
        if kept is None:
            return None
        rows = kept.rows
        bins = kept.histograms[kept.histograms["picture"] >= 0]
        highest = bins.groupby("picture")["bin"].max().reindex(range(len(rows)), fill_value=0).to_numpy()
        parts.append(
            pd.DataFrame(
                {
                    "photo": rows["photo"],
                    "group": rows["group"],
                    "score": np.clip(centers(COARSE)[highest], -HIGHEST, HIGHEST),
                    "share": (rows["tp"] + rows["fp"]) / rows["valid"].clip(lower=1),
                    "objects": rows["predicted"].astype(float),
                }
            )
        )
    every = pd.concat(parts, ignore_index=True)
    pictures = samples["photo"].value_counts()
    return every[every["photo"].map(pictures).fillna(1) == 1].reset_index(drop=True)


def answers(
    arrivals: Sequence[Arrival],
    fold: NDArray[np.intp],
    weights: Sequence[Path],
    settings: Mapping[str, Any],
) -> pd.DataFrame:
    """Return a row of SCORES for each new picture, of the fold model (N,) that it is shown to."""
    table = pd.DataFrame(index=range(len(arrivals)), columns=list(SCORES), dtype=float)
    for number in np.unique(fold):
        model = open_model({**settings, **PLAIN}, [weights[number]])
        for row in np.flatnonzero(fold == number).tolist():
            path = arrivals[row].path
            found = model.probability(image_pixels(read_file(path), path))
            table.loc[row] = scores_of(found)
    return table


def scores_of(probability: Map) -> dict[str, float]:
    """Return highest logit, in the bins that out-of-fold predictions are kept in, share and objects above .5."""
    highest = np.array([logit(np.clip(float(probability.max()), 1e-12, 1 - 1e-12))], np.float32)
    bin_ = int(coarse(bins_of(highest))[0])
    above = probability > 0.5
    count = cv2.connectedComponents(above.astype(np.uint8), connectivity=8)[0] - 1
    return {
        "score": float(np.clip(centers(COARSE)[bin_], -HIGHEST, HIGHEST)),
        "share": float(above.mean()),
        "objects": float(count),
    }
