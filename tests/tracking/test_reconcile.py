"""One call makes MLflow agree and says what it did: shared stores, damage, refusals, deletions, a slow database."""

import contextlib
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mlflow.entities import Run

from harness.errors import TrackingError
from harness.execute.task import Outcome
from harness.model.outoffold import FILES
from harness.search.trial import TrialResult
from harness.tracking.delivery import Delivery
from harness.tracking.home import home_id
from harness.tracking.outbox import Outbox
from harness.tracking.reconcile import Reconciled, mark_orphan, orphans, reconcile
from harness.tracking.recorder import OutboxRecorder
from harness.tracking.sender import Sender
from harness.tracking.store import Store
from tests.tracking.test_recorder import epoch, fold_result, plan, recorder_of
from tests.tracking.test_sender import Server, server

__all__ = ["server"]  # the fixture

KEY = "tiny-01234567"


@dataclass
class At:
    """A study of a home, and what is done with it there."""

    home: Path
    store: Store
    key: str = KEY
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def work(self) -> Path:
        return self.home / "work" / self.key

    @property
    def id(self) -> str:
        return home_id(self.home, self.store, self.lines.append)

    def start(self) -> OutboxRecorder:
        return recorder_of(self.work, self.key)

    def delivery(self) -> Delivery:
        return Delivery(self.store, self.key, self.work, self.id)

    def reconciled(self) -> Reconciled:
        own = self.delivery()
        return reconcile(Outbox(self.work), own, self.lines.append)

    def runs(self) -> dict[str, Run]:
        """Return the home's runs by what stands behind the study's key; none is there twice."""
        delivery = self.delivery()
        delivery.ask()
        found = delivery.runs.all()
        keys = [run.data.tags["harness.fold_run"].removeprefix(self.key) for run in found]
        assert len(set(keys)) == len(keys)
        return dict(zip(keys, found, strict=True))

    def statuses(self) -> dict[str, str]:
        return {key: run.info.status for key, run in self.runs().items()}

    def tell_begun(self) -> OutboxRecorder:
        recorder = self.start()
        recorder.open_study([])
        recorder.open_trial(plan(0))
        recorder.open_fold(0, 0)
        recorder.log_epochs(0, 0, [epoch(1), epoch(2)])
        return recorder

    def tell_whole(self) -> None:
        recorder = self.tell_begun()
        result = fold_result(self.work, 0, 0.5)
        recorder.close_fold(Outcome((0, 0), "committed", result))
        recorder.close_trial(TrialResult(plan(0), "pruned", [result], "below the median"))
        recorder.close_study("complete", "", note="| trial |", metrics={"best_iou_mean": 0.5})


ENDED = {"": "FINISHED", "/0": "KILLED", "/0/0": "FINISHED"}
OPEN = dict.fromkeys(ENDED, "RUNNING")


@pytest.fixture
def store(tmp_path: Path, empty_mlflow: Path) -> Store:
    """A store that no home has for itself."""
    (tmp_path / "server").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "server" / "mlflow.db")
    return Store(f"sqlite:///{tmp_path / 'server' / 'mlflow.db'}", tmp_path / "server" / "artifacts")


@pytest.fixture
def a(tmp_path: Path, store: Store) -> At:
    return At(tmp_path / "a", store)


def rows(store: Store) -> int:
    assert store.database
    with contextlib.closing(sqlite3.connect(store.database)) as database:
        return int(database.execute("SELECT count(*) FROM metrics").fetchone()[0])


def produced(at: At) -> int:
    """Return the number of points of metrics that were told there."""
    messages = [message for _, message in Outbox(at.work).messages()]
    return len({(m["key"], *point) for m in messages for point in map(tuple, m.get("metrics", []))})


def test_two_homes_that_run_one_study_share_a_store_and_no_run(a: At, tmp_path: Path, store: Store) -> None:
    b = At(tmp_path / "b", store)
    a.tell_begun()
    sender = Sender(Outbox(a.work), a.delivery(), print)
    sender.start()
    sender.wait()
    assert a.statuses() == OPEN
    b.tell_whole()
    assert b.reconciled().ended == ()
    assert (a.statuses(), b.statuses()) == (OPEN, ENDED)
    assert a.reconciled() == Reconciled(ended=tuple(f"{KEY}{below}" for below in OPEN))
    assert set(a.statuses().values()) == {"KILLED"}
    assert b.statuses() == ENDED
    a.delivery().store.client().delete_run(a.runs()["/0"].info.run_id)
    assert b.reconciled() == Reconciled()
    assert rows(store) == produced(a) + produced(b) > 2 * produced(a) > 0


def test_a_home_that_was_moved_finds_its_runs_and_a_new_one_at_the_old_place_leaves_them_alone(
    a: At, tmp_path: Path, store: Store
) -> None:
    a.tell_whole()
    a.reconciled()
    before, count = {key: run.info.run_id for key, run in a.runs().items()}, rows(store)
    a.home.rename(tmp_path / "b")
    b = At(tmp_path / "b", store)
    b.tell_begun()  # goes on there
    sender = Sender(Outbox(b.work), b.delivery(), print)
    sender.start()
    sender.wait()
    assert {key: run.info.run_id for key, run in b.runs().items()} == before
    assert rows(store) == count
    assert b.runs()[""].data.tags["harness.place"].endswith(f":{tmp_path}/b")
    assert orphans(store, tmp_path / "a", At(tmp_path / "a", store).id, set()) == []
    assert orphans(store, b.home, b.id, set()) == [KEY]
    assert b.statuses() == OPEN


