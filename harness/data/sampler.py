"""SAMPLERS: how the samples of an epoch are put into batches; one sample an instance an epoch, whatever its crops."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.choices import choose
from harness.config import Choice

Positions = NDArray[np.intp]
Key = tuple[int, int]  # epoch, position in the sample table
Order = Callable[[NDArray[np.bool_], int, np.random.Generator], list[Positions]]  # rows of each batch


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
        for rows in self._order(self._positive[drawn], len(self), rng):
            yield [(self.epoch, int(position)) for position in drawn[rows]]


def build_order(choice: Choice) -> Order:
    """Return the order a study names. Raises ConfigError."""
    chosen = choose(SAMPLERS, "train.sampler", choice.name, choice.settings)

    def order(positive: NDArray[np.bool_], batches: int, rng: np.random.Generator) -> list[Positions]:
        return chosen(positive, batches, rng)

    return order


def shuffled(positive: NDArray[np.bool_], batches: int, rng: np.random.Generator) -> list[Positions]:
    """Return random batches, their sizes equal up to one."""
    return np.array_split(rng.permutation(len(positive)), batches)


def spread(positive: NDArray[np.bool_], batches: int, rng: np.random.Generator) -> list[Positions]:
    """Return random batches, equal up to one in their sizes and in their numbers of positive samples."""
    dealt = np.concatenate([rng.permutation(np.flatnonzero(positive == side)) for side in (True, False)])
    return [dealt[first::batches] for first in rng.permutation(batches)]


def _rows_by_instance(instances: "pd.Series[str]") -> list[Positions]:
    codes, _ = pd.factorize(instances)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


SAMPLERS: dict[str, Callable[..., list[Positions]]] = {"spread": spread, "shuffled": shuffled}
