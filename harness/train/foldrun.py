"""Carry out one fold run in its own folder: train, tell the outbox, commit. A committed one is returned as it is."""

import contextlib
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from harness.config import Study
from harness.data.cache import open_cache
from harness.data.split import read_split
from harness.errors import DataError
from harness.train.checkpoint import (
    WEIGHTS,
    commit,
    fresh_folder,
    is_committed,
    save_weights,
    verify,
    write_synced,
)
from harness.train.fold import Epoch, FoldData, FoldTraining, check_indices, out_of_fold, prepare, train_fold
from harness.train.outbox import Outbox

RESULT = "result.json"
OUT_OF_FOLD = "out_of_fold.parquet"


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

    @property
    def final(self) -> Path:
        return Path(self.folder)

    @property
    def working(self) -> Path:
        """Where the run writes until it is committed."""
        return Path(f"{self.folder}.working")


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

    @property
    def out_of_fold(self) -> pd.DataFrame:
        """One row of counts a validation photograph."""
        return pd.read_parquet(Path(self.folder) / OUT_OF_FOLD)

    @property
    def weights(self) -> Path:
        return Path(self.folder) / WEIGHTS


def fold_folder(work: Path, trial: int, fold: int) -> Path:
    """Return where a study with this work folder commits a fold run."""
    return work / str(trial) / str(fold)


def run_fold(job: FoldJob, should_stop: Callable[[], bool] = lambda: False) -> FoldResult:
    """Return the result of a fold run, training it unless it is committed already, and whole.

    Raises Collapsed, NotFinite, LeakageError, DataError, Interrupted; nothing is committed then.
    """
    if is_committed(job.final):
        with contextlib.suppress(DataError):
            return committed_result(job.final)
    shutil.rmtree(job.final, ignore_errors=True)  # damaged since it was committed
    working = fresh_folder(job.working)
    training = prepare(
        Study.model_validate(job.study),
        FoldData(pd.read_parquet(job.samples), read_split(Path(job.split)), open_cache(Path(job.cache))),
        job.fold,
        repeat=job.repeat,
        device=pick_device(),
    )
    outbox, epochs = Outbox(working), []
    with closing(train_fold(training, should_stop)) as running:
        for epoch in running:
            outbox.append(epoch.as_dict())
            epochs.append(epoch)
    _write_results(training, epochs, working)
    commit(working, job.final)
    return committed_result(job.final)


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


def _write_results(training: FoldTraining, epochs: list[Epoch], working: Path) -> None:
    rows = out_of_fold(training)
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
    )
    write_synced(working / OUT_OF_FOLD, rows.to_parquet())
    save_weights(training.kept(), working / WEIGHTS)
    content = asdict(result)
    content.pop("folder")
    write_synced(working / RESULT, json.dumps(content, indent=1).encode())


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
