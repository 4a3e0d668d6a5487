import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from harness.config import Choice
from harness.errors import DataError, Interrupted, LeakageError, TrainingError
from harness.execute.inline import Inline
from harness.execute.task import Outcome, Status
from harness.search.optimize import Search
from harness.search.trial import MemoryRecorder, TrialPlan, TrialResult
from harness.train.foldrun import FoldJob
from tests.conftest import SHORT, Tiny
from tests.search.formula import Formula, Home, score, study, table

MEDIAN = {"median": {"after_trials": 2, "after_folds": 1}}
CLOSING = {"committed", "collapsed", "failed", "interrupted", "leak"}


def stored(home: Home) -> list[optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name="formula-01234567", storage=home.url)
    return found.get_trials()


def every_fold_is_closed(recorder: MemoryRecorder) -> bool:
    folds = [key for call, key in recorder.calls if call == "open_fold"]
    return sorted(folds) == sorted(
        key for call, key in recorder.calls if call in CLOSING and isinstance(key, tuple)
    )


def some_end_badly(job: FoldJob) -> Status:
    """Trial 3 fails in fold 1, trial 5 collapses in fold 0, and both in a later fold the other way."""
    ends: dict[tuple[int, int], Status] = {
        (3, 1): "failed",
        (3, 2): "collapsed",
        (5, 0): "collapsed",
        (5, 2): "failed",
    }
    return ends.get((job.trial, job.fold), "committed")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, list[tuple[object, ...]]]:
    """Twelve trials with a pruner, one fold at a time; some end badly."""
    home = Home(tmp_path_factory.mktemp("alone"), study(trials=12, window=4, pruner=MEDIAN))
    return home, table(home.run(Formula(rule=some_end_badly)))


def test_the_case_has_every_kind_of_end(alone: tuple[Home, list[tuple[object, ...]]]) -> None:
    states = [row[2] for row in alone[1]]
    assert [row[0] for row in alone[1]] == list(range(12))
    assert states[3] == "failed"
    assert states[5] == "pruned"
    assert "complete" in states[6:]
    assert any("below the median" in str(row[5]) for row in alone[1])


@pytest.mark.parametrize(("capacity", "seed"), [(2, 1), (4, 2), (9, 3)])
def test_trials_do_not_depend_on_how_many_run_and_which_ends_first(
    alone: tuple[Home, list[tuple[object, ...]]], tmp_path: Path, capacity: int, seed: int
) -> None:
    executor, recorder = Formula(capacity, seed, some_end_badly), MemoryRecorder()
    assert table(Home(tmp_path, alone[0].study).run(executor, recorder)) == alone[1]
    assert every_fold_is_closed(recorder)
    assert len(set(executor.computed)) == len(executor.computed)


def test_six_trials_and_then_twelve_are_twelve(
    alone: tuple[Home, list[tuple[object, ...]]], tmp_path: Path
) -> None:
    home = Home(tmp_path, alone[0].study)
    first, second = Formula(4, 5, some_end_badly), Formula(2, 6, some_end_badly)
    assert table(home.run(first, trials=6)) == alone[1][:6]
    assert table(home.run(second)) == alone[1]
    assert not set(first.computed) & set(second.computed), "a committed fold was computed again"
    assert table(home.run(Formula(rule=some_end_badly))) == alone[1]
    assert len(stored(home)) == 12


