"""Mend what a study left on disk: lost folds of finished trials are trained anew, what nobody needs is removed."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import DataError, Interrupted, TrainingError
from harness.execute.task import Executor, Key, Outcome, key_of
from harness.search.foldruns import POLL
from harness.search.optimize import JobMaker
from harness.search.trial import TrialResult
from harness.train.checkpoint import is_committed
from harness.train.claim import release
from harness.train.foldrun import FoldJob, FoldResult, committed_result

NEAR = 0.01  # IoU by which a fold trained anew on a GPU may differ; on a CPU it is equal to the bit


def remove_leftovers(work: Path, results: Mapping[int, TrialResult]) -> list[Path]:
    """Remove what a driver that was killed left behind and no fold run will go on from; return it."""
    found = [path for kind in ("working", "cancelled") for path in work.glob(f"[0-9]*/[0-9]*.{kind}")]
    found += [path for path in work.glob("[0-9]*/[0-9]*.saved") if _is_needless(path, results)]
    locks = [path for path in work.glob("[0-9]*/[0-9]*.lock") if release(path)]
    for lock in work.glob(
        "refit/[0-9]*.lock"
    ):  # a promotion may be at it: it does not hold the driver's lock
        if release(lock):
            locks.append(lock)
            found += [path for path in _of_refit(lock) if path.exists()]
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found + locks


def _of_refit(lock: Path) -> list[Path]:
    """Return what a killed refit leaves that the next promotion does not go on from."""
    saved = [lock.with_suffix(".saved")] if is_committed(lock.with_suffix("")) else []
    return [lock.with_suffix(".working"), *saved]


def _is_needless(saved: Path, results: Mapping[int, TrialResult]) -> bool:
    """Tell whether a fold run is committed, or its trial was finished without it."""
    trial, fold = int(saved.parent.name), int(saved.stem)
    finished = results.get(trial)
    # more folds of a complete trial are those of its second look
    without = (
        finished is not None and finished.state != "complete" and fold not in {f.fold for f in finished.folds}
    )
    return without or is_committed(saved.with_suffix(""))


def unusable_folds(results: Mapping[int, TrialResult]) -> dict[Key, str]:
    """Return the folds of finished trials whose folder is not what was committed, and what is wrong."""
    found: dict[Key, str] = {}
    for number, result in results.items():
        for fold in result.folds:
            try:
                if not _same(committed_result(Path(fold.folder)), fold):
                    found[number, fold.fold] = f"{fold.folder}: holds another result"
            except DataError as error:
                found[number, fold.fold] = str(error)
    return found


def train_anew(
    results: Mapping[int, TrialResult],
    folds: Mapping[Key, str],
    make_job: JobMaker,
    executor: Executor,
    should_stop: Callable[[], bool],
) -> None:
    """Train these folds of finished trials; their scores stay as they were told.

    Raises Interrupted when `should_stop` says so or the disk is full, TrainingError when a fold ends otherwise than it
    did before.
    """
    waiting = [make_job(results[trial].plan, fold) for trial, fold in sorted(folds)]
    running: list[FoldJob] = []
    while waiting or running:
        if should_stop():
            for job in running:
                executor.cancel(key_of(job))
            raise Interrupted(f"stopped with {len(waiting) + len(running)} folds left to be trained anew")
        while waiting and len(running) < executor.capacity:
            running.append(waiting.pop(0))
            shutil.rmtree(running[-1].final, ignore_errors=True)
            executor.submit(running[-1])
        for outcome in executor.wait_any(POLL):
            running = [job for job in running if key_of(job) != outcome.key]
            _refuse_another_end(outcome, results)


def _refuse_another_end(outcome: Outcome, results: Mapping[int, TrialResult]) -> None:
    trial, number = outcome.key
    if outcome.blocked:
        raise Interrupted(outcome.reason)
    told = next(fold for fold in results[trial].folds if fold.fold == number)
    if outcome.result is None or not _same(outcome.result, told):
        ended = outcome.reason if outcome.result is None else f"IoU {outcome.result.iou:.6f}"
        raise TrainingError(
            f"trial {trial} fold {number}: trained anew it ended with {ended}, before with IoU {told.iou:.6f}; "
            "code or machine changed since: restore them, or give the study a new name to start afresh"
        )


def _same(one: FoldResult, other: FoldResult) -> bool:
    if one.device == other.device == "cpu":
        return one.work() == other.work()
    return abs(one.iou - other.iou) <= NEAR
