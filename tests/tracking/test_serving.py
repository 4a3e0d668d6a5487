"""`mlflow models serve` and `serve NAME`, started for real and asked over HTTP, by many at once and wrongly."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests

from harness.study import main
from harness.tracking.registry import open_model
from harness.tracking.served_model import Segmenter
from harness.tracking.serving import is_open_to_others, listen
from tests.tracking.conftest import SETTINGS, Shop
from tests.tracking.wrong_requests import GOOD, LARGE, Wrong, base64_png, wrong_requests

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)
NAME = "served"
ROOT = Path(__file__).parents[2]
WRONG = wrong_requests()
RNG = np.random.default_rng(11)
PICTURES = [cv2.GaussianBlur(RNG.integers(0, 255, (128, 128, 3), np.uint8), (0, 0), 3) for _ in range(20)]


@dataclass
class Server:
    """A server that runs, and what it wrote."""

    address: str
    process: "subprocess.Popen[str]"
    said: Path

    def ask(self, request: object, **options: object) -> requests.Response:
        return requests.post(f"{self.address}/invocations", json=request, timeout=120, **options)

    def lives(self) -> bool:
        asked = requests.get(f"{self.address}/ping", timeout=30)
        return asked.status_code == 200 and self.process.poll() is None

    def peak(self) -> float:
        """Return the most memory that it, or the process that it started, has had, in GB; 0 where it is not told."""
        own = Path(f"/proc/{self.process.pid}")
        if not own.exists():  # not Linux
            return 0.0
        below = (own / "task" / own.name / "children").read_text().split()
        told = [Path("/proc", number, "status").read_text() for number in (own.name, *below)]
        return max(int(text.partition("VmHWM:")[2].split()[0]) for text in told) / 1e6


@contextmanager
def started(command: list[str], port: int, folder: Path) -> Iterator[Server]:
    """Run a server until the block ends; it is stopped by its process id."""
    said = folder / f"{port}.log"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where MLflow looks for uvicorn
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with said.open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=log, text=True, process_group=0
        )
    server = Server(f"http://127.0.0.1:{port}", process, said)
    try:
        wait_for(server)
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(server: Server) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and server.process.poll() is None:
        try:
            requests.get(f"{server.address}/ping", timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.2)
    pytest.fail(f"did not start: {server.said.read_text()[-2000:]}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def serve_command(shop: Shop, port: int, *more: str) -> list[str]:
    whole = [
        sys.executable,
        "-m",
        "harness.study",
        "serve",
        NAME,
        "--home",
        str(shop.home),
        "--port",
        str(port),
    ]
    return [*whole, "--json", *more]


@pytest.fixture(scope="module")
def version(shop: Shop) -> str:
    run = shop.trial()
    number = shop.register(NAME, shop.log(run), run)
    shop.client.set_registered_model_alias(NAME, "champion", number)
    return number


@pytest.fixture(scope="module")
def model(shop: Shop) -> Segmenter:
    return open_model(SETTINGS, shop.weights)


@pytest.fixture(scope="module")
def mlflow_server(shop: Shop, version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion"]
    os.environ["MLFLOW_TRACKING_URI"] = shop.client.tracking_uri
    try:
        more = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
        with started([*command, *more], port, tmp_path_factory.mktemp("mlflow serve")) as server:
            yield server
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="module")
def our_server(shop: Shop, version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    folder = tmp_path_factory.mktemp("serve")
    with started(serve_command(shop, port, "--limit-mb", "8"), port, folder) as server:
        yield server


@pytest.fixture(params=["mlflow_server", "our_server"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


def expected(model: Segmenter, picture: np.ndarray) -> np.ndarray:
    return (model.probability(picture) > SETTINGS["threshold"]).astype(np.uint8)


def decoded(text: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED)


def filled(runs: dict[str, list[int]]) -> np.ndarray:
    """Return the mask of COCO's runs."""
    values = np.arange(len(runs["counts"])) % 2
    return np.repeat(values, runs["counts"]).reshape(runs["size"], order="F")


