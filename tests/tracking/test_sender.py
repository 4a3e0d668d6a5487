"""Delivery beside a search that waits for nothing: a store that refuses, a real server dead, hung and killed."""

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import Interrupted
from harness.execute.task import Status
from harness.tracking import outbox as outbox_module
from harness.tracking import sender as module
from harness.tracking.delivery import Delivery
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import OutboxRecorder
from harness.tracking.sender import Sender
from harness.tracking.store import Store, server_command
from harness.train.foldrun import FoldJob
from tests.search.formula import Formula, Home, study
from tests.tracking.test_recorder import epoch, plan, recorder_of
from tests.tracking.test_store import free_port

KEY = "tiny-01234567"
HERE = "0123" * 8  # the id of a home


@dataclass
class Sent:
    """A sender on an outbox, and what it said."""

    store: Store
    work: Path
    guard: Callable[[], None] = lambda: None
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sender = Sender(
            Outbox(self.work, self.guard), Delivery(self.store, KEY, self.work, HERE), self.lines.append
        )
        self.sender.start()

    def finish(self, **limits: float) -> list[str]:
        self.sender.finish(**limits)
        return self.lines


@pytest.fixture
def store(tmp_path: Path, empty_mlflow: Path) -> Store:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return Store(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")


def runs(store: Store) -> dict[str, str]:
    """Return the status of every run by its key; no key is there twice."""
    found = store.client().search_runs([str(n) for n in range(10)])
    keys = [run.data.tags["harness.fold_run"] for run in found]
    assert len(set(keys)) == len(keys)
    return {key: run.info.status for key, run in zip(keys, found, strict=True)}


def a_small_study(recorder: OutboxRecorder) -> None:
    recorder.open_study([])
    recorder.open_trial(plan(0))
    recorder.open_fold(0, 0)
    recorder.log_epochs(0, 0, [epoch(1)])
    recorder.close_study("interrupted", "stopped", note="", metrics={})


def test_a_message_that_is_refused_is_kept_and_told_and_those_after_it_are_delivered(
    store: Store, tmp_path: Path
) -> None:
    sent = Sent(store, tmp_path)
    recorder = OutboxRecorder(sent.sender.outbox, recorder_of(tmp_path, KEY).facts, tmp_path)
    recorder.open_study([])
    for trial in (8, 9):  # of trials that were never opened
        recorder.log_epochs(trial, 0, [epoch(1)])
    recorder.open_trial(plan(0))
    lines = sent.finish()
    assert runs(store) == {KEY: "RUNNING", f"{KEY}/0": "RUNNING"}
    assert [f"refused what was told of {KEY}/8/0: there is no run" in line for line in lines] == [True, False]
    assert lines[1].startswith(f"MLflow refused 2 messages, kept in {tmp_path}/tracking/refused.jsonl")
    assert len((tmp_path / "tracking" / "refused.jsonl").read_text().splitlines()) == 2
    assert sent.sender.outbox.waiting == 0


def test_a_message_that_fails_again_and_again_while_the_store_answers_does_not_block_the_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIES", 2)
    recorder = recorder_of(tmp_path, KEY)
    recorder.open_study([(tmp_path / "file", "study")])
    recorder.open_trial(plan(0))
    (tmp_path / "file").touch()
    (tmp_path / "artifacts").write_text("a file where a folder should be")
    lines = Sent(store, tmp_path).finish()
    assert "refused what was told of" in lines[0]
    assert runs(store) == {KEY: "RUNNING", f"{KEY}/0": "RUNNING"}


def test_a_store_that_is_away_at_the_end_is_waited_for_a_little_and_what_waits_is_counted(
    tmp_path: Path,
) -> None:
    a_small_study(recorder_of(tmp_path, KEY))
    began = time.monotonic()
    lines = Sent(Store("http://127.0.0.1:9", None), tmp_path).finish()
    assert time.monotonic() - began < 8
    assert len(lines) == 2
    assert lines[0].startswith("MLflow takes no messages now: they wait, the study goes on (")
    assert lines[1] == (
        f"MLflow (it takes none now): 5 messages wait for it in {tmp_path}/tracking; "
        "the next `run tiny` or `doctor tiny` delivers them"
    )
    assert Outbox(tmp_path).waiting == 5


def test_without_room_for_its_own_notes_the_sender_stops_and_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    a_small_study(recorder_of(tmp_path, KEY))
    monkeypatch.setattr(outbox_module, "write_synced", full)
    lines = Sent(store, tmp_path).finish()
    assert lines[0] == f"{tmp_path}/tracking: No space left on device; what MLflow is to be told waits"
    monkeypatch.undo()
    assert Outbox(tmp_path).waiting == 5
    Sent(store, tmp_path).finish()
    assert runs(store) == {KEY: "KILLED", f"{KEY}/0": "KILLED", f"{KEY}/0/0": "KILLED"}


def test_who_lost_the_study_delivers_nothing_more(store: Store, tmp_path: Path) -> None:
    a_small_study(recorder_of(tmp_path, KEY))

    def lost() -> None:
        raise Interrupted("taken over")

    Sent(store, tmp_path, lost).finish()
    assert runs(store) == {}
    assert Outbox(tmp_path).waiting == 5


@dataclass
class Server:
    """A real MLflow server on loopback, in a group of processes of its own."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    def start(self) -> None:
        command = server_command(
            Store(f"sqlite:///{self.database}", self.folder / "artifacts"), port=self.port
        )
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=environment
            )
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2).close()
                return
            time.sleep(0.2)
        pytest.fail("the server does not answer")

    def signal(self, number: int) -> None:
        if self.process:
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
        self.process = None


@pytest.fixture
def server(tmp_path: Path, empty_mlflow: Path) -> Iterator[Server]:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    made = Server(tmp_path, free_port())
    yield made
    made.kill()


def test_a_server_dead_hung_or_killed_delays_no_fold_and_loses_no_row(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four trials of three folds: dead when they begin, then there, hung for two folds, there, killed for the rest."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setattr(module, "LONGEST_PAUSE", 1.0)
    home, work = Home(tmp_path, study(trials=4)), tmp_path / "work"
    sent = Sent(Store(f"http://127.0.0.1:{server.port}", None), work)
    recorder = OutboxRecorder(sent.sender.outbox, recorder_of(work, KEY).facts, work)

    def once_more_is_delivered(event: Callable[[], None]) -> None:
        """Wait for it inside a fold, which is not what is measured."""
        before, until = sent.sender.outbox.delivered.position, time.monotonic() + 60
        while sent.sender.outbox.delivered.position == before:
            assert time.monotonic() < until, sent.lines
            time.sleep(0.02)
        event()

    events = {
        (0, 2): server.start,
        (1, 2): lambda: once_more_is_delivered(lambda: server.signal(signal.SIGSTOP)),
        (2, 2): lambda: server.signal(signal.SIGCONT),
        (3, 0): lambda: once_more_is_delivered(server.kill),
    }

    def fold(job: FoldJob) -> Status:
        events.get((job.trial, job.fold), lambda: None)()
        time.sleep(0.5)
        return "committed"

    recorder.open_study([])
    home.run(Formula(rule=fold), recorder)
    recorder.close_study("complete", "", note="", metrics={"best_iou_mean": 0.5})
    told = [message for _, message in sent.sender.outbox.messages()]
    ends = [m["time"] for m in told if m["kind"] == "end" and m["key"].count("/") == 2]
    begins = [m["time"] for m in told if m["kind"] == "open" and m["key"].count("/") == 2]
    gaps = [begin - end for end, begin in zip(ends, begins[1:], strict=False)]
    assert len(gaps) == 11
    assert max(gaps) <= 1000, f"ms from a fold's end to the next one's start: {gaps}"
    lines = sent.finish()
    assert "messages wait for it" in lines[-1]
    assert 0 < Outbox(work).waiting < len(told)
    server.start()
    assert Sent(sent.store, work).finish() == []
    assert set(runs(sent.store).values()) == {"FINISHED"}
    assert len(runs(sent.store)) == 1 + 4 + 12
    points = {(m["key"], *map(str, point)) for m in told for point in m.get("metrics", [])}
    with contextlib.closing(sqlite3.connect(server.database)) as database:
        query = (
            "SELECT t.value, m.key, m.value, m.step, m.timestamp FROM metrics m JOIN tags t USING (run_uuid) "
        )
        stored = database.execute(query + "WHERE t.key = 'harness.fold_run'").fetchall()
    assert len(stored) == len(points)
    assert {tuple(map(str, row)) for row in stored} == points
