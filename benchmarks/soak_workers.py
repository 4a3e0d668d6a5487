"""The same study with 1, 2 and 4 worker processes: the same search, the same numbers to the bit, exactly the budget.

make soak
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.soak_kills import NAME, Size, write_study
from benchmarks.study_ending import Ending, read_ending
from benchmarks.study_life import finished, start

WORKERS = (1, 2, 4)


def ran(folder: Path, workers: int, size: Size) -> Ending:
    """Run the study with so many workers in a home of its own; return what it ended as."""
    place = folder / str(workers)
    write_study(place, Size(size.trials, size.folds, workers))
    (folder / ".cache").mkdir(exist_ok=True)
    (place / ".cache").symlink_to(folder / ".cache")  # what is slow to find out about the pictures, once
    if code := finished(start(place, NAME, "run")):
        raise RuntimeError(
            f"the command ended with {code}; it said: {(place / 'said.log').read_text()[-3000:]}"
        )
    return read_ending(place / "home")


def wrong(found: Ending, first: Ending, trials: int) -> list[str]:
    """Return a line about each thing that is not as with the first number of workers, or not as promised of any."""
    lines = found.differences(first)
    numbers = [number for number, *_ in found.trials]
    if numbers != list(range(trials)):
        lines.append(f"the budget is {trials}, the trials are {numbers}")
    if found.running or found.twice:
        lines.append(f"{found.running} runs are RUNNING, {found.twice} are there twice")
    return lines


def compare(folder: Path, counts: Sequence[int], size: Size) -> list[str]:
    """Run the study with each number of workers; return what is not equal."""
    first, lines = None, []
    for workers in counts:
        began = time.monotonic()
        found = ran(folder, workers, size)
        first = first or found
        differences = wrong(found, first, size.trials)
        said = f"{len(differences)} differences" if found is not first else "the others are compared with it"
        seconds = time.monotonic() - began
        print(f"{workers} workers, {seconds:.0f} s: {found.summary()}; {said}", flush=True)
        lines += [f"{workers} workers: {line}" for line in differences]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what each study ended as; return 1 if anything is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_workers", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    Path(".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=".cache") as temporary:
        lines = compare(Path(temporary).resolve(), asked.workers, Size())
    print(
        "\n".join([*lines, f"{len(lines)} things are not as promised" if lines else "all as promised"]),
        flush=True,
    )
    return min(len(lines), 1)


if __name__ == "__main__":
    sys.exit(main())
