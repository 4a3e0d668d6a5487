"""The test on held-out groups: is a candidate better than the champion, or than nothing? Every look is paid for.

docs/statistics.md has the test, why this one, and how often it says "better" of two equal models.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from harness.errors import PromotionRefused
from harness.evaluate.comparisons import difference
from harness.evaluate.groups import Bools, Floats, GroupCounts, ratio, refuse_other_groups
from harness.evaluate.intervals import Interval

# of look 1, 2, ...; together they let less than .05 pass also where errors are skewed, as docs/statistics.md measures
LEVELS = (0.02, 0.007, 0.002, 0.001)
LOOKS = len(LEVELS)
DRAWS = 4999  # swaps, where there are more than can be counted out
BLOCK = 250  # swaps at a time; memory is a few times BLOCK x groups x 8 bytes
COUNTED_OUT = 12  # groups of which all swaps are tried
TIE = 1e-9


@dataclass(frozen=True)
class HeldOutTest:
    """What a look at unseen groups showed; `groups` are those on which the two were counted differently.

    better: p is at most the level, and the interval does not begin below 0.
    """

    better: bool
    gain: float
    interval: Interval  # of the gain, two-sided
    p_value: float  # one-sided
    level: float
    look: int
    groups: int
    where: str = "on held-out groups"

    @property
    def sentence(self) -> str:
        """Return the result for people."""
        word = "Better" if self.better else "Not shown to be better"
        return (
            f"{word} {self.where}: {self.gain:+.4f} IoU ({self.interval.level:.0%} interval "
            f"{self.interval.low:+.4f} to {self.interval.high:+.4f}), p = {self.p_value:.4f} at level "
            f"{self.level:g}, look {self.look} of {LOOKS}."
        )


def level_of_look(look: int) -> float:
    """Return the one-sided level of look 1, 2, ... at the same held-out groups.

    Raises PromotionRefused where they are spent.
    """
    if not 1 <= look <= LOOKS:
        raise PromotionRefused(
            f"held-out groups: look {look}, and they are spent after {LOOKS}; hold out new groups to prove more"
        )
    return LEVELS[look - 1]


def can_be_proven(groups: int, look: int) -> bool:
    """Tell whether so many groups can reach the level of a look at best; where each of them gains, they mostly do."""
    return 0.5**groups <= level_of_look(look)


def held_out_test(
    candidate: GroupCounts, rival: GroupCounts, *, look: int, seed: int = 0, level: float = 0.95
) -> HeldOutTest:
    """Return whether the pooled IoU of the candidate is above the rival's on held-out groups.

    The rival is the champion, or where there is none the best baseline without learning: to be above 0 says nothing,
    as whatever touches a few objects is. `level` is that of the interval. Raises PromotionRefused where the looks are
    spent, DataError where the two were not counted on the same groups.
    """
    wanted = level_of_look(look)
    a, b = candidate.one_fold, rival.one_fold
    refuse_other_groups(a, b)
    found = difference(a, b, level=level)
    differ = (a.tp != b.tp) | (a.union != b.union)
    p_value = swap_test(a, b, seed=seed)
    better = p_value <= wanted and found.interval.low >= 0
    return HeldOutTest(better, found.value, found.interval, p_value, wanted, look, int(differ.sum()))


def swap_test(a: GroupCounts, b: GroupCounts, *, seed: int = 0) -> float:
    """Return the one-sided p value of "a is not better than b", from swapping the two within groups.

    Were the models alike, each group's two results could as well be the other way round: then the test is exact,
    whatever the sizes of groups and however skewed. The statistic is a studentized difference, so that models that are
    equal in IoU only are tested at about the level too (Janssen 1997; Chung & Romano 2013).
    """
    tp, union = (np.stack([getattr(x, name) for x in (a, b)]) for name in ("tp", "union"))
    differ = (tp[0] != tp[1]) | (union[0] != union[1])
    swapped, exact = _swaps(int(differ.sum()), seed)
    observed = _statistic(tp, union, np.zeros((1, differ.size)))[0]
    reached = 0
    for first in range(0, len(swapped), BLOCK):
        block = swapped[first : first + BLOCK]
        swaps = np.zeros((len(block), differ.size))
        swaps[:, differ] = block
        reached += int((_statistic(tp, union, swaps) >= observed - TIE).sum())
    return reached / len(swapped) if exact else (1 + reached) / (1 + len(swapped))


def _statistic(tp: Floats, union: Floats, swaps: Floats) -> Floats:
    """Return (draws,): difference of pooled IoU over its error after swaps (draws, groups), its skewness taken out.

    All by the jackknife: the groups' pseudo-values have the mean, error and skewness g. A difference that is made of
    many small gains and rare large losses is too often large over its error; Hall's transformation of such a T,
    T + g (T^2 / 3 + 1 / 6) / sqrt(n) + g^2 T^3 / (27 n), is nearer to symmetric (Hall 1992).
    """
    groups = tp.shape[1]
    total, without = np.zeros(len(swaps)), np.zeros_like(swaps)
    for sign, own, other in ((1, 0, 1), (-1, 1, 0)):
        own_tp, own_union = (x[own] + swaps * (x[other] - x[own]) for x in (tp, union))
        sum_tp, sum_union = own_tp.sum(1, keepdims=True), own_union.sum(1, keepdims=True)
        total += sign * ratio(sum_tp, sum_union)[:, 0]
        without += sign * ratio(sum_tp - own_tp, sum_union - own_union)
    mean = without.sum(1) / max(1, groups)
    unbiased = groups * total - (groups - 1) * mean
    off = (groups - 1) * (mean[:, None] - without)  # of pseudo-values from their mean
    variance = (off**2).sum(1) / max(1, groups)
    error = np.sqrt(variance / max(1, groups - 1))
    t = unbiased / np.maximum(error, TIE)
    skewness = (
        (off**3).sum(1) / max(1, groups) / np.maximum(variance, TIE**2) ** 1.5 / np.sqrt(max(1, groups))
    )
    return np.asarray(t + skewness * (t**2 / 3 + 1 / 6) + skewness**2 * t**3 / 27)


@lru_cache(maxsize=2)
def _swaps(groups: int, seed: int) -> tuple[Bools, bool]:
    """Return swaps (draws, groups), and whether they are all there are."""
    if groups <= COUNTED_OUT:
        return np.array(list(product((False, True), repeat=groups))).reshape(2**groups, groups), True
    rng = np.random.default_rng(seed)
    drawn = [rng.random((min(BLOCK, DRAWS - first), groups)) < 0.5 for first in range(0, DRAWS, BLOCK)]
    return np.concatenate(drawn), False
