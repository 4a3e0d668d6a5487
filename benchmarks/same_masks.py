"""One promoted model computed in every way it can be: do all give the same masks, at any size and batch?

make bench-promotion. Fifty real pictures (HARNESS_DATA, else the built-in set) in five sizes; batches of one, three and
eight; the networks themselves one picture at a time are what the others are held to: the same in batches, the pt2 and
the ONNX graph, OpenVINO where it is installed, MLflow's pyfunc, and HTTP to `mlflow models serve`.
"""

import base64
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import requests
import torch
from numpy.typing import NDArray

from benchmarks.markdown import head_of, row_of
from benchmarks.promoted import STRONG, Ran, run_study
from harness.config import Promote
from harness.data.demo import write_demo
from harness.errors import ConfigError
from harness.tracking.aliases import champion
from harness.tracking.graphs import MOST_DIFFERENT, open_graph, with_graph
from harness.tracking.registry import fetch_model, open_model

PICTURES, BATCHES = 50, (1, 3, 8)
SIZES = ((64, 64), (128, 96), (97, 143), (256, 256), (200, 320))  # H, W
STARTS_WITHIN = 120.0  # s

Pixels = NDArray[np.uint8]
Way = Callable[[Sequence[Pixels]], list[NDArray[Any]]]  # pictures of a batch to their masks


def main() -> int:
    """Print the share of pixels that differ for each way, size and batch; return 1 where it is too large."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place, quiet = Path(folder), io.StringIO()
        with redirect_stdout(quiet):
            ran = run_study(place, place / "home", **{"data.size": None})
            ran.promote(STRONG, "a benchmark", wanted=Promote(graphs=("pt2", "onnx")))
        pictures, source = real_pictures(place)
        print(
            f"{PICTURES} pictures of {source}; share of pixels that differ from the networks, one at a time\n"
        )
        shares = list(_shares(ran, pictures, place))
    print(f"\nlargest share {max(shares):.1e}, {MOST_DIFFERENT:g} is taken")
    return int(max(shares) > MOST_DIFFERENT)


def _shares(ran: Ran, pictures: Sequence[Pixels], place: Path) -> Iterator[float]:
    found = champion(ran.client, "tiny")
    assert found is not None
    parts = fetch_model(ran.client, found, place / "model")
    model = open_model(parts.settings, parts.weights)
    networks = partial(_masks, model, parts.settings["threshold"])
    ways: dict[str, Way] = {"networks": networks}
    for runner, kind in (("pt2", "pt2"), ("onnx", "onnx"), ("openvino", "onnx")):
        try:
            other = with_graph(model, open_graph(runner, parts.graphs[kind], model.device))
        except ConfigError as error:
            print(f"left out: {error}\n")
            continue
        ways[runner] = partial(_masks, other, parts.settings["threshold"])
    mlflow.set_tracking_uri(ran.store.uri)
    loaded = mlflow.pyfunc.load_model("models:/tiny@champion")
    ways["pyfunc"] = lambda batch: list(loaded.predict({"image": list(batch)})["mask"])
    with _server(ran.store.uri, place) as address:
        ways["HTTP"] = partial(_asked, address)
        print("\n".join(head_of(["size", "target", *(f"{way}, batch {b}" for way in ways for b in BATCHES)])))
        for size in SIZES:
            resized = [cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA) for picture in pictures]
            wanted = [mask for picture in resized for mask in networks([picture])]
            row = [_differing(way, resized, batch, wanted) for way in ways.values() for batch in BATCHES]
            target = f"{np.mean([mask.mean() for mask in wanted]):.3f}"
            print(row_of([f"{size[0]} x {size[1]}", target, *(f"{share:.0e}" for share in row)]), flush=True)
            yield max(row)


def _masks(model: Any, threshold: float, batch: Sequence[Pixels]) -> list[NDArray[Any]]:
    return [probability > threshold for probability in model.probabilities(batch)]


def _differing(way: Way, pictures: Sequence[Pixels], batch: int, wanted: Sequence[NDArray[Any]]) -> float:
    found = [mask for first in range(0, PICTURES, batch) for mask in way(pictures[first : first + batch])]
    different = sum(int((np.asarray(a) != b).sum()) for a, b in zip(found, wanted, strict=True))
    return different / sum(mask.size for mask in wanted)


def _asked(address: str, batch: Sequence[Pixels]) -> list[NDArray[Any]]:
    """Return masks as a client gets them: PNG files in base64 both ways."""
    files = [base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode() for picture in batch]
    asked = {"dataframe_records": [{"image": file} for file in files], "params": {"mask": "png"}}
    answer = requests.post(f"{address}/invocations", json=asked, timeout=300)
    answer.raise_for_status()
    masks = [base64.b64decode(row["mask"]) for row in answer.json()["predictions"]]
    return [cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_UNCHANGED) > 0 for mask in masks]


@contextmanager
def _server(uri: str, folder: Path) -> Iterator[str]:
    """Run MLflow's own server on this machine until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/tiny@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"MLFLOW_TRACKING_URI": uri, "PATH": path}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, process_group=0)
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + STARTS_WITHIN
    try:
        while time.monotonic() < until:
            try:
                requests.get(f"{address}/ping", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def real_pictures(place: Path) -> tuple[list[Pixels], str]:
    """Return gray pictures, evenly drawn from the tiles where they are at hand, and what they are."""
    tiles = Path(os.environ.get("HARNESS_DATA", "")) / "magnetic_tile" / "images"
    source = "magnetic_tile" if tiles.is_dir() else "the built-in set"
    if not tiles.is_dir():
        write_demo(place / "demo")
        tiles = place / "demo" / "images"
    files = sorted(path for path in tiles.rglob("*") if path.is_file())
    chosen = [files[int(row)] for row in np.linspace(0, len(files) - 1, PICTURES)]
    return [np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8) for path in chosen], source


if __name__ == "__main__":
    sys.exit(main())
