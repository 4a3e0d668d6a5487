"""One run of a prepared study: what it leaves when it ends badly, and what it mends when it goes on."""

import contextlib
import io
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from rich.console import Console

from harness.drive import drive
from harness.errors import Interrupted, TrainingError
from harness.prepare import prepare
from harness.report.leaderboard import Leaderboard
from harness.search import lock
from harness.tracking.home import home_id
from harness.tracking.store import open_store
from tests.conftest import SHORT, Tiny

ShouldStop = Callable[[], bool]


def driven(
    tiny: Tiny, home: Path, watch: Callable[[], ShouldStop] = lambda: lambda: False, **changes: Any
) -> tuple[Leaderboard, str]:
    """Run a study of two trials; return its leaderboard and what was printed."""
    study = tiny.with_settings(**{**SHORT, "search__trials": 2} | changes)
    caches, text = tiny.caches, io.StringIO()
    prepared = prepare(study, base=home, home=home, caches=caches)
    console = Console(file=text, width=400)
    board, _ = drive(prepared, open_store(home), home=home, caches=caches, console=console, watch=watch)
    return board, text.getvalue()


@pytest.fixture
def home(tmp_path: Path, empty_mlflow: Path) -> Path:
    return started(tmp_path / "home", empty_mlflow)


def started(home: Path, empty_mlflow: Path) -> Path:
    """Return a home whose MLflow database has its tables already."""
    home.mkdir()
    shutil.copy(empty_mlflow, home / "mlflow.db")
    return home


def client_of(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home.resolve() / 'mlflow.db'}")


def runs(home: Path) -> dict[str, Run]:
    return {run.data.tags["harness.fold_run"]: run for run in client_of(home).search_runs(["1"])}


def files_of(home: Path) -> dict[Path, bytes]:
    """Return the weights and counts of all folds, by their place under home."""
    paths = [*home.glob("work/*/*/*/weights.safetensors"), *home.glob("work/*/*/*/out_of_fold.parquet")]
    return {path.relative_to(home): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def done(
    tiny: Tiny, tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path
) -> tuple[Path, Leaderboard]:
    home = started(tmp_path_factory.mktemp("done") / "home", empty_mlflow)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home.parent)
        board, _ = driven(tiny, Path("home"))
    assert [row["state"] for row in board.trials] == ["complete", "complete"]
    return home, board


def test_lost_folds_of_finished_trials_are_trained_anew_to_the_same_bits_wherever_the_home_is_now(
    done: tuple[Path, Leaderboard], tiny: Tiny, tmp_path: Path
) -> None:
    home = tmp_path / "moved"
    shutil.copytree(done[0], home)
    before = files_of(home)
    (work,) = (home / "work").iterdir()
    shutil.rmtree(work / "0" / "1")
    (work / "1" / "0" / "weights.safetensors").write_bytes(b"x")
    board, said = driven(tiny, home)
    assert board.trials == done[1].trials
    assert files_of(home) == before
    assert "trial 0 fold 1 is trained anew" in said
    assert "trial 1 fold 0 is trained anew" in said
    assert "is trained anew" not in driven(tiny, home)[1]


def test_without_a_complete_trial_the_study_failed_and_its_run_says_why(tiny: Tiny, home: Path) -> None:
    for _ in range(2):
        with pytest.raises(TrainingError, match=r"none of 1 trials ran all its folds; .* failed: fold 0: "):
            driven(tiny, home, train__lr=1e9, train__epochs=1, search__trials=1)
        (top,) = [run for run in runs(home).values() if run.data.tags["harness.level"] == "study"]
        assert top.info.status == "FAILED"
        assert top.data.tags["harness.state"] == "failed"
        assert "none of 1 trials ran all its folds" in top.data.tags["harness.reason"]
        assert "No trial ran all its folds" in top.data.tags["mlflow.note.content"]


def stopping_at_once(call: int) -> Callable[[], ShouldStop]:
    """Stand for a second Ctrl-C, which raises KeyboardInterrupt at some moment of the search."""
    calls: Iterator[int] = iter(range(call))

    def should_stop() -> bool:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return False

    return lambda: should_stop


def test_stopped_at_once_no_run_is_left_open_and_the_same_study_goes_on(
    done: tuple[Path, Leaderboard], tiny: Tiny, home: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        driven(tiny, home, stopping_at_once(1))
    assert {run.info.status for run in runs(home).values()} == {"KILLED", "FINISHED"}
    states = {run.data.tags["harness.state"] for run in runs(home).values()}
    assert states == {"interrupted", "committed"}
    (kept,) = home.glob("work/*/ledger/baselines.parquet")
    pd.DataFrame({"constant": [0.5, 0.5], "classical": [0.25, 0.75]}).to_parquet(kept)
    board, _ = driven(tiny, home)
    assert [row | {"seconds": 0} for row in board.trials] == [row | {"seconds": 0} for row in done[1].trials]
    assert board.baselines["classical"]["iou_folds"] == [0.25, 0.75]  # computed once a study
    assert {run.info.status for run in runs(home).values()} == {"FINISHED"}
    assert {run.data.tags["harness.reason"] for run in runs(home).values()} == {""}


def test_a_driver_that_was_replaced_while_it_stood_still_writes_nothing_more(
    tiny: Tiny, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RENEWALS", 600)
    looks, before = iter(range(100)), dict[Path, bytes]()

    def files() -> dict[Path, bytes]:
        texts = [
            *home.glob("work/*/tracking/messages.jsonl"),
            *home.glob("work/*/ledger/*"),
            home / "optuna.db",
        ]
        return {path: path.read_bytes() for path in texts}

    def replaced_after_a_fold() -> bool:
        if next(looks) == 1:
            with contextlib.closing(sqlite3.connect(home / "optuna.db")) as database, database:
                database.execute("UPDATE harness_driver SET owner = 'another', epoch = epoch + 1")
            time.sleep(0.5)
            before.update(files())
        return False

    with pytest.raises(
        Interrupted, match=r"tiny-\w+: process \d+ on .* took it over while this one stood still"
    ):
        driven(tiny, home, lambda: replaced_after_a_fold)
    assert next(looks) == 2, "it noticed before the next fold"
    assert files() == before


def test_what_mlflow_refuses_during_a_run_is_told_and_counted_and_the_study_goes_on(
    done: tuple[Path, Leaderboard], tiny: Tiny, home: Path
) -> None:

    def watch() -> ShouldStop:
        client = client_of(home)
        (work,) = (home / "work").iterdir()
        experiment = client.create_experiment("tiny")
        own = home_id(home, open_store(home), print)
        run = client.create_run(experiment, tags={"harness.fold_run": f"{work.name}/0", "harness.home": own})
        client.log_param(run.info.run_id, "seed", "another")
        return lambda: False

    board, said = driven(tiny, home, watch)
    assert [row["trial"] for row in board.trials] == [row["trial"] for row in done[1].trials]
    (line,) = [line for line in said.splitlines() if line.startswith("MLflow refused what was told of tiny-")]
    assert "seed" in line
    assert "MLflow refused 1 message, kept in " in said
    assert {run.info.status for run in runs(home).values()} == {"FINISHED"}
    trial = next(run for key, run in runs(home).items() if key.endswith("/0") and key.count("/") == 1)
    assert trial.data.metrics["iou_mean"] == next(r["iou_mean"] for r in board.trials if r["trial"] == 0)
