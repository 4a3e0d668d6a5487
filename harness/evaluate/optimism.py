"""What the best of many trials would score on groups that did not choose it. Pure arithmetic.

After BBC-CV (Tsamardinos, Greasidou & Borboudakis 2018): trials are chosen on some groups and scored on the others,
from their out-of-fold counts, without training anything. Here groups are dealt to parts instead of drawn with
replacement: a choice made on seven eighths of the groups is nearly the one made on all, a choice made on a bootstrap
sample is a poorer one (docs/statistics.md has both measured).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.errors import DataError
from harness.evaluate.groups import Floats, GroupCounts, Ints, headline
from harness.evaluate.intervals import Interval, headline_interval

PARTS = 8  # an eighth of the groups does not choose
ROUNDS = 100  # dealings; each scores every group once
BLOCK = 6  # dealings at a time; memory is a few times PARTS x BLOCK x (trials + groups) x 8 bytes


@dataclass(frozen=True)
class Corrected:
    """The best of several trials: its score as it came, as groups that did not choose it have it, and which it is."""

    best: int
    score: float
    corrected: float
    interval: Interval  # of the corrected score

    @property
    def optimism(self) -> float:
        return self.score - self.corrected


def correct_best(trials: GroupCounts, *, seed: int, rounds: int = ROUNDS, level: float = 0.95) -> Corrected:
    """Return the best trial of counts (trials, rows) and its score without the optimism of the choice.

    The trials must be all that were tried and finished, and the choice must be by the headline alone.
    """
    scores = headline(trials)
    unseen = scored_unseen(trials, seed=seed, rounds=rounds)
    best = int(scores.argmax())
    interval = headline_interval(unseen, level=level)
    return Corrected(best, float(scores[best]), float(headline(unseen)), interval)


def scored_unseen(trials: GroupCounts, *, seed: int, rounds: int = ROUNDS) -> GroupCounts:
    """Return the mean counts of each group under the trials chosen without it, as if they were one trial's."""
    if trials.groups < 2:
        raise DataError("optimism: one group only; a choice cannot be checked on groups that did not make it")
    rng = np.random.default_rng(seed)
    tp, union = np.zeros(len(trials.fold)), np.zeros(len(trials.fold))
    for left_out, chosen in _choices(trials, rounds, rng):
        tp += (left_out * trials.tp[chosen]).sum(0)
        union += (left_out * trials.union[chosen]).sum(0)
    return replace(trials, tp=tp / rounds, union=union / rounds)


def _choices(trials: GroupCounts, rounds: int, rng: np.random.Generator) -> Iterator[tuple[Floats, Ints]]:
    """Yield rows left out (choices, rows), and the trial (choices,) best on the others, of some dealings at once."""
    for first in range(0, rounds, BLOCK):
        parts = [deal(trials, rng) for _ in range(min(BLOCK, rounds - first))]
        left_out = np.concatenate(parts)[:, trials.group]
        yield left_out, weighted_headlines(trials, 1 - left_out).argmax(-1)


def weighted_headlines(trials: GroupCounts, weights: Floats) -> Floats:
    """Return (choices, trials): headlines on weighted rows; a fold without a row has no part in the mean."""
    total = np.zeros((len(weights), len(trials.tp)))
    present = np.zeros(len(weights))
    for fold in range(trials.folds):
        rows = np.flatnonzero(trials.fold == fold)
        tp, union = weights[:, rows] @ trials.tp[:, rows].T, weights[:, rows] @ trials.union[:, rows].T
        total += np.divide(tp, union, out=np.zeros_like(tp), where=union > 0)
        present += weights[:, rows].any(1)
    return np.asarray(total / np.maximum(1, present)[:, None])


def deal(trials: GroupCounts, rng: np.random.Generator) -> Floats:
    """Return (PARTS, groups): 1 where a group is in a part; the groups of each fold are spread over all parts."""
    part = np.zeros(trials.groups, np.int64)
    for fold in np.unique(trials.first_fold):
        groups = rng.permutation(np.flatnonzero(trials.first_fold == fold))
        part[groups] = (np.arange(len(groups)) + rng.integers(PARTS)) % PARTS
    return np.asarray(np.arange(PARTS)[:, None] == part, np.float64)