def begun(at: At) -> At:
    """Let a study be told to MLflow as one that runs."""
    at.tell_begun()
    sender = Sender(Outbox(at.work), at.delivery(), print)
    sender.start()
    sender.wait()
    assert at.statuses() == OPEN
    return at


@pytest.mark.parametrize("told", [True, False])
def test_of_a_copy_and_its_original_that_was_renamed_the_second_takes_an_id_of_its_own(
    a: At, tmp_path: Path, store: Store, told: bool
) -> None:
    """Neither is where their file says; what the first one wrote in MLflow, or where it said it is, tells of it."""
    a.tell_whole()
    a.reconciled()
    shutil.copytree(a.home, tmp_path / "b")
    a.home.rename(tmp_path / "c")
    first, second = At(tmp_path / "b", store, "other-01234567"), At(tmp_path / "c", store)
    own = first.id
    if told:
        begun(first)
    assert second.id != own
    assert second.lines == [
        f"{second.home}: is a copy of {first.home}, which is there too: MLflow gets its runs anew"
    ]
    assert orphans(store, second.home, second.id, {KEY}) == []
    assert second.reconciled() == Reconciled(delivered=7)
    assert second.reconciled() == Reconciled()
    assert (first.id, second.statuses(), len(second.lines)) == (own, ENDED, 1)
    if told:
        assert first.statuses() == OPEN
    assert At(first.home, store).statuses() == ENDED, "the original's runs are the first one's"


def test_a_study_that_another_home_with_the_same_id_runs_is_no_orphan_and_not_ended(
    a: At, tmp_path: Path, store: Store
) -> None:
    """Homes that came to share an id all the same."""
    own = begun(a).id
    b, other = At(tmp_path / "b", store), begun(At(a.home, store, "other-01234567"))
    status = b.home.stat()
    known = json.loads((a.home / "home.json").read_bytes())
    (b.home / "home.json").write_text(json.dumps(known | {"folder": str(b.home), "inode": status.st_ino}))
    assert b.id == own
    assert orphans(store, b.home, own, set()) == []
    b.tell_whole()
    for _ in range(2):
        with pytest.raises(
            TrackingError, match=f"was written last by .*:{a.home}, a home with the id of {b.home}"
        ):
            b.reconciled()
    assert (a.statuses(), other.statuses()) == (OPEN, OPEN)
    shutil.rmtree(a.home)
    assert set(orphans(store, b.home, own, set())) == {KEY, "other-01234567"}
    b.reconciled()
    assert b.statuses() == ENDED


def test_a_study_whose_work_came_back_is_no_orphan_any_more(a: At) -> None:
    a.tell_whole()
    a.reconciled()
    orphan = a.delivery()
    orphan.ask()
    mark_orphan(orphan)
    assert "harness.orphan" in a.runs()[""].data.tags
    assert orphans(a.store, a.home, a.id, set()) == []
    a.tell_begun()
    a.reconciled()
    assert "harness.orphan" not in a.runs()[""].data.tags


def test_a_damaged_line_is_left_and_nothing_is_uploaded_again_for_it(a: At, tmp_path: Path) -> None:
    a.tell_whole()
    path = a.work / "tracking" / "messages.jsonl"
    with path.open("ab") as file:
        file.write(b'{"kind": \x00}\n')
    assert a.reconciled() == Reconciled(delivered=7, refused=1)
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "server" / "artifacts").rglob("*") if p.is_file()}
    assert len(files) == 2 + len(FILES)
    assert a.reconciled() == Reconciled(refused=1)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert a.statuses() == ENDED


def test_an_end_that_is_refused_again_is_told_as_refused_and_the_run_ends_as_it_did(a: At) -> None:
    recorder = a.tell_begun()
    recorder.close_trial(TrialResult(plan(0), "failed", [], "not a number"))
    path = a.work / "tracking" / "messages.jsonl"
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1].replace('"metrics": []', '"metrics": [["no: name?*", 1.0, 0, 5]]')
    path.write_text("\n".join(lines) + "\n")
    first = a.reconciled()
    assert (first.delivered, first.refused, first.taken) == (4, 1, 0)
    assert a.reconciled() == Reconciled(refused=1)
    assert a.statuses() == {"": "KILLED", "/0": "FAILED", "/0/0": "KILLED"}
    tags = a.runs()["/0"].data.tags
    assert (tags["harness.state"], tags["harness.reason"]) == ("failed", "not a number")


