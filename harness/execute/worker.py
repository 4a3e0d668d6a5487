"""A worker process: fold jobs come as JSON lines on standard input, outcomes go out as JSON lines on a pipe.

Not on standard output, since libraries print there.
"""

import json
import os
import queue
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

CANCELLED = ".cancelled"  # a file beside a job's working folder


def main(channel: int) -> None:
    """Work until standard input ends, which it also does when the driver dies; `channel` is the pipe's number."""
    os.set_inheritable(channel, False)
    outcomes = os.fdopen(channel, "w", buffering=1)
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_receive, args=(sys.stdin, jobs), daemon=True).start()
    # imported late, so that this process can listen while torch loads
    from harness.execute.task import carry_out, use_threads
    from harness.train.foldrun import FoldJob

    use_threads(int(os.environ["OMP_NUM_THREADS"]))
    while True:
        job = FoldJob(**jobs.get())
        cancelled = Path(f"{job.folder}{CANCELLED}")
        outcome = carry_out(job, cancelled.exists)
        outcomes.write(json.dumps(asdict(outcome)) + "\n")


def _receive(lines: IO[str], jobs: "queue.Queue[dict[str, Any]]") -> None:
    try:
        for line in lines:
            jobs.put(json.loads(line))
    finally:
        os._exit(0)  # the driver is gone or done: what is not committed is not wanted


if __name__ == "__main__":
    main(int(sys.argv[1]))
