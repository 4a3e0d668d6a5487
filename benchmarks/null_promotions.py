"""Promotions of models that are no better: how many pass, over the four looks that a set of held-out groups has.

Each drawn home has one champion and four candidates of exactly its true IoU, which are promoted one after the other on
the same held-out groups; what passes is the champion from then on. A pass is an error. `python -m
benchmarks.null_promotions` ends with 1 where more pass than DESIGN allows.
"""

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any, Protocol

import numpy as np

from benchmarks.markdown import head_of, row_of
from benchmarks.simulated_groups import Model, draw, studies_of
from benchmarks.simulated_studies import HeldOut
from benchmarks.simulation_limits import FALSE_BETTER, UPPER, share_error, upper_bound
from harness.evaluate.groups import GroupCounts
from harness.evaluate.heldout import LOOKS, can_be_proven, held_out_test
from harness.evaluate.nested import nested_test

HOMES, PART, LARGE, WORKERS = 2000, 250, 400_000, 2
GROUPS = (16, 30, 60)
GAIN, POWER_HOMES = 0.15, 1000
KINDS = ("alike", "misses", "invents")  # all, unless some are named behind the command


@dataclass(frozen=True)
class Chain:
    """Homes of a kind: how candidates and champion err, and the gain of the candidates, of which 0 is none.

    With several folds they are searches, which are held against each other by nested cross-validation; luck and common
    are those of their trainings, see simulated_groups.World.
    """

    kind: str
    groups: int
    gain: float = 0.0
    folds: int = 1
    luck: float = 0.0
    common: float = 0.0

    def run(self, homes: int, number: int, large: int) -> list[list[bool]]:
        """Return for each home which looks let a candidate pass."""
        cell = HeldOut(self.kind, self.gain, self.groups)
        world, (candidate, champion) = cell.models(large, self.luck, self.common)
        models: Sequence[Model] = [champion, *(replace(candidate) for _ in range(LOOKS))]
        rng = np.random.default_rng([number, len(self.kind), self.groups, round(1000 * self.gain)])
        counts = draw(world, models, (homes, self.groups), rng, folds=self.folds)
        return [self.passed(home) for home in studies_of(counts, folds=self.folds)]

    def passed(self, home: Sequence[GroupCounts]) -> list[bool]:
        """Return which looks let a candidate pass; it is the champion from then on."""
        champion, found, test = home[0], [], held_out_test if self.folds == 1 else nested_test
        for look, candidate in enumerate(home[1:], 1):
            better = can_be_proven(self.groups, look) and test(candidate, champion, look=look).better
            found.append(better)
            champion = candidate if better else champion
        return found


def main(kinds: Sequence[str]) -> int:
    """Draw the homes and print the shares that pass; return 1 where more pass than may, or fewer than should."""
    start, failed = time.monotonic(), []
    print(f"Promotions of models of equal true IoU: share of {HOMES} homes in which a look lets one pass.\n")
    looks = [f"look {look}" for look in range(1, LOOKS + 1)]
    print("\n".join(head_of(["models", "groups", *looks, "any of four", "upper 97.5 %"])))
    for kind in kinds:
        for groups in GROUPS:
            passed = run_homes(Chain(kind, groups), HOMES)
            share = float(passed.any(1).mean())
            bound = upper_bound(share, HOMES)
            each = [f"{one:.4f}" for one in passed.mean(0)]
            print(
                row_of(
                    [
                        kind,
                        str(groups),
                        *each,
                        f"{share:.4f} ± {share_error(share, HOMES):.4f}",
                        f"{bound:.4f}",
                    ]
                )
            )
            if share > FALSE_BETTER or bound > UPPER:
                failed.append(f"{kind}, {groups} groups: {share:.4f} pass (upper bound {bound:.4f})")
    print(
        f"\nA first candidate that is better by {GAIN} in truth: share of {POWER_HOMES} that passes at look 1.\n"
    )
    print("\n".join(head_of([f"{groups} groups" for groups in GROUPS])))
    shares = [float(run_homes(Chain("alike", groups, GAIN), POWER_HOMES)[:, 0].mean()) for groups in GROUPS]
    print(row_of([f"{share:.4f}" for share in shares]))
    print(f"\n{time.monotonic() - start:.0f} s")
    print(
        "\n".join(
            ["", "Missed limits:", *(f"- {line}" for line in failed)] if failed else ["No limit is missed."]
        )
    )
    return int(bool(failed))


class Drawn(Protocol):
    """Homes of a kind that can be drawn in parts."""

    def run(self, homes: int, number: int, large: int) -> list[Any]: ...


def run_homes(drawn: Drawn, homes: int) -> np.ndarray:
    """Return what each home gave, (homes, ...)."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes to come
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        parts = [pool.submit(drawn.run, PART, number, LARGE) for number in range(homes // PART)]
        return np.array([home for part in parts for home in part.result()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or KINDS))
