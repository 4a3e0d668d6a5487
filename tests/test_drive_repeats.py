"""A run whose folds are not `folds.count`: repeated assignments, from the frozen split to the promoted model."""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from harness.config import Promote
from harness.drive import drive
from harness.prepare import Prepared, prepare
from harness.promotion.promote import promote_best
from harness.promotion.proof import Place
from harness.report.leaderboard import Leaderboard
from harness.search.ledger import read_ledger
from harness.tracking.store import open_store
from tests.conftest import Tiny


@pytest.fixture(scope="module")
def ran(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Leaderboard, Path]:
    home = tmp_path_factory.mktemp("repeated")
    settings = {"train__epochs": 12, "train__lr": 8e-3, "train__validate_every": 12, "search__trials": 1}
    folds = {"folds__scheme": "repeated", "folds__repeats": 2}
    prepared = prepare(tiny.with_settings(**settings, **folds), base=home, home=home, caches=home)
    store, console = open_store(home), Console(file=io.StringIO())
    board, _ = drive(prepared, store, home=home, caches=home, console=console, watch=lambda: lambda: False)
    return prepared, board, home


def test_each_fold_of_each_repeat_is_run_once(ran: tuple[Prepared, Leaderboard, Path]) -> None:
    prepared, board, home = ran
    assert board.facts["folds"] == 4
    assert board.best is not None
    assert {name for name in board.best if name.startswith("iou_fold_")} == {
        f"iou_fold_{n}" for n in range(4)
    }
    results = [home / "work" / prepared.key / "0" / str(n) / "result.json" for n in range(4)]
    assert len({json.loads(path.read_text())["indices_sha256"] for path in results}) == 4


def test_every_picture_is_predicted_once_a_repeat(ran: tuple[Prepared, Leaderboard, Path]) -> None:
    prepared, _, home = ran
    folder = home / "work" / prepared.key / "0"
    for folds in ((0, 1), (2, 3)):
        rows = pd.concat([pd.read_parquet(folder / str(fold) / "out_of_fold.parquet") for fold in folds])
        assert sorted(rows["photo"]) == sorted(prepared.samples["photo"])


def test_baselines_are_scored_on_every_fold(ran: tuple[Prepared, Leaderboard, Path]) -> None:
    prepared, _, home = ran
    _, _, baselines = read_ledger(home / "work" / prepared.key / "ledger")
    assert len(baselines) == 4
    positive, valid = (prepared.samples[name] for name in ("positive", "valid"))
    for fold, score in enumerate(baselines["constant"]):
        rows = prepared.split.validation(prepared.samples, fold)
        assert score == pytest.approx(positive.iloc[rows].sum() / valid.iloc[rows].sum())


def test_the_promoted_model_holds_every_fold(ran: tuple[Prepared, Leaderboard, Path]) -> None:
    prepared, board, home = ran
    store = open_store(home)
    place = Place(store, home / "work" / prepared.key, home, print)
    done = promote_best(place, board, lambda: prepared, Promote(graphs=()))
    version = store.client().get_model_version(done.model, done.version)
    assert version.tags["harness.iou_mean"] == repr(done.iou_mean)
    (written,) = (home / "artifacts").rglob("MLmodel")
    assert {f"weights_{n}" for n in range(4)} == set(re.findall(r"weights_\d", written.read_text()))
