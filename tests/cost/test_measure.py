"""The cost by real small trainings: of a planted leak, without one, stopped, collapsed; and it changes no study."""

import json
import os
import re
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.study import main
from tests.conftest import Tiny
from tests.cost.conftest import EXPOSURES, THINGS, settings, write_planted, write_study
from tests.report.reading import read_page


@dataclass(frozen=True)
class Measured:
    """A study whose cost was measured in two goes: its folder, and what the second one printed."""

    folder: Path
    code: int  # of the first go
    said: dict[str, Any]
    lines: str
    before: dict[Path, int]  # when the fold runs of the first go were committed

    @property
    def cost(self) -> dict[str, Any]:
        found: dict[str, Any] = self.said["cost"]
        return found


@pytest.fixture(scope="module")
def measured(planted: Path, place: Path) -> Measured:
    """Ask, stop by Ctrl-C once a fold run is committed, and ask again."""
    folder = place
    write_study(folder, settings(planted))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopper = threading.Thread(target=_stop_after_the_first_fold, args=(folder,), daemon=True)
    stopper.start()
    try:
        code, _, _ = asked(folder, "--cost")
        stopper.join()
        before = {path: path.stat().st_mtime_ns for path in folder.glob(".cache/cost/*/*/*/manifest.json")}
        again, said, lines = asked(folder, "--cost", "--json")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert again == 0
    return Measured(folder, code, said, lines, before)


def _stop_after_the_first_fold(folder: Path) -> None:
    until = time.monotonic() + 120
    while not list(folder.glob(".cache/cost/*/*/*/manifest.json")) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)


