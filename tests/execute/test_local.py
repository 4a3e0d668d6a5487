import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.execute.devices import Devices, Memory
from harness.execute.inline import Inline
from harness.execute.local import LIVES, Local, local
from harness.execute.task import Executor, Key, Outcome
from harness.execute.worker import CANCELLED, STOPPED
from harness.train.foldrun import FoldJob
from harness.train.outbox import OutboxReader
from harness.train.snapshot import newest_position
from tests.conftest import SHORT, Tiny
from tests.train.test_foldrun import assert_same_work

PATIENCE = 240.0  # s; a worker imports torch first, on a machine that may be busy
LONG = {"train__epochs": 2000, "train__collapse_after": 1.0}
MIDDLE = {"train__lr": 1e-2, "train__epochs": 25}  # long enough to be stopped on the way


NOISE = """
import os, sys, threading, time

def chatter():
    while True:
        print('{"key": [0, 0]}', flush=True)
        os.write(1, b"noise without end of line")
        time.sleep(0.2)

if "harness.execute.worker" in sys.orig_argv:
    threading.Thread(target=chatter, daemon=True).start()
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "workers.log"


@pytest.fixture(scope="module")
def workers(log: Path) -> Iterator[Local]:
    """Two worker processes for the tests of this file, in which something prints all the time."""
    log.with_name("sitecustomize.py").write_text(NOISE)  # which Python imports when it starts
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(log.parent), prepend=os.pathsep)
        executor = local(log, workers=2)
        yield executor
        executor.close()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def outcomes_of(executor: Executor, count: int) -> dict[Key, Outcome]:
    found: dict[Key, Outcome] = {}
    end = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} outcomes came"
        found |= {outcome.key: outcome for outcome in executor.wait_any(1.0)}
    return found


def wait_for_epoch(job: FoldJob) -> None:
    reader = OutboxReader(job.working, job.final)
    until(reader.new)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def assert_same_results(found: dict[Key, Outcome], wanted: dict[Key, Outcome]) -> None:
    assert set(found) == set(wanted)
    for key in wanted:
        one, other = found[key].result, wanted[key].result
        assert one is not None
        assert other is not None
        assert_same_work(one, other)


def test_one_worker_two_workers_and_no_worker_give_the_same_bits(
    workers: Local, tiny: Tiny, tmp_path: Path
) -> None:
    def jobs(name: str) -> list[FoldJob]:
        return [tiny.job(tmp_path / name, fold=fold, **SHORT) for fold in (0, 1)]

    inline = Inline()
    one_by_one: dict[Key, Outcome] = {}
    for job in jobs("inline"):
        inline.submit(job)
    for job in jobs("together"):
        workers.submit(job)
    together = outcomes_of(workers, 2)
    assert len({worker.process.pid for worker in workers._workers} - {os.getpid()}) == 2
    for job in jobs("one by one"):
        workers.submit(job)
        one_by_one |= outcomes_of(workers, 1)
    wanted = outcomes_of(inline, 2)
    assert_same_results(together, wanted)
    assert_same_results(one_by_one, wanted)


def test_more_jobs_than_workers_wait_their_turn(workers: Local, tiny: Tiny, tmp_path: Path) -> None:
    for trial in range(4):
        workers.submit(tiny.job(tmp_path, trial=trial, train__lr=1e30))
    assert {o.status for o in outcomes_of(workers, 4).values()} == {"failed"}
    assert len(workers._workers) == 2


def test_cancelling_stops_at_the_next_step_and_the_job_may_come_again(
    workers: Local, tiny: Tiny, tmp_path: Path
) -> None:
    job = tiny.job(tmp_path, **LONG)
    for _ in range(2):
        workers.submit(job)
        wait_for_epoch(job)
        workers.cancel((0, 0))
        outcome = outcomes_of(workers, 1)[0, 0]
        assert outcome.status == "interrupted"
        assert not job.final.exists()
        assert {p.name for p in job.final.parent.iterdir()} == {"0.saved", "0.working"}


def test_a_cancellation_that_an_earlier_driver_left_behind_does_not_stop_the_job(
    workers: Local, tiny: Tiny, tmp_path: Path
) -> None:
    job = tiny.job(tmp_path, **SHORT)
    job.final.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{job.folder}{CANCELLED}").touch()  # its driver was killed before the worker could answer
    workers.submit(job)
    assert outcomes_of(workers, 1)[0, 0].status == "committed"


def test_what_libraries_print_goes_to_the_log(workers: Local, log: Path) -> None:
    """Every test of this file runs with that noise."""
    assert workers.capacity == 2
    text = log.read_text()
    assert text.count('{"key": [0, 0]}') > 2
    assert "noise without end of line" in text


ALONE = """
import os, socket, sys

