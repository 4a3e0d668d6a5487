"""Folds of finished trials that were lost are trained anew; real trainings in this process."""

import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import Interrupted, TrainingError
from harness.execute.inline import Inline
from harness.search.repair import remove_leftovers, train_anew, unusable_folds
from harness.search.trial import TrialPlan, TrialResult
from harness.train.checkpoint import WEIGHTS
from harness.train.claim import claimed
from harness.train.foldrun import FoldJob, run_fold
from tests.conftest import SHORT, Tiny

Results = dict[int, TrialResult]


@pytest.fixture(scope="module")
def trained(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Results:
    work = tmp_path_factory.mktemp("work")
    plan = TrialPlan(0, {}, tiny.with_settings(**SHORT), baseline=False)
    folds = [run_fold(tiny.job(work, fold, **SHORT)) for fold in range(2)]
    return {0: TrialResult(plan, "complete", folds)}


@pytest.fixture
def results(trained: Results, tmp_path: Path) -> Results:
    """The trained folds, copied so that a test may spoil them."""
    folds = []
    for fold in trained[0].folds:
        folder = tmp_path / "0" / str(fold.fold)
        shutil.copytree(fold.folder, folder)
        folds.append(replace(fold, folder=str(folder)))
    return {0: replace(trained[0], folds=folds)}


def anew(results: Results, tiny: Tiny, tmp_path: Path, *, stop: bool = False) -> None:
    def make_job(plan: TrialPlan, fold: int) -> FoldJob:
        return tiny.job(tmp_path, fold, **SHORT)

    train_anew(results, unusable_folds(results), make_job, Inline(), lambda: stop)


def test_missing_and_damaged_folds_are_found(results: Results, tmp_path: Path) -> None:
    assert unusable_folds(results) == {}
    (tmp_path / "0/1" / WEIGHTS).write_bytes(b"x")
    shutil.rmtree(tmp_path / "0/0")
    found = unusable_folds(results)
    assert set(found) == {(0, 0), (0, 1)}
    assert "manifest.json: is no manifest" in found[0, 0]
    assert f"{WEIGHTS}: holds" in found[0, 1]


def test_locks_that_a_killed_process_left_are_removed_and_one_that_is_held_stays(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    left, held = tmp_path / "0" / "0.lock", tmp_path / "0" / "1.lock"
    left.write_text("process 1 on a host that is off")
    with claimed(held, lambda: False, print) as claim:
        assert remove_leftovers(tmp_path, {}) == [left]
        assert claim.holds()
    assert list((tmp_path / "0").iterdir()) == []


def test_what_a_killed_refit_left_is_removed_and_what_it_goes_on_from_stays(tmp_path: Path) -> None:
    folder = tmp_path / "refit"
    (folder / "0.working").mkdir(parents=True)
    (folder / "0.saved").mkdir()
    (folder / "0.lock").write_text("")
    with claimed(folder / "0.lock", lambda: False, lambda line: None):
        assert remove_leftovers(tmp_path, {}) == []
    (folder / "0.lock").write_text("")
    assert remove_leftovers(tmp_path, {}) == [folder / "0.working", folder / "0.lock"]
    assert list(folder.iterdir()) == [folder / "0.saved"]


def test_they_are_trained_to_the_same_bits(results: Results, tiny: Tiny, tmp_path: Path) -> None:
    weights = {fold.fold: fold.weights.read_bytes() for fold in results[0].folds}
    (tmp_path / "0/1" / WEIGHTS).write_bytes(b"x")
    shutil.rmtree(tmp_path / "0/0")
    with pytest.raises(Interrupted, match="stopped with 2 folds left to be trained anew"):
        anew(results, tiny, tmp_path, stop=True)
    anew(results, tiny, tmp_path)
    assert {fold.fold: fold.weights.read_bytes() for fold in results[0].folds} == weights
    assert unusable_folds(results) == {}


def test_on_a_full_disk_they_are_not_trained_and_that_is_an_interruption(
    results: Results, tiny: Tiny, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "0/0")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(Interrupted, match="File too large"):
            anew(results, tiny, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    anew(results, tiny, tmp_path)
    assert unusable_folds(results) == {}


def test_another_end_than_before_is_an_error(results: Results, tiny: Tiny, tmp_path: Path) -> None:
    folds = [replace(fold, iou=fold.iou / 2) for fold in results[0].folds]
    told = {0: replace(results[0], folds=folds)}
    assert "holds another result" in unusable_folds(told)[0, 0]
    with pytest.raises(
        TrainingError, match=r"trial 0 fold 0: trained anew it ended with IoU .*, before with"
    ):
        anew(told, tiny, tmp_path)
