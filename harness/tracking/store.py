"""Where MLflow keeps things, its server, and links into its pages."""

import contextlib
import json
import logging
import os
import shlex
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, urlsplit

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from harness.errors import ConfigError, TrackingError
from harness.masking import masked, words_of
from harness.tracking.new_database import make_database

if TYPE_CHECKING:  # its import takes a second and 90 MB, which a check of data does without
    from mlflow import MlflowClient

HOST, PORT = "127.0.0.1", 5000
VARIABLE = "MLFLOW_TRACKING_URI"
SERVERS = {"http": 80, "https": 443}  # with their ports
DATABASES = {"sqlite": None, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
ONLY_TRIALS, BY_IOU = "tags.\"harness.level\" = 'trial'", "metrics.`iou_mean`"
VIEW = "harness-trials"  # the key of a shared view kept in the experiment's tags
_VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
ANSWER_WITHIN = 5.0  # s
START_WITHIN = 120.0  # s; a busy machine takes 20 to start the server


@dataclass(frozen=True)
class Store:
    """A tracking server, or a database and the artifacts under home; always named explicitly."""

    uri: str
    artifacts: Path | None  # None: the server's own

    @property
    def shown(self) -> str:
        """Return the URI for a screen, its password left out."""
        return masked(self.uri)

    @property
    def prefix(self) -> str:
        """Return what stands before a command so that it finds this store."""
        return f"{VARIABLE}={shlex.quote(self.shown)} " if os.environ.get(VARIABLE) else ""

    @property
    def database(self) -> Path | None:
        """Return the file of an SQLite database, if this store is one."""
        name = make_url(self.uri).database if _kind(self.uri) == "sqlite" else None
        return Path(name).absolute() if name and name != ":memory:" else None

    def client(self) -> "MlflowClient":
        """Return a client of this store's tracking and registry, its database made when it is not there."""
        from mlflow import MlflowClient

        for talkative in ("alembic", "mlflow.pyfunc"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        # it logs whole tracebacks of what it raises, and we say in a line
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        if (path := self.database) and not path.exists():
            make_database(path, self.artifacts or path.parent)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def find_experiment(self, client: "MlflowClient", name: str) -> str | None:
        """Return the id of the experiment with this name, None where there is none.

        Raises TrackingError where it was deleted in MLflow's pages, which is for whoever did so to undo.
        """
        from mlflow.entities import LifecycleStage

        found = client.get_experiment_by_name(name)
        if found is None:
            return None
        if found.lifecycle_stage == LifecycleStage.DELETED:
            restore = f"{VARIABLE}={shlex.quote(self.shown)} python -m mlflow experiments"
            raise TrackingError(
                f"the experiment {name!r} was deleted in MLflow, and what it is told waits until it is restored: "
                f"`{restore} restore --experiment-id {found.experiment_id}`"
            )
        return str(found.experiment_id)

    def experiment(self, client: "MlflowClient", name: str) -> str:
        """Return the id of the experiment with this name, made when it is not there. Raises TrackingError."""
        location = (self.artifacts / name).as_uri() if self.artifacts else None
        number = self.find_experiment(client, name) or client.create_experiment(
            name, artifact_location=location
        )
        client.set_experiment_tag(number, _VIEW_TAG, _view())
        return str(number)

    def experiments(self, name: str | None = None) -> dict[str, str]:
        """Return the experiments of studies with their ids: that of this name, or all."""
        found = self.client().search_experiments(filter_string=f"name = '{name}'" if name else None)
        return {e.name: str(e.experiment_id) for e in found if _VIEW_TAG in e.tags}


def open_store(home: Path) -> Store:
    """Return the store of MLFLOW_TRACKING_URI, else the database under `home`; nothing is written, nobody is asked.

    Raises ConfigError for what MLflow cannot use.
    """
    home = home.resolve()
    uri = os.environ.get(VARIABLE) or f"sqlite:///{home / 'mlflow.db'}"
    store = Store(uri, None if _kind(uri) in SERVERS else home / "artifacts")
    _refuse_unknown_kind(store)
    _refuse_broken_file(store)
    _refuse_missing_driver(store)
    _address(store)
    return store


def answering(store: Store) -> Store:
    """Return the store, for what cannot wait. Raises ConfigError where nobody answers."""
    if address := _address(store):
        try:
            socket.create_connection(address, timeout=ANSWER_WITHIN).close()
        except OSError as error:
            raise _silent(store, error) from None
    return store


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Turn what MLflow raises into a TrackingError."""
    try:
        yield
    except Exception as error:
        if type(error).__module__ != "mlflow.exceptions":
            raise
        raise TrackingError(f"MLflow: {words_of(error)}; what is committed is kept") from error


@contextlib.contextmanager
def serve(store: Store, port: int = PORT) -> "Iterator[subprocess.Popen[bytes]]":
    """Serve a store's pages on this machine only; yield when they answer, end the server afterwards.

    Raises ConfigError when the server ends by itself, as it does where the port is taken.
    """
    with _is_free(port), tempfile.TemporaryFile() as output:
        server = subprocess.Popen(
            server_command(store, port=port),
            stdout=output,
            stderr=output,
            env=os.environ
            | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # a way in that nobody needs here
        )
        try:
            _wait_until_it_answers(server, port, output)
            yield server
        finally:
            server.terminate()
            server.wait()


def server_command(store: Store, *, port: int = PORT) -> list[str]:
    """Return the command that serves a store's pages on this machine only."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", store.uri]
    return [*command, "--artifacts-destination", str(store.artifacts)] if store.artifacts else command


def ui_command(store: Store, name: str, home: Path) -> str:
    """Return what to type to see the pages of a store, with links to a study's trials."""
    command = [sys.executable, "-m", "harness.study", "ui", name, "--home", str(home)]
    return store.prefix + shlex.join(command)


def links(experiment: str, *, address: str | None = None) -> dict[str, str]:
    """Return links that open an experiment's trials sorted by `iou_mean`, which its first page does not show."""
    base = f"{address or f'http://{HOST}:{PORT}'}/#/experiments/{experiment}/runs"
    trials = f"searchFilter={quote(ONLY_TRIALS)}&orderByKey={quote(BY_IOU)}&orderByAsc=false"
    return {
        "trials as a list": f"{base}?viewStateShareKey={VIEW}",
        "trials as charts": f"{base}?{trials}&compareRunsMode=CHART",
    }


def _view() -> str:
    """Return MLflow's own form of a shared view: the trials by `iou_mean`, with the columns that matter."""
    metrics = ("iou_mean", "iou_std", "object_recall", "clean_with_false_object")
    columns = [f"metrics.`{name}`" for name in metrics] + ["params.`loss`", "tags.`harness.state`"]
    view = {
        "searchFilter": ONLY_TRIALS,
        "orderByKey": BY_IOU,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": columns,
    }
    return json.dumps(view)


def _kind(uri: str) -> str:
    return urlsplit(uri).scheme.partition("+")[0]  # without the name of a database's driver


def _refuse_unknown_kind(store: Store) -> None:
    if _kind(store.uri) not in SERVERS | DATABASES:
        known = ", ".join(f"{kind}://" for kind in SERVERS | DATABASES)
        raise ConfigError(
            f"{VARIABLE}: {store.shown} is no server or database that MLflow keeps runs in; write one that starts "
            f"with {known}, or unset the variable to use the database under --home"
        )


def _refuse_broken_file(store: Store) -> None:
    path = store.database
    if path is None or not path.exists():
        return
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=0)) as database:
            database.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        kind = error.sqlite_errorcode & 0xFF
        # it is a database: somebody writes into it, or was killed at that, which is undone by whoever writes next
        if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY):
            return
        raise ConfigError(f"{path}: is no database of MLflow ({error}); name another file") from None