def sent(picture: np.ndarray) -> str:
    return base64_png(picture[:, :, ::-1] if picture.ndim == 3 else picture)


def test_every_form_in_and_out(server: Server, model: Segmenter) -> None:
    color, gray = PICTURES[0], PICTURES[1][:50, :70, 0]
    jpeg = cv2.imencode(".jpg", color[:, :, ::-1])[1].tobytes()
    as_seen = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    cells = [sent(color), sent(gray)]
    forms = [
        {"inputs": {"image": cells}},
        {"inputs": cells},
        {"instances": [{"image": cell} for cell in cells]},
        {"dataframe_records": [{"image": cell} for cell in cells]},
        {"dataframe_split": {"columns": ["image"], "data": [[cell] for cell in cells]}},
        {"inputs": {"image": [color.tolist(), gray.tolist()]}},
    ]
    wanted = [expected(model, color), expected(model, gray)]
    assert all(0 < mask.mean() < 1 for mask in wanted)
    for form in forms:
        found = server.ask(form).json()["predictions"]
        assert [sorted(row) for row in found] == [["mask", "score"]] * 2
        for row, mask, picture in zip(found, wanted, (color, gray), strict=True):
            np.testing.assert_array_equal(row["mask"], mask)
            assert row["score"] == float(model.probability(picture).max())
    photo = base64.b64encode(jpeg).decode()
    (row,) = server.ask({"inputs": {"image": [photo]}, "params": {"mask": "png", "objects": True}}).json()[
        "predictions"
    ]
    mask = expected(model, as_seen)
    np.testing.assert_array_equal(decoded(row["mask"]), mask * 255)
    assert sum(thing["area"] for thing in row["objects"]) == mask.sum()
    (row,) = server.ask({"inputs": [photo], "params": {"mask": "rle"}}).json()["predictions"]
    np.testing.assert_array_equal(filled(row["mask"]), mask)
    (row,) = server.ask({"inputs": {"image": [[[7]]]}, "params": {"mask": "none"}}).json()["predictions"]
    assert list(row) == ["score"]


def test_200_requests_at_once_get_what_single_ones_get(server: Server, model: Segmenter) -> None:
    bodies = [
        {"inputs": {"image": [sent(picture)]}, "params": {"mask": mask}}
        for picture, mask in zip(PICTURES, ["png", "array"] * 10, strict=True)
    ]
    wanted = [expected(model, picture) for picture in PICTURES]
    before = server.peak()

    def ask(number: int) -> tuple[requests.Response, float]:
        began = time.monotonic()
        return server.ask(bodies[number % 20]), time.monotonic() - began

    began = time.monotonic()
    with ThreadPoolExecutor(200) as crowd:
        answers = list(crowd.map(ask, range(200)))
    took, waits = time.monotonic() - began, sorted(seconds for _, seconds in answers)
    more = server.peak() - before
    print(
        f"\n{server.said.parent.name}: 200 requests in {took:.1f} s, half within {waits[100]:.1f} s, all within "
        f"{waits[-1]:.1f} s; {1000 * more:.0f} MB more than the {before:.2f} GB before"
    )
    assert [answer.status_code for answer, _ in answers] == [200] * 200
    for number, (answer, _) in enumerate(answers):
        (row,) = answer.json()["predictions"]
        mask = decoded(row["mask"]) // 255 if number % 2 == 0 else row["mask"]
        np.testing.assert_array_equal(mask, wanted[number % 20])
    assert more < 0.5
    assert server.lives()


def status_of(server: Server, wrong: Wrong) -> tuple[int, str]:
    headers = {"content-type": wrong.content_type}
    answer = requests.post(f"{server.address}/invocations", data=wrong.body, headers=headers, timeout=120)
    return answer.status_code, answer.text


def test_wrong_requests_are_many_and_of_many_kinds() -> None:
    assert len(WRONG) >= 100
    assert len({wrong.name for wrong in WRONG}) == len(WRONG)


