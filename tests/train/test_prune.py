import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError, Interrupted
from harness.train.checkpoint import MANIFEST, WEIGHTS, commit, drop, fresh_folder, is_committed, verify
from harness.train.foldrun import FoldJob, FoldResult, committed_result, run_fold
from harness.train.prune import Finished, prune
from tests.conftest import SHORT, Tiny
from tests.train.test_foldrun import assert_same_work

SIZE = 1000  # bytes of the weights of a fold


def trial(work: Path, number: int, score: float | None) -> Finished:
    """Return a trial of two committed folds."""
    folders = (work / str(number) / "0", work / str(number) / "1")
    for folder in folders:
        working = fresh_folder(folder.with_name(f"{folder.name}.working"))
        (working / WEIGHTS).write_bytes(bytes([number]) * SIZE)
        (working / "result.json").write_text("{}")
        commit(working, folder)
    return Finished(number, score, folders)


@pytest.fixture
def trials(tmp_path: Path) -> list[Finished]:
    return [trial(tmp_path, number, score) for number, score in enumerate([0.5, 0.7, None, 0.7, 0.4])]


def with_weights(trials: list[Finished]) -> list[int]:
    return [t.number for t in trials if all((folder / WEIGHTS).is_file() for folder in t.folders)]


@pytest.mark.parametrize(
    ("best", "budget", "left"),
    [
        (1, 0, [1]),
        (2, 0, [1, 3]),
        (0, 0, []),
        (9, 0, [0, 1, 3, 4]),
        (1, 8 * SIZE, [0, 1, 3, 4]),  # that of the pruned one goes first
        (1, 6 * SIZE, [0, 1, 3]),  # then the worst
        (1, 7 * SIZE, [0, 1, 3]),
        (1, 10 * SIZE, [0, 1, 2, 3, 4]),
        (3, 1, [0, 1, 3]),  # the best stay whatever the budget
    ],
)
def test_weights_are_dropped_from_the_worst_on_down_to_the_budget(
    trials: list[Finished], best: int, budget: int, left: list[int]
) -> None:
    before = {path: path.stat().st_size for t in trials for f in t.folders for path in f.glob(WEIGHTS)}
    freed = prune(trials, best=best, budget=budget)
    assert with_weights(trials) == left
    gone = {path.parent: size for path, size in before.items() if not path.exists()}
    assert freed == gone
    assert prune(trials, best=best, budget=budget) == {}
    for folder in (folder for t in trials for folder in t.folders):
        verify(folder)
        assert is_committed(folder)


def test_a_folder_that_an_alias_needs_keeps_its_weights(
    trials: list[Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    freed = prune(trials, best=1, keep=[Path("4/1"), trials[2].folders[0]])
    assert len(freed) == 6
    assert (tmp_path / "4/1" / WEIGHTS).is_file()
    assert (trials[2].folders[0] / WEIGHTS).is_file()


def test_weights_that_others_have_too_set_nothing_free_until_the_last_is_dropped(
    trials: list[Finished], tmp_path: Path
) -> None:
    """Trials 2 and 4 and another study share a file: it takes its bytes once, and goes with its last link."""
    (shared, alone), (first, _) = trials[2].folders, trials[4].folders
    (first / WEIGHTS).unlink()
    (first / WEIGHTS).hardlink_to(shared / WEIGHTS)
    other = tmp_path / "other"
    other.hardlink_to(shared / WEIGHTS)
    assert prune(trials, best=3, budget=9 * SIZE) == {}, "ten folds, nine files"
    freed = prune(trials, best=3)
    assert freed == {shared: 0, alone: SIZE, first: 0, trials[4].folders[1]: SIZE}
    assert other.stat().st_size == SIZE
    other.unlink()
    assert prune(trials, best=1, budget=2 * SIZE) == {
        folder: SIZE for folder in trials[0].folders + trials[3].folders
    }


def test_the_last_link_within_a_study_sets_its_bytes_free(trials: list[Finished]) -> None:
    (shared, _), (first, _) = trials[2].folders, trials[4].folders
    (first / WEIGHTS).unlink()
    (first / WEIGHTS).hardlink_to(shared / WEIGHTS)
    freed = prune(trials, best=3)
    assert (freed[shared], freed[first]) == (0, SIZE)


def test_killed_between_manifest_and_removal_it_is_removed_the_next_time(
    trials: list[Finished],
) -> None:
    folder = trials[2].folders[0]
    content = (folder / WEIGHTS).read_bytes()
    drop(folder, WEIGHTS)
    manifest = (folder / MANIFEST).read_bytes()
    (folder / WEIGHTS).write_bytes(content)
    assert prune(trials, best=4) == {folder: SIZE, trials[2].folders[1]: SIZE}
    assert (folder / MANIFEST).read_bytes() == manifest
    assert not (folder / WEIGHTS).exists()


@pytest.fixture(scope="module")
def done(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[FoldJob, FoldResult]:
    folder = tmp_path_factory.mktemp("work")
    job = replace(tiny.job(folder / "one", **SHORT), shared=str(folder / "shared"))
    return job, run_fold(job)


def test_without_its_weights_a_fold_is_still_read_and_returned_until_they_are_needed(
    done: tuple[FoldJob, FoldResult], tmp_path: Path
) -> None:
    job = replace(done[0], folder=str(tmp_path / "0"), shared="")
    shutil.copytree(done[0].final, job.final)
    drop(job.final, WEIGHTS)
    result = run_fold(job, lambda: True)  # which would stop it at the first step
    assert result == committed_result(job.final)
    assert result.work() == done[1].work()
    assert result.out_of_fold.equals(done[1].out_of_fold)
    with pytest.raises(
        DataError, match=rf"{WEIGHTS}: was dropped to make room; remove {job.final} and run the study"
    ):
        _ = result.weights
    shutil.rmtree(job.final)
    assert_same_work(run_fold(job), done[1])


def test_a_fold_without_weights_is_not_shared(
    done: tuple[FoldJob, FoldResult], tiny: Tiny, tmp_path: Path
) -> None:
    drop(done[0].final, WEIGHTS)
    other = replace(tiny.job(tmp_path, **SHORT), shared=done[0].shared)
    with pytest.raises(Interrupted):
        run_fold(other, lambda: True)