def test_optuna_holds_the_same_states_values_and_reasons(
    alone: tuple[Home, list[tuple[object, ...]]],
) -> None:
    states = {
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    for row, trial in zip(alone[1], stored(alone[0]), strict=True):
        number, params, state, mean, folds, reason = row
        assert (trial.number, trial.params, trial.state) == (number, params, states[str(state)])
        assert trial.user_attrs["reason"] == reason
        assert len(trial.user_attrs["folds"]) == len(folds)  # type: ignore[arg-type]
        if state == "complete":
            assert trial.value == mean
        if state == "failed":
            assert trial.value is None


def test_a_failed_trial_has_its_reason_and_a_collapsed_one_is_pruned(
    alone: tuple[Home, list[tuple[object, ...]]],
) -> None:
    rows = alone[1]
    assert rows[3][2:] == ("failed", None, rows[3][4], "fold 1: failed")
    assert len(rows[3][4]) == 1  # type: ignore[arg-type]
    assert rows[5][2:] == ("pruned", None, [], "fold 0: collapsed")


def test_only_a_trial_with_all_its_folds_can_be_best(tmp_path: Path) -> None:
    """The best fold of all is in a trial whose last fold collapses."""

    def rule(job: FoldJob) -> Status:
        return "collapsed" if (job.trial, job.fold) == (2, 2) else "committed"

    home = Home(tmp_path, study(trials=4))
    results = home.run(Formula(rule=rule, score=lambda job: 0.99 if job.trial == 2 else score(job)))
    assert [f.iou for f in results[2].folds] == [0.99, 0.99]
    assert results[2].iou_mean is None
    best = optuna.load_study(study_name="formula-01234567", storage=home.url).best_trial
    complete = {r.plan.number: r.iou_mean for r in results if r.iou_mean is not None}
    assert best.number == max(complete, key=lambda number: complete[number]) != 2


def test_folds_after_one_that_ended_badly_are_not_computed(tmp_path: Path) -> None:
    """Trial 1 collapses in fold 1, which ends long before fold 0 does."""
    executor = Formula(
        2,
        rule=lambda job: "collapsed" if (job.trial, job.fold) == (1, 1) else "committed",
        late=lambda job: (job.trial, job.fold) == (1, 0),
    )
    results = Home(tmp_path, study(trials=3, folds=4, window=1)).run(executor)
    assert [key for key in executor.computed if key[0] == 1] == [(1, 1), (1, 0)]
    assert (results[1].state, [f.fold for f in results[1].folds]) == ("pruned", [0])


def test_baselines_come_first_and_once(tmp_path: Path) -> None:
    home = Home(tmp_path, study(trials=3))
    home.run(trials=1)
    results = home.run()
    assert [r.plan.baseline for r in results] == [True, True, False]
    assert results[0].plan.params == {
        "loss": "tversky",
        "loss.tversky.fn_weight": 0.7,
        "augment.strength": 0.5,
        "train.lr": 1e-3,
    }
    assert results[0].plan.study.loss.settings == {"fn_weight": 0.7, "fp_weight": 0.3}
    assert results[1].plan.params == {"loss": "dice_bce", "augment.strength": 0.5, "train.lr": 1e-3}
    assert results[2].plan.params not in (results[0].plan.params, results[1].plan.params)


class Killed(BaseException):
    """Stands for the end of the driver; nothing catches it."""


class Killing:
    """A recorder during whose call number `call` the driver is killed."""

    def __init__(self, call: int) -> None:
        self._left = call

    def _step(self, *told: object) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed

    open_trial = open_fold = log_epochs = close_fold = close_trial = _step


@pytest.mark.parametrize("capacity", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_a_driver_killed_at_any_step_and_started_again_ends_at_the_same_table(
    tmp_path: Path, capacity: int
) -> None:
    space = {"augment.strength": [0, 1]}
    plan = study(trials=3, folds=2, startup=0, pruner=MEDIAN, baselines=(), space=space)

    def rule(job: FoldJob) -> Status:
        return "failed" if (job.trial, job.fold) == (1, 1) else "committed"

    whole = Home(tmp_path / "whole", plan)
    whole.folder.mkdir()
    wanted = table(whole.run(Formula(capacity, 1, rule)))
    for call in itertools.count():
        home = Home(tmp_path / str(call), plan)
        home.folder.mkdir()
        try:
            home.run(Formula(capacity, 1, rule), Killing(call))
        except Killed:
            recorder = MemoryRecorder()
            assert table(home.run(Formula(capacity, 2, rule), recorder)) == wanted, f"killed in call {call}"
            assert [t.number for t in stored(home)] == [0, 1, 2]
            assert every_fold_is_closed(recorder)
        else:
            assert call > 3 * 2 * 3
            return


def test_a_driver_killed_inside_the_database_steps_goes_on(tmp_path: Path) -> None:
    """Between enqueueing a trial and asking for it, and between its attributes and its end."""
    plan = study(trials=4)
    whole = Home(tmp_path / "whole", plan)
    whole.folder.mkdir()
    wanted = table(whole.run())
    home = Home(tmp_path / "killed", plan)
    home.folder.mkdir()
    home.run(trials=2)
    left = optuna.load_study(study_name="formula-01234567", storage=home.url)
    left.enqueue_trial(dict(wanted[2][1]))  # type: ignore[call-overload]
    assert table(home.run(trials=3)) == wanted[:3]
    assert len(stored(home)) == 3
    left.enqueue_trial(dict(wanted[3][1]))  # type: ignore[call-overload]
    half = left.ask()
    half.set_user_attr("reason", "")
    assert table(home.run()) == wanted
    assert [t.state for t in stored(home)] == [TrialState.COMPLETE] * 4


def test_a_wish_to_stop_leaves_trials_to_go_on_with(tmp_path: Path) -> None:
    plan = study(trials=5)
    whole = Home(tmp_path / "whole", plan)
    whole.folder.mkdir()
    wanted = table(whole.run())
    home = Home(tmp_path / "stopped", plan)
    home.folder.mkdir()
    executor, recorder = Formula(4, 1), MemoryRecorder()
    wishes: Iterator[bool] = iter([False] * 3 + [True])
    with pytest.raises(Interrupted, match=r"stopped with \d of 5 trials done"):
        home.run(executor, recorder, should_stop=lambda: next(wishes))
    assert executor.cancelled
    assert every_fold_is_closed(recorder)
    running = {t.number: t.params for t in stored(home) if t.state == TrialState.RUNNING}
    assert running
    assert {n for call, n in recorder.calls if call == "interrupted" and isinstance(n, int)} == set(running)
    assert recorder.results[max(running)].reason == "stopped on request"
    again = Formula(2, 2)
    assert table(home.run(again)) == wanted
    assert not set(again.computed) & set(executor.computed)
    assert {n: dict(wanted[n][1]) for n in running} == running  # type: ignore[call-overload]


def test_the_epochs_of_a_stopped_attempt_are_not_told_for_the_next(tmp_path: Path) -> None:
    """What a stopped fold run left in its working folder is older and longer than what the next one writes."""
    home = Home(tmp_path, study(trials=2, baselines=()))
    slots = home.slots()
    job = home.job(slots.ask(0).plan, 0)
    slots.close()
    job.working.mkdir(parents=True)
    (job.working / "outbox.jsonl").write_text(
        "".join(f'{{"number": {n}, "old": true}}\n' for n in range(1, 9))
    )
    recorder = MemoryRecorder()
    home.run(Formula(), recorder)
    told = [key[2] for call, key in recorder.calls if call == "epoch" and key[:2] == (0, 0)]
    assert told == [1, 2]


def test_what_folds_saved_stays_until_their_trial_is_judged(tmp_path: Path) -> None:
    """Trial 1 collapses in fold 0 while fold 1 runs; fold 2 has something from an earlier start."""
    home = Home(tmp_path, study(trials=2, baselines=()))
    slots = home.slots()
    jobs = [home.job(slots.ask(number).plan, fold) for number in range(2) for fold in range(3)]
    slots.close()
    for job in jobs:
        job.saved.mkdir(parents=True)
    with pytest.raises(Interrupted):
        home.run(Formula(2), should_stop=lambda: True)
    assert all(job.saved.exists() for job in jobs)
    home.run(Formula(2, rule=lambda job: "collapsed" if (job.trial, job.fold) == (1, 0) else "committed"))
    assert not any(job.saved.exists() for job in jobs)


def failing(*numbers: int) -> Formula:
    return Formula(rule=lambda job: "failed" if job.trial in numbers else "committed")


def test_five_failures_in_a_row_end_the_run(tmp_path: Path) -> None:
    home = Home(tmp_path, study(trials=12))
    with pytest.raises(
        TrainingError, match="trials 3 to 7 failed one after another; the last one: fold 0: failed"
    ):
        home.run(failing(*range(3, 9)))
    assert [t.state for t in stored(home)] == [TrialState.COMPLETE] * 3 + [TrialState.FAIL] * 5
    assert len(home.run()) == 12  # what was wrong is mended


def test_four_failures_in_a_row_do_not(tmp_path: Path) -> None:
    home = Home(tmp_path, study(trials=10))
    results = home.run(failing(0, 1, 2, 3, 5, 6, 7, 8))
    assert [r.state for r in results].count("failed") == 8
    assert len(results) == 10


def test_failures_in_a_row_are_counted_by_number_and_not_by_time(tmp_path: Path) -> None:
    """Trial 2 fails last of all, after later ones were well."""
    home, executor = Home(tmp_path, study(trials=8, window=6, folds=2)), failing(0, 1, 2, 3, 4)
    executor.capacity, executor.late = 6, lambda job: job.trial == 2
    with pytest.raises(TrainingError, match="trials 0 to 4 failed"):
        home.run(executor)
    assert [t.state for t in stored(home)] == [TrialState.FAIL] * 5 + [TrialState.COMPLETE] * 3


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ({"status": "leak"}, LeakageError),
        ({"status": "failed", "unusable": True}, DataError),
    ],
)
def test_wrong_data_end_the_run_and_its_trial_can_be_gone_on_with(
    tmp_path: Path, outcome: dict[str, Any], error: type[DataError]
) -> None:
    class Damaged(Formula):
        def _outcome(self, job: FoldJob) -> Outcome:
            good = super()._outcome(job)
            return replace(good, result=None, reason="a file", **outcome) if good.key == (1, 1) else good

    home = Home(tmp_path, study(trials=3))
    recorder = MemoryRecorder()
    with pytest.raises(DataError, match="a file") as raised:
        home.run(Damaged(6, 1), recorder)
    assert raised.type is error
    assert every_fold_is_closed(recorder)
    assert stored(home)[1].state == TrialState.RUNNING
    assert recorder.results[1].reason == "a file"
    assert len(home.run()) == 3


