"""A trial's recipe trained once more on every group but the held-out ones: nothing is left to validate it on."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from harness.config import Folds, Study
from harness.data.audit import HELD_OUT
from harness.data.cache import open_cache
from harness.data.split import Split, new_split, read_split
from harness.errors import Collapsed, DataError, LeakageError
from harness.model.metrics import NO_PIXELS, PixelCounts, count_pixels
from harness.model.predict import network_logits, predict_photos
from harness.train.checkpoint import WEIGHTS, is_committed, save_weights, verify, write_synced
from harness.train.claim import claimed
from harness.train.fold import FULL
from harness.train.foldrun import FoldJob, ShouldStop, forget, owner_of, pick_device, say, train_and_commit
from harness.train.outbox import OUTBOX
from harness.train.snapshot import Snapshots
from harness.train.start import FoldData, FoldTraining, prepare

ALL, NOTHING = 0, 1  # folds of the split of a refit: the second one has no group
RESULT = "refit.json"
LOOKED_AT = 32  # training pictures on which it must not predict one class everywhere


def whole(split: Split) -> Split:
    """Return the split of a refit: every group but the held-out ones trains, and none validates."""
    folds = {group: HELD_OUT if fold == HELD_OUT else ALL for group, fold in split.folds.items()}
    note = f"for a refit: every group that split {split.id} does not hold out trains"
    return new_split(split.manifest, Folds(count=2), folds, notes=[note], parent=split.id)


def refit(job: FoldJob, should_stop: ShouldStop = lambda: False) -> Path:
    """Return the weights of a refit; trained unless committed, from where an earlier attempt stopped.

    Raises Collapsed, NotFinite, DataError, Interrupted (the step is saved).
    """
    with claimed(job.lock, should_stop, say) as claim:
        if is_committed(job.final):
            verify(job.final)
        else:
            study, device = Study.model_validate(job.study), pick_device()
            data = FoldData(
                pd.read_parquet(job.samples), read_split(Path(job.split)), open_cache(Path(job.cache))
            )
            snapshots = Snapshots(job.saved, owner_of(job, study, data.split, device), say)
            training = prepare(study, data, NOTHING, device=device)
            train_and_commit(job, training, snapshots, claim, _write, should_stop)
        forget(job)
    path = job.final / WEIGHTS
    if not path.is_file():
        raise DataError(f"{path}: is gone; remove {path.parent} and promote again, which trains it anew")
    return path


def _write(training: FoldTraining, working: Path, should_stop: ShouldStop) -> Sequence[str]:
    """Write weights and facts of a refit that read what it may, and does not predict one class everywhere."""
    may = training.data.split.train(training.data.samples, training.fold)
    if strangers := training.seen - set(may.tolist()):
        raise LeakageError(
            f"refit: read {len(strangers)} samples that are held out, the first is {min(strangers)}"
        )
    share = _predicted_share(training)
    if not 0 < share < FULL:
        where = "background" if share == 0 else "foreground"
        raise Collapsed(f"refit: predicts all {where} on {LOOKED_AT} of its training pictures")
    facts = {
        "epochs": len(training.history),
        "seconds": sum(epoch.seconds for epoch in training.history),
        "loss": training.history[-1].loss,
        "pictures": len(may),
    }
    save_weights(training.kept(), working / WEIGHTS)
    write_synced(working / RESULT, json.dumps(facts, indent=1).encode())
    return RESULT, WEIGHTS, OUTBOX


@torch.inference_mode()
def _predicted_share(training: FoldTraining) -> float:
    """Return the share of valid pixels that is predicted target, on the pictures with the most of it."""
    samples = training.data.samples
    positions = training.data.split.train(samples, training.fold)
    rows = samples.iloc[positions].set_axis(positions).sort_values("positive", ascending=False, kind="stable")
    network = training.kept().eval()

    predictor = partial(network_logits, network, training.device, tile=training.settings.tile)
    photos = predict_photos(predictor, training.data.cache, rows.head(LOOKED_AT), batch=1)
    counts: PixelCounts = sum((count_pixels(photo.logits > 0, photo.truth) for photo in photos), NO_PIXELS)
    return (counts.tp + counts.fp) / max(1, counts.valid)
