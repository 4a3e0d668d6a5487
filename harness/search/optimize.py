"""The driver of a search: keeps the executor busy with folds, judges trials in order, tells the recorder."""

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import DataError, Interrupted, LeakageError, TrainingError
from harness.execute.task import Executor, Key, Outcome
from harness.search.slots import Slot, Slots
from harness.search.trial import Recorder, State, TrialPlan, TrialResult
from harness.train.foldrun import FoldJob, FoldResult, forget
from harness.train.outbox import OutboxReader

POLL = 0.5  # s between looks at outboxes and at the wish to stop
PATIENCE = 17.0  # s that fold runs have to stop; the whole command has 30 (harness/stopping.py)
FAILURES_IN_A_ROW = 5

JobMaker = Callable[[TrialPlan, int], FoldJob]


@dataclass
class _Running:
    """A trial in progress and what its folds said so far."""

    slot: Slot
    unsubmitted: list[int]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    judged: list[FoldResult] = field(default_factory=list)


@dataclass
class Search:
    """Carries a study's trials through their folds until the budget is used up."""

    slots: Slots
    make_job: JobMaker
    folds: int
    trials: int
    window: int
    executor: Executor
    recorder: Recorder
    results: dict[int, TrialResult] = field(default_factory=dict)
    _running: dict[int, _Running] = field(default_factory=dict)
    _outboxes: dict[Key, OutboxReader] = field(default_factory=dict)

    def run(self, should_stop: Callable[[], bool]) -> list[TrialResult]:
        """Return all results, finishing first what an earlier driver began.

        Raises Interrupted when `should_stop` says so or the disk is full (everything committed is kept), LeakageError
        when a loader delivered what it must not, DataError when files were damaged, TrainingError after five failed
        trials in a row and where the budget is used up without a complete trial.
        """
        self.results = self.slots.results()
        while left := sum(number not in self.results for number in range(self.trials)):
            if should_stop():
                self._stop("stopped on request")
                raise Interrupted(f"stopped with {self.trials - left} of {self.trials} trials done")
            self._submit()
            self._take(self.executor.wait_any(POLL))
        self._drain()
        self._refuse_no_complete_trial()
        return [self.results[number] for number in sorted(self.results)]

    def _submit(self) -> None:
        """Give the executor folds, lowest trial first, and open the next trial when those are all given."""
        while len(self._outboxes) < self.executor.capacity:
            running = next((r for _, r in sorted(self._running.items()) if r.unsubmitted), None)
            if running is None:
                running = self._open_next()
            if running is None:
                return
            plan, fold = running.slot.plan, running.unsubmitted.pop(0)
            job = self.make_job(plan, fold)
            self._outboxes[plan.number, fold] = submit(job, self.executor, self.recorder)

    def _open_next(self) -> _Running | None:
        """Open the first slot that is neither done nor running, if its window is finished."""
        number = next(n for n in range(self.trials + 1) if n not in self.results and n not in self._running)
        needed = range(number - self.window + 1)
        if number >= self.trials or any(n not in self.results for n in needed):
            return None
        slot = self.slots.ask(number)
        self.recorder.open_trial(slot.plan)
        self._running[number] = _Running(slot, list(range(self.folds)))
        return self._running[number]

    def _take(self, outcomes: list[Outcome]) -> None:
        self._close_folds(outcomes)
        for outcome in outcomes:
            self._refuse_to_go_on(outcome)
        for outcome in outcomes:
            trial, fold = outcome.key
            if trial in self._running:  # else it was judged without this fold
                self._running[trial].outcomes[fold] = outcome
                if outcome.result is None:  # the verdict comes at this fold or before it
                    self._running[trial].unsubmitted.clear()
                    self._cancel(trial, above=fold)
                self._judge(self._running[trial])

    def _close_folds(self, outcomes: list[Outcome]) -> None:
        """Tell the recorder what fold runs said, and which of them ended."""
        for (trial, fold), outbox in self._outboxes.items():
            if epochs := outbox.new():
                self.recorder.log_epochs(trial, fold, epochs)
        for outcome in outcomes:
            del self._outboxes[outcome.key]
            self.recorder.close_fold(outcome)
            if (trial := outcome.key[0]) in self.results:
                self._forget(self.results[trial].plan)

    def _cancel(self, trial: int, above: int = -1) -> None:
        for key in self._outboxes:
            if key[0] == trial and key[1] > above:
                self.executor.cancel(key)

    def _refuse_to_go_on(self, outcome: Outcome) -> None:
        """Raise where the next fold run would fare the same: the data are wrong, or there is no room on the disk."""
        if outcome.blocked:
            self._stop(outcome.reason)
            raise Interrupted(outcome.reason)
        if outcome.status == "leak" or outcome.unusable:
            self._stop(outcome.reason)
            raise LeakageError(outcome.reason) if outcome.status == "leak" else DataError(outcome.reason)

    def _judge(self, running: _Running) -> None:
        """Look at a trial's folds in their order, so that the verdict does not depend on which ended first."""
        while (outcome := running.outcomes.get(len(running.judged))) is not None:
            if outcome.result is None:
                state: State = "pruned" if outcome.status == "collapsed" else "failed"
                return self._finish(running, state, outcome.reason)
            running.judged.append(outcome.result)
            mean = statistics.fmean(f.iou for f in running.judged)
            prune = running.slot.should_prune(mean, len(running.judged) - 1)
            if len(running.judged) == self.folds:
                return self._finish(running, "complete")
            if prune:
                reason = f"mean IoU {mean:.4f} over {len(running.judged)} folds is below the median of earlier trials"
                return self._finish(running, "pruned", reason)
        return None

    def _finish(self, running: _Running, state: State, reason: str = "") -> None:
        plan = running.slot.plan
        result = TrialResult(plan, state, tuple(running.judged), reason)
        del self._running[plan.number]
        self._cancel(plan.number)
        self.recorder.close_trial(result)
        self.slots.tell(running.slot, result)
        self.results[plan.number] = result
        self._forget(plan)
        if state == "failed":
            self._refuse_failing_study(plan.number)

    def _forget(self, plan: TrialPlan) -> None:
        """Remove what the unfinished folds of a finished trial would go on from: they never will."""
        for fold in range(self.folds):
            if (plan.number, fold) not in self._outboxes:
                forget(self.make_job(plan, fold))

    def _refuse_failing_study(self, number: int) -> None:
        """Raise TrainingError if the failed trial `number` stands in a row of failed ones, by number."""
        failed = {n for n, result in self.results.items() if result.state == "failed"}
        first = last = number
        while first - 1 in failed:
            first -= 1
        while last + 1 in failed:
            last += 1
        if last - first + 1 >= FAILURES_IN_A_ROW:
            reason = f"trials {first} to {last} failed one after another; the last one: {self.results[last].reason}"
            self._stop(reason)
            raise TrainingError(reason)

    def _refuse_no_complete_trial(self) -> None:
        if not any(result.state == "complete" for result in self.results.values()):
            last = self.results[max(self.results)]
            raise TrainingError(
                f"none of {len(self.results)} trials ran all its folds; the last one {last.state}: {last.reason}"
            )

    def _stop(self, reason: str) -> None:
        """Cancel what runs, wait for it, and leave every run marked as interrupted."""
        for key in self._outboxes:
            self.executor.cancel(key)
        self._drain()
        for running in self._running.values():
            judged = tuple(running.judged)
            self.recorder.close_trial(TrialResult(running.slot.plan, "interrupted", judged, reason))

    def _drain(self) -> None:
        """Wait for the fold runs that were asked to stop."""
        until = time.monotonic() + PATIENCE
        while self._outboxes and time.monotonic() < until:
            self._close_folds(self.executor.wait_any(POLL))
        for key in self._outboxes:
            self.recorder.close_fold(Outcome(key, "interrupted", reason="did not stop in time"))
        self._outboxes.clear()


def submit(job: FoldJob, executor: Executor, recorder: Recorder) -> OutboxReader:
    """Give a fold run to the executor; return what reads its outbox."""
    recorder.open_fold(job.trial, job.fold)
    shutil.rmtree(job.working, ignore_errors=True)  # else the outbox of a stopped attempt would be read
    reader = OutboxReader(job.working, job.final)
    executor.submit(job)
    return reader
