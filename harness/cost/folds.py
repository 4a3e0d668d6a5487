"""The fold runs of both splits, by the study's own executor; what is committed is kept and used again."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.cost.question import Question
from harness.data.cache import build_cache
from harness.data.split import freeze
from harness.errors import Interrupted
from harness.execute.executors import build_executor
from harness.execute.task import Key, Outcome
from harness.prepare import Prepared
from harness.search.foldruns import FoldRuns, obstacle
from harness.search.trial import TrialPlan, TrialResult
from harness.train.checkpoint import write_synced
from harness.train.foldrun import FoldJob, FoldResult, fold_folder

NAMES = ("split by picture", "split by group")

Tell = Callable[[str], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Unfinished:
    """A fold run that ended without a model, so that the two scores cannot be compared."""

    split: str
    fold: int
    status: str
    reason: str


@dataclass
class Telling:
    """A Recorder that says each fold run's score in a line."""

    tell: Tell
    total: int
    done: int = 0

    def open_trial(self, plan: TrialPlan) -> None: ...

    def open_fold(self, trial: int, fold: int) -> None: ...

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None: ...

    def close_trial(self, result: TrialResult) -> None: ...

    def close_fold(self, outcome: Outcome) -> None:
        if outcome.result is None:
            return
        self.done += 1
        which, fold = outcome.key
        self.tell(
            f"  {NAMES[which]}, fold {fold}: IoU {outcome.result.iou:.4f} ({self.done} of {self.total})"
        )


def jobs_of(question: Question, prepared: Prepared, place: Path, caches: Path) -> list[FoldJob]:
    """Write what fold runs read into `place`, and return them, both splits in turn."""
    place.mkdir(parents=True, exist_ok=True)
    cache = build_cache(question.samples, prepared.root, question.study.data, caches)
    found = []
    for which, (table, split) in enumerate(zip(question.tables, question.splits, strict=True)):
        samples = place / f"samples-{which}.parquet"
        write_synced(samples, table.to_parquet())
        path = freeze(split, place)
        job = partial(
            FoldJob,
            trial=which,
            study=question.study.model_dump(mode="json"),
            samples=str(samples),
            split=str(path),
            cache=str(cache.folder),
        )
        found += [job(fold=k, folder=str(fold_folder(place, which, k))) for k in range(split.count)]
    return sorted(found, key=lambda job: (job.fold, job.trial))


def train(
    jobs: Sequence[FoldJob], question: Question, log: Path, *, tell: Tell, should_stop: ShouldStop
) -> dict[Key, FoldResult] | Unfinished:
    """Return the results by (split, fold), or the first fold run that ended without one; the others are stopped.

    Raises Interrupted, DataError; what is committed is kept.
    """
    waiting, results = list(jobs), dict[Key, FoldResult]()
    with closing(build_executor(question.study.execute, log=log, tell=tell)) as executor:
        runs = FoldRuns(executor, Telling(tell, len(jobs)))
        while len(results) < len(jobs):
            if should_stop():
                _stop(runs)
                raise Interrupted(f"stopped with {len(results)} of {len(jobs)} fold runs of the cost done")
            while waiting and not runs.full:
                runs.submit(waiting.pop(0))
            for outcome in runs.take():
                if outcome.result is None:
                    _stop(runs)
                    return _refused(outcome)
                results[outcome.key] = outcome.result
    return results


def _refused(outcome: Outcome) -> Unfinished:
    if error := obstacle(outcome):
        raise error
    if outcome.status == "interrupted":
        raise Interrupted(outcome.reason)
    which, fold = outcome.key
    return Unfinished(NAMES[which], fold, outcome.status, outcome.reason)


def _stop(runs: FoldRuns) -> None:
    runs.cancel_all()
    runs.drain()


def of_split(results: Mapping[Key, FoldResult], which: int) -> list[FoldResult]:
    """Return the results of one of the splits, by fold."""
    return [result for key, result in sorted(results.items()) if key[0] == which]
