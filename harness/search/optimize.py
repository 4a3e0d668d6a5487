"""The driver of a search: keeps the executor busy with folds, judges trials in order, tells the recorder."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import Interrupted, TrainingError
from harness.execute.task import Executor, Outcome
from harness.search.foldruns import FoldRuns, obstacle
from harness.search.slots import Slot, Slots
from harness.search.trial import Recorder, State, TrialPlan, TrialResult
from harness.train.foldrun import FoldJob, FoldResult, forget

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
    _runs: FoldRuns = field(init=False)

    def __post_init__(self) -> None:
        self._runs = FoldRuns(self.executor, self.recorder)

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
            self._take(self._runs.take())
        self._forget_late(self._runs.drain())
        self._refuse_no_complete_trial()
        return [self.results[number] for number in sorted(self.results)]

    def _submit(self) -> None:
        """Give the executor folds, lowest trial first, and open the next trial when those are all given."""
        while not self._runs.full:
            running = next((r for _, r in sorted(self._running.items()) if r.unsubmitted), None)
            if running is None:
                running = self._open_next()
            if running is None:
                return
            plan, fold = running.slot.plan, running.unsubmitted.pop(0)
            self._runs.submit(self.make_job(plan, fold))

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
        self._forget_late(outcomes)
        for outcome in outcomes:
            if (error := obstacle(outcome)) is not None:
                self._stop(outcome.reason)
                raise error
        for outcome in outcomes:
            trial, fold = outcome.key
            if trial in self._running:  # else it was judged without this fold
                self._running[trial].outcomes[fold] = outcome
                if outcome.result is None:  # the verdict comes at this fold or before it
                    self._running[trial].unsubmitted.clear()
                    self._runs.cancel(trial, above=fold)
                self._judge(self._running[trial])

    def _forget_late(self, outcomes: list[Outcome]) -> None:
        """Forget the folds that ended after their trial did."""
        for outcome in outcomes:
            if (trial := outcome.key[0]) in self.results:
                self._forget(self.results[trial].plan)

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
        self._runs.cancel(plan.number)
        self.recorder.close_trial(result)
        self.slots.tell(running.slot, result)
        self.results[plan.number] = result
        self._forget(plan)
        if state == "failed":
            self._refuse_failing_study(plan.number)

    def _forget(self, plan: TrialPlan) -> None:
        """Remove what the unfinished folds of a finished trial would go on from: they never will."""
        for fold in range(self.folds):
            if (plan.number, fold) not in self._runs:
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
        self._runs.cancel_all()
        self._forget_late(self._runs.drain())
        for running in self._running.values():
            judged = tuple(running.judged)
            self.recorder.close_trial(TrialResult(running.slot.plan, "interrupted", judged, reason))
