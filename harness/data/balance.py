"""Put things into bins so that each bin's sum comes near its target: greedy, then exchanges; no randomness."""

from itertools import combinations, cycle, islice

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
Bins = NDArray[np.intp]

FREE = -1  # not in a bin yet
TRIES = 2000  # pairs of bins looked at for an exchange, at most
CANDIDATES = 128  # members of one bin looked at for an exchange
GAIN = 1e-6  # smallest gain worth an exchange: a bin 0.1 % nearer to its target
DIGITS = 9  # of a cost; what differs beyond them is equal, on every machine


def place(vectors: Vectors, targets: Vectors, given: Bins) -> Bins:
    """Return a bin for each vector (N,); those with a bin in `given` (N,) keep it, those that are FREE get one.

    The cost is the sum over bins of |sum of the bin's vectors - target|^2. Free vectors go, in their order, where they
    cost least (to the lower bin where equal): order them from large to small. Then pairs of bins exchange two free
    members, or hand one over, as long as that lowers the cost.
    vectors (N, F), targets (B, F).
    """
    bins, fixed = given.copy(), given != FREE
    gap = -targets
    np.add.at(gap, bins[fixed], vectors[fixed])
    for row in np.flatnonzero(~fixed):
        # |gap + x|^2 - |gap|^2 = 2 gap.x + |x|^2, and the last term is the same for every bin
        bins[row] = np.argmin((gap * vectors[row]).sum(1).round(DIGITS))
        gap[bins[row]] += vectors[row]
    _exchange_all(vectors, bins, gap, ~fixed)
    return bins


def cost(vectors: Vectors, targets: Vectors, bins: Bins) -> float:
    """Return the sum over bins of |sum of the bin's vectors - target|^2."""
    gap = -targets
    np.add.at(gap, bins, vectors)
    return float((gap**2).sum())


def _exchange_all(vectors: Vectors, bins: Bins, gap: Vectors, free: NDArray[np.bool_]) -> None:
    """Go round the pairs of bins until none gains, changing `bins` and `gap` in place."""
    pairs = list(combinations(range(len(gap)), 2))
    idle = 0
    for a, b in islice(cycle(pairs), TRIES):
        rows = [_candidates(free & (bins == side)) for side in (a, b)]
        moved = _best_exchange(vectors, rows, gap[a] - gap[b])
        idle = 0 if moved else idle + 1
        for row in moved:
            gap[bins[row]] -= vectors[row]
            bins[row] = b if bins[row] == a else a
            gap[bins[row]] += vectors[row]
        if idle == len(pairs):
            return


def _best_exchange(vectors: Vectors, rows: list[Bins], tilt: Vectors) -> list[int]:
    """Return the rows, at most one a side, whose change of side lowers the cost most; none if none does.

    `tilt` (F,) is the first bin's gap minus the second's. With d = (what comes to the first bin - what leaves it)
    the cost changes by 2 d.tilt + 2 |d|^2. A zero vector on each side stands for nothing.
    """
    nothing = np.zeros((1, vectors.shape[1]))
    leaves, comes = (np.vstack([vectors[side], nothing]) for side in rows)
    squares = (leaves**2).sum(1)[:, None] + (comes**2).sum(1) - 2 * leaves @ comes.T
    change = ((comes @ tilt) - (leaves @ tilt)[:, None] + squares).round(DIGITS)
    best = np.unravel_index(np.argmin(change), change.shape)
    if change[best] > -GAIN:
        return []
    return [int(side[at]) for side, at in zip(rows, best, strict=True) if at < len(side)]


def _candidates(members: NDArray[np.bool_]) -> Bins:
    """Return the rows of the members, evenly thinned to CANDIDATES: large and small ones stay among them."""
    rows = np.flatnonzero(members)
    if len(rows) <= CANDIDATES:
        return rows
    return rows[np.linspace(0, len(rows) - 1, CANDIDATES).astype(np.intp)]
