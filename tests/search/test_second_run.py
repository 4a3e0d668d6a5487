"""The second look: the best trials run again on folds of their own, and their first scores stay as they are."""

import json
import shutil
from pathlib import Path

import pytest

from harness.errors import Interrupted
from harness.execute.task import Status
from harness.search.second import FILE, read_second
from harness.search.second_run import SecondLooks, best_trials
from harness.search.trial import MemoryRecorder, TrialResult
from harness.train.foldrun import FoldJob
from tests.search.formula import Formula, Home, score, study

FRESH = range(3, 6)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, study(trials=4))


def results_of(home: Home) -> dict[int, TrialResult]:
    slots = home.slots()
    try:
        return slots.results()
    finally:
        slots.close()


def look(home: Home, count: int, executor: Formula, recorder: MemoryRecorder | None = None) -> MemoryRecorder:
    results, recorder = results_of(home), recorder or MemoryRecorder()
    trials = [results[n] for n in best_trials(results, count) if results[n].second is None]
    SecondLooks(home.folder / "work", home.job, FRESH, executor, recorder).run(trials, lambda: False)
    return recorder


def luckless(job: FoldJob) -> float:
    """Return a score that is lower in the second look."""
    return score(job) - (0.2 if job.fold in FRESH else 0)


def test_the_best_trials_alone_run_on_the_fresh_folds_and_keep_their_first_scores(home: Home) -> None:
    first = home.run(Formula())
    order = sorted(first, key=lambda result: -(result.iou_mean or 0))
    executor = Formula(capacity=2, seed=3, score=luckless)
    look(home, 2, executor)
    wanted = {result.plan.number for result in order[:2]}
    assert sorted(executor.computed) == sorted((trial, fold) for trial in wanted for fold in FRESH)
    for before, after in zip(first, results_of(home).values(), strict=True):
        assert (after.iou_mean, after.iou_std) == (before.iou_mean, before.iou_std)
        assert (after.second is not None) == (after.plan.number in wanted)
    looked = results_of(home)[order[0].plan.number]
    metrics = looked.metrics()
    assert looked.second is not None
    assert metrics["second_iou_mean"] == pytest.approx(sum(fold.iou for fold in looked.second.folds) / 3)
    assert metrics["second_iou_mean"] < metrics["iou_mean"] - 0.19
    assert metrics["second_iou_low"] < metrics["second_iou_high"]
    assert [metrics[f"second_iou_fold_{n}"] for n in range(3)] == [fold.iou for fold in looked.second.folds]


def test_looked_at_once_a_trial_is_not_run_again_and_a_larger_k_looks_at_the_rest(home: Home) -> None:
    home.run(Formula())
    look(home, 1, Formula())
    again = Formula()
    look(home, 1, again)
    assert again.computed == []
    look(home, 3, again)
    assert len({trial for trial, _ in again.computed}) == 2


def test_a_trial_that_collapses_in_its_second_look_is_told_and_the_others_go_on(home: Home) -> None:
    home.run(Formula())
    worst_luck = best_trials(results_of(home), 2)[0]

    def rule(job: FoldJob) -> Status:
        return "collapsed" if (job.trial, job.fold) == (worst_luck, 4) else "committed"

    recorder = look(home, 2, Formula(capacity=3, rule=rule))
    looked = {n: result.second for n, result in results_of(home).items() if result.second}
    assert sorted(second.state for second in looked.values()) == ["collapsed", "complete"]
    assert looked[worst_luck].reason == "fold 4: collapsed"
    assert "second_iou_mean" not in results_of(home)[worst_luck].metrics()
    assert recorder.results[worst_luck].second == looked[worst_luck]
    assert recorder.calls.count(("complete", worst_luck)) == 1


@pytest.mark.parametrize("seed", range(6))
def test_the_verdict_is_of_the_first_fold_that_failed_and_no_fold_run_is_left_under_way(
    home: Home, seed: int
) -> None:
    home.run(Formula())
    (best,) = best_trials(results_of(home), 1)

    def rule(job: FoldJob) -> Status:
        return "collapsed" if job.fold in (4, 5) else "committed"

    recorder = look(home, 1, Formula(capacity=3, seed=seed, rule=rule))
    second = results_of(home)[best].second
    assert second is not None
    assert (second.state, second.reason) == ("collapsed", "fold 4: collapsed")
    opened = [key for call, key in recorder.calls if call == "open_fold"]
    closed = [key for call, key in recorder.calls if call in ("committed", "collapsed", "interrupted")]
    assert sorted(opened) == sorted(closed)


def test_stopped_in_the_middle_it_goes_on_with_the_folds_that_are_missing(home: Home) -> None:
    home.run(Formula())
    results, recorder, executor = results_of(home), MemoryRecorder(), Formula()
    trials = [results[number] for number in best_trials(results, 2)]
    looks = iter([False, False, True])
    with pytest.raises(Interrupted, match="stopped with 2 second looks left"):
        SecondLooks(home.folder / "work", home.job, FRESH, executor, recorder).run(
            trials, lambda: next(looks)
        )
    done = len(executor.computed)
    assert 0 < done < 6
    assert [call for call in recorder.calls if call[0] == "complete"] == [
        ("complete", r.plan.number) for r in trials
    ]
    again = Formula()
    look(home, 2, again)
    assert len(again.computed) == 6 - done
    assert sum(result.second is not None for result in results_of(home).values()) == 2


def test_a_note_that_is_lost_or_whose_folds_are_gone_is_no_second_look(home: Home) -> None:
    home.run(Formula())
    look(home, 2, Formula())
    one, two = best_trials(results_of(home), 2)
    work = home.folder / "work"
    (work / str(one) / FILE).write_text(json.dumps({"state": "complete"}))
    kept = work / str(two) / "4" / "objects.parquet"
    good = kept.read_bytes()
    kept.write_bytes(good[:-1])
    assert read_second(work, one) is None
    assert read_second(work, two) is None
    kept.write_bytes(good)
    assert read_second(work, two) is not None
    shutil.rmtree(work / str(two) / "4")
    assert read_second(work, two) is None
    executor = Formula()
    look(home, 2, executor)
    assert executor.computed == [(two, 4)]


def test_the_best_are_those_with_the_largest_mean_and_none_that_did_not_finish(home: Home) -> None:
    home.run(Formula(rule=lambda job: "collapsed" if job.trial == 1 else "committed"))
    results = results_of(home)
    scores = {n: result.iou_mean for n, result in results.items() if result.iou_mean is not None}
    assert best_trials(results, 9) == sorted(scores, key=lambda n: -scores[n])
    assert 1 not in best_trials(results, 9)
    assert best_trials(results, 0) == []
