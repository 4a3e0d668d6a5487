"""Whether new pictures are spread otherwise than those trained on, measure by measure. Pure arithmetic.

Whole groups are drawn, never single pictures: those of one group are alike. docs/monitor.md has the sources, and how
often it says drift where there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

LEVEL = 0.04  # of all measures of a run together; in truth below .05 also where groups are uneven, see docs/monitor.md
POWER = 0.8
LOST = 1.08  # times the shift that a test of means would need, as drawn
LEAST = 0.1  # distance; what is proven and smaller is no drift that anybody need act on
FEWEST_NEW, FEWEST_GROUPS = 6, 8  # units on either side; fewer say nothing
DRAWS = 1999
BLOCK = 250  # draws at once
POINTS = 256  # values at which distributions are compared, at most
TAIL = 0.004  # about LEVEL over the number of measures: where an alarm is decided
TIE = 1e-5  # relative; sums of 32 bits in another order
IQR = 1.349  # of a normal distribution, in standard deviations

Floats = NDArray[np.float64]
Units = NDArray[np.intp]


@dataclass(frozen=True)
class Sample:
    """Values (N,) of pictures, the number of the unit (N,) each belongs to, and how much each counts (N,), 1 if None.

    A unit is a group, or what is taken for one.
    """

    values: Floats
    units: Units
    weights: Floats | None = None

    @property
    def count(self) -> int:
        return len(np.unique(self.units))


@dataclass(frozen=True)
class Difference:
    """How a measure of new pictures differs from that of pictures trained on.

    shift: of the median, in spreads of the training pictures (interquartile range / 1.349); None where they have none.
    distance: of Kolmogorov and Smirnov, 0 to 1; 95 % of equally many groups of one kind stay below `usual`. p: of "both
    are of one kind"; adjusted: by Holm for all measures of the run.
    """

    name: str
    training: float  # median
    new: float  # median
    shift: float | None
    distance: float
    usual: float
    p: float
    adjusted: float

    @property
    def proven(self) -> bool:
        return self.adjusted <= LEVEL

    @property
    def alarm(self) -> bool:
        return self.proven and self.distance >= LEAST


def differences(
    training: dict[str, Sample], new: dict[str, Sample], *, seed: int = 0, draws: int = DRAWS
) -> list[Difference]:
    """Return how each measure differs, the surest first; one that is the same everywhere is left out."""
    names = [name for name in training if _varies(training[name], new[name])]
    with threadpool_limits(1):  # small products gain nothing by more
        tests = {name: held_against(training[name], new[name], seed=seed, draws=draws) for name in names}
    found = [_difference(name, training[name], new[name], test) for name, test in tests.items()]
    adjusted = holm([one.p for one in found])
    made = [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]
    return sorted(made, key=lambda one: (one.p, -one.distance))


def too_few(groups: int, new: int) -> str:
    """Return why nothing can be said of so many training groups and new units; nothing where it can."""
    if new < FEWEST_NEW:
        return f"{new} to compare, where at least {FEWEST_NEW} are needed"
    if groups < FEWEST_GROUPS:
        return f"{groups} training groups to compare with, where at least {FEWEST_GROUPS} are needed"
    return ""


def noticed(groups: int, new: int, measures: int) -> float:
    """Return the shift, in spreads, that would be noticed about four times of five; of normal values."""
    wanted = norm.isf(LEVEL / max(1, measures) / 2) * np.sqrt(_student(groups)) + norm.ppf(POWER)
    return float(LOST * wanted * np.sqrt(1 / groups + 1 / new))


def held_against(
    training: Sample, new: Sample, *, seed: int, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Return Kolmogorov-Smirnov distance, its 95 % point where both are of one kind, and p of Anderson-Darling.

    Two ways of drawing what no drift looks like, of which the more careful one counts. Units of both sides exchanged:
    exact if they are alike, also for values that are rare. Training groups against each other, as many as the new ones
    are taken for: right also where it is not known which new pictures belong together.
    """
    old, now, points = _side(training, new), _side(new, training), len(_points(training, new))
    both = _Units(*(np.concatenate(parts) for parts in zip(old, now, strict=True)))
    groups, units = len(old.mass), len(now.mass)
    weights = _weights(both, points)
    own = np.arange(groups + units)[None] >= groups
    distance, observed = (float(one[0]) for one in _statistics(own, both, weights))
    exchanged = _drawn_statistics(both, weights, units, seed, draws)
    part = max(1, min(units, groups // 2))
    # from draws of this size to the number of new units
    scale = (1 / units + 1 / groups) / (1 / part + 1 / (groups - part)) * _student(groups)
    apart, weighted = _drawn_statistics(_Units(*old), weights, part, seed, draws)
    nulls = [exchanged, (apart * np.sqrt(scale), weighted * scale)]
    usual = max(float(np.quantile(one, 0.95)) for one, _ in nulls)
    reached = max(int((one >= observed * (1 - TIE)).sum()) for _, one in nulls)
    return distance, usual, (1 + reached) / (1 + draws)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values that hold for all of them together (Holm 1979)."""
    order = np.argsort(values, kind="stable")
    times = len(values) - np.arange(len(values))
    sorted_up = np.maximum.accumulate(np.minimum(1, np.asarray(values, float)[order] * times))
    adjusted = np.empty(len(values))
    adjusted[order] = sorted_up
    return [float(one) for one in adjusted]


def spread(values: Floats) -> float:
    """Return the interquartile range over that of a standard normal; where it is 0 the standard deviation."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float((high - low) / IQR) or float(np.std(values))


def _student(groups: int) -> float:
    """Return by how much a squared deviation is larger where few groups tell the variance, far out where it counts."""
    return float((student.isf(TAIL / 2, groups - 1) / norm.isf(TAIL / 2)) ** 2)


class _Units(NamedTuple):
    """Weight of each unit's values up to each point (units, points), and of all of them (units,)."""

    curves: NDArray[np.float32]
    mass: NDArray[np.float32]


def _side(one: Sample, other: Sample) -> _Units:
    points = _points(one, other)
    unit = np.unique(one.units, return_inverse=True)[1]
    counts = np.zeros((one.count, len(points)), np.float32)
    weights = np.ones(len(unit)) if one.weights is None else one.weights
    np.add.at(counts, (unit, np.searchsorted(points, one.values)), weights)
    return _Units(np.cumsum(counts, axis=1), counts.sum(axis=1))


def _points(one: Sample, other: Sample) -> Floats:
    """Return the values at which distributions are compared: all of them, or the middle of equally many."""
    values = np.concatenate([one.values, other.values])
    distinct = np.unique(values)
    if len(distinct) <= POINTS:
        return distinct
    return np.unique(np.quantile(values, np.linspace(0, 1, POINTS), method="higher"))


def _weights(both: _Units, points: int) -> Floats:
    """Return the weight of each point after Anderson and Darling; none of the last one, where all curves end."""
    pooled = both.curves.sum(0, dtype=float) / both.mass.sum(dtype=float)
    weights = np.zeros(points)
    weights[:-1] = np.diff(pooled, prepend=0)[:-1] / (pooled[:-1] * (1 - pooled[:-1]))
    return weights


def _drawn_statistics(
    units: _Units, weights: Floats, chosen: int, seed: int, draws: int
) -> tuple[Floats, Floats]:
    """Return both statistics (draws,) of so many units, drawn at random, against the others."""
    drawn = _drawn(draws, len(units.mass), chosen, seed)
    parts = [_statistics(drawn[at : at + BLOCK], units, weights) for at in range(0, draws, BLOCK)]
    distances, weighted = (np.concatenate([one[side] for one in parts]) for side in (0, 1))
    return distances, weighted


def _statistics(labels: NDArray[np.bool_], units: _Units, weights: Floats) -> tuple[Floats, Floats]:
    """Return Kolmogorov-Smirnov distance and Anderson-Darling statistic (draws,) of labeled units and all others."""
    chosen = labels.astype(np.float32)
    ours, mass = chosen @ units.curves, chosen @ units.mass[:, None]
    apart = ours / mass - (units.curves.sum(0) - ours) / (units.mass.sum() - mass)
    return np.abs(apart).max(1).astype(float), np.square(apart).astype(float) @ weights


@lru_cache(maxsize=4)  # measures of the same pictures share their draws
def _drawn(draws: int, units: int, chosen: int, seed: int) -> NDArray[np.bool_]:
    """Return draws (draws, units) of so many units."""
    rng, labels = np.random.default_rng(seed), np.zeros((draws, units), bool)
    for row in labels:
        row[rng.choice(units, chosen, replace=False, shuffle=False)] = True
    return labels


def _varies(training: Sample, new: Sample) -> bool:
    return len(np.unique(np.concatenate([training.values, new.values]))) > 1


def _difference(name: str, training: Sample, new: Sample, test: tuple[float, float, float]) -> Difference:
    middle, now = float(np.median(training.values)), float(np.median(new.values))
    scale = spread(training.values)
    shift = (now - middle) / scale if scale else None
    distance, usual, p = test
    return Difference(name, middle, now, shift, distance, usual, p, adjusted=p)
