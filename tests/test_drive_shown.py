"""What a study leaves to be read: second looks, intervals, maps, gallery and report, the same numbers everywhere."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run

from harness.errors import Interrupted
from harness.report.leaderboard import Leaderboard
from harness.showcase import keep_maps
from tests.conftest import Tiny
from tests.test_drive import client_of, driven, files_of, runs, started

FOLDS = 2


@pytest.fixture(scope="module")
def done(
    tiny: Tiny, tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path
) -> tuple[Path, Leaderboard]:
    home = started(tmp_path_factory.mktemp("shown") / "home", empty_mlflow)
    board, _ = driven(tiny, home, search__second_look=1)
    return home, board


def trial_runs(home: Path) -> dict[int, Run]:
    found = {key: run for key, run in runs(home).items() if run.data.tags["harness.level"] == "trial"}
    return {int(run.data.tags["harness.trial"]): run for run in found.values()}


def test_the_best_trial_alone_had_a_second_look_on_folds_of_its_own(done: tuple[Path, Leaderboard]) -> None:
    home, board = done
    assert board.best is not None
    best, other = board.trials
    assert best["second_look"] == "complete"
    assert other["second_look"] == ""
    assert board.chosen == best
    again = [path.parent for path in home.glob("work/*/*/*/result.json") if int(path.parent.name) >= FOLDS]
    assert sorted((int(path.parent.name), int(path.name)) for path in again) == [
        (best["trial"], 2),
        (best["trial"], 3),
    ]
    of_first, of_second = (
        set(
            pd.concat(pd.read_parquet(path.parent / str(n) / "out_of_fold.parquet") for n in numbers)["photo"]
        )
        for path, numbers in ((again[0], (0, 1)), (again[0], (2, 3)))
    )
    assert of_first == of_second
    assert best["second_iou_mean"] != best["iou_mean"]


def test_the_numbers_of_ledger_report_and_mlflow_are_the_same(done: tuple[Path, Leaderboard]) -> None:
    home, board = done
    said = json.loads(next(home.glob("work/*/report/report.json")).read_text())
    assert said == json.loads(json.dumps(board.as_dict()))
    shown = trial_runs(home)
    for row in said["trials"]:
        metrics = shown[row["trial"]].data.metrics
        numbers = {
            name: value for name, value in row.items() if isinstance(value, float) and name != "seconds"
        }
        assert {"iou_mean", "iou_std", "iou_low", "iou_high", "iou_pooled"} <= set(numbers)
        assert {name: metrics[name] for name in numbers} == numbers
    (study,) = (run for run in runs(home).values() if run.data.tags["harness.level"] == "study")
    for name in ("iou", "low", "high", "optimism"):
        assert study.data.metrics[f"best_corrected_{name}"] == said["corrected"][name]
    assert study.data.metrics["chosen_trial"] == said["chosen_trial"]


def test_runs_end_well_and_the_second_look_is_below_its_trial(done: tuple[Path, Leaderboard]) -> None:
    home, board = done
    found = runs(home)
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    parents = trial_runs(home)
    for row in board.trials:
        below = [run for run in found.values() if run.data.tags["harness.level"] == "fold"]
        own = [r for r in below if r.data.tags["mlflow.parentRunId"] == parents[row["trial"]].info.run_id]
        assert len(own) == FOLDS * (2 if row["second_look"] else 1)


def test_report_gallery_and_maps_are_attached(done: tuple[Path, Leaderboard]) -> None:
    home, _ = done
    client = client_of(home)
    (study,) = (run for run in runs(home).values() if run.data.tags["harness.level"] == "study")
    assert {item.path for item in client.list_artifacts(study.info.run_id, "report")} >= {
        "report/report.md",
        "report/report.json",
        "report/gallery",
    }
    for run in trial_runs(home).values():
        maps = {item.path for item in client.list_artifacts(run.info.run_id, "maps")}
        assert maps == {"maps/fold_0.zip", "maps/fold_1.zip"}


def test_run_again_nothing_is_trained_or_counted_anew(done: tuple[Path, Leaderboard], tiny: Tiny) -> None:
    home, board = done
    before = files_of(home)
    again, _ = driven(tiny, home, search__second_look=1)
    assert again == board
    assert files_of(home) == before


def test_maps_that_were_made_before_a_stop_hang_on_their_runs_after_it(
    tiny: Tiny, tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = started(tmp_path / "home", empty_mlflow)

    def stopped_after(*arguments: Any) -> None:
        keep_maps(*arguments)
        raise Interrupted("stopped on request")

    with monkeypatch.context() as patch:
        patch.setattr("harness.drive.keep_maps", stopped_after)
        with pytest.raises(Interrupted):
            driven(tiny, home)
    assert len(list(home.glob("work/*/*/maps/*.zip"))) == FOLDS
    driven(tiny, home)
    client = client_of(home)
    for run in trial_runs(home).values():
        assert len(client.list_artifacts(run.info.run_id, "maps")) == FOLDS
