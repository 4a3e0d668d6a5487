"""What MLflow holds of a study, on a real SQLite store."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run

from harness.config import Study
from harness.errors import PromotionRefused
from harness.execute.task import Outcome
from harness.search.trial import TrialPlan, TrialResult
from harness.tracking.recorder import (
    MlflowRecorder,
    StudyFacts,
    attached_report,
    find_trial_run,
    flatten,
    referred_report,
)
from harness.tracking.store import Store
from harness.train.foldrun import FoldResult

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "data": {"dataset": "demo"},
    "network": "unet",
    "loss": {"tversky": {"fn_weight": 0.7}},
    "search": {"trials": 1},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    home = tmp_path_factory.mktemp("home")
    return Store(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts")


def opened(store: Store, key: str) -> MlflowRecorder:
    client = store.client()
    facts = StudyFacts(key, SETTINGS, {"harness.seed": "17"}, "demo", "d" * 64, "somewhere")
    recorder = MlflowRecorder(client, store.experiment(client, "tiny"), facts)
    recorder.open_study({})
    return recorder


def plan(number: int) -> TrialPlan:
    return TrialPlan(number, {"loss": "tversky"}, Study.model_validate(SETTINGS), baseline=number == 0)


def fold_result(folder: Path, fold: int, iou: float) -> FoldResult:
    folder = folder / str(fold)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("weights.safetensors", "result.json"):
        (folder / name).write_text(name)
    row = {"photo": "p", "group": "g", "fold": fold, "tp": 2, "fp": 1, "fn": 1, "valid": 9}
    pd.DataFrame([row | {"objects": 2, "found": 1, "predicted": 1, "false": 0}]).to_parquet(
        folder / "out_of_fold.parquet"
    )
    return FoldResult(fold, iou, iou + 0.1, 1, 2, 3.0, 0.01, "cpu", "abc", {"dice": 1.0}, str(folder))


def epoch(number: int) -> dict[str, Any]:
    values = {"loss": 1.0 / number, "lr": 0.1, "gradient_norm": 1.0, "seconds": 1.0, "images_per_second": 9.0}
    return {"number": number, **values, "iou": 0.5 if number % 2 == 0 else None, "predicted_share": 0.1}


def run_of(recorder: MlflowRecorder, key: str) -> Run:
    found = recorder.client.search_runs([recorder.experiment], f"tags.\"harness.fold_run\" = '{key}'")
    assert len(found) == 1, f"{len(found)} runs with key {key}"
    return found[0]


def test_trials_of_an_earlier_start_refer_to_the_report_that_is_attached_last(
    store: Store, tmp_path: Path
) -> None:
    client, report = store.client(), tmp_path / "leakage"
    report.mkdir()
    for start in ("old", "new"):
        (report / "leakage_report.json").write_text(start)
        tags = {"harness.leakage": "warn", "harness.leakage_sha256": start * 20, "harness.code": start}
        facts = StudyFacts("tiny-r", SETTINGS, tags, "demo", "d" * 64, "somewhere")
        recorder = MlflowRecorder(client, store.experiment(client, "tiny"), facts)
        recorder.open_study({"leakage": report})
        if start == "old":
            recorder.open_trial(plan(0))
            recorder.close_trial(TrialResult(plan(0), "failed", [], "no reason"))
    trial = run_of(recorder, "tiny-r/0")
    assert attached_report(client, "tiny", "tiny-r") == b"new"
    for run in (trial, run_of(recorder, "tiny-r")):
        assert referred_report(client, run.info.run_id) == "new" * 20
        assert run.data.tags["harness.code"] == "old", "it was trained with"
    assert "new" * 20 in trial.data.tags["mlflow.note.content"]
    assert "old" * 20 not in trial.data.tags["mlflow.note.content"]
    assert trial.data.tags["harness.state"] == "failed"


def test_a_study_without_an_attached_report_is_refused(store: Store) -> None:
    opened(store, "tiny-n")
    for key in ("tiny-n", "tiny-unknown"):
        with pytest.raises(PromotionRefused, match=f"{key}: no leakage report is attached"):
            attached_report(store.client(), "tiny", key)


def test_a_complete_trial_has_its_scores_folds_curves_and_files(store: Store, tmp_path: Path) -> None:
    recorder = opened(store, "tiny-a")
    recorder.open_trial(plan(0))
    results = []
    for fold in range(2):
        recorder.open_fold(0, fold)
        recorder.log_epochs(0, fold, [epoch(1), epoch(2)])
        results.append(fold_result(tmp_path, fold, 0.25 + fold / 3))
        recorder.close_fold(Outcome((0, fold), "committed", results[-1]))
    result = TrialResult(plan(0), "complete", results)
    recorder.close_trial(result)
    trial, fold_run = run_of(recorder, "tiny-a/0"), run_of(recorder, "tiny-a/0/1")
    assert trial.info.status == fold_run.info.status == "FINISHED"
    assert trial.data.metrics["iou_mean"] == result.iou_mean
    assert trial.data.metrics["iou_std"] == result.iou_std
    assert trial.data.metrics["iou_fold_1"] == results[1].iou
    assert trial.data.metrics["object_recall"] == 0.5
    assert trial.data.params["loss.tversky.fn_weight"] == "0.7"
    assert trial.data.tags["mlflow.parentRunId"] == run_of(recorder, "tiny-a").info.run_id
    assert fold_run.data.tags["mlflow.parentRunId"] == trial.info.run_id
    assert trial.inputs.dataset_inputs[0].dataset.digest == "d" * 36
    assert fold_run.data.tags["harness.device"] == "cpu"
    assert fold_run.data.tags["harness.indices_sha256"] == "abc"
    assert fold_run.data.metrics["loss_weight.dice"] == 1.0
    curve = recorder.client.get_metric_history(fold_run.info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]
    files = {item.path for item in recorder.client.list_artifacts(fold_run.info.run_id)}
    assert files == {"weights.safetensors", "out_of_fold.parquet", "result.json"}


@pytest.mark.parametrize(
    ("state", "status"), [("pruned", "KILLED"), ("failed", "FAILED"), ("interrupted", "KILLED")]
)
def test_a_trial_without_all_its_folds_has_no_mean_and_says_why(
    store: Store, tmp_path: Path, state: Any, status: str
) -> None:
    recorder = opened(store, f"tiny-{state}")
    recorder.open_trial(plan(1))
    recorder.close_trial(
        TrialResult(plan(1), state, [fold_result(tmp_path, 0, 0.5)], "since then all background")
    )
    run = run_of(recorder, f"tiny-{state}/1")
    assert run.info.status == status
    assert "iou_mean" not in run.data.metrics
    assert run.data.metrics["iou_fold_0"] == 0.5
    assert run.data.tags["harness.state"] == state
    assert run.data.tags["harness.reason"] == "since then all background"


def test_opened_again_after_a_stop_nothing_is_there_twice(store: Store, tmp_path: Path) -> None:
    first = opened(store, "tiny-again")
    first.open_trial(plan(0))
    first.open_fold(0, 0)
    first.log_epochs(0, 0, [epoch(1), epoch(2)])
    first.close_fold(Outcome((0, 0), "interrupted"))
    second = opened(store, "tiny-again")
    second.open_trial(plan(0))
    second.open_fold(0, 0)
    opened_again = run_of(second, "tiny-again/0/0")
    assert (opened_again.info.status, opened_again.data.tags["harness.state"]) == ("RUNNING", "running")
    second.log_epochs(0, 0, [epoch(1)])
    second.log_epochs(0, 0, [epoch(2), epoch(3)])
    second.close_fold(Outcome((0, 0), "committed", fold_result(tmp_path, 0, 0.5)))
    run = run_of(second, "tiny-again/0/0")
    curve = second.client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in curve] == [1, 2, 3]
    assert run.info.status == "FINISHED"


def test_the_study_carries_its_page_and_files(store: Store, tmp_path: Path) -> None:
    recorder = opened(store, "tiny-page")
    (tmp_path / "leakage_report.json").write_text(json.dumps({"verdict": "pass"}))
    run = recorder.open_study({"leakage": tmp_path})
    recorder.close_study("complete", "", note="| trial |", metrics={"best_iou_mean": 0.5})
    assert [item.path for item in recorder.client.list_artifacts(run, "leakage")] == [
        "leakage/leakage_report.json"
    ]
    found = run_of(recorder, "tiny-page")
    assert found.data.tags["mlflow.note.content"] == "| trial |"
    assert found.info.status == "FINISHED"


def test_a_study_that_ends_badly_says_why_and_leaves_no_run_open(store: Store) -> None:
    recorder = opened(store, "tiny-failed")
    recorder.open_trial(plan(0))
    recorder.open_fold(0, 0)
    recorder.close_study("failed", "no space left", note="", metrics={})
    found = {key: run_of(recorder, f"tiny-failed{key}") for key in ("", "/0", "/0/0")}
    assert [run.info.status for run in found.values()] == ["FAILED", "KILLED", "KILLED"]
    assert {run.data.tags["harness.reason"] for run in found.values()} == {"no space left"}


def test_a_trial_that_is_not_in_this_store_is_said(store: Store) -> None:
    opened(store, "tiny-find").open_trial(plan(0))
    assert find_trial_run(store.client(), "tiny", "tiny-find", 0)
    for experiment, trial in (("tiny", 9), ("elsewhere", 0)):
        with pytest.raises(PromotionRefused, match=f"no run of trial {trial} of tiny-find"):
            find_trial_run(store.client(), experiment, "tiny-find", trial)


def test_settings_are_flattened_with_a_choice_by_its_name() -> None:
    tree = {"loss": {"name": "tversky", "settings": {"fn_weight": 0.7}}, "train": {"lr": 0.1}, "seed": 1}
    assert flatten(tree) == {"loss": "tversky", "loss.tversky.fn_weight": 0.7, "train.lr": 0.1, "seed": 1}
