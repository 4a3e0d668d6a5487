"""Where the logits of a picture fall: fixed bins whose edges hold every counted threshold, so that counts are exact."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LIMIT = 32  # logits beyond ± this one are in the first and the last bin; sigmoid(32) is 1 - 1e-14
FINE, COARSE = 4096, 256  # bins, of width 1/64 and 1/4: of a group, and of a photograph or an object
THRESHOLDS = np.linspace(-8.0, 8.0, 33)  # logits, 0 among them; each one is an edge of both kinds of bins

Bins = NDArray[np.intp]
Counts = NDArray[np.int64]


class Histogram(NamedTuple):
    """Pixels in each bin, from the lowest logits to the highest, by truth; both (bins,)."""

    positive: Counts
    negative: Counts


def edges(bins: int = FINE) -> NDArray[np.float64]:
    """Return the logits between which the bins lie, (bins + 1,). Bin i holds edge i < logit <= edge i + 1."""
    return np.linspace(-LIMIT, LIMIT, bins + 1)


def centers(bins: int = FINE) -> NDArray[np.float64]:
    """Return the logit in the middle of each bin."""
    return (edges(bins)[1:] + edges(bins)[:-1]) / 2


def bins_of(logits: NDArray[np.float32]) -> Bins:
    """Return the fine bin of each logit; exact, since widths are powers of two."""
    scaled = np.clip(logits, -LIMIT, LIMIT)
    scaled *= FINE / (2 * LIMIT)
    bins: Bins = np.ceil(scaled, out=scaled).astype(np.intp)
    bins += FINE // 2 - 1
    return np.maximum(bins, 0, out=bins)


def coarse(bins: Bins) -> Bins:
    """Return the coarse bin that each fine one lies in."""
    return bins // (FINE // COARSE)


def histogram_of(bins: Bins, truth: NDArray[np.uint8]) -> Histogram:
    """Return the fine histogram of a picture, (H, W) both; truth in {0, 1, 255}, 255 left out."""
    positive, negative = (np.bincount(bins[truth == value], minlength=FINE) for value in (1, 0))
    return Histogram(positive, negative)


def coarsened(counts: Counts) -> Counts:
    """Return the coarse histogram of a fine one."""
    return np.asarray(counts.reshape(COARSE, -1).sum(axis=1))


def counts_above(counts: Counts, thresholds: NDArray[np.float64] = THRESHOLDS) -> Counts:
    """Return how many pixels of a histogram have a logit above each threshold; thresholds must be edges of it."""
    bins = counts.shape[-1]
    at_least = np.append(np.cumsum(counts[::-1])[::-1], 0)
    return np.asarray(at_least[((thresholds + LIMIT) * (bins / (2 * LIMIT))).astype(np.intp)])
