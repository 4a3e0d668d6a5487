"""A driver killed with SIGKILL before some of its writes, again and again: the study ends as if it never had been."""

import contextlib
import io
import os
import random
import signal
import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from rich.console import Console
from sqlalchemy import Engine, event

from harness.doctor import Examination
from harness.drive import drive
from harness.prepare import Prepared, prepare
from harness.report.leaderboard import read_leaderboard
from harness.tracking.outbox import Outbox
from harness.tracking.store import open_store
from tests.conftest import SHORT, Tiny
from tests.test_drive import started

LIVES = 7


@pytest.fixture(scope="module")
def prepared(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    home = tmp_path_factory.mktemp("prepared")
    baselines = [{"augment.strength": 0.25}]
    study = tiny.with_settings(**SHORT, search__trials=3, search__baselines=baselines)
    return prepare(study, base=home, home=home, caches=tiny.caches)


def live(prepared: Prepared, home: Path, caches: Path, *, writes: int) -> int:
    """Drive the study in a process that is killed before write number `writes`, of a file or a database.

    Return how many writes were counted, 0 for a process that was killed.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _die_at(writes, send)
            console = Console(file=io.StringIO())
            drive(
                prepared,
                open_store(home),
                home=home,
                caches=caches,
                console=console,
                watch=lambda: lambda: False,
            )
            os.write(send, b".")
            os._exit(0)
        traceback.print_exc(file=sys.stderr)
        os._exit(70)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        counted = len(pipe.read())
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return 0
    assert os.WEXITSTATUS(status) == 0
    return counted


def _die_at(writes: int, send: int) -> None:
    left, real = writes, os.fsync

    def count(*args: Any) -> None:
        nonlocal left
        left -= 1
        os.write(send, b".")
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def fsync(file: Any) -> None:
        count()
        real(file)

    os.fsync = fsync  # type: ignore[assignment]
    event.listen(Engine, "commit", count)


def table(home: Path, prepared: Prepared) -> list[dict[str, Any]]:
    rows = read_leaderboard(home / "work" / prepared.key / "ledger").trials
    return [dict(row) | {"seconds": 0} for row in rows]


def test_whatever_the_driver_was_writing_when_it_was_killed(
    prepared: Prepared, tiny: Tiny, tmp_path: Path, empty_mlflow: Path
) -> None:
    whole = started(tmp_path / "whole", empty_mlflow)
    count = live(prepared, whole, tiny.caches, writes=-1)
    assert count > 100
    home, draw, killed = started(tmp_path / "home", empty_mlflow), random.Random(5), 0
    for _ in range(LIVES):
        killed += live(prepared, home, tiny.caches, writes=draw.randrange(10, count // LIVES)) == 0
    assert killed >= LIVES - 1
    assert live(prepared, home, tiny.caches, writes=-1)

    assert table(home, prepared) == table(whole, prepared)
    for name in ("weights.safetensors", "out_of_fold.parquet"):
        files = [
            {path.relative_to(h / "work"): path.read_bytes() for path in h.glob(f"work/*/*/*/{name}")}
            for h in (whole, home)
        ]
        assert files[0] == files[1]
        assert len(files[0]) == 6
    stored = optuna.load_study(study_name=prepared.key, storage=f"sqlite:///{home / 'optuna.db'}").trials
    assert [(t.number, t.state) for t in stored] == [(n, TrialState.COMPLETE) for n in range(3)]
    assert [t.params == {"augment.strength": 0.25} for t in stored] == [True, False, False]
    found = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").search_runs(["1"])
    keys = [prepared.key, *(f"{prepared.key}/{t}{f}" for t in range(3) for f in ("", "/0", "/1"))]
    assert sorted(run.data.tags["harness.fold_run"] for run in found) == sorted(keys)
    assert {run.info.status for run in found} == {"FINISHED"}
    messages = [message for _, message in Outbox(home / "work" / prepared.key).messages()]
    points = {(m["key"], *map(str, point)) for m in messages for point in m.get("metrics", [])}
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        query = (
            "SELECT t.value, m.key, m.value, m.step, m.timestamp FROM metrics m JOIN tags t USING (run_uuid) "
        )
        rows = database.execute(query + "WHERE t.key = 'harness.fold_run'").fetchall()
    assert len(rows) == len(points)
    assert {tuple(map(str, row)) for row in rows} == points
    assert Examination(home, open_store(home), print).of_all() == []
