"""Many drawn studies, and what the shipped functions said of each: one number a study for every column."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from benchmarks.interval_rivals import (
    RIVALS,
    Bounds,
    bootstrap_corrected,
    crops_of,
    paired_bootstrap_t,
    paired_t,
    percentile,
)
from benchmarks.simulated_groups import (
    Floats,
    Model,
    World,
    draw,
    iou_by_skill,
    skill_for,
    studies_of,
    true_iou,
)
from harness.evaluate.comparisons import difference
from harness.evaluate.groups import GroupCounts, headline
from harness.evaluate.heldout import held_out_test
from harness.evaluate.intervals import Interval, headline_interval, pooled_interval
from harness.evaluate.optimism import correct_best

TRIALS = 60
CROPS = 4  # the bootstrap of crops is slow, and needs a quarter of the studies to fail
SHIPPED, POOLED, PAIRED, BY_CROPS = "headline", "pooled IoU", "difference of two trials", "crop bootstrap"
Columns = dict[str, list[float]]


@dataclass(frozen=True)
class Coverage:
    """Intervals of studies with so many groups."""

    icc: float
    groups: int

    def run(self, studies: int, number: int, large: int) -> Columns:
        """Return whether each interval holds the true value, and its width."""
        world, models = World(self.icc), (Model(), Model(skill=0.2))
        first, second = true_iou(world, models, large)
        counts = draw(world, models, (studies, self.groups), _rng(self, number))
        columns: Columns = {}
        for at, (a, b) in enumerate(studies_of(counts)):
            found = {name: rival(a) for name, rival in RIVALS.items()}
            found |= {SHIPPED: _bounds(headline_interval(a)), POOLED: _bounds(pooled_interval(a))}
            if at % CROPS == 0:
                found[BY_CROPS] = percentile(crops_of(counts[0, :, at]))
            for name, bounds in found.items():
                _add(columns, name, bounds, first)
            _add(columns, PAIRED, _bounds(difference(a, b).interval), first - second)
            columns.setdefault("error", []).append(float(headline(a)) - first)
        return columns


@dataclass(frozen=True)
class Optimism:
    """The best of sixty trials whose true IoUs have a standard deviation; the groups' icc is .6."""

    deviation: float
    groups: int

    def run(self, studies: int, number: int, large: int) -> Columns:
        """Return by how much the best trial's score, as it came and corrected, is above its true IoU."""
        world, rng = World(0.6), _rng(self, number)
        truth = iou_by_skill(world, 0.5, large)
        slope = float(truth(0.1) - truth(-0.1)) / 0.2
        columns: Columns = {}
        for _ in range(studies):
            skills = (rng.standard_normal(TRIALS) * self.deviation / slope).clip(-1, 1)
            models = [Model(float(skill)) for skill in skills]
            (one,) = studies_of(draw(world, models, (1, self.groups), rng))
            for name, value in _optimism(_together(one), truth(skills)).items():
                columns.setdefault(name, []).append(value)
        return columns


def _optimism(trials: GroupCounts, truth: Floats) -> dict[str, float]:
    found = correct_best(trials, seed=0)
    true = float(truth[found.best])
    anyone = float((headline(trials) - truth).mean())
    return {
        "before": found.score - true,
        "after": found.corrected - true,
        "bootstrap": bootstrap_corrected(trials) - true,
        "any trial": anyone,
        "by choosing": found.corrected - true - anyone,
        "gain": true - float(truth.mean()),
        "covered": _holds(found.interval, true),
        "covered before": _holds(headline_interval(trials.trial(found.best)), true),
    }


@dataclass(frozen=True)
class HeldOut:
    """Two models on held-out groups; the first is better by `gain`, of which 0 is none."""

    kind: str  # alike: both err alike; misses, invents: 90 % of the first one's wrong pixels, and 10 % of the other's
    gain: float
    groups: int

    def run(self, studies: int, number: int, large: int) -> Columns:
        """Return p values of tests, and the paired deviation between groups."""
        world, models = self.models(large)
        counts = draw(world, models, (studies, self.groups), _rng(self, number))
        columns: Columns = {"p": [], "t": [], "bootstrap-t": [], "deviation": []}
        for study, (candidate, champion) in enumerate(studies_of(counts, folds=1)):
            columns["p"].append(held_out_test(candidate, champion, look=1, seed=study).p_value)
            columns["t"].append(paired_t(candidate, champion))
            columns["bootstrap-t"].append(paired_bootstrap_t(candidate, champion))
            columns["deviation"].append(difference(candidate, champion).deviation)
        return columns

    def models(self, large: int, luck: float = 0.0, common: float = 0.0) -> tuple[World, tuple[Model, Model]]:
        """Return two models whose true IoUs differ by the gain."""
        shared = 0.8 if self.kind == "alike" else 0.3
        world = World(0.6, shared, luck, common)
        shares = {"alike": (0.5, 0.5), "invents": (0.1, 0.9), "misses": (0.9, 0.1)}[self.kind]
        base = float(iou_by_skill(world, 0.5, large)(0.0))
        skills = [
            skill_for(base + self.gain, world, shares[0], large),
            skill_for(base, world, shares[1], large),
        ]
        return world, (Model(skills[0], shares[0]), Model(skills[1], shares[1]))


Cell = Coverage | Optimism | HeldOut


def _rng(cell: Cell, number: int) -> np.random.Generator:
    """Return random numbers of a cell's own, and of a part of its studies."""
    return np.random.default_rng([number, crc32(repr(cell).encode())])


def _bounds(interval: Interval) -> Bounds:
    return interval.low, interval.high


def _holds(interval: Interval, value: float) -> float:
    return float(interval.low <= value <= interval.high)


def _add(columns: Columns, name: str, bounds: Bounds, true: float) -> None:
    columns.setdefault(name, []).append(float(bounds[0] <= true <= bounds[1]))
    columns.setdefault(f"{name}, width", []).append(bounds[1] - bounds[0])


def _together(trials: Sequence[GroupCounts]) -> GroupCounts:
    """Return several trials of one study as one set of counts (trials, rows)."""
    tp, union = (np.stack([getattr(trial, name) for trial in trials]) for name in ("tp", "union"))
    return replace(trials[0], tp=tp, union=union)
