"""Find where disk, Optuna and MLflow disagree about studies, mend it, and say what the next run will mend."""

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.config import Study
from harness.errors import ConfigError, DataError, HarnessError, TrackingError
from harness.execute.task import Key
from harness.report.trialpage import write_lost_pages
from harness.retell import retell
from harness.search.database import optuna_url, refuse_other_database
from harness.search.groups import FOLDER as GROUPS
from harness.search.ledger import BASELINES, STUDY, TRIALS, Ledger, lost_parts, read_facts
from harness.search.lock import DriverLock, only_driver
from harness.search.repair import remove_leftovers, unusable_folds
from harness.search.slots import Slots, is_stored
from harness.search.trial import TrialResult
from harness.tracking.aliases import aliased_trials
from harness.tracking.delivery import Delivery
from harness.tracking.home import FILE, home_id
from harness.tracking.outbox import Outbox
from harness.tracking.reconcile import asking, mark_orphan, orphans, reconcile
from harness.tracking.runs import attached_file, own_runs
from harness.tracking.store import Store
from harness.train.checkpoint import is_committed, write_synced
from harness.train.foldrun import fold_folder
from harness.train.prune import Finished, prune

BEST = 3  # complete trials whose weights are never dropped


@dataclass(frozen=True)
class Finding:
    """A disagreement: `mended` now, or left to the next run or a person, and `what` says which."""

    study: str  # <name>-<id8>
    what: str
    mended: bool


