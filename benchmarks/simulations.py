"""Drawn studies with a known truth: what intervals cover, what is left of optimism, how often "better" is wrong.

make bench-statistics
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from benchmarks.interval_rivals import RIVALS
from benchmarks.markdown import head_of, row_of
from benchmarks.simulated_groups import World, icc_of, true_iou
from benchmarks.simulated_studies import (
    BY_CROPS,
    PAIRED,
    POOLED,
    SHIPPED,
    Cell,
    Columns,
    Coverage,
    HeldOut,
    Optimism,
)
from benchmarks.simulation_limits import Results, better, mean_error, missed, share_error, upper_bound
from harness.evaluate.comparisons import power
from harness.evaluate.heldout import LOOKS, level_of_look

ICC, GROUPS = (0.2, 0.6), (20, 30, 60)
SPREADS, CHOOSING = (0.0, 0.02, 0.04), (30, 60)
KINDS, HELD_OUT = ("alike", "misses", "invents"), (15, 30, 60)
GAINS, POWER_GROUPS = (0.02, 0.05, 0.1), (15, 30, 60, 120)
STUDIES = {"coverage": 2000, "optimism": 500, "heldout": 2000, "power": 1000}
CELLS: dict[str, list[Cell]] = {
    "coverage": [Coverage(icc, groups) for icc in ICC for groups in GROUPS],
    "optimism": [Optimism(spread, groups) for spread in SPREADS for groups in CHOOSING],
    "heldout": [HeldOut(kind, 0.0, groups) for kind in KINDS for groups in HELD_OUT],
    "power": [HeldOut("alike", gain, groups) for gain in GAINS for groups in POWER_GROUPS],
}
LARGE, PART, QUICK = 400_000, 100, 20  # groups of a true value; studies at a time; times less of everything
WORKERS = 2


@dataclass(frozen=True)
class Task:
    """Some studies of one cell."""

    cell: Cell
    number: int
    studies: int
    large: int

    def run(self) -> Columns:
        """Return the columns of these studies; runs in a process of its own."""
        return self.cell.run(self.studies, self.number, self.large)


def main() -> int:
    """Print the tables; return 1 where a limit is missed."""
    parser = argparse.ArgumentParser(
        description="Draw studies with a known truth and count what is said of them."
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything, to try it")
    parser.add_argument("--only", choices=list(CELLS), help="one table only")
    asked = parser.parse_args()
    names, less = [asked.only] if asked.only else list(CELLS), QUICK if asked.quick else 1
    results = _run_all([task for name in names for task in _tasks(name, less)])
    for name in names:
        part = {cell: results[cell] for cell in CELLS[name]}
        print("\n".join(TABLES[name](part, LARGE // less)), end="\n\n", flush=True)
    failures = missed(results)
    print("\n".join(["Missed limits:", *(f"- {line}" for line in failures or ["none"])]))
    return 1 if failures else 0


def coverages(results: Results, large: int) -> Iterator[str]:
    """Yield the tables of coverage and of width, a row a method; what is shipped comes first."""
    yield f"95 % intervals: share that holds the true IoU (± Monte Carlo error), {_studies(results)} a column."
    for icc in ICC:
        yield f"icc asked for {icc}: measured {icc_of(World(icc)):.3f} between the IoUs of pictures."
    yield ""
    yield from head_of(["covered", *(f"icc {cell.icc}, {cell.groups} groups" for cell in results)])
    for name in (SHIPPED, POOLED, PAIRED, *RIVALS, BY_CROPS):
        yield row_of([name, *(_share(columns[name]) for columns in results.values())])
    yield row_of(["error of the headline", *(_mean(columns["error"]) for columns in results.values())])
    yield ""
    yield from head_of(["mean width", *(f"icc {cell.icc}, {cell.groups} groups" for cell in results)])
    for name in (SHIPPED, POOLED, PAIRED, *RIVALS, BY_CROPS):
        yield row_of([name, *(f"{np.mean(columns[f'{name}, width']):.3f}" for columns in results.values())])


def optimisms(results: Results, large: int) -> Iterator[str]:
    """Yield the table of the best of sixty trials, a row a spread and number of groups."""
    yield f"Best of 60 trials, icc .6: its score minus its true IoU (± Monte Carlo error), {_studies(results)} a row."
    yield ""
    names = {
        "before": "before",
        "after": "corrected",
        "bootstrap": "BBC-CV by bootstrap",
        "any trial": "any trial, not chosen",
        "by choosing": "corrected less any trial",
        "gain": "true gain of choosing",
    }
    covered = ("interval of corrected covers", "interval of the best as it came covers")
    yield from head_of(["sd of true IoU", "groups", *names.values(), "sd of corrected", *covered])
    for cell, columns in results.items():
        means = [_mean(columns[name]) for name in names]
        shares = [_share(columns[name]) for name in ("covered", "covered before")]
        spread = f"{np.std(columns['after']):.3f}"
        yield row_of([f"{cell.deviation:g}", str(cell.groups), *means, spread, *shares])


def false_betters(results: Results, large: int) -> Iterator[str]:
    """Yield the table of "better" said of two models of equal true IoU, a row a kind of models and number of groups."""
    yield f"Two models of equal true IoU on held-out groups: share called better, {_studies(results)} a row."
    yield ""
    levels = [level_of_look(look) for look in range(1, LOOKS + 1)]
    looks = [f"look {look} at {level:g}" for look, level in enumerate(levels, 1)]
    rivals = tuple(f"{test} at {levels[0]:g}" for test in ("paired t", "bootstrap-t"))
    yield from head_of(
        ["models", "groups", "true IoU of both", looks[0], "upper 97.5 %", *looks[1:], *rivals]
    )
    for cell, columns in results.items():
        shares = [_rate(columns, level) for level in levels]
        bound = f"{upper_bound(better(columns), len(columns['p'])):.4f}"
        others = [_rate(columns, levels[0], test) for test in ("t", "bootstrap-t")]
        both = " and ".join(f"{iou:.4f}" for iou in true_iou(*cell.models(large), large, seed=3))
        yield row_of([cell.kind, str(cell.groups), both, shares[0], bound, *shares[1:], *others])


def powers(results: Results, large: int) -> Iterator[str]:
    """Yield the table of the share of better models found at the first look, a row a gain; then what `power` says."""
    yield f"A better model on held-out groups: share called better at look 1, {_studies(results)} a cell; in brackets"
    yield "what the formula of a t test says of the mean paired deviation, at the level of that look."
    yield ""
    yield from head_of(["gain in IoU", *(f"{groups} groups" for groups in POWER_GROUPS)])
    for gain in GAINS:
        cells = {cell: columns for cell, columns in results.items() if cell.gain == gain}
        yield row_of([f"{gain:+g}", *(_power(cell, columns) for cell, columns in cells.items())])


TABLES = {"coverage": coverages, "optimism": optimisms, "heldout": false_betters, "power": powers}


def _power(cell: Cell, columns: Columns) -> str:
    both_sides = 2 * level_of_look(1)
    said = power(cell.gain, float(np.mean(columns["deviation"])), cell.groups, level=both_sides)
    return f"{_rate(columns, level_of_look(1))} ({said:.3f})"


def _tasks(name: str, less: int) -> Iterator[Task]:
    studies = STUDIES[name] // less
    for cell in CELLS[name]:
        for number, first in enumerate(range(0, studies, PART)):
            yield Task(cell, number, min(PART, studies - first), LARGE // less)


def _run_all(tasks: Sequence[Task]) -> dict[Cell, Columns]:
    """Return the columns of each cell, in the order of tasks, whichever of the processes ends first."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes to come
    start, results = time.monotonic(), dict[Cell, Columns]()
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        for done, (task, columns) in enumerate(zip(tasks, pool.map(Task.run, tasks), strict=True), 1):
            kept = results.setdefault(task.cell, {})
            for name, values in columns.items():
                kept.setdefault(name, []).extend(values)
            if task is tasks[-1] or task.cell != tasks[done].cell:
                seconds = time.monotonic() - start
                print(f"{done} of {len(tasks)}, {seconds:.0f} s: {task.cell}", file=sys.stderr, flush=True)
    return results


def _studies(results: Results) -> str:
    return f"{max(len(values) for columns in results.values() for values in columns.values())} studies"


def _share(values: Sequence[float]) -> str:
    share = float(np.mean(values))
    return f"{share:.4f} ± {share_error(share, len(values)):.4f}"


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):+.4f} ± {mean_error(values):.4f}"


def _rate(columns: Columns, level: float, test: str = "p") -> str:
    return _share([float(value <= level) for value in columns[test]])


if __name__ == "__main__":
    sys.exit(main())
