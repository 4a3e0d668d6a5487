"""One run of a prepared study: files written, records opened, trials carried through their folds."""

import contextlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from harness.data.audit import HELD_OUT
from harness.errors import Interrupted
from harness.execute.executors import build_executor
from harness.execute.task import Executor
from harness.model.classical import baseline_scores
from harness.prepare import Files, Prepared, facts, run_tags, write_files
from harness.progress import Progress
from harness.report import Leaderboard, as_markdown, read_leaderboard, study_metrics
from harness.search.ledger import Ledger, kept_baselines
from harness.search.optimize import JobMaker, Search
from harness.search.repair import train_anew, unusable_folds
from harness.search.slots import Slots, optuna_url
from harness.search.trial import State, Together, TrialPlan
from harness.tracking.recorder import MlflowRecorder, StudyFacts
from harness.tracking.store import Store, in_one_line
from harness.train.checkpoint import write_synced
from harness.train.foldrun import FoldJob, fold_folder

ShouldStop = Callable[[], bool]


def open_recorder(prepared: Prepared, store: Store) -> MlflowRecorder:
    """Open the tracking store, before anything else is written. Raises ConfigError where it cannot be used."""
    study = prepared.study
    study_facts = StudyFacts(
        key=prepared.key,
        settings=study.decisive(),
        tags=run_tags(prepared),
        data_name=study.data.dataset.name,
        data_digest=prepared.manifest,
        data_source=str(prepared.root),
    )
    with in_one_line(store):
        client = store.client()
        return MlflowRecorder(client, store.experiment(client, study.name), study_facts)


def drive(
    prepared: Prepared,
    recorder: MlflowRecorder,
    *,
    home: Path,
    caches: Path,
    console: Console,
    watch: Callable[[], ShouldStop],
) -> Leaderboard:
    """Write what fold runs read, carry the trials through their folds, and return the leaderboard.

    `watch` is called when fold runs begin, and returns what tells whether to stop them; until then nothing is lost
    by a KeyboardInterrupt. Raises Interrupted, after every run is marked; TrainingError, LeakageError, DataError.
    """
    files = write_files(prepared, home=home, caches=caches)
    baselines = _baselines(prepared, files)
    slots = Slots(prepared.study, prepared.identity, optuna_url(home), files.work)
    ledger = Ledger(files.work / "ledger", slots.results())
    make_job, should_stop = _job_maker(prepared, files), watch()
    try:
        with closing(build_executor(prepared.study.execute, log=files.work / "workers.log")) as executor:
            _mend(ledger, make_job, executor, (console, should_stop))
            ledger.open_study(facts(prepared), baselines)
            recorder.open_study(_artifacts(files))
            _search(prepared, slots, make_job, (recorder, ledger), executor, (console, should_stop))
    except BaseException as error:
        with contextlib.suppress(Exception):  # what ended the run is what has to be told
            note = as_markdown(read_leaderboard(ledger.folder))
            recorder.close_study(*_ending(error), note=note, metrics={})
        raise
    board = read_leaderboard(ledger.folder)
    write_synced(ledger.folder / "report.md", as_markdown(board).encode())
    recorder.close_study("complete", "", note=as_markdown(board), metrics=study_metrics(board))
    return board


def _baselines(prepared: Prepared, files: Files) -> pd.DataFrame:
    """Return the IoU by fold, of all repeats in turn, of what needs no learning; computed once a study."""
    kept = kept_baselines(files.work / "ledger")
    if kept is not None:
        return kept
    split, tables = prepared.split, []
    each = split.count // len(split.assignments)
    for repeat in range(len(split.assignments)):
        fold = split.of(prepared.samples, repeat)
        own = np.where(fold == HELD_OUT, HELD_OUT, fold - repeat * each)
        tables.append(baseline_scores(files.cache, prepared.samples, own))
    return pd.concat(tables, ignore_index=True)


def _artifacts(files: Files) -> dict[str, Path]:
    return {
        "leakage": files.work / "leakage",
        "split": files.split,
        "study": files.work / "ledger" / "study.json",
    }


def _ending(error: BaseException) -> tuple[State, str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "stopped at once"
    state: State = "interrupted" if isinstance(error, Interrupted) else "failed"
    return state, " ".join(str(error).split()) or type(error).__name__


def _mend(ledger: Ledger, make_job: JobMaker, executor: Executor, view: tuple[Console, ShouldStop]) -> None:
    """Train anew what was lost of finished trials; the ledger and the promotion read it."""
    console, should_stop = view
    folds = unusable_folds(ledger.results)
    for (trial, fold), reason in folds.items():
        console.print(f"trial {trial} fold {fold} is trained anew: {reason}", highlight=False, soft_wrap=True)
    train_anew(ledger.results, folds, make_job, executor, should_stop)


def _job_maker(prepared: Prepared, files: Files) -> JobMaker:
    def make_job(plan: TrialPlan, fold: int) -> FoldJob:
        return FoldJob(
            trial=plan.number,
            fold=fold,
            study=plan.study.model_dump(mode="json"),
            samples=str(files.samples),
            split=str(files.split),
            cache=str(files.cache.folder),
            folder=str(fold_folder(files.work, plan.number, fold)),
            repeat=prepared.split.repeat_of(fold),
            shared=str(files.work.parents[1] / "shared"),
        )

    return make_job


def _search(
    prepared: Prepared,
    slots: Slots,
    make_job: JobMaker,
    records: tuple[MlflowRecorder, Ledger],
    executor: Executor,
    view: tuple[Console, ShouldStop],
) -> None:
    (console, should_stop), search, folds = view, prepared.study.search, prepared.split.count
    with Progress(console, search.trials, folds, len(slots.results())) as progress:
        Search(
            slots,
            make_job,
            folds=folds,
            trials=search.trials,
            window=search.window,
            executor=executor,
            recorder=Together([*records, progress]),
        ).run(should_stop)
