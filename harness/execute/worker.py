"""A worker process: fold jobs come as JSON lines on standard input, outcomes go out as JSON lines."""

import json
import os
import queue
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

CANCELLED = ".cancelled"  # a file beside a job's working folder


def main() -> None:
    """Work until standard input ends, which it also does when the driver dies."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not mix with outcomes
    jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_receive, args=(sys.stdin, jobs), daemon=True).start()
    # imported late, so that this process can listen while torch loads
    import cv2
    import torch

    from harness.execute.task import carry_out
    from harness.train.foldrun import FoldJob

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    cv2.setNumThreads(0)
    while (message := jobs.get()) is not None:
        job = FoldJob(**message)
        cancelled = Path(f"{job.folder}{CANCELLED}")
        outcome = carry_out(job, cancelled.exists)
        channel.write(json.dumps(asdict(outcome)) + "\n")


def _receive(lines: IO[str], jobs: "queue.Queue[dict[str, Any] | None]") -> None:
    for line in lines:
        jobs.put(json.loads(line))
    os._exit(0)  # the driver is gone or done: what is not committed is not wanted


if __name__ == "__main__":
    main()
