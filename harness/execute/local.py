"""Fold runs in child processes of this machine: as many a GPU as its memory takes, or one a core, one thread each."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness.errors import ConfigError
from harness.execute.devices import Devices, Memory
from harness.execute.task import MOST_PARTS, Key, Outcome, cancelled, key_of
from harness.execute.waiting import Waiting
from harness.execute.worker import CANCELLED
from harness.train.foldrun import FoldJob, FoldResult
from harness.train.snapshot import Position, newest_position

GRACE = 2.0  # s for all workers together when all is done; one that does not end by itself then is killed
LIVES = 3  # worker processes that a fold run may lose without a step forward


@dataclass
class _Worker:
    device: str  # its GPU; nothing on a CPU
    process: "subprocess.Popen[str]"
    channel: int  # what its outcomes are read from
    job: FoldJob | None = None
    buffer: str = ""  # of a line that has not come whole yet


class Local:
    """Long-lived worker processes, started as jobs come; an import of torch costs seconds.

    What a worker was doing when it was killed or stopped, another goes on with from the last step saved.
    """

    def __init__(
        self, devices: Devices, *, threads: int, log: Path, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self.devices = devices
        self._threads, self._log, self._watch = threads, log, Waiting(tell)
        self._waiting: deque[FoldJob] = deque()
        self._workers: list[_Worker] = []
        self._losses: dict[Key, tuple[Position, int]] = {}  # of workers, and where the fold run stood then
        self._ended: list[Outcome] = []  # not told yet
        self._selector = selectors.DefaultSelector()

    @property
    def capacity(self) -> int:
        """Fold runs worth submitting at a time; more once a GPU is known to take several."""
        return self.devices.capacity

    def submit(self, job: FoldJob) -> None:
        _cancel_file(job).unlink(missing_ok=True)
        self._losses.pop(key_of(job), None)
        self._waiting.append(job)
        self._hand_out()

    def wait_any(self, timeout: float) -> list[Outcome]:
        outcomes, self._ended = self._ended, []
        for key, _ in self._selector.select(0.0 if outcomes else timeout):
            worker: _Worker = key.data
            outcomes += self._read(worker)
        self._hand_out()
        self._watch.look([(worker.job, worker.process.pid) for worker in self._workers if worker.job])
        return outcomes

    def cancel(self, key: Key) -> None:
        for job in [job for job in self._waiting if key_of(job) == key]:
            self._waiting.remove(job)
            self._ended.append(cancelled(job))
        for job in [worker.job for worker in self._workers if worker.job]:
            if key_of(job) == key:
                with contextlib.suppress(OSError):  # on a full disk the fold run ends by itself
                    _cancel_file(job).parent.mkdir(parents=True, exist_ok=True)
                    _cancel_file(job).touch()

    def close(self) -> None:
        """End the workers; a fold run that is not committed may be gone on with from what it saved."""
        for worker in self._workers:
            _hang_up(worker)
        until = time.monotonic() + GRACE
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            os.close(worker.channel)
        self._workers.clear()
        self._waiting.clear()
        self._selector.close()

    def _hand_out(self) -> None:
        while self._waiting and (worker := self._free_worker()):
            assert worker.process.stdin
            try:
                worker.process.stdin.write(json.dumps(asdict(self._waiting[0])) + "\n")
                worker.process.stdin.flush()
            except BrokenPipeError:  # it died while idle: another one takes the job
                self._forget(worker)
            else:
                worker.job = self._waiting.popleft()

    def _free_worker(self) -> _Worker | None:
        free = next((w for w in self._workers if w.job is None), None)
        if free is None and len(self._workers) < self.capacity:
            free = self._start(self.devices.next([worker.device for worker in self._workers]))
            self._workers.append(free)
        return free

    def _start(self, device: str) -> _Worker:
        environment = os.environ | {
            name: str(self._threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
        }
        if device:
            environment["CUDA_VISIBLE_DEVICES"] = device
        self._log.parent.mkdir(parents=True, exist_ok=True)
        receive, send = os.pipe()
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.execute.worker", str(send)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[send],
                text=True,
                # the driver has fetched what the networks begin from; workers open no connection
                env=environment | {"PYTHONPATH": _import_path(environment), "HF_HUB_OFFLINE": "1"},
                start_new_session=True,  # Ctrl-C in a terminal is for the driver, which stops its workers in order
            )
        os.close(send)  # so that the pipe ends when the worker does
        worker = _Worker(device, process, receive)
        self._selector.register(receive, selectors.EVENT_READ, worker)
        return worker

    def _read(self, worker: _Worker) -> list[Outcome]:
        text = os.read(worker.channel, 1 << 20).decode()
        if not text:
            return self._lost(worker)
        *lines, worker.buffer = (worker.buffer + text).split("\n")
        outcomes = [self._told(worker, json.loads(line)) for line in lines]
        if not outcomes or worker.job is None:
            return outcomes
        last = outcomes[-1]
        if last.status == "interrupted" and not last.blocked and not _cancel_file(worker.job).exists():
            return []  # it was told to stop, and ends now
        if last.out_of_memory and self.devices.thin_out(worker.device):
            return self._once_more(worker, worker.job.parts)
        if last.out_of_memory and worker.job.parts < MOST_PARTS:
            return self._once_more(worker, 2 * worker.job.parts)
        _cancel_file(worker.job).unlink(missing_ok=True)
        worker.job = None
        if [other.device for other in self._workers].count(worker.device) > self._places(worker.device):
            self._forget(worker)
        return outcomes

    def _told(self, worker: _Worker, message: dict[str, Any]) -> Outcome:
        if memory := message.pop("memory"):
            self.devices.learn(worker.device, Memory(**memory))
        return _outcome(message)

    def _places(self, device: str) -> int:
        return self.devices.places(device) if device else self.capacity

    def _once_more(self, worker: _Worker, parts: int) -> list[Outcome]:
        """Let a fresh process go on: alone on its GPU, or with batches in more parts, each of them smaller."""
        assert worker.job
        self._waiting.appendleft(replace(worker.job, parts=parts))
        self._forget(worker)  # with the memory that it holds
        for other in [w for w in self._workers if w.device == worker.device and not w.job]:
            self._forget(other)
        return []

    def _lost(self, worker: _Worker) -> list[Outcome]:
        """A worker died: another one takes its place, and its fold run."""
        code = self._forget(worker)
        return self._again(worker.job, code) if worker.job else []

    def _again(self, job: FoldJob, code: int) -> list[Outcome]:
        """Let another worker go on with a fold run, unless that was cancelled, or never comes a step further."""
        key, here = key_of(job), newest_position(job.saved)
        if _cancel_file(job).exists():
            _cancel_file(job).unlink()
            return [cancelled(job)]
        before, losses = self._losses.get(key, (here, 0))
        self._losses[key] = here, losses + 1 if here == before else 1
        if self._losses[key][1] < LIVES:
            self._waiting.appendleft(job)
            return []
        reason = f"fold {job.fold}: its process ended with {code}, {LIVES} times at the same place; see {self._log}"
        return [Outcome(key, "failed", reason=reason)]

    def _forget(self, worker: _Worker) -> int:
        """Take leave of a dead worker; return its exit code."""
        self._selector.unregister(worker.channel)
        self._workers.remove(worker)
        _hang_up(worker)
        os.close(worker.channel)
        return worker.process.wait()


def local(
    log: Path,
    tell: Callable[[str], None] = lambda line: None,
    gpus: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    threads: int = 1,
) -> Local:
    """Return the executor; `workers` defaults to one a core, or what the memory of the GPUs takes.

    `tell` gets a line when a fold run waits for a process that stands still; `gpus` are those of this process.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"execute.local.workers: {workers}; it takes 1 or more")
    if threads < 1:
        raise ConfigError(f"execute.local.threads: {threads}; it takes 1 or more")
    names = visible_gpus() if gpus is None else gpus
    return Local(Devices(names, usable_cores(), workers), threads=threads, log=log, tell=tell)


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the names of the GPUs this process may use, as CUDA_VISIBLE_DEVICES takes them; none on a CPU."""
    if not torch.cuda.is_available():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    count = torch.cuda.device_count()  # CUDA takes no name from the first wrong one on
    return named.split(",")[:count] if named else [str(i) for i in range(count)]


def _hang_up(worker: _Worker) -> None:
    assert worker.process.stdin
    with contextlib.suppress(BrokenPipeError):
        worker.process.stdin.close()


def _cancel_file(job: FoldJob) -> Path:
    return Path(f"{job.folder}{CANCELLED}")


def _outcome(message: dict[str, Any]) -> Outcome:
    result = message.pop("result")
    trial, fold = message.pop("key")
    return Outcome((trial, fold), **message, result=FoldResult(**result) if result else None)


def _import_path(environment: dict[str, str]) -> str:
    """Let workers import the very package this process runs, installed or not."""
    here = str(Path(__file__).parents[2])
    return os.pathsep.join([here, *filter(None, [environment.get("PYTHONPATH")])])