def refuse(event, arguments):
    inet = event == "socket.__new__" and arguments[1] in (socket.AF_INET, socket.AF_INET6)
    network = inet or event.startswith(("socket.getaddr", "socket.gethost", "socket.getname"))
    database = event == "sqlite3.connect" or event == "import" and arguments[0] in ("mlflow", "optuna", "sqlalchemy")
    if network or database:
        os.write(2, f"refused: {event} {arguments}\\n".encode())
        os._exit(97)

if "harness.execute.worker" in sys.orig_argv or "--multiprocessing-fork" in sys.argv:
    os.write(2, b"watched\\n")
    sys.addaudithook(refuse)
"""


def test_workers_need_neither_network_nor_database(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker and its loader worker end at the first socket of the network, at a database, and at its libraries."""
    (tmp_path / "sitecustomize.py").write_text(ALONE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HOME", "/dev/null/nowhere")  # nor a place for caches of their own
    executor, log = local(tmp_path / "log", workers=1), tmp_path / "log"
    job = tiny.job(tmp_path / "work", **SHORT, train__loader_workers=1)
    executor.submit(replace(job, shared=str(tmp_path / "shared")))
    outcome = outcomes_of(executor, 1)[0, 0]
    executor.close()
    assert outcome.status == "committed", log.read_text()
    assert outcome.result is not None
    assert outcome.result.loader_restarts == 0
    assert log.read_text().count("watched") == 2


def busy_with(workers: Local, job: FoldJob) -> "subprocess.Popen[str]":
    return next(worker.process for worker in workers._workers if worker.job == job)


@pytest.fixture(scope="module")
def undisturbed(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    inline = Inline()
    inline.submit(tiny.job(tmp_path_factory.mktemp("undisturbed"), **MIDDLE))
    return outcomes_of(inline, 1)[0, 0]


def test_another_worker_goes_on_with_what_a_killed_one_was_doing(
    workers: Local, tiny: Tiny, tmp_path: Path, undisturbed: Outcome
) -> None:
    job = tiny.job(tmp_path, **MIDDLE)
    workers.submit(job)
    reader, epochs = OutboxReader(job.working, job.final), []
    for _ in range(LIVES):  # each a step further than the one before, so that their number does not matter
        until(lambda: epochs.extend(new := reader.new()) or new)
        busy_with(workers, job).kill()
        assert workers.wait_any(PATIENCE) == []
    assert_same_results(outcomes_of(workers, 1), {(0, 0): undisturbed})
    epochs += reader.new()
    assert [e["number"] for e in epochs] == list(range(1, MIDDLE["train__epochs"] + 1))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_saves_its_step_and_another_goes_on(
    workers: Local, tiny: Tiny, tmp_path: Path, undisturbed: Outcome, number: int
) -> None:
    job = tiny.job(tmp_path, **MIDDLE)
    workers.submit(job)
    wait_for_epoch(job)
    process = busy_with(workers, job)
    started = time.monotonic()
    process.send_signal(number)
    assert workers.wait_any(PATIENCE) == []
    assert process.wait(PATIENCE) == STOPPED
    assert time.monotonic() - started < 15
    assert newest_position(job.saved) >= (1, 0)
    assert_same_results(outcomes_of(workers, 1), {(0, 0): undisturbed})


def test_a_fold_run_whose_workers_die_at_one_place_fails_and_others_take_the_next(
    workers: Local, log: Path, tiny: Tiny, tmp_path: Path
) -> None:
    job = tiny.job(tmp_path, **LONG)
    workers.submit(job)
    for life in range(1, LIVES + 1):
        busy_with(workers, job).kill()
        outcomes = workers.wait_any(PATIENCE)
        assert len(outcomes) == (life == LIVES)
    assert outcomes[0].status == "failed"
    assert (
        outcomes[0].reason == f"fold 0: its process ended with -9, {LIVES} times at the same place; see {log}"
    )
    for idle in list(workers._workers):  # a worker may be killed while it has nothing to do, too
        idle.process.send_signal(signal.SIGTERM)
        idle.process.wait()
    workers.submit(tiny.job(tmp_path, fold=1, **SHORT))
    assert outcomes_of(workers, 1)[0, 1].status == "committed"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits another process's memory")
def test_a_fold_run_without_memory_goes_on_in_a_fresh_process_with_batches_in_parts(
    tiny: Tiny, tmp_path: Path
) -> None:
    executor = local(tmp_path / "log", workers=1)
    executor.submit(tiny.job(tmp_path, **SHORT))
    assert outcomes_of(executor, 1)[0, 0].status == "committed"
    (worker,) = executor._workers
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    room = int(next(line for line in status.splitlines() if line.startswith("VmSize")).split()[1]) * 1024
    resource.prlimit(worker.process.pid, resource.RLIMIT_AS, (room + 20_000_000, room + 20_000_000))
    executor.submit(tiny.job(tmp_path, fold=1, **SHORT, train__crop=256))
    outcome = outcomes_of(executor, 1)[0, 1]
    assert outcome.status == "committed", outcome.reason
    assert outcome.result is not None
    assert outcome.result.parts == 2
    assert executor._workers[0].process.pid != worker.process.pid
    assert "DefaultCPUAllocator" in (tmp_path / "log").read_text()
    executor.close()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits another process's files")
def test_a_worker_without_room_on_the_disk_says_so_and_goes_on_with_the_same_job_later(
    workers: Local, tiny: Tiny, tmp_path: Path, undisturbed: Outcome
) -> None:
    job = tiny.job(tmp_path, **MIDDLE)
    workers.submit(job)
    until(lambda: newest_position(job.saved) >= (1, 0))
    process = busy_with(workers, job)
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (300_000, before[1]))
    outcome = outcomes_of(workers, 1)[0, 0]
    assert (outcome.status, outcome.blocked) == ("interrupted", True)
    assert "File too large" in outcome.reason
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    assert newest_position(job.saved) >= (1, 0)
    workers.submit(job)
    assert_same_results(outcomes_of(workers, 1), {(0, 0): undisturbed})
    assert alive(process.pid)


def test_what_waits_is_cancelled_at_once(tiny: Tiny, tmp_path: Path) -> None:
    executor = Local(Devices([], 0), threads=1, log=tmp_path / "log")  # without workers everything waits
    job = tiny.job(tmp_path)
    executor.submit(job)
    executor.cancel((0, 0))
    assert [(o.key, o.status) for o in executor.wait_any(PATIENCE)] == [((0, 0), "interrupted")]
    assert not Path(f"{job.folder}{CANCELLED}").exists()
    executor.close()


def test_a_cancelled_fold_run_whose_worker_dies_is_not_begun_again(
    workers: Local, tiny: Tiny, tmp_path: Path
) -> None:
    job = tiny.job(tmp_path, **LONG)
    workers.submit(job)
    workers.cancel((0, 0))
    busy_with(workers, job).kill()
    assert [o.status for o in outcomes_of(workers, 1).values()] == ["interrupted"]
    assert not Path(f"{job.folder}{CANCELLED}").exists()


DRIVER = """
import json, sys, time
from pathlib import Path
from harness.execute.local import local
from harness.train.foldrun import FoldJob
executor = local(Path(sys.argv[2]), workers=1)
executor.submit(FoldJob(**json.loads(Path(sys.argv[1]).read_text())))
print(executor._workers[0].process.pid, flush=True)
time.sleep(1000)
"""


def test_workers_end_by_themselves_when_their_driver_is_killed(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path / "work", **LONG)
    (tmp_path / "job.json").write_text(json.dumps(asdict(job)))
    arguments = [sys.executable, "-c", DRIVER, str(tmp_path / "job.json"), str(tmp_path / "log")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        worker = int(driver.stdout.readline())
        wait_for_epoch(job)
        assert alive(worker)
        driver.kill()
    started = time.monotonic()
    until(lambda: not alive(worker))
    assert time.monotonic() - started < 15
    assert not job.final.exists()


def test_closing_ends_busy_workers_at_once(workers: Local, tiny: Tiny, tmp_path: Path) -> None:
    """The last test with these workers."""
    job = tiny.job(tmp_path, **LONG)
    workers.submit(job)
    wait_for_epoch(job)
    pids = [worker.process.pid for worker in workers._workers]
    started = time.monotonic()
    workers.close()
    assert time.monotonic() - started < 15
    assert pids
    assert not any(alive(pid) for pid in pids)
    assert not job.final.exists()


GIB = 2**30


def devices_of(executor: Local) -> list[str]:
    """Return what each worker process has as CUDA_VISIBLE_DEVICES, from its own environment."""
    found = []
    for worker in executor._workers:
        environ = Path(f"/proc/{worker.process.pid}/environ")
        until(environ.read_bytes)  # empty for a moment while a program starts
        content = environ.read_bytes().split(b"\0")
        (value,) = [entry for entry in content if entry.startswith(b"CUDA_VISIBLE_DEVICES=")]
        found.append(value.decode().partition("=")[2])
    return sorted(found)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
def test_workers_are_given_the_gpus_in_turn_and_more_of_them_once_one_told_what_it_takes(
    tiny: Tiny, tmp_path: Path
) -> None:
    """The devices are named and not there: everything is computed on the CPU."""
    executor = local(tmp_path / "log", gpus=["a", "b"])
    executor.devices.cores = 6
    jobs = [tiny.job(tmp_path, fold=fold, trial=trial, **LONG) for trial in range(2) for fold in range(2)]
    try:
        for job in jobs:
            executor.submit(job)
        assert devices_of(executor) == ["a", "b"]
        executor.devices.learn("a", Memory(peak=25 * GIB, available=80 * GIB, total=80 * GIB))
        executor.wait_any(0.0)
        assert devices_of(executor) == ["a", "a", "b"]
        assert executor.capacity == 3
    finally:
        executor.close()


def test_a_fold_run_that_waits_for_a_process_which_was_stopped_says_so(tiny: Tiny, tmp_path: Path) -> None:
    lines: list[str] = []
    first, second = local(tmp_path / "log", workers=1), local(tmp_path / "log", lines.append, workers=1)
    second._watch.after = 1.0
    job = tiny.job(tmp_path, **LONG)
    try:
        first.submit(job)
        wait_for_epoch(job)
        os.kill(first._workers[0].process.pid, signal.SIGSTOP)
        second.submit(job)
        until(lambda: second.wait_any(0.1) or lines)
        (line,) = lines
        held = f"process {first._workers[0].process.pid} on {os.uname().nodename}"
        assert line.startswith(f"trial 0 fold 0 waits for {held}, which was stopped: it holds {job.lock}; ")
    finally:
        first._workers[0].process.kill()
        first.close()
        second.close()
