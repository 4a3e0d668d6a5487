"""The fold runs that an executor has: given to it, listened to, cancelled, waited for."""

import shutil
import time
from dataclasses import dataclass, field

from harness.errors import DataError, HarnessError, Interrupted, LeakageError
from harness.execute.task import Executor, Key, Outcome, key_of
from harness.search.trial import Recorder
from harness.train.foldrun import FoldJob
from harness.train.outbox import OutboxReader

POLL = 0.5  # s between looks at outboxes and at the wish to stop
PATIENCE = 17.0  # s that fold runs have to stop; the whole command has 30 (harness/stopping.py)


@dataclass
class FoldRuns:
    """What is under way; the recorder is told of each beginning, epoch and end."""

    executor: Executor
    recorder: Recorder
    _outboxes: dict[Key, OutboxReader] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Tell whether the executor has as many as are worth giving to it."""
        return len(self._outboxes) >= self.executor.capacity

    def __contains__(self, key: Key) -> bool:
        return key in self._outboxes

    def submit(self, job: FoldJob) -> None:
        """Give a fold run to the executor."""
        self.recorder.open_fold(job.trial, job.fold)
        shutil.rmtree(job.working, ignore_errors=True)  # else the outbox of a stopped attempt would be read
        self._outboxes[key_of(job)] = OutboxReader(job.working, job.final)
        self.executor.submit(job)

    def take(self) -> list[Outcome]:
        """Return what ended, waiting up to POLL s for the first."""
        outcomes = self.executor.wait_any(POLL)
        for (trial, fold), outbox in self._outboxes.items():
            if epochs := outbox.new():
                self.recorder.log_epochs(trial, fold, epochs)
        for outcome in outcomes:
            del self._outboxes[outcome.key]
            self.recorder.close_fold(outcome)
        return outcomes

    def cancel(self, trial: int, above: int = -1) -> None:
        """Ask the folds of a trial above this one to stop at their next step."""
        for key in self._outboxes:
            if key[0] == trial and key[1] > above:
                self.executor.cancel(key)

    def cancel_all(self) -> None:
        """Ask all of them to stop at their next step."""
        for key in self._outboxes:
            self.executor.cancel(key)

    def drain(self) -> list[Outcome]:
        """Wait for what was asked to stop, and return what ended; after PATIENCE s the rest is told as interrupted."""
        ended: list[Outcome] = []
        until = time.monotonic() + PATIENCE
        while self._outboxes and time.monotonic() < until:
            ended += self.take()
        for key in self._outboxes:
            self.recorder.close_fold(Outcome(key, "interrupted", reason="did not stop in time"))
        self._outboxes.clear()
        return ended


def obstacle(outcome: Outcome) -> HarnessError | None:
    """Return why the next fold run would fare the same: the data are wrong, or there is no room on the disk."""
    if outcome.blocked:
        return Interrupted(outcome.reason)
    if outcome.status == "leak":
        return LeakageError(outcome.reason)
    return DataError(outcome.reason) if outcome.unusable else None
