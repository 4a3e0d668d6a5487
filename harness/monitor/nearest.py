"""The training picture nearest to each new one by its measures, and how strange that makes the new one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.monitor.drift import spread

MOST = 1000  # training pictures whose own distances are measured

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Nearest:
    """For each new picture: row of the nearest training picture, distance, and the measure that is most apart.

    distance: root mean square over measures, in spreads. strangeness: share of training pictures that are nearer to
    those of all other groups.
    """

    row: Rows
    distance: Floats
    strangeness: Floats
    measure: list[str]


def nearest(training: pd.DataFrame, group: Rows, new: pd.DataFrame, *, seed: int = 0) -> Nearest:
    """Return the nearest of the training pictures, whose groups (N,) tell how far strangers are from each other."""
    used = [name for name in training if spread(training[name].to_numpy()) > 0]
    scale = np.array([spread(training[name].to_numpy()) for name in used])
    ours, theirs = training[used].to_numpy() / scale, new[used].to_numpy() / scale
    row, distance = _closest(theirs, ours, None)
    some = np.random.default_rng(seed).permutation(len(ours))[:MOST]
    usual = np.sort(_closest(ours[some], ours, group[some][:, None] != group)[1])
    apart = np.abs(theirs - ours[row])
    return Nearest(
        row,
        distance,
        np.searchsorted(usual, distance, side="left") / len(usual),
        [used[at] for at in apart.argmax(1)] if used else [""] * len(new),
    )


def _closest(these: Floats, those: Floats, allowed: NDArray[np.bool_] | None) -> tuple[Rows, Floats]:
    rows, distances = np.zeros(len(these), np.intp), np.zeros(len(these))
    for at, one in enumerate(these):
        apart = np.sqrt(((those - one) ** 2).mean(1)) if those.shape[1] else np.zeros(len(those))
        if allowed is not None:
            apart = np.where(allowed[at], apart, np.inf)
        rows[at] = int(apart.argmin())
        distances[at] = apart[rows[at]]
    return rows, distances
