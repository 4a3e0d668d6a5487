"""How long a trial takes here, from a few steps on the study's own pictures with its own settings."""

import math
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from harness.config import Folds, Study
from harness.data.cache import build_cache
from harness.data.split import new_split
from harness.errors import Collapsed
from harness.execute.executors import build_executor
from harness.train.fold import train_fold
from harness.train.foldrun import pick_device
from harness.train.start import FoldData, FoldTraining, prepare

DRAWN = 64  # pictures, half of them for training where there are so many
HOURS = {"cpu": 1.0, "cuda": 12.0}  # a search may take
FEWEST, MOST = 3, 30  # trials
LOOK = 2  # best trials that run once more
STEPS = 1200  # of a fold run, about
EPOCHS = (4, 60)


class Budget(NamedTuple):
    """Seconds of one trial here, with all folds; `workers` of them are trained at a time."""

    trial: float
    trials: int
    look: int  # of them, those that run once more at the end
    workers: int
    picture: float  # seconds of training with one picture
    validated: float  # seconds of validating one

    @property
    def whole(self) -> float:
        """Return the seconds of all trials and of the second look."""
        return self.trial * (self.trials + self.look)


def epochs_for(samples: pd.DataFrame, batch: int, folds: int) -> int:
    """Return the epochs that make about STEPS steps."""
    steps = math.ceil(samples["instance"].nunique() * (folds - 1) / folds / batch)
    return int(np.clip(round(STEPS / max(1, steps)), *EPOCHS))


def workers_of(study: Study) -> int:
    """Return how many fold runs are computed at a time here."""
    with closing(build_executor(study.execute, log=Path("worker.log"))) as executor:
        return executor.capacity


def measure_budget(study: Study, samples: pd.DataFrame, root: Path, caches: Path) -> Budget:
    """Return what a trial of the study takes, from two epochs on a few of its pictures. Raises HarnessError."""
    part, folds = _drawn(samples, study.seed)
    split = new_split("", Folds(count=2, held_out=0), folds, notes=[], parent=None)
    cache = build_cache(part, root, study.data, caches)
    short = study.with_settings({"train.epochs": 2, "train.validate_every": 1, "train.collapse_after": 1.0})
    training = prepare(short, FoldData(part, split, cache), 0, device=pick_device())
    whole = _last_epoch(training)
    last, workers = training.history[-1], workers_of(study)
    picture = 1 / last.images_per_second
    validated = max(0.0, whole - last.seconds) / max(1, len(split.validation(part, 0)))
    trial = _trial(study, samples, picture, validated) / workers
    room = HOURS[training.device.type] * 3600 // trial - LOOK
    return Budget(trial, int(np.clip(room, FEWEST, MOST)), LOOK, workers, picture, validated)


def _last_epoch(training: FoldTraining) -> float:
    """Train; return the seconds of the last epoch with its validation, by one thread, as a worker process has it."""
    threads, seconds = torch.get_num_threads(), 0.0
    torch.set_num_threads(1)
    began = time.monotonic()
    try:
        with closing(train_fold(training)) as epochs:
            for _ in epochs:
                seconds, began = time.monotonic() - began, time.monotonic()
    except Collapsed:  # after two epochs that says nothing
        pass
    finally:
        torch.set_num_threads(threads)
    return seconds


def _trial(study: Study, samples: pd.DataFrame, picture: float, validated: float) -> float:
    """Return the seconds of all folds of a trial, one after the other."""
    used = 1 - study.folds.held_out
    folds, train = study.folds.count, study.train
    trained = samples["instance"].nunique() * used * (folds - 1) * train.epochs
    passes = train.epochs // train.validate_every + 1  # the last one is for what is kept out of fold
    return float(trained * picture + len(samples) * used * passes * validated)


def _drawn(samples: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return a few samples, one a group, and the fold 0 or 1 of each group, in which targets are spread evenly."""
    single = samples.sample(frac=1, random_state=seed).drop_duplicates("group")
    shows = single["positive"] > 0
    parts = [single[side].head(DRAWN // 2) for side in (shows, ~shows)]
    folds = {group: 1 - at % 2 for part in parts for at, group in enumerate(part["group"])}
    return pd.concat(parts).sort_values(["group", "photo", "sample"], ignore_index=True), folds
