"""The verb `predict`, from the command line to its folder: exit codes, one line each, and going on after a stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.study import main
from harness.tracking.meant import find_model, open_version
from harness.tracking.store import open_store
from tests.predict.conftest import blobs
from tests.tracking import conftest as shops
from tests.tracking.conftest import Promoted, Shop

ROOT = Path(__file__).parents[1]
shop, promoted = shops.shop, shops.promoted  # a store with a registered model

MODEL = "models:/parts@champion"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), blobs(90, 120, number)[:, :, ::-1])
    return folder


def run(home: Path, *typed: str | Path) -> int:
    return main(["predict", MODEL, *map(str, typed), "--home", str(home), "--json"])


def said(captured: Any) -> tuple[Any, str]:
    return json.loads(captured.out) if captured.out else None, captured.err


def test_predict_writes_what_the_champion_says_and_goes_on(
    shop: Shop,
    promoted: Promoted,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert run(shop.home, pictures, pictures / "0.png", "--out", out) == 0
    document, told = said(capsys.readouterr())
    assert document | {"failures": []} == document
    assert (document["model"], document["version"], document["predicted"]) == ("parts", promoted.version, 2)
    assert "parts version" in told
    store = open_store(shop.home)
    served = open_version(store, find_model(store, MODEL), "torch")
    for number in range(2):
        (path,) = (out / "masks").glob(f"{number}-*.png")
        expected = served.probability(blobs(90, 120, number)) > served.settings["threshold"]
        assert (np.array(Image.open(path)) == expected * 255).all()
    identity = json.loads((out / "predict.json").read_text())
    assert identity["model"]["version"] == promoted.version
    assert identity["tiling"] == {"tile": 1024, "overlap": 128, "scale": None}
    assert run(shop.home, pictures, "--out", out) == 0
    assert said(capsys.readouterr())[0]["kept"] == 2


def test_bad_pictures_are_counted_in_the_exit_code(
    shop: Shop,
    promoted: Promoted,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (pictures / "text.png").write_text("hello")
    assert run(shop.home, pictures, "--out", tmp_path / "out") == 3
    document, told = said(capsys.readouterr())
    assert (document["predicted"], len(document["failures"])) == (2, 1)
    assert "1 of 3 pictures could not be predicted" in told


def test_wrong_usage_is_one_line_and_2(
    shop: Shop,
    promoted: Promoted,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert run(shop.home, pictures, "--out", out) == 0
    capsys.readouterr()
    for typed, words in (
        ((pictures, "--out", out, "--tile", "512"), "tiling.tile 1024, asked is 512"),
        ((pictures, "--out", tmp_path / "o", "--tile", "1000"), "--tile 1000"),
        ((tmp_path / "nothing", "--out", tmp_path / "o"), "there is no such file"),
        ((out, "--out", tmp_path / "o"), "no picture there"),
        ((pictures, "--out", other), "is no folder of predictions"),
    ):
        assert run(shop.home, *typed) == 2
        document, told = said(capsys.readouterr())
        assert document == {"error": told.removeprefix("error: ").rstrip("\n")}
        assert told.startswith("error: ")
        assert told.count("\n") == 1
        assert words in told
    assert not (tmp_path / "o").exists()


def test_a_stop_ends_with_75_and_the_same_command_goes_on(
    shop: Shop,
    promoted: Promoted,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(40):
        cv2.imwrite(str(folder / f"{number:03}.png"), blobs(64, 64, number))
    command = [sys.executable, "-m", "harness.study", "predict", MODEL, str(folder), "--out", str(out)]
    command += ["--home", str(shop.home)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 120
    while len(list(out.glob("records/*.json"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 75, told
    assert told.strip().splitlines() == ["stopped at once; the same command goes on from what is committed"]
    kept = len(list(out.glob("records/*.json")))
    assert kept < 40
    assert run(shop.home, folder, "--out", out) == 0
    document = said(capsys.readouterr())[0]
    assert (document["kept"], document["pictures"]) == (kept, 40)
