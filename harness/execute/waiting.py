"""A word to whoever watches when a fold run does not begin or does not go on because a process stands still."""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.train.foldrun import FoldJob

AFTER = 15.0  # s that a fold run waits before a word is said
LOOK = 1.0  # s between looks

Waits = tuple[int, int, str]  # trial, fold, for whom


@dataclass
class Waiting:
    """Sees from locks and processes which fold runs wait for somebody; `tell` gets one line about each."""

    tell: Callable[[str], None]
    after: float = AFTER
    _since: dict[Waits, float] = field(default_factory=dict)
    _told: set[Waits] = field(default_factory=set)
    _next: float = 0.0

    def look(self, jobs: Iterable[tuple[FoldJob, int]]) -> None:
        """Look at fold runs, each with the process that was given it."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK
        found = {(job.trial, job.fold, line) for job, worker in jobs if (line := _waits(job, worker))}
        self._since = {waits: self._since.get(waits, now) for waits in found}
        for waits, since in self._since.items():
            if now - since >= self.after and waits not in self._told:
                self._told.add(waits)
                self.tell(f"trial {waits[0]} fold {waits[1]} {waits[2]}")


def _waits(job: FoldJob, worker: int) -> str:
    """Say whom a fold run waits for, and what to do about it; nothing if it does not."""
    here = socket.gethostname()
    if _state(worker) == "T":
        return (
            f"stands still: its process {worker} on {here} was stopped; `kill -CONT {worker}` lets it go on, after "
            f"`kill -9 {worker}` another one does"
        )
    holder, host = _holder(job.lock)
    if holder in (0, worker) or (host == here and not _state(holder)):
        return ""
    state = ", which was stopped" if host == here and _state(holder) == "T" else ""
    return (
        f"waits for process {holder} on {host}{state}: it holds {job.lock}; there, `kill -CONT {holder}` lets it "
        f"go on, after `kill -9 {holder}` this one does"
    )


def _holder(lock: Path) -> tuple[int, str]:
    """Return number and host of the process that a lock file names; 0 for none."""
    with contextlib.suppress(OSError):
        if named := re.match(r"process (\d+) on (.*), ", lock.read_text()):
            return int(named[1]), named[2]
    return 0, ""


def _state(process: int) -> str:
    """Return the state of a process of this machine, T for a stopped one; nothing if it is gone."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return "" if state in "ZX" else state
    except OSError:
        pass
    try:  # a system without /proc tells only whether it is there
        os.kill(process, 0)
    except OSError:
        return ""
    return "?"
