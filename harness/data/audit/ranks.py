"""Two-sample arithmetic: how well a number tells two sets of groups apart, and whether chance does as well."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Table = NDArray[np.float64]

PERMUTATIONS = 199
RARE = 0.01  # chance as good as this is not believed
STRONG = 0.8  # probability that a number orders two groups rightly, from which on it tells them apart
FEWEST = 10  # groups on a side that make a comparison


def ranked(values: pd.DataFrame) -> Table:
    """Return each column's ranks (N, F) in (0, 1), ties shared."""
    return ((values.rank() - 0.5) / max(1, len(values))).to_numpy(dtype=float)


def separation(ranks: Table, member: NDArray[np.bool_]) -> Table:
    """Return the AUC (P, F) of each number (N, F) for telling the members of each part (P, N) from the rest."""
    total, inside = len(ranks), member.sum(axis=1, keepdims=True)
    sums = member.astype(float) @ ranks * total + inside / 2
    return np.asarray((sums - inside * (inside + 1) / 2) / np.maximum(1, inside * (total - inside)))


def chance(ranks: Table, member: NDArray[np.bool_]) -> float:
    """Return how often parts dealt at random separate as well as `member` (P, N); the best of all counts."""
    rng = np.random.default_rng(0)
    best = strength(separation(ranks, member)).max()
    dealt = (ranks[rng.permutation(len(ranks))] for _ in range(PERMUTATIONS))
    as_good = sum(strength(separation(one, member)).max() >= best - 1e-12 for one in dealt)
    return float(1 + as_good) / (1 + PERMUTATIONS)


def strength(auc: Table) -> Table:
    """Return the probability of ordering rightly, whichever way round."""
    return np.maximum(auc, 1 - auc)


def means_by(samples: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Return the mean of each column for each combination of keys, sorted."""
    return samples.groupby(list(keys), sort=True)[list(columns)].mean()
