"""What is looked for in MLflow and not there is said."""

import shutil
from pathlib import Path

import pytest

from harness.errors import PromotionRefused
from harness.tracking.delivery import Delivery
from harness.tracking.runs import attached_report, find_trial_run, runs_below
from harness.tracking.store import Store
from tests.tracking.test_recorder import plan, recorder_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Store:
    """Two studies of one trial each, whose names differ in one letter."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(empty_mlflow, home / "mlflow.db")
    store = Store(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts")
    for key in ("tiny-a_b", "tiny-axb"):
        recorder = recorder_of(home / key, key)
        recorder.open_study([])
        recorder.open_trial(plan(0))
        for _, message in recorder.outbox.messages():
            Delivery(store, key, home / key).deliver([message])
    return store


def test_a_trial_that_is_not_in_this_store_is_said(store: Store) -> None:
    assert find_trial_run(store.client(), "tiny", "tiny-a_b", 0)
    for experiment, trial in (("tiny", 9), ("elsewhere", 0)):
        with pytest.raises(PromotionRefused, match=f"no run of trial {trial} of tiny-a_b"):
            find_trial_run(store.client(), experiment, "tiny-a_b", trial)


def test_a_study_without_an_attached_report_is_refused(store: Store, tmp_path: Path) -> None:
    for experiment, key in (("tiny", "tiny-a_b"), ("tiny", "tiny-unknown"), ("elsewhere", "tiny-a_b")):
        with pytest.raises(PromotionRefused, match=f"{key}: no leakage report is attached"):
            attached_report(store.client(), experiment, key)


def test_runs_of_a_study_are_not_taken_for_those_of_another_of_nearly_its_name(store: Store) -> None:
    client = store.client()
    experiment = store.experiment(client, "tiny")
    for key in ("tiny-a_b", "tiny-axb"):
        found = runs_below(client, experiment, key, "RUNNING")
        assert [run.data.tags["harness.fold_run"] for run in found] == [f"{key}/0"]
    assert runs_below(client, experiment, "tiny-axb", "FINISHED") == []
