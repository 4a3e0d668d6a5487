"""The second look: the best trials run once more, with fresh seeds and fresh folds of the same groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import Interrupted
from harness.execute.task import Executor, Key, Outcome
from harness.search.foldruns import FoldRuns, obstacle
from harness.search.optimize import JobMaker
from harness.search.second import write_second
from harness.search.trial import Recorder, SecondLook, TrialResult
from harness.train.foldrun import FoldResult, forget


def best_trials(results: Mapping[int, TrialResult], count: int) -> list[int]:
    """Return the numbers of the `count` complete trials with the largest mean IoU, best first."""
    scores = {number: result.iou_mean for number, result in results.items() if result.iou_mean is not None}
    return sorted(scores, key=lambda number: (-scores[number], number))[:count]


@dataclass
class SecondLooks:
    """Carries trials through the folds of one more repeat; a trial ends at its first fold that is not committed."""

    work: Path
    make_job: JobMaker
    folds: Sequence[int]
    executor: Executor
    recorder: Recorder
    _open: dict[int, TrialResult] = field(default_factory=dict)
    _waiting: list[Key] = field(default_factory=list)
    _outcomes: dict[Key, Outcome] = field(default_factory=dict)

    def run(self, trials: Sequence[TrialResult], should_stop: Callable[[], bool]) -> None:
        """Look at these trials again. Raises Interrupted, LeakageError, DataError; what is committed is kept."""
        runs = FoldRuns(self.executor, self.recorder)
        self._open = {result.plan.number: result for result in trials}
        self._waiting = [(number, fold) for number in self._open for fold in self.folds]
        for result in trials:
            self.recorder.open_trial(result.plan)
        while self._open:
            if should_stop():
                self._stop(runs)
                raise Interrupted(f"stopped with {len(self._open)} second looks left")
            while self._waiting and not runs.full:
                trial, fold = self._waiting.pop(0)
                runs.submit(self.make_job(self._open[trial].plan, fold))
            self._take(runs)
        runs.drain()
        for result in trials:  # what the folds that ended after their trial would have gone on from
            for fold in self.folds:
                forget(self.make_job(result.plan, fold))

    def _take(self, runs: FoldRuns) -> None:
        outcomes = runs.take()
        for outcome in outcomes:
            if (error := obstacle(outcome)) is not None:
                self._stop(runs)
                raise error
        self._outcomes |= {outcome.key: outcome for outcome in outcomes}
        for outcome in outcomes:
            trial, fold = outcome.key
            if outcome.result is None:  # the verdict comes at this fold or before it
                self._waiting = [key for key in self._waiting if key[0] != trial]
                runs.cancel(trial, above=fold)
            if trial in self._open:
                self._judge(trial)

    def _judge(self, trial: int) -> None:
        """Look at a trial's folds in their order, so that the verdict does not depend on which ended first."""
        found: list[FoldResult] = []
        for fold in self.folds:
            outcome = self._outcomes.get((trial, fold))
            if outcome is None:
                return
            if outcome.result is None:
                look = SecondLook(
                    "collapsed" if outcome.status == "collapsed" else "failed", [], outcome.reason
                )
                return self._finish(trial, look)
            found.append(outcome.result)
        return self._finish(trial, SecondLook("complete", found))

    def _finish(self, trial: int, look: SecondLook) -> None:
        """Tell of a look, then keep it: killed in between it is told again, from folds that are committed."""
        self.recorder.close_trial(replace(self._open.pop(trial), second=look))
        write_second(self.work, trial, look)

    def _stop(self, runs: FoldRuns) -> None:
        """Cancel what runs, wait for it, and end the runs of the trials as they were before."""
        runs.cancel_all()
        runs.drain()
        for result in self._open.values():
            self.recorder.close_trial(result)
