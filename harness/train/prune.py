"""Room made on the disk: weights that nobody needs any more are dropped; what the fold runs found stays."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.train.checkpoint import WEIGHTS, drop


@dataclass(frozen=True)
class Finished:
    """A finished trial: its score, None where it was pruned or failed, and the folders of its committed folds."""

    number: int
    score: float | None
    folders: tuple[Path, ...]


class _File(NamedTuple):
    """A file, whatever links there are to it."""

    device: int
    inode: int
    bytes: int


def prune(
    trials: Iterable[Finished], *, best: int, keep: Collection[Path] = (), budget: int = 0
) -> dict[Path, int]:
    """Drop weights until those of these trials take at most `budget` bytes; return the bytes freed by folder.

    Those of trials without a score go first, then those of the lowest scores. The `best` trials keep theirs, and so
    does each folder in `keep`, whatever the budget. A file that several folds share, by links, takes its bytes once;
    dropped from one it frees nothing as long as another has it, also one of another study, and all with the last.
    Done again it goes on where it was killed. Raises DataError.
    """
    places = {place.resolve() for place in keep}
    order = sorted(trials, key=_worst_first)
    links = Counter(file for trial in order for folder in trial.folders if (file := _file(folder)))
    freed: dict[Path, int] = {}
    for folder in _droppable(order, best):
        if sum(file.bytes for file, count in links.items() if count) <= budget:
            break
        if folder.resolve() not in places and (file := _file(folder)):
            last = (folder / WEIGHTS).stat().st_nlink == 1
            drop(folder, WEIGHTS)
            links[file] -= 1
            freed[folder] = file.bytes if last else 0
    return freed


def _worst_first(trial: Finished) -> tuple[float, int]:
    """Of two equal ones the later one is the worse."""
    return (float("-inf") if trial.score is None else trial.score, -trial.number)


def _droppable(order: Sequence[Finished], best: int) -> list[Path]:
    scored = [trial for trial in order if trial.score is not None]
    kept = {trial.number for trial in scored[max(0, len(scored) - best) :]}
    return [folder for trial in order if trial.number not in kept for folder in trial.folders]


def _file(folder: Path) -> _File | None:
    """Return the file of a folder's weights, None where they were dropped."""
    try:
        status = (folder / WEIGHTS).stat()
    except FileNotFoundError:
        return None
    return _File(status.st_dev, status.st_ino, status.st_size)
