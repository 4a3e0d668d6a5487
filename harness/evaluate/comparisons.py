"""Two trials on the same groups and folds: by how much they differ, whether that can be told, and what would tell it.

docs/statistics.md has formulas and sources. Nothing here is corrected for having picked the trials by their scores.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import nctdtr, stdtr, stdtrit  # scipy.stats takes a third of a second to import

from harness.errors import DataError
from harness.evaluate.groups import GroupCounts, headline, refuse_other_groups
from harness.evaluate.intervals import Interval, difference_intervals, spread

ROPE = 0.01  # IoU; trials that lie closer are equal in practice
SURE = 0.95  # probability from which one word is said
MOST_GROUPS = 1_000_000

Word = Literal["better", "equal", "worse", "unknown"]


@dataclass(frozen=True)
class Difference:
    """Headline of a trial minus that of another; `deviation` is the paired standard deviation between groups."""

    value: float
    interval: Interval
    deviation: float
    freedom: float


@dataclass(frozen=True)
class CorrectedTest:
    """A paired t test over fold scores whose variance knows that training sets overlap."""

    value: float
    error: float  # standard error of the value
    statistic: float
    p_value: float  # two-sided
    freedom: int

    @property
    def one_sided(self) -> float:
        """Return the p value of "the first is not better"."""
        return self.p_value / 2 if self.statistic > 0 else 1 - self.p_value / 2

    def half(self, level: float) -> float:
        """Return half the width of the t interval of the value."""
        return float(stdtrit(self.freedom, (1 + level) / 2) * self.error)


@dataclass(frozen=True)
class Posterior:
    """Probabilities that the first trial is better, equal within the rope, or worse."""

    better: float
    equal: float
    worse: float

    @property
    def word(self) -> Word:
        """Return better, equal or worse where its probability is at least SURE, else unknown."""
        found: dict[Word, float] = {"better": self.better, "equal": self.equal, "worse": self.worse}
        likeliest = max(found, key=found.__getitem__)
        return likeliest if found[likeliest] >= SURE else "unknown"


def difference(a: GroupCounts, b: GroupCounts, *, level: float = 0.95) -> Difference:
    """Return headline a - headline b with its interval: every group is left out of both at once."""
    return differences(a, b, level=level)[0]


def differences(trials: GroupCounts, b: GroupCounts, *, level: float = 0.95) -> list[Difference]:
    """Return the same for each trial of counts (trials, rows)."""
    refuse_other_groups(trials, b)
    values, paired = np.atleast_1d(headline(trials) - headline(b)), spread(trials, minus=b)
    intervals = difference_intervals(values, paired, level)
    deviations, freedoms = np.atleast_1d(paired.error * np.sqrt(paired.groups)), np.atleast_1d(paired.freedom)
    columns = (values.tolist(), intervals, deviations.tolist(), freedoms.tolist())
    return [Difference(*found) for found in zip(*columns, strict=True)]


def corrected_test(a: ArrayLike, b: ArrayLike, *, repeats: int = 1) -> CorrectedTest:
    """Return the corrected resampled t test of fold scores (folds x repeats,) (Nadeau & Bengio 2003).

    The variance of the mean is (1/J + test/train) s², with J scores and test/train = 1/(folds - 1).
    """
    value, error, freedom = _of_folds(a, b, repeats)
    if error == 0:
        statistic = float(np.sign(value)) * np.inf if value else 0.0
        return CorrectedTest(value, error, statistic, float(value == 0), freedom)
    statistic = value / error
    return CorrectedTest(value, error, statistic, float(2 * stdtr(freedom, -abs(statistic))), freedom)


def posterior(a: ArrayLike, b: ArrayLike, *, rope: float = ROPE, repeats: int = 1) -> Posterior:
    """Return the Bayesian correlated t test of fold scores (Corani & Benavoli 2015; Benavoli et al. 2017).

    The mean difference has a Student posterior with J - 1 degrees of freedom, centered on the mean of the J
    differences, of scale² (1/J + rho/(1 - rho)) s²; rho = test/all = 1/folds. The prior is flat.
    """
    value, error, freedom = _of_folds(a, b, repeats)
    if error == 0:
        return Posterior(float(value > rope), float(-rope <= value <= rope), float(value < -rope))
    better = float(stdtr(freedom, (value - rope) / error))
    worse = float(stdtr(freedom, (-rope - value) / error))
    return Posterior(better, max(0.0, 1 - better - worse), worse)


def power(gain: float, deviation: float, groups: int, *, level: float = 0.05) -> float:
    """Return the probability that a two-sided paired t test over groups tells a true gain from none."""
    if groups < 2:
        return 0.0
    if deviation == 0:
        return float(gain != 0)
    critical = float(stdtrit(groups - 1, 1 - level / 2))
    shift = abs(gain) * np.sqrt(groups) / deviation
    # the far tail is left away: telling a gain for a loss is no success
    return float(1 - nctdtr(groups - 1, shift, critical)) if shift < 30 else 1.0


def groups_needed(gain: float, deviation: float, *, level: float = 0.05, chance: float = 0.8) -> int | None:
    """Return the least number of groups whose power is `chance`; None beyond MOST_GROUPS or without a gain."""
    if gain == 0 or power(gain, deviation, MOST_GROUPS, level=level) < chance:
        return None
    low, high = 1, MOST_GROUPS
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(gain, deviation, middle, level=level) >= chance
        low, high = (low, middle) if enough else (middle, high)
    return high


def more_groups(found: Difference, *, gain: float | None = None, folds: int = 1) -> int | None:
    """Return how many more groups would tell a true gain (the observed one, if not given); a multiple of folds."""
    needed = groups_needed(found.value if gain is None else gain, found.deviation)
    if needed is None:
        return None
    return ceil(max(0, needed - found.interval.groups) / folds) * folds


def word_of(found: Difference, belief: Posterior, *, rope: float = ROPE) -> Word:
    """Return what both folds and groups say: better, equal or worse, else unknown.

    The folds' posterior is sure of it, and the interval over groups leaves out 0, or lies within the rope. Folds that
    differ by chance alike are no evidence that other groups would. Trials that count every group alike are equal.
    """
    low, high = found.interval.low, found.interval.high
    if found.value == found.deviation == 0:
        return "equal"
    of_groups = {"better": low > 0, "worse": high < 0, "equal": -rope <= low and high <= rope}
    return belief.word if of_groups.get(belief.word, False) else "unknown"


def sentence(a: str, b: str, found: Difference, belief: Posterior, *, rope: float = ROPE) -> str:
    """Return what can be said of two trials, for people."""
    interval, word = found.interval, word_of(found, belief, rope=rope)
    numbers = (
        f"{found.value:+.4f} IoU ({interval.level:.0%} interval {interval.low:+.4f} to {interval.high:+.4f})"
    )
    if found.value == found.deviation == 0:
        return f"{a} and {b} are equal: every group is counted alike."
    if word == "equal":
        return f"{a} and {b} are equal in practice: {numbers}, within ± {rope:g} with probability {belief.equal:.2f}."
    if word in ("better", "worse"):
        sure = max(belief.better, belief.worse)
        return f"{a} is {word} than {b}: {numbers}, by more than {rope:g} with probability {sure:.2f}."
    return f"Whether {a} or {b} is better is unknown: {numbers}; {_advice(found)}."


def _advice(found: Difference) -> str:
    more = more_groups(found)
    if more is None:
        return "no number of groups would tell them apart"
    if more == 0:
        return "there are groups enough, but folds differ too much to be sure"
    return (
        f"were this the true difference, about {more} more groups would make its interval leave 0 out in four of five "
        "studies"
    )


def _of_folds(a: ArrayLike, b: ArrayLike, repeats: int) -> tuple[float, float, int]:
    """Return mean, corrected standard error and degrees of freedom of the differences of J fold scores."""
    differences = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    count, folds = differences.size, differences.size // repeats
    if differences.ndim != 1 or folds < 2 or folds * repeats != count:
        raise DataError(
            f"fold scores: {count} in {repeats} repeats; two folds or more are needed, all of them scored"
        )
    deviation = float(differences.std(ddof=1)) if np.ptp(differences) else 0.0
    return float(differences.mean()), deviation * float(np.sqrt(1 / count + 1 / (folds - 1))), count - 1
