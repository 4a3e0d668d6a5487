"""MLflow's own pages on our store, served for real on loopback."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.errors import ConfigError
from harness.tracking.store import ONLY_TRIALS, Store, answering, links, open_store, serve, ui_command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_store_is_below_home_unless_a_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert open_store(tmp_path).uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert ui_command(open_store(tmp_path), "tiny", tmp_path).endswith(f"ui tiny --home {tmp_path}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://user:secret@127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        store = open_store(tmp_path)
    assert (store.uri, store.artifacts) == (uri, None)
    assert "secret" not in ui_command(store, "tiny", tmp_path)


def test_artifacts_of_a_named_database_are_below_home_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mine.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store = open_store(Path("home"))
    client = store.client()
    location = client.get_experiment(store.experiment(client, "tiny")).artifact_location
    assert location == f"file://{tmp_path}/home/artifacts/tiny"
    assert ui_command(store, "tiny", Path("home")).startswith(f"MLFLOW_TRACKING_URI={uri} ")
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("runs", "runs is no server or database"),
        ("file:///runs", "is no server or database"),
        (
            "foo://bar",
            "foo://bar is no server or database that MLflow keeps runs in; write one that starts with",
        ),
        ("sqlite:///broken.db", "broken.db: is no database of MLflow"),
        ("sqlite:///.", "is no database of MLflow"),
        ("mssql+none://user:secret@127.0.0.1:9/db", "cannot be opened"),
        ("http://127.0.0.1:port", "127.0.0.1:port does not answer"),
    ],
)
def test_a_store_that_mlflow_cannot_use_is_one_line_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.db").write_text("no database " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError) as caught:
        open_store(tmp_path / "home")
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "home").exists()


def test_a_silent_server_is_an_error_only_for_what_cannot_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    store = open_store(tmp_path)
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9 does not answer") as caught:
        answering(store)
    assert "secret" not in str(caught.value)


def test_a_database_that_somebody_writes_into_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("CREATE TABLE t (x)")
        assert open_store(tmp_path).artifacts == tmp_path / "artifacts"


def test_a_database_whose_writer_was_killed_in_the_middle_is_one_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code = """if True:
        import os, sqlite3
        database = sqlite3.connect("mlflow.db", isolation_level=None)
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES ('kept')")
        database.execute("PRAGMA cache_size = 1")  # so that half of what follows is in the file already
        database.execute("BEGIN")
        database.executemany("INSERT INTO t VALUES (?)", [("half" * 999,)] * 99)
        os.kill(os.getpid(), 9)
    """
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == -9
    assert (tmp_path / "mlflow.db-journal").stat().st_size
    assert open_store(tmp_path).artifacts == tmp_path / "artifacts"
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [("kept",)]


def test_experiments_of_others_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = open_store(tmp_path)
    store.client().create_experiment("theirs")
    assert store.experiments() == store.experiments("theirs") == {}


def test_no_pickle_is_loaded_whatever_the_environment_says() -> None:
    code = "import os, harness.tracking; print(os.environ['MLFLOW_ALLOW_PICKLE_DESERIALIZATION'])"
    environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "false"


def test_the_pages_answer_on_loopback_and_hold_the_view_that_the_links_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store, port = open_store(tmp_path), free_port()
    client = store.client()
    number = store.experiment(client, "tiny")
    assert store.experiment(client, "tiny") == number
    assert store.experiments() == store.experiments("tiny") == {"tiny": number}
    with serve(store, port):
        url = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/get?experiment_id={number}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            tags = {tag["key"]: tag["value"] for tag in json.load(answer)["experiment"]["tags"]}
        remote = Store(f"http://127.0.0.1:{port}", None).client()
        remote.set_terminated(remote.create_run(number).info.run_id)
        assert capfd.readouterr().out == ""  # standard output is for our own JSON
        with pytest.raises(ConfigError, match=f"--port {port}: .*choose another one"), serve(store, port):
            pass
    key = links(number)["trials as a list"].partition("viewStateShareKey=")[2]
    view = json.loads(tags[f"mlflow.sharedViewState.{key}"])
    assert view["searchFilter"] == ONLY_TRIALS
    assert "metrics.`iou_mean`" in view["selectedColumns"]
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)


def test_the_chart_link_filters_and_sorts_by_itself() -> None:
    link = unquote(links("7", address="http://127.0.0.1:9")["trials as charts"])
    assert link.startswith("http://127.0.0.1:9/#/experiments/7/runs?")
    assert ONLY_TRIALS in link
    assert "metrics.`iou_mean`" in link


KILLED_WHILE_IT_MAKES_THE_TABLES = """
import os, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from harness.tracking.store import Store

seen = 0

@event.listens_for(Engine, "before_cursor_execute")
def die(connection, cursor, statement, *_):
    global seen
    seen += "UPDATE alembic_version" in statement
    if seen == int(sys.argv[2]):
        os._exit(9)

Store(sys.argv[1], None).client()
print(seen)
"""


def test_whoever_is_killed_while_the_database_is_made_leaves_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def make(dies_at: int) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", KILLED_WHILE_IT_MAKES_THE_TABLES, uri, str(dies_at)]
        return subprocess.run(command, capture_output=True, text=True)

    assert [make(20).returncode, (tmp_path / "mlflow.db").exists()] == [9, False]
    steps = int(make(-1).stdout)
    (tmp_path / "mlflow.db").unlink()
    assert [make(steps).returncode, (tmp_path / "mlflow.db").exists()] == [9, False]
    store = Store(uri, None)
    assert store.experiment(store.client(), "tiny") == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"]
