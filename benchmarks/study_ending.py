"""What a study ended as, on disk, in Optuna and in MLflow, with all times left out, to be compared to the bit."""

import contextlib
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import optuna

from harness.errors import DataError
from harness.model.outoffold import FILES
from harness.report.leaderboard import read_leaderboard
from harness.train.checkpoint import MANIFEST, WEIGHTS, verify

TIMES = ("images_per_second", "seconds")  # what is no result in the ledger and in MLflow

Folder = tuple[
    int, int, int, str
]  # inode of a committed folder; inode, time of change and hash of its manifest


@dataclass(frozen=True)
class Ending:
    """A fold that a pruned trial was judged without has a part only in the counts: it depends on the moment."""

    ledger: Sequence[Mapping[str, Any]]  # the rows, with parameters and IoUs
    trials: Sequence[tuple[Any, ...]]  # number, state, value, parameters and reports in Optuna
    files: Mapping[str, str]  # SHA-256 of weights and out-of-fold tables
    runs: Mapping[str, str]  # status in MLflow by the tag harness.fold_run
    points: Mapping[tuple[Any, ...], int]  # metric rows in MLflow, and how often each is there
    running: int
    twice: int

    def differences(self, wanted: "Ending") -> list[str]:
        """Return a line about each part that is not as in the other one."""
        lines = []
        for name in (f.name for f in fields(self) if f.name not in ("running", "twice")):
            found, other = getattr(self, name), getattr(wanted, name)
            if found != other:
                lines.append(f"{name}: {_first_difference(found, other)}")
        return lines

    def summary(self) -> str:
        """Return what there is to compare."""
        states = Counter(state for _, state, *_ in self.trials)
        said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return (
            f"{said} trials, {len(self.files)} files of folds, {len(self.runs)} runs, {sum(self.points.values())} "
            "metric rows"
        )


def read_ending(home: Path) -> Ending:
    """Read what the only study of a home ended as."""
    (work,) = (home / "work").iterdir()
    trials = _trials(home, work.name)
    judged = {f"{t.number}/{fold['fold']}" for t in trials for fold in t.user_attrs.get("folds", [])}
    kept = (
        {work.name} | {f"{work.name}/{t.number}" for t in trials} | {f"{work.name}/{fold}" for fold in judged}
    )
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        runs, points = database.execute(_RUNS).fetchall(), database.execute(_POINTS).fetchall()
    each = Counter(key for key, _ in runs)
    return Ending(
        ledger=[_without_times(row) for row in read_leaderboard(work / "ledger").trials],
        trials=[
            (t.number, t.state.name, t.value, dict(t.params), dict(t.intermediate_values)) for t in trials
        ],
        files={
            f"{fold}/{name}": _sha256(work / fold / name) for fold in judged for name in (WEIGHTS, *FILES)
        },
        runs={key: status for key, status in runs if key in kept},
        points=Counter(
            (key, name, step, None if name in TIMES else value)
            for key, name, step, value in points
            if key in kept
        ),
        running=sum(status == "RUNNING" for _, status in runs),
        twice=sum(count - 1 for count in each.values()),
    )


def committed(home: Path) -> dict[Path, Folder]:
    """Return the fold runs that are committed, with what tells whether one is replaced."""
    found = {}
    for manifest in home.glob(f"work/*/[0-9]*/[0-9]*/{MANIFEST}"):
        if manifest.parent.name.isdigit():  # else an attempt, just before its commit
            found[manifest.parent] = _identity(manifest.parent)
    return found


def intact(folder: Path, known: Folder) -> bool:
    """Tell whether a committed fold run is the one that it was, its files whole."""
    try:
        verify(folder)
        return _identity(folder) == known
    except (DataError, OSError):
        return False


def _identity(folder: Path) -> Folder:
    manifest = folder / MANIFEST
    status = manifest.stat()
    return folder.stat().st_ino, status.st_ino, status.st_mtime_ns, _sha256(manifest)


def _trials(home: Path, study: str) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{home / 'optuna.db'}")
    try:
        return optuna.load_study(study_name=study, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _without_times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in TIMES}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _first_difference(found: Any, wanted: Any) -> str:
    """Return the entry that comes first of those which only one of the two has."""
    one, other = (
        {str(entry) for entry in (part.items() if isinstance(part, Mapping) else part)}
        for part in (found, wanted)
    )
    more, less = sorted(one - other), sorted(other - one)
    return f"{len(more)} more, such as {more[:1]}; {len(less)} fewer, such as {less[:1]}"


_RUNS = "SELECT t.value, r.status FROM runs r JOIN tags t USING (run_uuid) WHERE t.key = 'harness.fold_run'"
_POINTS = (
    "SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN tags t USING (run_uuid) "
    "WHERE t.key = 'harness.fold_run'"
)