def test_our_server_refuses_each_wrong_request_in_a_sentence(our_server: Server) -> None:
    with ThreadPoolExecutor(20) as crowd:
        answers = list(crowd.map(lambda wrong: status_of(our_server, wrong), WRONG))
    statuses = {wrong.name: status for wrong, (status, _) in zip(WRONG, answers, strict=True)}
    assert statuses == {wrong.name: wrong.status for wrong in WRONG}
    for wrong, (_, text) in zip(WRONG, answers, strict=True):
        message = json.loads(text)["message"]
        assert "\n" not in message, wrong.name
        assert "Traceback" not in text, wrong.name
        assert ": " in message.partition("; ")[0], (wrong.name, message)
        assert "; " in message, (wrong.name, message)
        assert len(message) < 700, (wrong.name, message)
        assert set(json.loads(text)) == {"error_code", "message"}
    assert our_server.lives()
    assert our_server.ask({"inputs": [GOOD]}).status_code == 200
    assert "Traceback" not in our_server.said.read_text()


def test_mlflows_server_refuses_them_without_a_stack_trace(mlflow_server: Server) -> None:
    with ThreadPoolExecutor(20) as crowd:
        answers = list(crowd.map(lambda wrong: status_of(mlflow_server, wrong), WRONG))
    statuses = {wrong.name: status for wrong, (status, _) in zip(WRONG, answers, strict=True)}
    assert statuses == {wrong.name: wrong.mlflow or 200 for wrong in WRONG}
    assert not [w.name for w, (_, text) in zip(WRONG, answers, strict=True) if "Traceback" in text]
    assert mlflow_server.lives()
    assert mlflow_server.ask({"inputs": [GOOD]}).status_code == 200


def test_our_sentences_stay_alone_where_mlflow_would_repeat_the_request(mlflow_server: Server) -> None:
    request = {"inputs": {"image": [GOOD, "parts/0001.png"]}}
    message = mlflow_server.ask(request).json()["message"]
    assert message.startswith("image 1: text that is no base64")
    assert GOOD not in message


@pytest.mark.parametrize("kind", ["text/csv", "application/vnd.apache.parquet"])
def test_tables_that_mlflow_answers_with_a_stack_trace_are_refused_by_ours(
    mlflow_server: Server, our_server: Server, kind: str
) -> None:
    table = Wrong(kind, b'a,b\n1,2,3\n"', content_type=kind)
    assert "Traceback" in status_of(mlflow_server, table)[1]  # docs/serving.md says so
    status, text = status_of(our_server, table)
    assert (status, "Traceback" in text) == (415, False)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_asks_either_server(server: Server, model: Segmenter, tmp_path: Path) -> None:
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"inputs": [sent(PICTURES[2])], "params": {"mask": "rle"}}))
    command = ["curl", "-s", f"{server.address}/invocations", "-H", "content-type: application/json"]
    said = subprocess.run([*command, "-d", f"@{body}"], capture_output=True, check=True, timeout=60).stdout
    (row,) = json.loads(said)["predictions"]
    np.testing.assert_array_equal(filled(row["mask"]), expected(model, PICTURES[2]))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_example_works_as_it_is(our_server: Server, model: Segmenter, tmp_path: Path) -> None:
    large = cv2.resize(PICTURES[3], (600, 500))
    cv2.imwrite(str(tmp_path / "picture.png"), large[:, :, ::-1])
    example = "\n".join(our_server.said.read_text().splitlines()[1:3])
    assert our_server.address in example
    said = subprocess.run(["sh", "-c", example], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    (row,) = json.loads(said.stdout)["predictions"]
    np.testing.assert_array_equal(filled(row["mask"]), expected(model, large))
    assert row["objects"]


def test_a_body_above_the_limit_is_refused_told_or_not(our_server: Server) -> None:
    url, headers = f"{our_server.address}/invocations", {"content-type": "application/json"}
    told = requests.post(url, data=b" " * 9_000_000, headers=headers, timeout=60)
    untold = requests.post(url, data=iter([b" " * 1_000_000] * 9), headers=headers, timeout=60)
    for answer in (told, untold):
        assert answer.status_code == 413
        assert answer.json()["message"].startswith("body: of more than 8000000 bytes; send fewer images")
    assert requests.post(url, data=iter([b" " * 1000] * 9), headers=headers, timeout=60).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/docs", 404), ("GET", "/openapi.json", 404), ("GET", "/invocations", 405)]
    + [("GET", path, 200) for path in ("/ping", "/health", "/version")]
    + [("POST", "/ping", 405), ("DELETE", "/invocations", 405)],
)
def test_nothing_else_is_there(our_server: Server, method: str, path: str, status: int) -> None:
    assert requests.request(method, our_server.address + path, timeout=60).status_code == status


