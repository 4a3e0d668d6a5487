"""What an outbox lost of a study and its finished trials is told anew, from Optuna, the folds and the ledger."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.execute.task import Outcome
from harness.prepare import study_facts
from harness.promotion.looks import note_looks
from harness.report.files import FOLDER, write_report
from harness.report.leaderboard import Leaderboard, read_leaderboard, study_metrics
from harness.report.table import as_note
from harness.report.trialpage import write_trial_page
from harness.search.ledger import read_facts
from harness.search.trial import TrialResult
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import OutboxRecorder, study_files
from harness.train.foldrun import FoldResult
from harness.train.outbox import OutboxReader

NO_SOURCE = "unknown: told anew"  # where the data were is in no file of a study


def retell(
    outbox: Outbox,
    known: Mapping[str, Any],
    work: Path,
    results: Mapping[int, TrialResult],
    but: Collection[int],
) -> list[str]:
    """Append what the outbox does not tell of the study and the finished trials in `results`; return what, in words.

    `known` are the study's facts. Trials in `but` are left out, as those whose folds were damaged. Of the others each
    run is looked at by itself: its opening, its end, the epochs of each fold that counts. The study ends as complete
    once its budget is used up, if it was not told to have ended otherwise; one that was never opened and has trials to
    do as interrupted.
    """
    draw = partial(write_trial_page, work, known)
    recorder = OutboxRecorder(outbox, study_facts(known, NO_SOURCE), work, draw=draw)
    done = not but and len(results) >= known["settings"]["search"]["trials"]
    unopened = bool(results) and not recorder.knows()
    if unopened:
        recorder.open_study(study_files(work, work.parents[1] / "folds" / f"{known['split']}.json"))
    lost = [n for n, result in results.items() if n not in but and _tell_trial(recorder, result)]
    unended = unopened or (done and not recorder.end_of())
    if unended:
        _close_study(recorder, work, done=done)
    trials = [f"trials {', '.join(map(str, lost))}"] if lost else []
    return trials + (["the study itself"] if unended and not (unopened and lost) else [])


def _tell_trial(recorder: OutboxRecorder, result: TrialResult) -> bool:
    """Tell what is missing of a trial and its folds; tell whether anything was."""
    number = result.plan.number
    unopened = not recorder.knows(number)
    if unopened:
        recorder.open_trial(result.plan)
    second = result.second.folds if result.second else ()
    folds = [_tell_fold(recorder, number, fold) for fold in (*result.folds, *second)]
    unended = recorder.end_of(number) != result.state
    if unended:
        recorder.close_trial(result)
    return unopened or unended or any(folds)


def _tell_fold(recorder: OutboxRecorder, trial: int, result: FoldResult) -> bool:
    folder, fold = Path(result.folder), result.fold
    epochs = OutboxReader(folder, folder).new()
    unopened = not recorder.knows(trial, fold)
    if unopened:
        recorder.open_fold(trial, fold)
    lacking = recorder.lacks_epochs(trial, fold, epochs)
    recorder.log_epochs(trial, fold, epochs)
    unended = recorder.end_of(trial, fold) != "committed"
    if unended:
        recorder.close_fold(Outcome((trial, fold), "committed", result))
    return unopened or lacking or unended


def _close_study(recorder: OutboxRecorder, work: Path, *, done: bool) -> None:
    if done:
        close_complete(recorder, work)
    else:
        board = read_leaderboard(work / "ledger")
        recorder.close_study("interrupted", "told anew", note=as_note(board), metrics={})


def close_complete(recorder: OutboxRecorder, work: Path) -> Leaderboard:
    """Write the report of a study whose budget is used up, tell that it ended with it; return its leaderboard."""
    ledger = work / "ledger"
    note_looks(work.parents[1], work, read_facts(ledger))
    board = read_leaderboard(ledger)
    report = write_report(board, work)
    note, metrics = as_note(board), study_metrics(board)
    recorder.close_study("complete", "", note=note, metrics=metrics, files=[(report, FOLDER)])
    return board
