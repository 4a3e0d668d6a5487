"""Fold runs in this very process, one at a time: for debugging and for tests."""

import gc
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import torch

from harness.execute.task import MOST_PARTS, Key, Outcome, cancelled, carry_out, key_of, use_threads
from harness.train.foldrun import FoldJob


class Inline:
    """The executor without processes; a fold run is computed when its outcome is waited for."""

    capacity = 1

    def __init__(self) -> None:
        use_threads(1)
        self._waiting: deque[FoldJob] = deque()
        self._ended: list[Outcome] = []  # not told yet

    def submit(self, job: FoldJob) -> None:
        self._waiting.append(job)

    def wait_any(self, timeout: float) -> list[Outcome]:
        if self._ended or not self._waiting:
            ended, self._ended = self._ended, []
            return ended
        job = self._waiting.popleft()
        with _noted_signals() as stopped:
            outcome = carry_out(job, stopped)
        if (
            outcome.status == "interrupted" and not outcome.blocked
        ):  # whoever got the signal may cancel it, or wait on
            self._waiting.appendleft(job)
            return []
        if outcome.out_of_memory and job.parts < MOST_PARTS:
            gc.collect()  # there is no fresh process to go on in
            torch.cuda.empty_cache()
            self._waiting.appendleft(replace(job, parts=2 * job.parts))
            return []
        return [outcome]

    def cancel(self, key: Key) -> None:
        for job in [job for job in self._waiting if key_of(job) == key]:
            self._waiting.remove(job)
            self._ended.append(cancelled(job))

    def close(self) -> None:
        self._waiting.clear()


@contextmanager
def _noted_signals() -> Iterator[Callable[[], bool]]:
    """Tell whether SIGTERM or SIGINT came; what the process does about them it does as well."""
    came = False
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        handler = before[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)

    handled = [number for number, handler in before.items() if callable(handler)]
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        handled = []
    for number in handled:
        signal.signal(number, note)
    try:
        yield lambda: came
    finally:
        for number in handled:
            signal.signal(number, before[number])
