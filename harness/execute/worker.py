"""A worker process: fold jobs come as JSON lines on standard input, outcomes go out as JSON lines on a pipe.

Not on standard output, since libraries print there. SIGTERM and SIGINT: the fold run stops at its next step, saves it,
and the process ends with 75.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

CANCELLED = ".cancelled"  # a file beside a job's working folder
STOPPED = 75  # exit code: interrupted and resumable

Jobs = queue.SimpleQueue[
    dict[str, Any] | None
]  # None: stop; a signal handler may put into this kind of queue


def main(channel: int) -> None:
    """Work until standard input ends, which it also does when the driver dies; `channel` is the pipe's number."""
    jobs = Jobs()
    stopping = _stop_on_signals(jobs)
    os.set_inheritable(channel, False)
    outcomes = os.fdopen(channel, "w", buffering=1)
    threading.Thread(target=_receive, args=(sys.stdin, jobs), daemon=True).start()
    # imported late, so that this process can listen while torch loads
    from harness.execute.devices import measured
    from harness.execute.task import carry_out, use_threads
    from harness.train.foldrun import FoldJob

    use_threads(int(os.environ["OMP_NUM_THREADS"]))
    while not stopping() and (message := jobs.get()) is not None:
        job = FoldJob(**message)
        outcome = carry_out(job, _any(stopping, Path(f"{job.folder}{CANCELLED}").exists))
        memory = measured()
        message = asdict(outcome) | {"memory": asdict(memory) if memory else None}
        outcomes.write(json.dumps(message) + "\n")
    os._exit(STOPPED)  # not sys.exit: the other thread holds standard input


def _stop_on_signals(jobs: Jobs) -> Callable[[], bool]:
    """From now on SIGTERM and SIGINT are noted; return what tells of them."""
    stopped = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopped
        stopped = True
        jobs.put(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return lambda: stopped


def _any(*wishes: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: any(wish() for wish in wishes)


def _receive(lines: IO[str], jobs: Jobs) -> None:
    try:
        for line in lines:
            jobs.put(json.loads(line))
    finally:
        os._exit(0)  # the driver is gone or done: what is saved is gone on from


if __name__ == "__main__":
    main(int(sys.argv[1]))
