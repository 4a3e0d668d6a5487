"""Room made on the disk: weights that nobody needs any more are dropped; what the fold runs found stays."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.train.checkpoint import WEIGHTS, drop


@dataclass(frozen=True)
class Finished:
    """A finished trial: its score, None where it was pruned or failed, and the folders of its committed folds."""

    number: int
    score: float | None
    folders: tuple[Path, ...]


def prune(
    trials: Iterable[Finished], *, best: int, keep: Collection[Path] = (), budget: int = 0
) -> dict[Path, int]:
    """Drop weights until those of these trials take at most `budget` bytes; return the bytes freed by folder.

    Those of trials without a score go first, then those of the lowest scores. The `best` trials keep theirs, and so
    does each folder in `keep`, whatever the budget. Done again it goes on where it was killed. Raises DataError.
    """
    places = {place.resolve() for place in keep}
    order = sorted(trials, key=_worst_first)
    held = sum(_size(folder) for trial in order for folder in trial.folders)
    freed: dict[Path, int] = {}
    for folder in _droppable(order, best):
        if held <= budget:
            break
        if folder.resolve() not in places and (size := _size(folder)):
            drop(folder, WEIGHTS)
            freed[folder], held = size, held - size
    return freed


def _worst_first(trial: Finished) -> tuple[float, int]:
    """Of two equal ones the later one is the worse."""
    return (float("-inf") if trial.score is None else trial.score, -trial.number)


def _droppable(order: Sequence[Finished], best: int) -> list[Path]:
    scored = [trial for trial in order if trial.score is not None]
    kept = {trial.number for trial in scored[max(0, len(scored) - best) :]}
    return [folder for trial in order if trial.number not in kept for folder in trial.folders]


def _size(folder: Path) -> int:
    """Return the bytes that dropping a folder's weights sets free: none where another study has them too."""
    path = folder / WEIGHTS
    if not path.is_file() or path.stat().st_nlink > 1:
        return 0
    return path.stat().st_size
