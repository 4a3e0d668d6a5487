"""Whether a predicted probability is the share of target pixels among those that were given it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.histogram import FINE, Histogram, centers

BINS = 15  # of probability, of equal width


def reliability(histogram: Histogram) -> pd.DataFrame:
    """Return a row for each bin of probability that holds pixels: pixels, probability (mean), share (of target).

    A pixel's probability is the sigmoid of the middle of its bin of logits, at most .002 off; bin i holds
    i / BINS <= probability < (i + 1) / BINS, the last one 1 too. No rows without a pixel.
    """
    probability = 1 / (1 + np.exp(-centers(FINE)))
    bins = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
    pixels = histogram.positive + histogram.negative

    def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(bins, weights=values, minlength=BINS), np.float64)

    table = pd.DataFrame({"pixels": summed(pixels.astype(float)).astype(np.int64)})
    table["probability"] = summed(pixels * probability) / np.maximum(table["pixels"], 1)
    table["share"] = summed(histogram.positive.astype(float)) / np.maximum(table["pixels"], 1)
    return table[table["pixels"] > 0]


def calibration_error(histogram: Histogram) -> float | None:
    """Return the expected calibration error: mean over pixels of |share - probability| of their bin.

    Most pixels are background, so that its bins decide: a small value does not say that the probabilities of objects
    are right; `reliability` has them. None without a pixel. Naeini et al. 2015; BINS as in Guo et al. 2017.
    """
    table = reliability(histogram)
    if table.empty:
        return None
    return float(np.average((table["share"] - table["probability"]).abs(), weights=table["pixels"]))
