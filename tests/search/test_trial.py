import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.model.outoffold import FILES
from harness.search.trial import MemoryRecorder, Together, TrialResult
from tests.search.formula import Formula, Home, study


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> TrialResult:
    return Home(tmp_path_factory.mktemp("home"), study(trials=2)).run(Formula())[0]


def test_mean_and_std_are_over_the_folds(result: TrialResult) -> None:
    scores = [f.iou for f in result.folds]
    assert result.iou_mean == sum(scores) / 3
    assert result.iou_std == statistics.stdev(scores)
    metrics = result.metrics()
    assert [metrics[f"iou_fold_{n}"] for n in range(3)] == scores
    assert (metrics["iou_mean"], metrics["iou_std"]) == (result.iou_mean, result.iou_std)
    assert metrics["object_recall"] == 0.5
    assert metrics["pr_auc"] == pytest.approx(2 / 3 + 1 / 3 * 15 / 100)
    assert metrics["recall_at_1"] == metrics["recall_at_0.25"] == 0.5
    assert metrics["dice_positive_pictures"] == pytest.approx(2 / 3)


def test_thresholds_are_fitted_across_the_folds_of_the_trial(result: TrialResult) -> None:
    metrics = result.metrics()
    # each fold shows the same photograph, of one group: no other fold may choose for it, so that logit 0 stays
    assert metrics["iou_cross_fitted"] == pytest.approx(0.5)
    assert metrics["cross_fitted_gain"] == 0
    assert metrics["own_threshold_gain"] == pytest.approx(10 / 15 - 0.5)
    assert metrics["threshold"] == 1.0  # no false pixel is above it


def test_numbers_are_computed_once_and_no_caller_can_change_them(result: TrialResult) -> None:
    again = replace(result)
    first = dict(again.metrics())
    for fold in again.folds:
        Path(fold.folder).rename(f"{fold.folder}.away")
    try:
        again.metrics()["pr_auc"] = 7.0
        assert again.metrics() == first
        with pytest.raises(DataError):
            replace(result).metrics()
    finally:
        for fold in again.folds:
            Path(f"{fold.folder}.away").rename(fold.folder)


def test_folds_committed_before_more_was_kept_have_the_scores_of_then(tmp_path: Path) -> None:
    old = Home(tmp_path, study(trials=2)).run(Formula())[0]
    whole = set(replace(old).metrics())
    for name in FILES[1:]:
        (Path(old.folds[0].folder) / name).unlink()
    metrics = replace(old).metrics()
    assert metrics["object_recall"] == 0.5
    assert whole - set(metrics) >= {"pr_auc", "threshold", "iou_cross_fitted", "recall_at_1"}


@pytest.mark.parametrize("state", ["pruned", "failed", "interrupted"])
def test_only_a_complete_trial_has_a_score(result: TrialResult, state: str) -> None:
    ended = replace(result, state=state, folds=result.folds[:2])  # type: ignore[arg-type]
    assert (ended.iou_mean, ended.iou_std, ended.best_epoch_gain) == (None, None, None)
    assert set(ended.metrics()) == {"iou_fold_0", "iou_fold_1"}


def test_the_gain_of_best_epochs_is_the_mean_over_folds(result: TrialResult) -> None:
    folds = [replace(f, best_iou=f.iou + 0.1 * n) for n, f in enumerate(result.folds)]
    assert replace(result, folds=folds).best_epoch_gain == pytest.approx(0.1)


def test_together_tells_every_recorder_everything_in_order(tmp_path: Path) -> None:
    recorders = MemoryRecorder(), MemoryRecorder()
    Home(tmp_path, study(trials=2)).run(Formula(2, 1), Together(recorders))
    assert recorders[0] == recorders[1]
    calls = [call for call, _ in recorders[0].calls]
    assert {"open_trial", "open_fold", "epoch", "committed", "complete"} == set(calls)
