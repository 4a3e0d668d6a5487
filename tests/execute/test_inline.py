import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from harness.execute.inline import Inline
from harness.train.foldrun import run_fold
from harness.train.outbox import OUTBOX
from harness.train.snapshot import newest_position
from tests.conftest import SHORT, Tiny
from tests.train.test_foldrun import assert_same_work

MIDDLE = {"train__lr": 1e-2, "train__epochs": 25}  # long enough to be stopped on the way


def test_it_carries_out_one_job_a_wait_in_order(tiny: Tiny, tmp_path: Path) -> None:
    executor = Inline()
    assert executor.wait_any(0.0) == []
    for fold in (1, 0):
        executor.submit(tiny.job(tmp_path, fold=fold, **SHORT))
    outcomes = [executor.wait_any(0.0) for _ in range(3)]
    assert [[(o.key, o.status) for o in each] for each in outcomes] == [
        [((0, 1), "committed")],
        [((0, 0), "committed")],
        [],
    ]


def test_a_cancelled_job_ends_interrupted_and_may_be_submitted_again(tiny: Tiny, tmp_path: Path) -> None:
    executor, job = Inline(), tiny.job(tmp_path, **SHORT)
    executor.submit(job)
    executor.cancel((0, 0))
    assert [o.status for o in executor.wait_any(0.0)] == ["interrupted"]
    executor.submit(job)
    assert [o.status for o in executor.wait_any(0.0)] == ["committed"]


def test_closing_forgets_what_waits(tiny: Tiny, tmp_path: Path) -> None:
    executor = Inline()
    executor.submit(tiny.job(tmp_path))
    executor.close()
    assert executor.wait_any(0.0) == []


def test_it_computes_with_one_thread_as_a_worker_does() -> None:
    torch.set_num_threads(2)
    Inline()
    assert torch.get_num_threads() == 1


@pytest.fixture
def noted() -> Iterator[list[int]]:
    """Handlers as a driver has them: they only note what came."""
    came: list[int] = []
    before = {
        n: signal.signal(n, lambda number, _: came.append(number)) for n in (signal.SIGTERM, signal.SIGINT)
    }
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


def when(true: Callable[[], bool], number: int) -> threading.Thread:
    """Send this process a signal as soon as something is true."""

    def send() -> None:
        while not true():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_the_next_step_which_is_saved_and_waiting_on_gives_the_same_bits(
    tiny: Tiny, tmp_path: Path, noted: list[int], number: int
) -> None:
    executor, job = Inline(), tiny.job(tmp_path / "stopped", **MIDDLE)
    executor.submit(job)
    sender = when((job.working / OUTBOX).exists, number)
    assert executor.wait_any(0.0) == []
    sender.join()
    assert noted == [number]
    assert (1, 0) <= newest_position(job.saved) < (25, 0)
    (outcome,) = executor.wait_any(0.0)
    assert outcome.result is not None
    assert_same_work(outcome.result, run_fold(tiny.job(tmp_path / "whole", **MIDDLE)))


def test_after_a_signal_the_driver_may_cancel_and_gets_its_answer_at_once(
    tiny: Tiny, tmp_path: Path, noted: list[int]
) -> None:
    executor, job = Inline(), tiny.job(tmp_path, train__epochs=2000, train__collapse_after=1.0)
    executor.submit(job)
    when((job.working / OUTBOX).exists, signal.SIGTERM)
    assert executor.wait_any(0.0) == []
    executor.cancel((0, 0))
    assert [(o.key, o.status, o.reason) for o in executor.wait_any(0.0)] == [
        ((0, 0), "interrupted", "fold 0: cancelled")
    ]
    assert executor.wait_any(0.0) == []
    assert newest_position(job.saved) >= (1, 0)


WITHOUT_MEMORY = """
import json, resource, sys
from pathlib import Path
from harness.execute.inline import Inline
from harness.train.foldrun import FoldJob

executor = Inline()
first, second = (FoldJob(**job) for job in json.loads(sys.argv[1]))
executor.submit(first)
executor.wait_any(0.0)
status = Path("/proc/self/status").read_text()
room = int(next(line for line in status.splitlines() if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (room + 20_000_000, resource.RLIM_INFINITY))
executor.submit(second)
outcomes = executor.wait_any(0.0)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert outcomes == [], outcomes
(outcome,) = executor.wait_any(0.0)
print(outcome.status, outcome.result.parts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits and tells a process's memory")
def test_without_memory_it_goes_on_with_batches_in_parts(tiny: Tiny, tmp_path: Path) -> None:
    jobs = [asdict(tiny.job(tmp_path, **SHORT)), asdict(tiny.job(tmp_path, fold=1, **SHORT, train__crop=256))]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY, json.dumps(jobs)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "committed 2\n", done.stderr
    assert "DefaultCPUAllocator" in done.stderr