def test_a_full_disk_ends_the_run_as_interrupted_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    class Full(Formula):
        def _outcome(self, job: FoldJob) -> Outcome:
            good = super()._outcome(job)
            full = replace(good, status="interrupted", result=None, reason="no room", blocked=True)
            return full if good.key == (1, 1) else good

    home, recorder = Home(tmp_path, study(trials=3)), MemoryRecorder()
    with pytest.raises(Interrupted, match="no room"):
        home.run(Full(6, 1), recorder)
    assert every_fold_is_closed(recorder)
    assert stored(home)[1].state == TrialState.RUNNING
    assert recorder.results[1].state == "interrupted"
    (tmp_path / "other").mkdir()
    undisturbed = Home(tmp_path / "other", study(trials=3)).run()
    assert [(r.state, r.iou_mean) for r in home.run()] == [(r.state, r.iou_mean) for r in undisturbed]


def test_a_smaller_budget_still_finishes_the_trials_below_it(tmp_path: Path) -> None:
    """Of four trials in flight the later ones may be finished when the driver stops."""
    home = Home(tmp_path, study(trials=8, window=4))
    slots = home.slots()
    opened = [slots.ask(number) for number in range(4)]
    slots.tell(opened[3], TrialResult(opened[3].plan, "failed", (), "made so"))
    slots.close()
    assert [r.plan.number for r in home.run(trials=2)] == [0, 1, 3]


def test_real_trainings_go_through_the_search(tiny: Tiny, tmp_path: Path) -> None:
    plan = tiny.with_settings(**SHORT, search__trials=2, search__pruner=Choice(name="never").model_dump())
    home = Home(tmp_path, plan)

    def job(plan: TrialPlan, fold: int) -> FoldJob:
        made = home.job(plan, fold)
        return replace(made, samples=str(tiny.samples), split=str(tiny.split), cache=str(tiny.cache))

    slots, recorder = home.slots(), MemoryRecorder()
    results = Search(slots, job, folds=2, trials=2, window=4, executor=Inline(), recorder=recorder).run(
        lambda: False
    )
    slots.close()
    assert [r.state for r in results] == ["complete", "complete"]
    assert [key for call, key in recorder.calls if call == "epoch"] == [
        (trial, fold, epoch) for trial in (0, 1) for fold in (0, 1) for epoch in (1, 2, 3, 4, 5)
    ]
    metrics = results[1].metrics()
    assert metrics["iou_mean"] == pytest.approx((metrics["iou_fold_0"] + metrics["iou_fold_1"]) / 2)
    assert {"iou_std", "best_epoch_gain", "object_f1", "iou_positive_pictures"} <= set(metrics)
