"""What an outbox lost of finished trials is told anew, from what Optuna, their folders and the ledger know."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from harness.execute.task import Outcome
from harness.prepare import study_facts
from harness.report import as_markdown, read_leaderboard, study_metrics
from harness.search.trial import TrialResult
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import OutboxRecorder, study_files
from harness.train.outbox import OutboxReader

NO_SOURCE = "unknown: told anew"  # where the data were is in no file of a study


def retell(
    outbox: Outbox,
    known: Mapping[str, Any],
    work: Path,
    results: Mapping[int, TrialResult],
    but: Collection[int],
) -> list[int]:
    """Append what the outbox does not tell of the finished trials in `results`; return their numbers.

    `known` are the study's facts. Trials in `but` are left out, as those whose folds were damaged. Where not even the
    study was told of, it ends as complete if its budget is used up.
    """
    recorder = OutboxRecorder(outbox, study_facts(known, NO_SOURCE), work)
    lost = [n for n, result in results.items() if n not in but and not recorder.knows_end(result)]
    was_known = recorder.knows_study()
    if lost and not was_known:
        recorder.open_study(study_files(work, work.parents[1] / "folds" / f"{known['split']}.json"))
    for number in lost:
        _tell_trial(recorder, results[number])
    if lost and not was_known:
        _close_study(recorder, work, done=len(results) >= known["settings"]["search"]["trials"])
    return lost


def _tell_trial(recorder: OutboxRecorder, result: TrialResult) -> None:
    number = result.plan.number
    recorder.open_trial(result.plan)
    for fold in result.folds:
        folder = Path(fold.folder)
        recorder.open_fold(number, fold.fold)
        recorder.log_epochs(number, fold.fold, OutboxReader(folder, folder).new())
        recorder.close_fold(Outcome((number, fold.fold), "committed", fold))
    recorder.close_trial(result)


def _close_study(recorder: OutboxRecorder, work: Path, *, done: bool) -> None:
    board = read_leaderboard(work / "ledger")
    if done:
        recorder.close_study("complete", "", note=as_markdown(board), metrics=study_metrics(board))
    else:
        recorder.close_study("interrupted", "told anew", note=as_markdown(board), metrics={})