def test_what_was_refused_and_is_taken_now_is_delivered_in_one_call_and_in_its_order(a: At) -> None:
    """The opening of a trial is refused, since a parameter is another's; what comes after it is not."""
    a.tell_whole()
    delivery = a.delivery()
    delivery.ask()
    (_, opening), *_ = [(p, m) for p, m in Outbox(a.work).messages() if m["kind"] == "open"]
    delivery.deliver([next(Outbox(a.work).messages())[1], opening])
    assert delivery.store.database
    with contextlib.closing(sqlite3.connect(delivery.store.database)) as database, database:
        database.execute("UPDATE params SET value = 'another' WHERE key = 'seed'")
    assert a.reconciled() == Reconciled(delivered=6, refused=1)
    assert a.statuses() == ENDED
    with contextlib.closing(sqlite3.connect(delivery.store.database)) as database, database:
        database.execute("UPDATE params SET value = '17' WHERE key = 'seed'")
    assert a.reconciled() == Reconciled(taken=1)
    assert a.statuses() == ENDED
    assert a.reconciled() == Reconciled()


def test_a_run_deleted_while_its_study_runs_is_restored_and_nothing_is_lost(a: At) -> None:
    recorder = a.tell_begun()
    sender = Sender(recorder.outbox, a.delivery(), a.lines.append)
    sender.start()
    until = time.monotonic() + 60
    while recorder.outbox.waiting and time.monotonic() < until:
        time.sleep(0.05)
    client = a.store.client()
    before = {key: run.info.run_id for key, run in a.runs().items()}
    for run in before.values():
        client.delete_run(run)
    recorder.log_epochs(0, 0, [epoch(3)])
    recorder.close_trial(TrialResult(plan(0), "failed", [], "why"))
    sender.finish()
    assert a.lines == [
        f"MLflow: run {KEY}{below} was deleted there, and is restored: its study goes on"
        for below in ("/0/0", "/0")
    ]
    curve = client.get_metric_history(before["/0/0"], "loss")
    assert [point.step for point in curve] == [1, 2, 3]
    assert a.reconciled().restored == (KEY,)
    assert {key: run.info.run_id for key, run in a.runs().items()} == before
    assert a.reconciled() == Reconciled()


def test_a_deleted_experiment_is_said_with_what_restores_it_and_messages_wait_for_that(a: At) -> None:
    a.tell_begun()
    a.reconciled()
    client = a.store.client()
    client.delete_experiment("1")
    a.start().close_study("complete", "", note="", metrics={})
    sender = Sender(Outbox(a.work), a.delivery(), a.lines.append)
    sender.start()
    sender.finish()
    assert "the experiment 'tiny' was deleted in MLflow" in a.lines[0]
    assert "mlflow experiments restore --experiment-id 1`" in a.lines[0]
    assert "1 message wait" in a.lines[1]
    with pytest.raises(
        TrackingError, match=r"^the experiment 'tiny' was deleted in MLflow, .* --experiment-id 1`$"
    ):
        a.reconciled()
    assert client.get_experiment("1").lifecycle_stage == "deleted"
    client.restore_experiment("1")
    assert a.reconciled().delivered == 1
    assert a.statuses()[""] == "FINISHED"


@contextlib.contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Keep others from writing to a database for a while, as a slow one does."""
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(seconds, lambda: connection.execute("ROLLBACK"))
    timer.start()
    try:
        yield
    finally:
        timer.join()
        connection.close()


def test_a_store_that_is_slow_is_waited_for_as_long_as_it_works(
    a: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.tell_begun()
    own = a.delivery()
    own.ask()
    sender = Sender(Outbox(a.work), own, print)
    assert a.store.database
    began = time.monotonic()
    with locked(a.store.database, 4):
        sender.start()
        sender.wait()
    assert time.monotonic() - began > 4
    assert sender.outbox.waiting == 0


def test_over_a_real_server_homes_are_told_apart_and_what_was_deleted_or_changed_is_back(
    server: Server, tmp_path: Path
) -> None:
    server.start()
    store = Store(f"http://127.0.0.1:{server.port}", None)
    a, b = At(tmp_path / "a", store), At(tmp_path / "b", store)
    a.tell_begun()
    sender = Sender(Outbox(a.work), a.delivery(), print)
    sender.start()
    sender.wait()
    b.tell_whole()
    assert b.reconciled() == Reconciled(delivered=7)
    assert (a.statuses(), b.statuses()) == (OPEN, ENDED)
    client, runs = store.client(), b.runs()
    client.delete_run(runs["/0/0"].info.run_id)
    client.set_terminated(runs["/0"].info.run_id, "FINISHED")
    assert b.reconciled() == Reconciled(restored=(f"{KEY}/0/0",), corrected=(f"{KEY}/0",))
    assert b.reconciled() == Reconciled()
    client.delete_experiment("1")
    with pytest.raises(TrackingError, match="the experiment 'tiny' was deleted in MLflow"):
        b.reconciled()
    client.restore_experiment("1")
    assert (a.statuses(), b.statuses()) == (OPEN, ENDED)
    b.home.rename(tmp_path / "c")
    assert At(tmp_path / "c", store).reconciled() == Reconciled()
    assert rows(Store(f"sqlite:///{server.database}", None)) == produced(a) + produced(
        At(tmp_path / "c", store)
    )
