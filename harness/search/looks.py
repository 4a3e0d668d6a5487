"""The second look: the best trials run once more, with fresh seeds and fresh folds of the same groups."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import DataError, Interrupted, LeakageError
from harness.execute.task import Executor, Key, Outcome
from harness.search.optimize import PATIENCE, POLL, JobMaker, submit
from harness.search.second import write_second
from harness.search.trial import Recorder, SecondLook, TrialResult
from harness.train.outbox import OutboxReader


def best_trials(results: Mapping[int, TrialResult], count: int) -> list[int]:
    """Return the numbers of the `count` complete trials with the largest mean IoU, best first."""
    scores = {number: result.iou_mean for number, result in results.items() if result.iou_mean is not None}
    return sorted(scores, key=lambda number: (-scores[number], number))[:count]


@dataclass
class Looks:
    """Carries trials through the folds of one more repeat; a trial ends at its first fold that is not committed."""

    work: Path
    make_job: JobMaker
    folds: Sequence[int]
    executor: Executor
    recorder: Recorder
    _waiting: list[Key] = field(default_factory=list)
    _outboxes: dict[Key, OutboxReader] = field(default_factory=dict)
    _outcomes: dict[int, dict[int, Outcome]] = field(default_factory=dict)

    def run(self, trials: Sequence[TrialResult], should_stop: Callable[[], bool]) -> None:
        """Look at these trials again. Raises Interrupted, LeakageError, DataError; what is committed is kept."""
        open_trials = {result.plan.number: result for result in trials}
        self._waiting = [(number, fold) for number in open_trials for fold in self.folds]
        for number in open_trials:
            self.recorder.open_trial(open_trials[number].plan)
            self._outcomes[number] = {}
        while open_trials:
            if should_stop():
                self._stop(open_trials, "stopped on request")
                raise Interrupted(f"stopped with {len(open_trials)} second looks left")
            self._submit(open_trials)
            for outcome in self._closed(self.executor.wait_any(POLL)):
                self._refuse_to_go_on(outcome, open_trials)
                self._judge(outcome, open_trials)

    def _submit(self, open_trials: Mapping[int, TrialResult]) -> None:
        while self._waiting and len(self._outboxes) < self.executor.capacity:
            trial, fold = self._waiting.pop(0)
            job = self.make_job(open_trials[trial].plan, fold)
            self._outboxes[trial, fold] = submit(job, self.executor, self.recorder)

    def _closed(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        for (trial, fold), outbox in self._outboxes.items():
            if epochs := outbox.new():
                self.recorder.log_epochs(trial, fold, epochs)
        for outcome in outcomes:
            del self._outboxes[outcome.key]
            self.recorder.close_fold(outcome)
        return outcomes

    def _refuse_to_go_on(self, outcome: Outcome, open_trials: Mapping[int, TrialResult]) -> None:
        if outcome.blocked or outcome.status == "leak" or outcome.unusable:
            self._stop(open_trials, outcome.reason)
            if outcome.blocked:
                raise Interrupted(outcome.reason)
            raise LeakageError(outcome.reason) if outcome.status == "leak" else DataError(outcome.reason)

    def _judge(self, outcome: Outcome, open_trials: dict[int, TrialResult]) -> None:
        trial, fold = outcome.key
        if trial not in open_trials:  # judged without this fold
            return
        self._outcomes[trial][fold] = outcome
        if outcome.result is None:
            self._waiting = [key for key in self._waiting if key[0] != trial]
            for key in self._outboxes:
                if key[0] == trial:
                    self.executor.cancel(key)
            look = SecondLook("collapsed" if outcome.status == "collapsed" else "failed", [], outcome.reason)
            self._finish(open_trials.pop(trial), look)
        elif len(self._outcomes[trial]) == len(self.folds):
            found = [self._outcomes[trial][number].result for number in self.folds]
            whole = [result for result in found if result is not None]
            self._finish(open_trials.pop(trial), SecondLook("complete", whole))

    def _finish(self, result: TrialResult, look: SecondLook) -> None:
        """Tell of a look, then keep it: killed in between it is told again, from folds that are committed."""
        self.recorder.close_trial(replace(result, second=look))
        write_second(self.work, result.plan.number, look)

    def _stop(self, open_trials: Mapping[int, TrialResult], reason: str) -> None:
        """Cancel what runs, wait for it, and end the runs of the trials as they were before."""
        for key in self._outboxes:
            self.executor.cancel(key)
        until = time.monotonic() + PATIENCE
        while self._outboxes and time.monotonic() < until:
            self._closed(self.executor.wait_any(POLL))
        for key in self._outboxes:
            self.recorder.close_fold(Outcome(key, "interrupted", reason="did not stop in time"))
        self._outboxes.clear()
        for result in open_trials.values():
            self.recorder.close_trial(result)
