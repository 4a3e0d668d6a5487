"""One run of a prepared study: files written, records opened, trials carried through their folds."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from harness.data.audit import HELD_OUT
from harness.data.cache import Cache
from harness.errors import HarnessError, Interrupted
from harness.execute.executors import build_executor
from harness.model.classical import baseline_scores
from harness.prepare import Files, Prepared, facts, run_tags, write_files
from harness.progress import Progress
from harness.report import Leaderboard, as_markdown, read_leaderboard, study_metrics
from harness.search.ledger import Ledger
from harness.search.optimize import Search
from harness.search.slots import Slots, optuna_url
from harness.search.trial import Recorder, State, Together, TrialPlan
from harness.tracking.recorder import MlflowRecorder, StudyFacts
from harness.tracking.store import open_store
from harness.train.checkpoint import write_synced
from harness.train.foldrun import FoldJob


def drive(
    prepared: Prepared, *, home: Path, caches: Path, console: Console, should_stop: Callable[[], bool]
) -> Leaderboard:
    """Write what fold runs read, open the records, carry the trials through their folds; return the leaderboard.

    Raises Interrupted when `should_stop` said so, after every run is marked; TrainingError, LeakageError.
    """
    study = prepared.study
    files = write_files(prepared, home=home, caches=caches)
    baselines = _baselines(prepared, files.cache)
    slots = Slots(study, prepared.identity, optuna_url(home))
    ledger = Ledger(files.work / "ledger", slots.results())
    ledger.open_study(facts(prepared), baselines)
    recorder = _open_recorder(prepared, files, home)
    try:
        _search(prepared, files, slots, [recorder, ledger], (console, should_stop))
    except HarnessError as error:
        state: State = "interrupted" if isinstance(error, Interrupted) else "failed"
        recorder.close_study(state, as_markdown(read_leaderboard(ledger.folder)), {})
        raise
    board = read_leaderboard(ledger.folder)
    write_synced(ledger.folder / "report.md", as_markdown(board).encode())
    recorder.close_study("complete", as_markdown(board), study_metrics(board))
    return board


def _open_recorder(prepared: Prepared, files: Files, home: Path) -> MlflowRecorder:
    """Open the study's run in MLflow and attach the leakage report, the split and the settings."""
    store = open_store(home)
    client = store.client()
    study = prepared.study
    study_facts = StudyFacts(
        key=prepared.key,
        settings=study.decisive(),
        tags=run_tags(prepared),
        data_name=study.data.dataset.name,
        data_digest=prepared.manifest,
        data_source=str(prepared.root),
    )
    recorder = MlflowRecorder(client, store.experiment(client, study.name), study_facts)
    recorder.open_study(
        {
            "leakage": files.work / "leakage",
            "split": files.split,
            "study": files.work / "ledger" / "study.json",
        }
    )
    return recorder


def _baselines(prepared: Prepared, cache: Cache) -> pd.DataFrame:
    """Return the baselines' IoU by fold, of all repeats in turn."""
    split, tables = prepared.split, []
    each = split.count // len(split.assignments)
    for repeat in range(len(split.assignments)):
        fold = split.of(prepared.samples, repeat)
        own = np.where(fold == HELD_OUT, HELD_OUT, fold - repeat * each)
        tables.append(baseline_scores(cache, prepared.samples, own))
    return pd.concat(tables, ignore_index=True)


def _search(
    prepared: Prepared,
    files: Files,
    slots: Slots,
    recorders: Sequence[Recorder],
    view: tuple[Console, Callable[[], bool]],
) -> None:
    (console, should_stop), study, folds = view, prepared.study, prepared.split.count
    executor = build_executor(study.execute, log=files.work / "workers.log")

    def make_job(plan: TrialPlan, fold: int) -> FoldJob:
        return FoldJob(
            trial=plan.number,
            fold=fold,
            study=plan.study.model_dump(mode="json"),
            samples=str(files.samples),
            split=str(files.split),
            cache=str(files.cache.folder),
            folder=str(files.work / str(plan.number) / str(fold)),
            repeat=prepared.split.repeat_of(fold),
        )

    progress = Progress(console, study.search.trials, folds, len(slots.results()))
    try:
        with progress:
            Search(
                slots,
                make_job,
                folds=folds,
                trials=study.search.trials,
                window=study.search.window,
                executor=executor,
                recorder=Together([*recorders, progress]),
            ).run(should_stop)
    finally:
        executor.close()
