"""What is looked for in MLflow and not there is said."""

import shutil
from pathlib import Path

import pytest

from harness.errors import PromotionRefused
from harness.tracking.delivery import Delivery
from harness.tracking.runs import OwnRuns, attached_report, find_trial_run, own_runs
from harness.tracking.store import Store
from tests.tracking.test_recorder import plan, recorder_of

HERE = "0123" * 8  # the id of a home


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
            Delivery(store, key, home / key, HERE).deliver([message])
    return store


def runs(store: Store, study: str, home: str = HERE) -> OwnRuns | None:
    return own_runs(store, store.client(), study, home)


def test_a_trial_that_is_not_in_this_store_is_said(store: Store) -> None:
    assert find_trial_run(runs(store, "tiny-a_b"), "tiny-a_b", 0)
    for study, home, trial in (("tiny-a_b", HERE, 9), ("elsewhere-1", HERE, 0), ("tiny-a_b", "another", 0)):
        with pytest.raises(PromotionRefused, match=f"no run of trial {trial} of {study}"):
            find_trial_run(runs(store, study, home), study, trial)


def test_a_study_without_an_attached_report_is_refused(store: Store) -> None:
    for key in ("tiny-a_b", "tiny-unknown", "elsewhere-1"):
        with pytest.raises(PromotionRefused, match=f"{key}: no leakage report is attached"):
            attached_report(runs(store, key), key)


def test_runs_of_a_study_are_not_taken_for_those_of_another_of_nearly_its_name(store: Store) -> None:
    for key in ("tiny-a_b", "tiny-axb"):
        found = runs(store, key)
        assert found is not None
        assert [run.data.tags["harness.fold_run"] for run in found.below("RUNNING")] == [f"{key}/0"]
        assert found.below("FINISHED") == []
