"""Fold runs in this very process, one at a time: for debugging and for tests."""

from collections import deque

from harness.execute.task import Key, Outcome, carry_out, key_of, use_threads
from harness.train.foldrun import FoldJob


class Inline:
    """The executor without processes; a fold run is computed when its outcome is waited for."""

    capacity = 1

    def __init__(self) -> None:
        use_threads(1)
        self._waiting: deque[FoldJob] = deque()
        self._cancelled: set[Key] = set()

    def submit(self, job: FoldJob) -> None:
        self._cancelled.discard(key_of(job))
        self._waiting.append(job)

    def wait_any(self, timeout: float) -> list[Outcome]:
        if not self._waiting:
            return []
        job = self._waiting.popleft()
        return [carry_out(job, lambda: key_of(job) in self._cancelled)]

    def cancel(self, key: Key) -> None:
        self._cancelled.add(key)

    def close(self) -> None:
        self._waiting.clear()