def test_a_connection_without_a_request_is_closed(our_server: Server) -> None:
    host, port = our_server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\n")
        began = time.monotonic()
        assert slow.recv(100) == b""
    assert time.monotonic() - began < 15


def test_a_port_that_is_taken_is_one_line(
    shop: Shop, version: str, our_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    port = our_server.address.rpartition(":")[2]
    assert main(["serve", NAME, "--home", str(shop.home), "--port", port]) == 2
    assert capsys.readouterr().err == (
        f"error: --host 127.0.0.1 --port {port}: Address already in use; choose another one with --port or --host\n"
    )


@pytest.mark.parametrize(
    ("name", "more", "sentence"),
    [
        ("nobody", [], "models:/nobody@champion: no version has this alias in sqlite:"),
        (f"models:/{NAME}@best", [], f"models:/{NAME}@best: no version has this alias in sqlite:"),
        (NAME, ["--backend", "tensorrt"], "--backend tensorrt: no such backend (torch, onnx, openvino)"),
        (NAME, ["--backend", "onnx"], "--backend onnx: version 1 of served has no onnx graph"),
        (NAME, ["--timeout", "0"], "--timeout: 0; choose a number above 0"),
        (NAME, ["--limit-mb", "nan"], "--limit-mb: nan; choose a number above 0"),
        (NAME, ["--port", "70000"], "--port 70000: "),
        (NAME, ["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    shop: Shop, version: str, capsys: pytest.CaptureFixture[str], name: str, more: list[str], sentence: str
) -> None:
    assert main(["serve", name, "--home", str(shop.home), *more]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_an_altered_model_is_not_served(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    run = shop.trial()
    uri = shop.log(run, threshold=0.3)
    shop.client.set_registered_model_alias("altered", "champion", shop.register("altered", uri, run))
    with (shop.folder(uri) / "served_model.py").open("a") as code:
        code.write("# something else\n")
    assert main(["serve", "altered", "--home", str(shop.home), "--port", "0"]) == 4
    assert "its file 'served_model.py' is gone, or is not what was registered" in capsys.readouterr().err


def test_other_machines_are_let_in_only_where_told() -> None:
    for host, others in (("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)):
        with listen(host, 0) as listening:
            assert is_open_to_others(listening) is others


def test_what_takes_too_long_is_answered_in_time_and_does_not_delay_the_end(
    shop: Shop, version: str, tmp_path: Path
) -> None:
    port = free_port()
    with started(serve_command(shop, port, "--timeout", "1.5"), port, tmp_path) as server:
        began = time.monotonic()
        answer = server.ask({"inputs": [LARGE] * 3})  # 50 million numbers to write
        assert (answer.status_code, time.monotonic() - began < 15) == (504, True)
        assert answer.json()["message"].startswith("server: had no answer within 1.5 s; send fewer images")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 25
        assert "stopped: 1 requests under way were given up" in server.said.read_text()


def test_a_signal_ends_it_in_order(our_server: Server) -> None:
    began = time.monotonic()
    our_server.process.send_signal(signal.SIGINT)
    said, _ = our_server.process.communicate(timeout=30)
    assert our_server.process.returncode == 0
    assert time.monotonic() - began < 20  # 3 s on an idle machine
    document = json.loads(said)
    assert (document["model"], document["version"]) == (NAME, "1")
    assert document["address"] == our_server.address
    assert "Traceback" not in our_server.said.read_text()
