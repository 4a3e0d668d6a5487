"""Carry out one fold run in its folder: train, tell the outbox, save, commit. A committed one is returned as it is."""

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from harness.config import Study
from harness.data.cache import open_cache
from harness.data.split import Split, read_split
from harness.errors import DataError, Interrupted, LeakageError, TrainingError
from harness.model.outoffold import FILES as KEPT
from harness.model.outoffold import ROWS, OutOfFold, read_out_of_fold
from harness.train.checkpoint import (
    WEIGHTS,
    commit,
    dropped_error,
    fresh_folder,
    is_committed,
    save_weights,
    verify,
    write_synced,
)
from harness.train.claim import Claim, claimed
from harness.train.fold import train_fold
from harness.train.outbox import OUTBOX, Outbox
from harness.train.resume import capture, restore
from harness.train.room import refuse_full_disk
from harness.train.shared import Shared
from harness.train.snapshot import Snapshots
from harness.train.start import FoldData, FoldTraining, prepare
from harness.train.validation import check_indices, out_of_fold
from harness.train.version import code_digest

RESULT = "result.json"
FILES = (RESULT, *KEPT, WEIGHTS, OUTBOX)

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class FoldJob:
    """Everything a process needs for a fold run; plain values, so that it can travel as JSON."""

    trial: int
    fold: int
    study: dict[str, Any]  # settings with the trial's parameters in place
    samples: str  # parquet
    split: str
    cache: str
    folder: str  # the committed result
    repeat: int = 0
    shared: str = ""  # folder of the index of committed folds that studies share; empty: nothing is shared
    parts: int = 1  # that a batch is computed in: 2 or more where memory ran out with fewer

    @property
    def final(self) -> Path:
        return Path(self.folder)

    @property
    def working(self) -> Path:
        """Where an attempt writes until it is committed."""
        return Path(f"{self.folder}.working")

    @property
    def lock(self) -> Path:
        """What the process that works on it holds."""
        return Path(f"{self.folder}.lock")

    @property
    def saved(self) -> Path:
        """Where the next attempt finds what to go on from, until the run is committed."""
        return Path(f"{self.folder}.saved")


@dataclass(frozen=True)
class FoldResult:
    """What a committed fold run found."""

    fold: int
    iou: float  # last epoch, original resolution
    best_iou: float  # of the epoch that looks best on this fold: shown, never used
    best_epoch: int
    epochs: int
    seconds: float
    coverage: float  # of the training folds
    device: str
    indices_sha256: str  # of the positions that the loaders used
    loss_weights: dict[str, float]  # after balancing
    folder: str
    skipped_steps: int = 0  # whose loss or gradient was not a number
    parts: int = 1  # that batches were computed in, at most; 1 unless memory ran out
    loader_restarts: int = 0  # times that loader workers died or hung; they change no bit
    shared_from: str = ""  # study, trial and fold that trained it, where that was another one

    def work(self) -> "FoldResult":
        """Return it without the marks of how it was computed; on a CPU equal jobs have equal work, to the bit."""
        return replace(self, seconds=0.0, folder="", loader_restarts=0, shared_from="")

    @property
    def out_of_fold(self) -> pd.DataFrame:
        """One row of counts a validation photograph."""
        return pd.read_parquet(Path(self.folder) / ROWS)

    @property
    def kept(self) -> OutOfFold | None:
        """All that is kept of the predictions; None where it was committed before that was."""
        return read_out_of_fold(Path(self.folder))

    @property
    def weights(self) -> Path:
        """File of the kept weights. Raises DataError where they were dropped to make room."""
        path = Path(self.folder) / WEIGHTS
        if not path.is_file():
            raise dropped_error(path)
        return path


def fold_folder(work: Path, trial: int, fold: int) -> Path:
    """Return where a study with this work folder commits a fold run."""
    return work / str(trial) / str(fold)


def run_fold(job: FoldJob, should_stop: ShouldStop = lambda: False) -> FoldResult:
    """Return the result of a fold run, training it unless it is committed already, and whole.

    Goes on from the last step that an earlier attempt saved, and waits for another process that is at work on it.
    Raises Collapsed, NotFinite, LeakageError, DataError, Interrupted (the step is saved), Blocked (what was saved
    before is kept); nothing is committed then.
    """
    with claimed(job.lock, should_stop, say) as claim:
        if is_committed(job.final):
            with contextlib.suppress(DataError):
                result = committed_result(job.final)
                forget(job)  # left there if it was killed right after the commit
                return result
        shutil.rmtree(job.final, ignore_errors=True)  # damaged since it was committed
        _carry_through(job, claim, should_stop)
        return committed_result(job.final)


