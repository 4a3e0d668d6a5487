"""MLflow's own pages on our store, served for real on loopback."""

import json
import socket
import urllib.request
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.errors import ConfigError
from harness.tracking.store import ONLY_TRIALS, links, open_store, serve


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_store_is_below_home_unless_a_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert open_store(tmp_path).uri == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://db/mlflow")
    assert (open_store(tmp_path).uri, open_store(tmp_path).artifacts) == ("postgresql://db/mlflow", None)


def test_the_pages_answer_on_loopback_and_hold_the_view_that_the_links_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
