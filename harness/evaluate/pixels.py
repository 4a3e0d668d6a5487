"""Scores of pixels over all thresholds and of outlines, from what is kept of a fold."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.histogram import COARSE, FINE, Histogram, coarsened, edges
from harness.model.outoffold import WHOLE_GROUP

MOST_FALSE_SHARE = 0.3  # share of false pixels up to which AUPRO looks


def fold_histogram(histograms: pd.DataFrame) -> Histogram:
    """Return the fine histogram of all pixels, the sum of the groups' ones."""
    rows = histograms[histograms["picture"] == WHOLE_GROUP]
    both = np.zeros((2, FINE), np.int64)
    for counts, name in zip(both, ("positive", "negative"), strict=True):
        np.add.at(counts, rows["bin"].to_numpy(), rows[name].to_numpy())
    return Histogram(*both)


def pr_auc(histogram: Histogram) -> float | None:
    """Return average precision: Σ (recall_k - recall_k-1) · precision_k from the highest bin of logits down.

    The step rule of scikit-learn's average_precision_score, with the logits of one bin (width 1/64) as ties. One value
    everywhere scores the coverage. None without a positive pixel. Davis & Goadrich 2006 say why not by trapezoids.
    """
    positive = histogram.positive.sum()
    if not positive:
        return None
    found, false = (np.cumsum(counts[::-1]) for counts in histogram)
    gained = histogram.positive[::-1] / positive
    return float((gained * found / np.maximum(found + false, 1)).sum())


def pr_curve(histogram: Histogram) -> pd.DataFrame:
    """Return a row for each bin of logits that holds pixels, from the highest down: logit, recall, precision.

    What is predicted when all pixels of the bin and above it are; `logit` is its lower edge. No rows without a
    positive pixel. The points that `pr_auc` is the sum over.
    """
    pixels = (histogram.positive + histogram.negative)[::-1]
    found, false = (np.cumsum(counts[::-1]) for counts in histogram)
    columns = {
        "logit": edges(len(pixels))[:-1][::-1],
        "recall": found / max(1, int(histogram.positive.sum())),
        "precision": found / np.maximum(found + false, 1),
    }
    return pd.DataFrame(columns)[(pixels > 0) & bool(histogram.positive.sum())].reset_index(drop=True)


def aupro(histogram: Histogram, objects: pd.DataFrame) -> float | None:
    """Return the area under per-region overlap by false-positive rate up to MOST_FALSE_SHARE, over that share.

    Per-region overlap is the mean over true objects of the share of their pixels above a threshold, each object
    counting the same whatever its size; the rate is of all pixels that are no target, clean photographs' too. Both are
    taken at COARSE bins (width 1/4 logit) and joined by straight lines from (0, 0): 1 is perfect, one value everywhere
    scores .15. None without an object or without background. Bergmann et al. 2021 (MVTec AD).
    """
    true = objects[objects["kind"] != "false"]
    negative = coarsened(histogram.negative)
    if true.empty or not negative.sum():
        return None
    bins, counts = (np.concatenate(true[name].tolist()) for name in ("bins", "counts"))
    shares = counts / np.repeat(true["pixels"].to_numpy(), true["bins"].map(len))
    overlap = np.cumsum(np.bincount(bins, weights=shares, minlength=COARSE)[::-1]) / len(true)
    rate = np.cumsum(negative[::-1]) / negative.sum()
    return _area(np.append(0, rate), np.append(0, overlap), MOST_FALSE_SHARE) / MOST_FALSE_SHARE


def boundary_dice(pixels: pd.DataFrame) -> float | None:
    """Return the share of boundary pixels, of truth and prediction at logit 0, within 2 px of the other's.

    Summed over photographs: a false object on a clean one lowers it. The edges of a photograph and of ignored pixels
    are no boundary (`count_boundary`). None where there is no boundary at all. As the surface Dice of Nikolov et al.
    2021, at a tolerance of TOLERANCE, with boundary pixels for surface elements.
    """
    names = ("boundary_true", "boundary_predicted")
    total = sum(int(pixels[name].sum()) for name in names)
    return sum(int(pixels[f"{name}_near"].sum()) for name in names) / total if total else None


def _area(x: NDArray[np.float64], y: NDArray[np.float64], end: float) -> float:
    """Return the area from 0 to `end` under straight lines through points whose x rise from 0 to 1."""
    first = int(np.argmax(x >= end))
    share = (end - x[first - 1]) / (x[first] - x[first - 1])
    last = y[first - 1] + share * (y[first] - y[first - 1])
    return float(np.trapezoid(np.append(y[:first], last), np.append(x[:first], end)))
