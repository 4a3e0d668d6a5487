"""Where MLflow keeps things, its server, and links into its pages."""

import contextlib
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
from urllib.parse import quote

from mlflow import MlflowClient

from harness.errors import ConfigError

HOST, PORT = "127.0.0.1", 5000
START_WITHIN = 120.0  # s; a busy machine takes 20 to start the server


@dataclass(frozen=True)
class Store:
    """A tracking database and the artifacts beside it; always named explicitly."""

    uri: str
    artifacts: Path | None  # None: the server's own

    def client(self) -> MlflowClient:
        """Return a client of this store's tracking and registry."""
        for talkative in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, client: MlflowClient, name: str) -> str:
        """Return the id of the experiment with this name, made when it is not there."""
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self.artifacts / name).as_uri() if self.artifacts else None
        return client.create_experiment(name, artifact_location=location)

    def experiments(self, name: str | None = None) -> dict[str, str]:
        """Return experiments of this name, or all that have runs of ours, with their ids."""
        client = self.client()
        found = client.search_experiments(filter_string=f"name = '{name}'" if name else None)
        return {e.name: str(e.experiment_id) for e in found if e.name != "Default"}


def open_store(home: Path) -> Store:
    """Return the store of MLFLOW_TRACKING_URI, else the database and artifacts under `home`."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return Store(uri, None)
    home = home.resolve()
    return Store(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts")


@contextlib.contextmanager
def serve(store: Store, port: int = PORT) -> "Iterator[subprocess.Popen[bytes]]":
    """Serve a store's pages on this machine only; yield when they answer, end the server afterwards.

    Raises ConfigError when the server ends by itself, as it does where the port is taken.
    """
    with _is_free(port), tempfile.TemporaryFile() as output:
        server = subprocess.Popen(server_command(store, port=port), stdout=output, stderr=output)
        try:
            _wait_until_it_answers(server, port, output)
            yield server
        finally:
            server.terminate()
            server.wait()


def server_command(store: Store, *, port: int = PORT) -> list[str]:
    """Return the command that serves a store's pages on this machine only."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", store.uri]
    return [*command, "--artifacts-destination", str(store.artifacts)] if store.artifacts else command


def ui_command(name: str, home: Path) -> str:
    """Return what to type to see the pages of the store under `home`, with links to a study's trials."""
    return shlex.join([sys.executable, "-m", "harness.study", "ui", name, "--home", str(home)])


def links(experiment: str, *, address: str | None = None) -> dict[str, str]:
    """Return links that open an experiment's trials sorted by `iou_mean`, which its first page does not show."""
    base = f"{address or f'http://{HOST}:{PORT}'}/#/experiments/{experiment}/runs"
    trials = f"searchFilter={quote(_ONLY_TRIALS)}&orderByKey={quote('metrics.`iou_mean`')}&orderByAsc=false"
    return {
        "trials as a list": f"{base}?{trials}",
        "trials as charts": f"{base}?{trials}&compareRunsMode=CHART",
    }


_ONLY_TRIALS = "tags.\"harness.level\" = 'trial'"


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
