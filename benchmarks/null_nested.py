"""Searches that are no better, held against each other by nested cross-validation: how many pass, over four looks.

As null_promotions, but groups of a fold share a luck (.3 in logits), as the same networks predict them, and all folds
of a search share a part of it, as their training sets overlap. The corrected t test takes that part for one over the
number of folds. `python -m benchmarks.null_nested` (all, or what is named behind it: equal, picked, power) ends with
1 where more pass than DESIGN allows with a part of .2 or less. Rows with more of it say what the test does not cover.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.markdown import head_of, row_of
from benchmarks.null_promotions import Chain, run_homes
from benchmarks.simulated_groups import draw, studies_of
from benchmarks.simulated_studies import HeldOut
from benchmarks.simulation_limits import FALSE_BETTER, UPPER, share_error, upper_bound
from harness.evaluate.groups import headline
from harness.evaluate.heldout import LOOKS
from harness.evaluate.nested import nested_test
from harness.promotion.readable import Readable

HOMES, POWER_HOMES = 1000, 500
LUCK = 0.3
GAINS = (0.05, 0.1, 0.15)
COVERED = 0.2  # the part that all folds share, in the test
# how they err, groups, folds, luck, the part of it that all folds share
ROWS = (
    ("alike", 16, 5, LUCK, 0.2),
    ("alike", 30, 5, 0.0, 0.0),
    ("alike", 30, 5, LUCK, 0.0),
    ("alike", 30, 5, LUCK, 0.2),
    ("alike", 30, 3, LUCK, 0.2),
    ("alike", 60, 5, LUCK, 0.2),
    ("alike", 60, 10, LUCK, 0.1),
    ("misses", 30, 5, LUCK, 0.2),
    ("invents", 30, 5, LUCK, 0.2),
    ("invents", 60, 5, LUCK, 0.2),
    ("alike", 60, 5, LUCK, 0.5),
    ("alike", 60, 5, LUCK, 0.8),
    ("alike", 60, 5, 2 * LUCK, 0.8),
)
# how they err, groups, and of how many other trials and itself the candidate is the best
PICKED = (("alike", 30, 20), ("alike", 60, 20), ("invents", 60, 20), ("alike", 60, 400), ("invents", 60, 400))


@dataclass(frozen=True)
class Picked:
    """Homes with many trials of other studies; the best by its score on these very groups is nested and promoted.

    The worst case: all trials differ as two searches do, and the nested score is the one that it was picked by.
    """

    kind: str
    groups: int
    trials: int

    def run(self, homes: int, number: int, large: int) -> list[bool]:
        """Return for each home whether the look that is due lets it pass."""
        world, (candidate, champion) = HeldOut(self.kind, 0.0, self.groups).models(large, LUCK, COVERED)
        rng = np.random.default_rng([number, len(self.kind), self.groups, self.trials])
        models = [champion, *(replace(candidate) for _ in range(1 + self.trials))]
        look = Readable(1, self.trials).next_look(0)
        found = []
        for _ in range(homes):
            (home,) = studies_of(draw(world, models, (1, self.groups), rng, folds=5))
            best = max(home[1:], key=lambda one: float(headline(one)))
            found.append(nested_test(best, home[0], look=look).better)
        return found


def main(parts: Sequence[str]) -> int:
    """Draw the homes and print the shares that pass; return 1 where more pass than may."""
    start = time.monotonic()
    failed: list[str] = []
    for part in parts:
        failed += PARTS[part]()
    print(f"\n{time.monotonic() - start:.0f} s\n")
    print(
        "\n".join(
            ["Missed limits:", *(f"- {line}" for line in failed)] if failed else ["No limit is missed."]
        )
    )
    return int(bool(failed))


def _null_rows() -> Iterator[str]:
    """Print a row for each kind of homes; yield a sentence for each limit that is missed."""
    print(f"Searches of equal true IoU: share of {HOMES} homes in which a look lets one pass.\n")
    looks = [f"look {look}" for look in range(1, LOOKS + 1)]
    head = ["models", "groups", "folds", "luck", "part in all folds", *looks, "any of four", "upper 97.5 %"]
    print("\n".join(head_of(head)), flush=True)
    for kind, groups, folds, luck, common in ROWS:
        passed = run_homes(Chain(kind, groups, 0.0, folds, luck, common), HOMES)
        share = float(passed.any(1).mean())
        bound = upper_bound(share, HOMES)
        each = [f"{one:.4f}" for one in passed.mean(0)]
        told = [kind, str(groups), str(folds), f"{luck:g}", f"{common:g}", *each]
        print(row_of([*told, f"{share:.4f} ± {share_error(share, HOMES):.4f}", f"{bound:.4f}"]), flush=True)
        if common <= COVERED and (share > FALSE_BETTER or bound > UPPER):
            yield f"{kind}, {groups} groups, {folds} folds: {share:.4f} pass (upper bound {bound:.4f})"


def _picked_rows() -> Iterator[str]:
    """Print a row for each number of trials; yield a sentence for each limit that is missed."""
    print(f"\nThe best of many trials by what can be read: share of {HOMES} homes in which it passes.\n")
    print(
        "\n".join(head_of(["models", "groups", "other trials", "look", "passes", "upper 97.5 %"])), flush=True
    )
    for kind, groups, trials in PICKED:
        share = float(run_homes(Picked(kind, groups, trials), HOMES).mean())
        bound, look = upper_bound(share, HOMES), Readable(1, trials).next_look(0)
        told = f"{share:.4f} ± {share_error(share, HOMES):.4f}"
        print(row_of([kind, str(groups), str(trials), str(look), told, f"{bound:.4f}"]), flush=True)
        if share > FALSE_BETTER or bound > UPPER:
            yield f"best of {trials}, {kind}, {groups} groups: {share:.4f} pass (upper bound {bound:.4f})"


def _power_rows() -> Iterator[str]:
    """Print what passes of candidates that are better; no limit is set."""
    print(f"\nA first candidate that is better in truth: share of {POWER_HOMES} that passes at look 1.\n")
    print("\n".join(head_of(["groups", *(f"gain {gain}" for gain in GAINS)])), flush=True)
    for groups in (16, 30, 60):
        chains = [Chain("alike", groups, gain, 5, LUCK, COVERED) for gain in GAINS]
        shares = [f"{run_homes(chain, POWER_HOMES)[:, 0].mean():.4f}" for chain in chains]
        print(row_of([str(groups), *shares]), flush=True)
    yield from ()


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "equal": _null_rows,
    "picked": _picked_rows,
    "power": _power_rows,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [*PARTS]))
