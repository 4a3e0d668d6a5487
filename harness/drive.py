"""One run of a prepared study: files written, records opened, trials carried through their folds."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from harness.data.audit import HELD_OUT
from harness.data.folds import freeze, with_fresh_folds
from harness.errors import DataError, DiskFull, Interrupted
from harness.execute.executors import build_executor
from harness.execute.task import Executor
from harness.model.classical import baseline_scores
from harness.prepare import Files, Prepared, facts, study_facts, write_files
from harness.progress import Progress
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.report.table import as_note
from harness.report.trialpage import write_lost_pages, write_trial_page
from harness.retell import close_complete
from harness.search.database import note_database, optuna_url
from harness.search.ledger import Ledger, kept_baselines
from harness.search.lock import DriverLock, only_driver
from harness.search.optimize import JobMaker, Search
from harness.search.repair import remove_leftovers, train_anew, unusable_folds
from harness.search.second_run import SecondLooks, best_trials
from harness.search.slots import Slots
from harness.search.trial import State, Together, TrialPlan
from harness.showcase import keep_maps, show_best
from harness.tracking.delivery import Delivery
from harness.tracking.home import home_id
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import OutboxRecorder, study_files
from harness.tracking.sender import Sender
from harness.tracking.store import Store
from harness.train.foldrun import FoldJob, fold_folder
from harness.train.maps import FOLDER as MAPS
from harness.train.start import FoldData

LAST_WAIT = (
    5.0  # s for MLflow when the run ends otherwise than by its last trial; what waits is delivered next time
)

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class _Desk:
    """What one driver works with."""

    prepared: Prepared
    files: Files
    slots: Slots
    recorder: OutboxRecorder
    sender: Sender
    console: Console
    should_stop: ShouldStop

    def tell(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def drive(
    prepared: Prepared,
    store: Store,
    *,
    home: Path,
    caches: Path,
    console: Console,
    watch: Callable[[], ShouldStop],
) -> tuple[Leaderboard, str]:
    """Write what fold runs read, carry the trials through their folds, and return the leaderboard.

    With it comes the id of the experiment in MLflow, empty if that never answered: nothing here waits for it.
    `watch` is called when fold runs begin, and returns what tells whether to stop them; until then nothing is lost
    by a KeyboardInterrupt. Raises ConfigError where another driver has the study, Interrupted, after every run is
    marked; TrainingError, LeakageError, DataError.
    """
    home.mkdir(parents=True, exist_ok=True)
    url, tell = optuna_url(home), partial(console.print, highlight=False, markup=False, soft_wrap=True)
    note_database(home / "work" / prepared.key, home)
    with only_driver(url, prepared.key, tell=tell) as lock:
        files = write_files(prepared, home=home, caches=caches)
        baselines = _baselines(prepared, files)
        with closing(Slots(prepared.study, prepared.identity, url, files.work, lock.hold)) as slots:
            own = home_id(home, store, tell)  # before the outbox is read: a copy's is told anew
            outbox = Outbox(files.work, lock.hold)
            known = facts(prepared)
            draw = partial(write_trial_page, files.work, known)
            recorder = OutboxRecorder(outbox, study_facts(known, str(prepared.root)), files.work, draw=draw)
            # after Slots: both bring their databases up to date with Alembic, which can do one at a time
            sender = Sender(outbox, Delivery(store, prepared.key, files.work, own), tell)
            sender.start()
            desk = _Desk(prepared, files, slots, recorder, sender, console, _while_held(lock, watch()))
            return _carry_out(desk, baselines), sender.delivery.experiment


def _while_held(lock: DriverLock, wish: ShouldStop) -> ShouldStop:
    """Return what tells of the wish to stop, and raises Interrupted once another driver has the study."""

    def should_stop() -> bool:
        lock.hold()
        return wish()

    return should_stop


def _carry_out(desk: _Desk, baselines: pd.DataFrame) -> Leaderboard:
    prepared, files, recorder = desk.prepared, desk.files, desk.recorder
    ledger = Ledger(files.work / "ledger", desk.slots.results())
    remove_leftovers(files.work, ledger.results)
    try:
        log = files.work / "workers.log"
        with closing(build_executor(prepared.study.execute, log=log, tell=desk.tell)) as executor:
            _mend(desk, ledger, executor)
            write_lost_pages(files.work, facts(prepared), ledger.results)
            ledger.open_study(facts(prepared), baselines)
            recorder.open_study(study_files(files.work, files.split))
            _search(desk, ledger, executor)
            _look_again(desk, ledger, executor)
            _show_best(desk, ledger)
    except BaseException as error:
        with contextlib.suppress(Exception):  # what ended the run is what has to be told
            note = as_note(read_leaderboard(ledger.folder))
            recorder.close_study(*_ending(error), note=note, metrics={})
        desk.sender.finish(most=LAST_WAIT)
        raise
    board = close_complete(recorder, files.work)
    desk.sender.finish(desk.should_stop)
    if desk.should_stop():
        raise Interrupted(f"stopped with all {len(board.trials)} trials done")
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


def _ending(error: BaseException) -> tuple[State, str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "stopped at once"
    state: State = "interrupted" if isinstance(error, Interrupted) else "failed"
    return state, " ".join(str(error).split()) or type(error).__name__


def _mend(desk: _Desk, ledger: Ledger, executor: Executor) -> None:
    """Train anew what was lost of finished trials; the ledger and the promotion read it."""
    folds = unusable_folds(ledger.results)
    for (trial, fold), reason in folds.items():
        line = f"trial {trial} fold {fold} is trained anew: {reason}"
        desk.tell(line)
    make_job = _job_maker(desk.prepared, desk.files)
    train_anew(ledger.results, folds, make_job, executor, desk.should_stop)


def _look_again(desk: _Desk, ledger: Ledger, executor: Executor) -> None:
    """Run the best trials once more, those that were not yet, with fresh seeds and folds."""
    wanted = best_trials(ledger.results, desk.prepared.study.search.second_look)
    trials = [ledger.results[number] for number in wanted if ledger.results[number].second is None]
    if not trials:
        return
    split, samples = desk.prepared.split, desk.prepared.samples
    fresh = with_fresh_folds(split, samples, desk.prepared.study.seed)
    files = replace(desk.files, split=freeze(fresh, desk.files.split.parent))
    desk.tell(f"second look at trials {', '.join(map(str, wanted))}")
    folds = range(split.count, fresh.count)
    with Progress(desk.console, len(trials), len(folds), 0) as progress:
        recorder = Together([desk.recorder, ledger, progress])
        make_job = _job_maker(replace(desk.prepared, split=fresh), files)
        SecondLooks(files.work, make_job, folds, executor, recorder).run(trials, desk.should_stop)


def _show_best(desk: _Desk, ledger: Ledger) -> None:
    """Keep the probability maps of the best trials, and the gallery of the one that is chosen."""
    work, settings = desk.files.work, desk.prepared.study.report
    data = FoldData(desk.prepared.samples, desk.prepared.split, desk.files.cache)
    for number in best_trials(ledger.results, settings.maps):
        with _said_instead(desk, f"no probability maps of trial {number}"):
            keep_maps(work, ledger.results[number], data, desk.should_stop, desk.tell)
            if not desk.recorder.has_shown(number, MAPS):
                desk.recorder.close_trial(ledger.results[number])
    if (chosen := read_leaderboard(ledger.folder).chosen) is not None:
        with _said_instead(desk, f"no pictures of trial {chosen['trial']}"):
            show_best(work, ledger.results[chosen["trial"]], data, settings.gallery)


@contextlib.contextmanager
def _said_instead(desk: _Desk, what: str) -> Iterator[None]:
    """Say why pictures are missing, where weights were dropped or the disk is full, and go on without them."""
    try:
        yield
    except (DataError, DiskFull) as error:
        desk.tell(f"{what}: {error}")


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


def _search(desk: _Desk, ledger: Ledger, executor: Executor) -> None:
    search, folds = desk.prepared.study.search, desk.prepared.split.count
    with Progress(desk.console, search.trials, folds, len(desk.slots.results())) as progress:
        Search(
            desk.slots,
            _job_maker(desk.prepared, desk.files),
            folds=folds,
            trials=search.trials,
            window=search.window,
            executor=executor,
            recorder=Together([desk.recorder, ledger, progress]),
        ).run(desk.should_stop)
