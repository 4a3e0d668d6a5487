"""Real processes that stand still while they hold a fold run, and what is said of them."""

import fcntl
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.execute.waiting import Waiting
from harness.train.foldrun import FoldJob

HOLDER = """
import sys, time
from pathlib import Path
from harness.train.claim import claimed
with claimed(Path(sys.argv[1]), lambda: False, print):
    print("held", flush=True)
    time.sleep(60)
"""
HERE = socket.gethostname()


@pytest.fixture
def job(tmp_path: Path) -> FoldJob:
    return FoldJob(3, 1, {}, samples="", split="", cache="", folder=str(tmp_path / "3/1"))


@pytest.fixture
def holder(job: FoldJob) -> Iterator["subprocess.Popen[str]"]:
    job.lock.parent.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(job.lock)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def said(job: FoldJob, worker: int, *, seconds: float = 0.0) -> list[str]:
    lines: list[str] = []
    waiting = Waiting(lines.append, after=seconds)
    for _ in range(3):
        waiting._next = 0.0
        waiting.look([(job, worker)])
    return lines


def stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 10
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_whoever_is_waited_for_is_named_once_with_what_to_do(
    job: FoldJob, holder: "subprocess.Popen[str]"
) -> None:
    me, held = 1, holder.pid  # process 1 is there, and does not hold it
    start, end = (
        f"trial 3 fold 1 waits for process {held} on {HERE}",
        f": it holds {job.lock}; there, `kill -CONT",
    )
    (line,) = said(job, me)
    assert line.startswith(start + end)
    stop(holder)
    (line,) = said(job, me)
    assert line.startswith(f"{start}, which was stopped{end} {held}` lets it go on, after `kill -9 {held}`")
    assert said(job, me, seconds=60) == [], "not at once"
    (line,) = said(job, held)
    assert line.startswith(
        f"trial 3 fold 1 stands still: its process {held} on {HERE} was stopped; `kill -CONT"
    )
    with job.lock.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    holder.kill()
    holder.wait()
    assert said(job, me) == [], "it is gone: its lock is free"


def test_nobody_is_waited_for_where_the_lock_is_ones_own_or_not_there(
    job: FoldJob, holder: "subprocess.Popen[str]"
) -> None:
    assert said(job, holder.pid) == []
    job.lock.write_text(job.lock.read_text().replace(HERE, "node7"))
    assert said(job, holder.pid) == []
    (line,) = said(job, 1)
    assert f"waits for process {holder.pid} on node7: it holds" in line
    job.lock.unlink()
    assert said(job, 1) == []