def asked(folder: Path, *options: str, name: str = "planted") -> tuple[int, Any, str]:
    """Call check in `folder`; return its exit code, its document, and its lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        out, lines = folder / "out", folder / "lines"
        with out.open("w") as printed, lines.open("w") as told:
            patch.setattr("sys.stdout", printed)
            patch.setattr("harness.screen.console._file", told)
            code = main(["check", f"{name}.yaml", "--home", f"home-{name}", *options])
    text = out.read_text()
    return code, json.loads(text) if text else None, lines.read_text()


def test_a_planted_leak_inflates_the_score_by_far(measured: Measured) -> None:
    cost = measured.cost
    assert cost["status"] == "measured"
    assert (cost["pictures"], cost["groups"], cost["folds"]) == (THINGS * EXPOSURES, THINGS, 2)
    assert cost["inflation"]["value"] == cost["crop_level"]["iou_mean"] - cost["group_level"]["iou_mean"]
    assert cost["inflation"]["low"] > 0.1
    assert cost["inflation"]["low"] < cost["inflation"]["value"] < cost["inflation"]["high"]
    assert cost["inflation_pooled"]["value"] > 0.2
    assert cost["leaked"] > 0.9
    assert cost["control"] is None  # no group has a single picture
    assert [(cap["what"], cap["study"], cap["here"]) for cap in cost["caps"]] == [("train.epochs", "5", "20")]


def test_stopped_it_exits_75_and_the_same_command_goes_on_from_what_is_committed(measured: Measured) -> None:
    assert measured.code == 75
    assert 1 <= len(measured.before) < 4
    after = {
        path: path.stat().st_mtime_ns for path in measured.folder.glob(".cache/cost/*/*/*/manifest.json")
    }
    assert len(after) == 4
    assert measured.before.items() <= after.items()
    assert not list(measured.folder.glob(".cache/cost/**/*.saved"))


def test_asked_again_it_trains_nothing_and_says_the_same(measured: Measured) -> None:
    began = time.monotonic()
    code, said, _ = asked(measured.folder, "--cost", "--json")
    assert (code, said["cost"]) == (0, measured.cost)
    assert time.monotonic() - began < 15


def test_nothing_of_the_study_changes(measured: Measured) -> None:
    assert [path.name for path in (measured.folder / "home-planted").iterdir()] == ["audit"]
    _, plain, _ = asked(measured.folder, "--json")
    assert "cost" not in plain
    assert {name: measured.said[name] for name in ("identity", "split", "leakage_sha256")} == {
        name: plain[name] for name in ("identity", "split", "leakage_sha256")
    }


def test_lines_file_and_page_tell_the_same(measured: Measured) -> None:
    cost, audit = measured.cost, measured.folder / "home-planted/audit/planted"
    written = json.loads((audit / "cost.json").read_text())
    assert written == {name: value for name, value in cost.items() if name != "page"}
    page = read_page((audit / "cost.html").read_text())
    for text in (measured.lines, page.text):
        assert f"{cost['inflation']['value']:+.4f} IoU" in text
        assert f"{cost['group_level']['iou_mean']:.4f}" in text
        assert "not the luck of one training" in text
        assert "rough with so few" in text
    html = (audit / "cost.html").read_text()
    assert html.count("data:image/jpeg;base64,") == 4
    drawn = html.split("<script>")[0]  # before plotly.js
    assert not re.search(r'(src|href)="(?!data:|#)|https?:', drawn)


def test_examples_are_of_one_thing_and_the_right_one_was_trained_on(measured: Measured) -> None:
    page = read_page((measured.folder / "home-planted/audit/planted/cost.html").read_text())
    shown = re.findall(
        r"validated in fold (\d): images/(\d+)-\d\.png\. Right, trained on for it: images/(\d+)-", page.text
    )
    assert len(shown) >= 4
    assert all(left == right for _, left, right in shown)


def test_a_leaking_study_is_told_its_cost_and_still_exits_3(measured: Measured, planted: Path) -> None:
    content = settings(planted)
    content["data"] = content["data"] | {"groups": "trust"}
    write_study(measured.folder, content | {"name": "leaking"})
    code, said, lines = asked(measured.folder, "--cost", "--json", name="leaking")
    assert (code, said["verdict"]) == (3, "fail")
    assert said["cost"]["inflation"] == measured.cost["inflation"]  # the same question: nothing was trained
    assert said["next"][0]["kind"] == "leak"
    assert "then check again" in lines


def test_groups_of_unrelated_pictures_inflate_nothing(place: Path) -> None:
    root = place / "unrelated"
    write_planted(root, lambda thing, exposure: f"{thing // 2}", things=18, exposures=1, told=True)
    train = settings(root)["train"] | {"epochs": 10, "crop": 32, "batch_size": 4}
    write_study(place, settings(root, name="unrelated", train=train))
    code, said, _ = asked(place, "--cost", "--json", name="unrelated")
    cost = said["cost"]
    assert (code, cost["status"], cost["groups"]) == (0, "measured", 9)
    assert cost["group_level"]["iou_mean"] > 0.3, "it learned something"
    assert abs(cost["inflation"]["value"]) < 0.15, "and what is left is the luck of training"
    assert cost["leaked"] > 0.5


def test_pictures_that_are_each_their_own_thing_train_nothing(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.study.data.dataset.settings["root"], tmp_path / "own")
    table = pd.read_csv(tmp_path / "own/instances.csv")
    table.assign(source_image_id=table["sample_path"]).to_csv(tmp_path / "own/instances.csv", index=False)
    write_study(tmp_path, settings(tmp_path / "own", name="own"))
    code, said, lines = asked(tmp_path, "--cost", "--json", name="own")
    assert code == 0
    assert said["cost"]["status"] == "nothing to compare"
    assert "nothing was trained" in lines
    assert not (tmp_path / ".cache/cost").exists()
    assert not (tmp_path / "home-own/audit/own/cost.html").exists()


def test_a_collapsed_fold_is_said_and_no_inflation_is_given(planted: Path, place: Path) -> None:
    train = settings(planted)["train"] | {"epochs": 1, "lr": 1e-9, "crop": 32}
    write_study(place, settings(planted, name="collapsed", train=train))
    code, said, lines = asked(place, "--cost", "--json", name="collapsed")
    assert code == 0
    assert said["cost"]["status"] == "collapsed"
    assert "inflation" not in said["cost"]
    assert "no inflation is given" in lines
    written = json.loads((place / "home-collapsed/audit/collapsed/cost.json").read_text())
    assert written["status"] == "collapsed"
