"""What counts by group say of a study's complete trials: which are told from the best, and how lucky that one is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.evaluate.comparisons import (
    Difference,
    Posterior,
    differences,
    more_groups,
    posterior,
    word_of,
)
from harness.evaluate.groups import GroupCounts, counts_of_trials, fold_scores, headline
from harness.evaluate.optimism import correct_best

ADVISED = 20  # trials next to the best for which the groups that would tell are counted; that takes a while


@dataclass(frozen=True)
class Evidence:
    """Plain values, for JSON.

    against_best: by trial, all but the best: difference (its headline less the best one's), low, high (95 % interval
    over groups), word (of the trial: worse, equal, unknown; better never, but for rounding), better, equal, worse
    (posterior probabilities over folds), more_groups (that would tell; None where none would, or nobody counted).
    corrected: iou, low, high, optimism, trials; None for a study of one group.
    """

    against_best: Mapping[int, Mapping[str, Any]]
    corrected: Mapping[str, Any] | None


def evidence_of(groups: pd.DataFrame, best: int, *, repeats: int, seed: int) -> Evidence:
    """Return what a table of counts (trial, fold, group, tp, fp, fn) says, `best` being the trial to compare with.

    Raises DataError where the trials were not counted on the same groups.
    """
    numbers, counts = counts_of_trials(groups)
    against = counts.trial(numbers.index(best))
    found = differences(counts, against)
    order = [int(place) for place in headline(counts).argsort()[::-1]]
    near = {numbers[place] for place in order[: ADVISED + 1]}
    scores, rival = fold_scores(counts), fold_scores(against)
    others = {
        number: told(found[place], posterior(scores[place], rival, repeats=repeats), advised=number in near)
        for place, number in enumerate(numbers)
        if number != best
    }
    return Evidence(others, _corrected(counts, len(numbers), seed))


def told(found: Difference, belief: Posterior, *, advised: bool = True) -> dict[str, Any]:
    """Return what can be told between two trials as plain values; see `Evidence`."""
    return {
        "difference": found.value,
        "low": found.interval.low,
        "high": found.interval.high,
        "word": word_of(found, belief),
        "better": belief.better,
        "equal": belief.equal,
        "worse": belief.worse,
        "more_groups": more_groups(found) if advised else None,
    }


def _corrected(counts: GroupCounts, trials: int, seed: int) -> dict[str, Any] | None:
    if counts.groups < 2:
        return None
    found = correct_best(counts, seed=seed)
    return {
        "iou": found.corrected,
        "low": found.interval.low,
        "high": found.interval.high,
        "optimism": found.optimism,
        "trials": trials,
    }
