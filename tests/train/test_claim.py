import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.errors import Interrupted, TakenOver
from harness.execute.task import carry_out
from harness.train.checkpoint import WEIGHTS, is_committed
from harness.train.claim import claimed
from harness.train.foldrun import FoldJob, FoldResult, run_fold
from harness.train.outbox import OUTBOX
from tests.conftest import Tiny
from tests.train.test_foldrun import assert_same_work, epochs_of

LONG = {"train__lr": 1e-2, "train__epochs": 25}

OTHER = """
import json, sys
import cv2, torch
torch.set_num_threads(1)
cv2.setNumThreads(0)
from harness.train.foldrun import FoldJob, run_fold
run_fold(FoldJob(**json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def alone(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> FoldResult:
    return run_fold(tiny.job(tmp_path_factory.mktemp("alone"), **LONG))


@contextmanager
def other_process(job: FoldJob) -> "Iterator[subprocess.Popen[bytes]]":
    """Let another process work on a job, which has told of an epoch when this returns."""
    with subprocess.Popen([sys.executable, "-c", OTHER, json.dumps(asdict(job))]) as process:
        try:
            while not (job.working / OUTBOX).exists():
                assert process.poll() is None
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def test_of_two_processes_on_one_fold_run_one_trains_and_the_other_returns_its_result(
    alone: FoldResult, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tiny.job(tmp_path, **LONG)
    with other_process(job) as process:
        result = run_fold(job)
        assert process.wait(60) == 0
    said = capsys.readouterr().err
    assert (
        said
        == f"{job.lock}: waits for process {process.pid} on {os.uname().nodename}, which is at work on it\n"
    )
    assert_same_work(result, alone)
    assert [p.name for p in job.final.parent.iterdir()] == ["0"]


def test_who_waits_goes_on_to_the_same_bits_when_the_other_is_killed(
    alone: FoldResult, tiny: Tiny, tmp_path: Path
) -> None:
    job = tiny.job(tmp_path, **LONG)
    asked: list[int] = []

    def kill() -> bool:
        if not asked:  # it is asked while it waits
            assert job.lock.exists()
            process.kill()
        return bool(asked.append(0))

    with other_process(job) as process:
        result = run_fold(job, kill)
    assert process.returncode == -9
    assert_same_work(result, alone)
    assert [p.name for p in job.final.parent.iterdir()] == ["0"]


def test_who_waits_may_be_stopped(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path, **LONG)
    with other_process(job) as process:
        with pytest.raises(Interrupted, match="stopped while another process was at work"):
            run_fold(job, lambda: True)
        assert process.poll() is None
        assert not is_committed(job.final)


@pytest.mark.parametrize("question", [1, 12, 26 * 8])
def test_a_process_thought_dead_that_comes_back_notices_and_leaves_everything_to_the_other(
    tiny: Tiny, tmp_path: Path, question: int
) -> None:
    """As on a network file system that gave the lock of a stalled machine to another one."""
    job = tiny.job(tmp_path, **LONG)
    asked: list[int] = []

    def lost() -> bool:
        asked.append(0)
        if len(asked) == question:
            job.lock.write_text("process 1 on another, 42")
        return False

    outcome = carry_out(job, lost)
    assert len(asked) >= question
    assert (outcome.status, outcome.blocked) == ("interrupted", True)
    assert outcome.reason == f"{job.lock}: another process took this fold run over; it is left to that one"
    assert not is_committed(job.final)
    assert job.lock.read_text() == "process 1 on another, 42"
    saved = len(list(job.saved.glob("*"))) if job.saved.exists() else 0
    assert saved == min(2, len(epochs_of(job.working)) if (job.working / OUTBOX).exists() else 0)


def test_a_folder_that_was_cleared_before_the_commit_is_not_committed(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path, **LONG | {"train__epochs": 5})

    def clear() -> bool:
        (job.working / OUTBOX).unlink(missing_ok=True)
        return False

    with pytest.raises(TakenOver, match=f"{OUTBOX}: was removed before it could be committed"):
        run_fold(job, clear)
    assert not is_committed(job.final)
    run_fold(job)
    assert (job.final / WEIGHTS).is_file()


def test_a_lock_that_a_killed_process_left_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "0.lock"
    path.write_text("process 1 on another, 42")
    said: list[str] = []
    with claimed(path, lambda: False, said.append) as claim:
        assert claim.holds()
        assert not replace(claim, mark="other").holds()
        with pytest.raises(Interrupted), claimed(path, lambda: True, said.append):
            pass
    assert said == []
    assert not path.exists()
