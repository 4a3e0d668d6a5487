"""What a run shows of the files it was given, on a real SQLite store: whole ones, and the names of those lost."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from harness.tracking.attachments import attach
from harness.tracking.store import Store
from harness.train.checkpoint import WEIGHTS, commit, drop

FILES = [[f"0/0/{name}", ""] for name in (WEIGHTS, "result.json")]


@pytest.fixture
def client(tmp_path: Path, empty_mlflow: Path) -> MlflowClient:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return Store(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts").client()


@pytest.fixture
def run(client: MlflowClient, tmp_path: Path) -> str:
    number = client.create_experiment("tiny", artifact_location=(tmp_path / "artifacts").as_uri())
    return str(client.create_run(number).info.run_id)


@pytest.fixture
def fold(tmp_path: Path) -> Path:
    working = tmp_path / "work" / "0" / "0.working"
    working.mkdir(parents=True)
    for name in (WEIGHTS, "result.json"):
        (working / name).write_text(name)
    commit(working, working.with_name("0"))
    return working.with_name("0")


def lost(client: MlflowClient, run: str) -> str | None:
    return client.get_run(run).data.tags.get("harness.lost_files")


def test_a_file_that_the_run_has_is_not_lost_however_it_fares_on_disk(
    client: MlflowClient, run: str, fold: Path
) -> None:
    work = fold.parents[1]
    attach(client, run, work, FILES)
    drop(fold, WEIGHTS)
    (fold / "result.json").write_text("changed")
    attach(client, run, work, FILES)
    assert lost(client, run) is None
    assert {item.path for item in client.list_artifacts(run)} == {WEIGHTS, "result.json"}
    kept = client.download_artifacts(run, "result.json", str(work))
    assert Path(kept).read_text() == "result.json"


def test_what_is_lost_is_looked_for_in_the_folder_it_is_shown_in(
    client: MlflowClient, run: str, fold: Path
) -> None:
    attach(client, run, fold.parents[1], [["0/0/result.json", ""], [f"0/0/{WEIGHTS}", "study"]])
    for name in ("result.json", WEIGHTS):
        (fold / name).unlink()
    attach(client, run, fold.parents[1], [[f"0/0/{name}", "study"] for name in ("result.json", WEIGHTS)])
    assert lost(client, run) == "result.json"


def test_the_tag_is_gone_once_nothing_is_lost_and_stays_where_no_file_is_asked_for(
    client: MlflowClient, run: str, fold: Path
) -> None:
    work = fold.parents[1]
    (fold / WEIGHTS).rename(work / "away")
    attach(client, run, work, FILES)
    assert lost(client, run) == WEIGHTS
    attach(client, run, work, [])
    assert lost(client, run) == WEIGHTS
    (work / "away").rename(fold / WEIGHTS)
    attach(client, run, work, FILES)
    assert lost(client, run) is None


def test_what_is_lost_stays_told_when_other_files_are_attached(
    client: MlflowClient, run: str, fold: Path
) -> None:
    work = fold.parents[1]
    attach(client, run, work, [["0/0/gone.json", ""]])
    attach(client, run, work, FILES)
    assert lost(client, run) == "gone.json"
    drop(fold, WEIGHTS)
    attach(client, run, work, [[f"0/0/{WEIGHTS}", "other"]])
    assert lost(client, run) == f"{WEIGHTS}, gone.json"