def _carry_through(job: FoldJob, claim: Claim, should_stop: ShouldStop) -> None:
    """Commit what another study has committed already, else train from where the last attempt stopped."""
    study, device = Study.model_validate(job.study), pick_device()
    data = FoldData(pd.read_parquet(job.samples), read_split(Path(job.split)), open_cache(Path(job.cache)))
    owner = owner_of(job, study, data.split, device)
    if not _taken_over(job, owner, device):
        training = prepare(study, data, job.fold, repeat=job.repeat, device=device)
        training.parts = job.parts
        snapshots = Snapshots(job.saved, owner, say)
        train_and_commit(job, training, snapshots, claim, _write_results, should_stop)
    forget(job)
    if job.shared and committed_result(job.final).parts == 1:  # more parts make other sums
        Shared(Path(job.shared)).offer(_machine(owner, device), job.final)


def _taken_over(job: FoldJob, owner: str, device: torch.device) -> bool:
    """Commit a fold run that equals this one, where there is one; tell whether there was."""
    working = fresh_folder(job.working)
    source = Shared(Path(job.shared)).take(_machine(owner, device), working) if job.shared else None
    if source is None:
        return False
    content = json.loads((working / RESULT).read_bytes())
    content["shared_from"] = content["shared_from"] or "/".join(source.parts[-3:])
    write_synced(working / RESULT, json.dumps(content, indent=1).encode())
    commit(working, job.final, FILES)
    return True


def train_and_commit(
    job: FoldJob,
    training: FoldTraining,
    snapshots: Snapshots,
    claim: Claim,
    write: Callable[[FoldTraining, Path, ShouldStop], Sequence[str]],
    should_stop: ShouldStop,
) -> None:
    """Train from where the last attempt stopped, and commit the files that `write` writes and names."""
    if found := snapshots.latest():
        restore(training, found)
    working = fresh_folder(job.working)
    outbox = Outbox(working, [epoch.as_dict() for epoch in training.history])
    try:
        _train(training, outbox, snapshots, claim, should_stop)
        files = write(training, working, should_stop)
        claim.refuse_lost()
    except Interrupted:
        if claim.holds():
            snapshots.save(capture(training))
        raise
    except (TrainingError, LeakageError):  # would end so again
        snapshots.remove()
        raise
    commit(working, job.final, files)


def forget(job: FoldJob) -> None:
    """Remove what a fold run would go on from."""
    shutil.rmtree(job.saved, ignore_errors=True)


def owner_of(job: FoldJob, study: Study, split: Split, device: torch.device) -> str:
    """Return the digest of all that decides a training's numbers: settings, data, fold, kind of device, code."""
    settings = study.decisive()
    for name in ("search", "folds", "profile"):  # the folds are in the split
        settings.pop(name)
    rows = hashlib.sha256(Path(job.samples).read_bytes()).hexdigest()
    data = (rows, Path(job.cache).name, split.id, job.repeat, job.fold)
    code = (code_digest(), torch.__version__, device.type)
    return hashlib.sha256(json.dumps([settings, data, code], sort_keys=True).encode()).hexdigest()


def _machine(owner: str, device: torch.device) -> str:
    """Return the digest of all that decides a fold run's last bits too: the kind of processor, and threads."""
    kind = (torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), _device_name(device))
    return hashlib.sha256(json.dumps([owner, kind]).encode()).hexdigest()


def _train(
    training: FoldTraining, outbox: Outbox, snapshots: Snapshots, claim: Claim, should_stop: ShouldStop
) -> None:
    with closing(train_fold(training, should_stop)) as running:
        for epoch in running:
            claim.refuse_lost()
            outbox.append(epoch.as_dict())
            if epoch.number % training.settings.checkpoint_every == 0:
                snapshots.save(capture(training))


def committed_result(folder: Path) -> FoldResult:
    """Read a committed fold run back, its files held to their hashes. Raises DataError."""
    verify(folder)
    return FoldResult(**json.loads((folder / RESULT).read_bytes()), folder=str(folder))


def pick_device() -> torch.device:
    """Return the GPU this process was given, else the CPU, where results are made repeatable to the bit."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.use_deterministic_algorithms(True)
    return torch.device("cpu")


def _write_results(training: FoldTraining, working: Path, should_stop: ShouldStop) -> Sequence[str]:
    refuse_full_disk(working, sum(value.nbytes for value in training.kept().state_dict().values()))
    kept, epochs = out_of_fold(training, should_stop), training.history
    validated = [e for e in epochs if e.iou is not None]
    best = max(validated, key=lambda e: (e.iou or 0.0, -e.number))
    result = FoldResult(
        fold=training.fold,
        iou=validated[-1].iou or 0.0,
        best_iou=best.iou or 0.0,
        best_epoch=best.number,
        epochs=len(epochs),
        seconds=sum(e.seconds for e in epochs),
        coverage=training.coverage,
        device=_device_name(training.device),
        indices_sha256=check_indices(training),
        loss_weights={term.name: term.weight for term in training.loss.terms},
        folder=str(working),
        skipped_steps=sum(e.skipped for e in epochs),
        parts=max(e.parts for e in epochs),
        loader_restarts=sum(e.loader_restarts for e in epochs),
    )
    for name, table in kept.files().items():
        write_synced(working / name, table)
    save_weights(training.kept(), working / WEIGHTS)
    content = asdict(result)
    content.pop("folder")
    write_synced(working / RESULT, json.dumps(content, indent=1).encode())
    return FILES


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