@dataclass
class Examination:
    """A look at the studies of one home, each under its lock; one that fails keeps no other from being examined."""

    home: Path
    store: Store
    tell: Callable[[str], None]
    room: int | None = None  # bytes of weights that a study may keep, None for all of them
    found: list[Finding] = field(default_factory=list)
    failures: list[HarnessError | OSError] = field(default_factory=list)  # why something was left out

    def of_all(self) -> list[Finding]:
        """Examine every study; one that is being run is left alone."""
        self._each(self._works())
        return self._with_orphans("")

    def of(self, name: str) -> list[Finding]:
        """Examine the studies of this name; one that is being run is a failure."""
        self.failures += self._each([work for work in self._works() if _name(work.name) == name])
        return self._with_orphans(name)

    @cached_property
    def _id(self) -> str:
        return home_id(self.home, self.store, self.tell)

    def _works(self) -> list[Path]:
        folders = [path for path in sorted((self.home / "work").glob("*")) if path.is_dir()]
        return [path for path in folders if re.search("-[0-9a-f]{8}$", path.name)]

    def _each(self, works: Iterable[Path]) -> list[HarnessError | OSError]:
        """Examine studies; return what says of some that they are being run."""
        busy: list[HarnessError | OSError] = []
        for work in works:
            try:
                with self._lock(work.name, busy) as lock:
                    if lock is not None:
                        self._study(work, lock.hold)
            except (HarnessError, OSError) as error:
                self._failed(work, error)
        return busy

    @contextmanager
    def _lock(self, key: str, busy: list[HarnessError | OSError]) -> Iterator[DriverLock | None]:
        """Hold the lock of a study, or say that somebody runs it."""
        with ExitStack() as stack:
            lock = None
            try:
                refuse_other_database(self.home / "work" / key, self.home)
                lock = stack.enter_context(only_driver(optuna_url(self.home), key, tell=self.tell))
            except ConfigError as error:
                self._left(self.home / "work" / key, f"left alone: {error}")
                busy.append(error)
            yield lock

    def _delivery(self, work: Path) -> Delivery:
        return Delivery(self.store, work.name, work, self._id)

    def _failed(self, work: Path, error: HarnessError | OSError, waiting: str = "") -> None:
        self._left(work, f"{error}{waiting}")
        self.failures.append(error)

    def _mended(self, work: Path, what: str) -> None:
        self.found.append(Finding(work.name, what, mended=True))

    def _left(self, work: Path, what: str) -> None:
        self.found.append(Finding(work.name, what, mended=False))

    def _study(self, work: Path, guard: Callable[[], None]) -> None:
        delivery = self._delivery(work)  # before the outbox is read: a copy's is told anew
        outbox = Outbox(work, guard)
        facts = self._facts(work, delivery)  # before messages are sent again: they attach the ledger's files
        if facts is None:
            self._mlflow(work, outbox, delivery)
            return
        with self._slots(work, facts, guard) as slots:
            if slots is not None:
                damaged = {trial for trial, _ in self._disk(work, slots)}
                self._tell_anew(work, outbox, facts, slots.results(), damaged)
            self._mlflow(work, outbox, delivery)
            if slots is not None and self.room is not None:
                self._drop_weights(work, slots.results(), delivery, self.room)

    @contextmanager
    def _slots(
        self, work: Path, facts: Mapping[str, Any], guard: Callable[[], None]
    ) -> Iterator[Slots | None]:
        """Open the trials of a study in Optuna, or say why they cannot be read."""
        if not is_stored(optuna_url(self.home), work.name):
            self._left(
                work,
                "Optuna does not know it: the next run asks its trials again and takes the committed folds",
            )
            yield None
            return
        try:
            study = Study.model_validate(facts["settings"])
        except ValueError as error:
            reason = str(error).splitlines()[0]
            self._left(work, f"its settings cannot be read by this version of the code: {reason}")
            yield None
            return
        with closing(Slots(study, facts["identity"], optuna_url(self.home), work, guard)) as slots:
            yield slots

    def _tell_anew(
        self,
        work: Path,
        outbox: Outbox,
        facts: Mapping[str, Any],
        results: Mapping[int, TrialResult],
        damaged: Collection[int],
    ) -> None:
        """Write the pages of trials that are gone; let the messages tell what they know nothing of, or another end."""
        if pages := write_lost_pages(work, facts, results, damaged):
            self._mended(work, f"the pages of trials {', '.join(map(str, pages))} were lost: written again")
        if lost := retell(outbox, facts, work, results, damaged):
            what = " and ".join(lost)
            self._mended(work, f"what MLflow is to be told of {what} was lost: told anew from Optuna")

    def _mlflow(self, work: Path, outbox: Outbox, delivery: Delivery) -> None:
        """Make MLflow agree with the outbox."""
        try:
            done = reconcile(outbox, delivery, self.tell)
        except TrackingError as error:
            waiting = f"; messages that wait for it: {outbox.waiting}" if outbox.waiting else ""
            self._failed(work, error, waiting)
            return
        for keys, what in (
            (done.restored, "had been deleted in MLflow: restored"),
            (done.made_again, "was gone from MLflow: made again"),
            (done.corrected, "stood otherwise in MLflow than it ended here: corrected"),
            (done.ended, "was open in MLflow and its driver is gone: marked as killed"),
        ):
            for key in keys:
                self._mended(work, f"run {key} {what}")
        if done.delivered:
            self._mended(work, f"messages that waited for MLflow, {done.delivered} of them: delivered")
        if done.taken:
            self._mended(work, f"messages that MLflow had refused, {done.taken} of them: delivered")
        if done.waiting:
            self._left(work, f"messages that still wait for MLflow: {done.waiting}")
        if done.refused:
            self._left(work, f"messages that MLflow refuses: {done.refused}, kept in {outbox.refused}")

    def _facts(self, work: Path, delivery: Delivery) -> Mapping[str, Any] | None:
        """Return the facts of a study; what is lost of them and of its baselines is fetched from MLflow."""
        folder = work / "ledger"
        for name in (BASELINES, STUDY):
            if name in lost_parts(folder, {}):
                try:
                    content = self._fetched(work, name, delivery)
                except (TrackingError, DataError) as error:
                    self._left(work, f"its ledger is lost: the next run writes it anew ({error})")
                    return None
                folder.mkdir(exist_ok=True)
                write_synced(folder / name, content)
                _as_old_as(folder / name, work / "samples.parquet")
                self._mended(work, f"{name} of its ledger was lost: fetched from MLflow")
        return read_facts(folder)

    def _fetched(self, work: Path, name: str, delivery: Delivery) -> bytes:
        """Return a file of the ledger as MLflow has it. Raises TrackingError, DataError where that is damaged too."""
        with asking():
            runs = own_runs(self.store, delivery.client, work.name, self._id)
            content = attached_file(runs, work.name, f"study/{name}", deleted=True)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, name).write_bytes(content)
            if name in lost_parts(Path(folder), {}) or (
                name == STUDY and read_facts(Path(folder))["key"] != work.name
            ):
                raise DataError(f"{name} on its run in MLflow is damaged too, or another study's")
        return content

    def _disk(self, work: Path, slots: Slots) -> Collection[Key]:
        """Make the work folder agree with Optuna; return the folds that are damaged."""
        results = slots.results()
        if removed := remove_leftovers(work, results):
            self._mended(work, f"leftovers of fold runs that were killed, {len(removed)} of them: removed")
        if trials := slots.unfinished():
            numbers = ", ".join(map(str, trials))
            self._left(work, f"trials begun and not finished ({numbers}): the next run goes on with them")
        damaged = unusable_folds(results)
        for (trial, fold), reason in damaged.items():
            place = fold_folder(work, trial, fold)
            self._left(work, f"{place} is not what was committed: the next run trains it anew ({reason})")
        if {TRIALS, GROUPS} & set(lost_parts(work / "ledger", results)) and not damaged:
            Ledger(work / "ledger", results).write_trials()
            self._mended(work, "the table of its trials was lost or not that of Optuna: rebuilt")
        return damaged

    def _drop_weights(
        self, work: Path, results: Mapping[int, TrialResult], delivery: Delivery, room: int
    ) -> None:
        """Drop weights of pruned and bettered trials, none that an alias means or that MLflow still waits for."""
        if Outbox(work).waiting:
            return self._left(work, "its weights, all of them: MLflow has not got them yet")
        with asking():
            aliases = aliased_trials(delivery.client, _name(work.name))
        named = {trial for key, trial in aliases if key == work.name}
        named |= {number for number, result in results.items() if result.second is not None}
        finished = [
            Finished(number, result.iou_mean, tuple(_committed(work / str(number))))
            for number, result in results.items()
        ]
        keep = [folder for trial in finished if trial.number in named for folder in trial.folders]
        freed = prune(finished, best=BEST, keep=keep, budget=room)
        if freed:
            linked = sum(size == 0 for size in freed.values())
            shared = (
                f", {linked} of them of files that are linked elsewhere too and stay there" if linked else ""
            )
            what = f"weights of {len(freed)} fold runs of pruned and bettered trials: dropped{shared}"
            self._mended(work, f"{what}; {sum(freed.values()) / 1e6:.1f} MB freed, their results stay")
        return None

    def _with_orphans(self, name: str) -> list[Finding]:
        """Mark the studies (of this name, or all) that only MLflow has, and return all that was found."""
        known = {work.name for work in self._works()}
        try:
            alone = (
                orphans(self.store, self.home, self._id, known)
                if known or (self.home / FILE).exists()
                else []
            )
        except TrackingError as error:
            self._failed(self.home / name, error, "; studies that only MLflow has were not looked for")
            return self.found
        for key in (key for key in alone if name in ("", _name(key))):
            try:
                with self._lock(key, []) as lock:
                    if lock is not None:
                        mark_orphan(self._delivery(self.home / "work" / key))
                        self._mended(
                            self.home / key, "MLflow has it and the disk does not: marked as an orphan"
                        )
            except (HarnessError, OSError) as error:
                self._failed(self.home / key, error)
        return self.found


def _committed(trial: Path) -> list[Path]:
    return [path for path in sorted(trial.glob("[0-9]*")) if path.suffix == "" and is_committed(path)]


def _name(key: str) -> str:
    return key.rpartition("-")[0]


def _as_old_as(path: Path, other: Path) -> None:
    """Let a file that was fetched not pass for the newest run's."""
    if other.exists():
        times = other.stat()
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
