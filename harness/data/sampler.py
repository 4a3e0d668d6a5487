"""SAMPLERS: in which order the samples of an epoch come; one sample an instance an epoch, whatever its crops."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.choices import choose
from harness.config import Choice

Positions = NDArray[np.intp]
Key = tuple[int, int]  # epoch, position in the sample table
Order = Callable[[NDArray[np.bool_], np.random.Generator], Positions]


class Batches:
    """Batches of keys for one epoch at a time; set `epoch` before iterating.

    `streams` are the numbers that seed the draw: (study seed, repeat, fold).
    """

    def __init__(
        self, samples: pd.DataFrame, positions: Positions, size: int, order: Order, streams: Sequence[int]
    ) -> None:
        self.epoch = 0
        self._size, self._order, self._streams = size, order, tuple(streams)
        chosen = samples.iloc[positions]
        self._crops = [positions[rows] for rows in _rows_by_instance(chosen["instance"])]
        self._positive = samples["positive"].to_numpy() > 0

    def __len__(self) -> int:
        return math.ceil(len(self._crops) / self._size)

    def __iter__(self) -> Iterator[list[Key]]:
        rng = np.random.default_rng([*self._streams, self.epoch])
        drawn = np.array([crops[rng.integers(len(crops))] for crops in self._crops])
        ordered = drawn[self._order(self._positive[drawn], rng)]
        for batch in np.array_split(ordered, len(self)):  # nearly equal batches: none of a single sample
            yield [(self.epoch, int(position)) for position in batch]


def build_order(choice: Choice) -> Order:
    """Return the order a study names. Raises ConfigError."""
    chosen = choose(SAMPLERS, "train.sampler", choice.name, choice.settings)

    def order(positive: NDArray[np.bool_], rng: np.random.Generator) -> Positions:
        return chosen(positive, rng)

    return order


def shuffled(positive: NDArray[np.bool_], rng: np.random.Generator) -> Positions:
    """Return a random order."""
    return rng.permutation(len(positive))


def spread(positive: NDArray[np.bool_], rng: np.random.Generator) -> Positions:
    """Return a random order in which the positive samples are spread evenly, so that batches have their share."""
    rank = np.empty(len(positive))
    for side in (True, False):
        rows = rng.permutation(np.flatnonzero(positive == side))
        rank[rows] = (np.arange(len(rows)) + rng.random(len(rows))) / max(1, len(rows))
    return np.argsort(rank, kind="stable")


def _rows_by_instance(instances: "pd.Series[str]") -> list[Positions]:
    codes, _ = pd.factorize(instances)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


SAMPLERS: dict[str, Callable[..., Positions]] = {"spread": spread, "shuffled": shuffled}
