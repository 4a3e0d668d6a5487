"""What is seen while a study runs."""

import io
from typing import Any

from rich.console import Console

from harness.config import Study
from harness.execute.task import Outcome
from harness.progress import Progress
from harness.search.trial import SecondLook, TrialPlan, TrialResult
from harness.train.foldrun import FoldResult


def plan(number: int) -> TrialPlan:
    study = Study.model_validate(
        {
            "name": "t",
            "data": {"dataset": "demo"},
            "network": "unet",
            "search": {"trials": 1},
            "train": {"epochs": 9},
        }
    )
    return TrialPlan(number, {}, study, baseline=False)


def result(fold: int, iou: float) -> FoldResult:
    return FoldResult(fold, iou, iou, 1, 9, 1.0, 0.01, "cpu", "abc", {}, "nowhere")


def epoch(number: int, iou: float | None) -> dict[str, Any]:
    return {"number": number, "loss": 0.5, "iou": iou}


def test_without_a_terminal_every_fold_and_trial_is_a_line_with_the_time_left() -> None:
    text = io.StringIO()
    with Progress(Console(file=text, width=200), trials=2, folds=2, done=0) as progress:
        progress.open_trial(plan(0))
        progress.open_fold(0, 0)
        progress.log_epochs(0, 0, [epoch(1, None)])
        progress.close_fold(Outcome((0, 0), "committed", result(0, 0.25)))
        progress.close_fold(Outcome((0, 1), "collapsed", reason="fold 1: all background"))
        progress.close_trial(TrialResult(plan(0), "pruned", [result(0, 0.25)], "fold 1: all background"))
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("trial 0 fold 0: IoU 0.2500 · 1 of 4 folds, about ")
    assert lines[1].startswith("trial 0 fold 1: collapsed: fold 1: all background · 2 of 4 folds")
    assert lines[2] == "trial 0 (dice_bce): pruned: fold 1: all background"


def test_folds_that_a_stopped_trial_left_out_take_no_time() -> None:
    text = io.StringIO()
    with Progress(Console(file=text, width=200), trials=2, folds=5, done=0) as progress:
        for number in range(2):
            progress.open_trial(plan(number))
            progress.close_fold(Outcome((number, 0), "collapsed", reason="all background"))
            progress.close_trial(TrialResult(plan(number), "pruned", [], "all background"))
        progress.close_fold(Outcome((1, 1), "interrupted", reason="not needed"))  # it was under way
    said = [
        line.rpartition(" · ")[2] for line in text.getvalue().splitlines() if "fold" in line.split(":")[0]
    ]
    assert said[0].startswith("1 of 10 folds, about ")
    assert said[1].startswith("2 of 6 folds, about ")
    assert said[2] == "3 of 3 folds"


def test_a_terminal_shows_running_folds_with_their_epoch_loss_and_iou() -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True, no_color=True, highlight=False)
    progress = Progress(console, trials=2, folds=2, done=1)
    progress.open_trial(plan(1))
    progress.open_fold(1, 0)
    progress.log_epochs(1, 0, [epoch(3, 0.125), epoch(4, None)])
    progress.close_trial(TrialResult(plan(0), "complete", [result(0, 0.25), result(1, 0.75)]))
    with console.capture() as shown:
        console.print(progress._draw())
    assert "trials 2 of 2" in shown.get()
    assert "4/9" in shown.get()
    assert "0.5000" in shown.get()
    assert "0.1250" in shown.get()
    assert "IoU 0.5000 ± 0.3536" in shown.get()


def test_the_end_of_a_second_look_is_told_beside_the_first_score() -> None:
    text = io.StringIO()
    first = [result(0, 0.3), result(1, 0.5)]
    with Progress(Console(file=text, width=200), trials=2, folds=2, done=0) as progress:
        for number, look in enumerate(
            (
                SecondLook("complete", [result(2, 0.1), result(3, 0.3)]),
                SecondLook("collapsed", [], "all background"),
            )
        ):
            progress.open_trial(plan(number))
            progress.close_trial(TrialResult(plan(number), "complete", first, second=look))
    assert text.getvalue().splitlines() == [
        "trial 0 (dice_bce): second look, IoU 0.2000 ± 0.1414; first 0.4000 ± 0.1414",
        "trial 1 (dice_bce): second look, collapsed: all background; first 0.4000 ± 0.1414",
    ]