def _refuse_missing_driver(store: Store) -> None:
    if _kind(store.uri) in DATABASES:
        try:
            create_engine(store.uri).dispose()  # opens nothing
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigError(f"{store.shown}: cannot be opened: {words_of(error)}") from error


def _address(store: Store) -> tuple[str, int] | None:
    """Return where the store's server listens, if it has one that can be asked. Raises ConfigError for a wrong port."""
    parts, port = urlsplit(store.uri), (SERVERS | DATABASES)[_kind(store.uri)]
    if port is None or (parts.hostname is None and _kind(store.uri) in DATABASES):  # a local socket
        return None
    try:
        return parts.hostname or "", parts.port or port
    except ValueError as error:
        raise _silent(store, error) from None


def _silent(store: Store, error: Exception) -> ConfigError:
    return ConfigError(
        f"{VARIABLE}: {urlsplit(store.uri).netloc.rpartition('@')[2]} does not answer ({_reason(error)}); "
        "start the server, or unset the variable to use the database under --home"
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _wait_until_it_answers(server: "subprocess.Popen[bytes]", port: int, output: IO[bytes]) -> None:
    until = time.monotonic() + START_WITHIN
    while time.monotonic() < until:
        if server.poll() is not None:
            output.seek(0)
            said = output.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            raise ConfigError(
                f"mlflow server: ended with {server.returncode} on port {port}; its last word: {said[-1]}"
            )
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2):
            return
        time.sleep(0.3)
    raise ConfigError(
        f"mlflow server: no answer on port {port} within {START_WITHIN:.0f} s; try another --port"
    )


@contextlib.contextmanager
def _is_free(port: int) -> Iterator[None]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(f"--port {port}: {error.strerror}; choose another one with --port") from None
    yield
