"""Where MLflow keeps things, its server, and links into its pages."""

import contextlib
import json
import logging
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

from mlflow import MlflowClient

from harness.errors import ConfigError

HOST, PORT = "127.0.0.1", 5000
ONLY_TRIALS, BY_IOU = "tags.\"harness.level\" = 'trial'", "metrics.`iou_mean`"
VIEW = "harness-trials"  # the key of a shared view kept in the experiment's tags
ANSWER_WITHIN = 5.0  # s
START_WITHIN = 120.0  # s; a busy machine takes 20 to start the server


@dataclass(frozen=True)
class Store:
    """A tracking database and the artifacts beside it; always named explicitly."""

    uri: str
    artifacts: Path | None  # None: the server's own

    def client(self) -> MlflowClient:
        """Return a client of this store's tracking and registry."""
        for talkative in ("alembic", "mlflow.store.db.utils", "mlflow.pyfunc"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, client: MlflowClient, name: str) -> str:
        """Return the id of the experiment with this name, made when it is not there."""
        found = client.get_experiment_by_name(name)
        location = (self.artifacts / name).as_uri() if self.artifacts else None
        number = found.experiment_id if found else client.create_experiment(name, artifact_location=location)
        client.set_experiment_tag(number, f"mlflow.sharedViewState.{VIEW}", _view())
        return str(number)

    def experiments(self, name: str | None = None) -> dict[str, str]:
        """Return experiments of this name, or all that have runs of ours, with their ids."""
        client = self.client()
        found = client.search_experiments(filter_string=f"name = '{name}'" if name else None)
        return {e.name: str(e.experiment_id) for e in found if e.name != "Default"}


def open_store(home: Path) -> Store:
    """Return the store of MLFLOW_TRACKING_URI, else the database and artifacts under `home`; nothing is written.

    Raises ConfigError for a server that does not answer: MLflow itself would try for minutes.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        _refuse_silent_server(uri)
        return Store(uri, None)
    home = home.resolve()
    return Store(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts")


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
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", store.uri]
    return [*command, "--artifacts-destination", str(store.artifacts)] if store.artifacts else command


def ui_command(name: str, home: Path) -> str:
    """Return what to type to see the pages of the store under `home`, with links to a study's trials."""
    return shlex.join([sys.executable, "-m", "harness.study", "ui", name, "--home", str(home)])


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


def _refuse_silent_server(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=ANSWER_WITHIN).close()
    except OSError as error:
        raise ConfigError(
            f"MLFLOW_TRACKING_URI: {parts.hostname}:{port} does not answer ({error.strerror or error}); "
            "start the server, or unset the variable to use the database under --home"
        ) from None


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
