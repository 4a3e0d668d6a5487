"""Train one fold: a generator of epochs. Knows neither the search nor the tracking."""

import math
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import Collapsed, Interrupted, NotFinite
from harness.model.losses import Loss, balance
from harness.model.metrics import iou
from harness.model.predict import normalize, training_logits
from harness.train.start import Begun, Epoch, FoldTraining
from harness.train.validation import check_indices, validate, validated_samples

FULL = 0.99  # share of valid pixels from which a prediction counts as all foreground
ONE_CLASS_EPOCHS = 2  # validated epochs in a row that make a collapse before the last epoch


def train_fold(
    training: FoldTraining, should_stop: Callable[[], bool] = lambda: False
) -> Generator[Epoch, None, None]:
    """Yield every epoch as it ends; after the last one `training.kept()` is the fold's model.

    Goes on from where `training` stands, also in the middle of an epoch. Raises Collapsed, NotFinite, LeakageError
    (the loader delivered what it must not), Interrupted; after that one `training` is whole and may go on.
    """
    _refuse_collapse(training)
    while len(training.history) < training.settings.epochs:
        _train_epoch(training, should_stop)
        epoch = _summary(training)
        if epoch.number % training.settings.validate_every == 0 or epoch.number == training.settings.epochs:
            epoch = _validated(training, epoch, should_stop)
        training.history.append(epoch)
        training.begun = Begun()
        yield epoch
        _refuse_collapse(training)


def _train_epoch(training: FoldTraining, should_stop: Callable[[], bool]) -> None:
    """Take the steps that the begun epoch still needs."""
    begun, number = training.begun, len(training.history) + 1
    training.batches.epoch, training.batches.done = number, begun.batches
    begun.parts = max(begun.parts, training.parts)
    training.network.train()
    clock = time.monotonic()
    for images, masks, positions in training.loader.deliver(should_stop, partial(_loader_lost, training)):
        taken = _train_step(training, images.to(training.device), masks.to(training.device))
        if taken is None:
            begun.skipped += 1
        else:
            begun.losses.append(taken[0])
            begun.norms.append(taken[1])
        begun.images += len(positions)
        begun.batches += 1
        training.seen = training.seen.union(positions.tolist())
        begun.seconds, clock = begun.seconds + time.monotonic() - clock, time.monotonic()
    if begun.batches < len(training.batches):
        raise Interrupted(f"fold {training.fold}: stopped in epoch {number}")


def _loader_lost(training: FoldTraining, line: str) -> None:
    training.begun.loader_restarts += 1
    print(f"fold {training.fold}: {line}", file=sys.stderr, flush=True)


def _summary(training: FoldTraining) -> Epoch:
    """Return the epoch whose steps are taken, not validated yet."""
    begun = training.begun
    if not begun.losses:
        raise NotFinite(
            f"fold {training.fold}: loss or gradient was not a number in all {begun.skipped} steps of an epoch; "
            f"lower train.lr (now {training.settings.lr:g}) or train.clip"
        )
    return Epoch(
        len(training.history) + 1,
        loss=float(np.mean(begun.losses)),
        lr=_rate(training, training.step - 1),
        gradient_norm=float(np.mean(begun.norms)),
        seconds=begun.seconds,
        images_per_second=begun.images / begun.seconds,
        skipped=begun.skipped,
        parts=begun.parts,
        loader_restarts=begun.loader_restarts,
    )


def _train_step(training: FoldTraining, images: Tensor, masks: Tensor) -> tuple[float, float] | None:
    """Take one step; return its loss and gradient norm, or None where they are no numbers and it was left out."""
    settings, before = training.settings, _before_step(training)
    for group in training.optimizer.param_groups:
        group["lr"] = _rate(training, training.step)
    training.optimizer.zero_grad(set_to_none=True)
    value = 0.0
    for part, truth in zip(images.chunk(training.parts), masks.chunk(training.parts), strict=True):
        share = len(part) / len(images)
        loss = share * _loss(training, part, truth)
        loss.backward()  # type: ignore[no-untyped-call]
        value += float(loss.detach())
    norm = float(nn.utils.clip_grad_norm_(training.network.parameters(), settings.clip))
    training.step += 1
    if not (math.isfinite(value) and math.isfinite(norm)):
        _refuse_not_finite(training, value, norm)
        _take_back(training, before)
        return None
    training.optimizer.step()
    if training.averaged is not None:
        training.averaged.update_parameters(training.network)
    return value, norm


def _loss(training: FoldTraining, images: Tensor, masks: Tensor) -> Tensor:
    bf16 = training.settings.precision == "bf16"
    with torch.autocast(training.device.type, dtype=torch.bfloat16, enabled=bf16):
        inputs = normalize(images)
        if training.settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        logits = training_logits(training.network, inputs)
    if training.loss.balanced:  # not yet done, or the batches so far lacked target or background
        training.loss = balance(training.loss, logits, masks)
    return training.loss(logits, masks)


def _before_step(training: FoldTraining) -> tuple[Loss, list[Tensor]]:
    """Return what a forward pass changes: the loss's balance and the network's running statistics."""
    return training.loss, [buffer.clone() for buffer in training.network.buffers()]


def _take_back(training: FoldTraining, before: tuple[Loss, list[Tensor]]) -> None:
    training.loss, buffers = before
    for buffer, value in zip(training.network.buffers(), buffers, strict=True):
        buffer.copy_(value)


def _validated(training: FoldTraining, epoch: Epoch, should_stop: Callable[[], bool]) -> Epoch:
    if not len(validated_samples(training)):
        return epoch  # a refit, which has nothing left to validate on
    check_indices(training)
    counts = validate(training, should_stop)
    share = (counts.tp + counts.fp) / max(1, counts.valid)
    return replace(epoch, iou=iou(counts), predicted_share=share)


def _refuse_collapse(training: FoldTraining) -> None:
    """Raise Collapsed when one class is predicted everywhere late in training, or at its end."""
    settings, history = training.settings, training.history
    wanted = 1 if len(history) == settings.epochs else ONE_CLASS_EPOCHS
    late = [e for e in history if e.number >= settings.collapse_after * settings.epochs]
    shares = [e.predicted_share for e in late if e.predicted_share is not None][-wanted:]
    if len(shares) < wanted:
        return
    for name, everywhere in (
        ("background", max(shares) == 0),
        ("foreground", min(shares) >= FULL),
    ):
        if everywhere:
            raise Collapsed(
                f"fold {training.fold}: predicts all {name} in epoch {len(history)} of {settings.epochs}; "
                "try a lower train.lr or another loss"
            )


def _refuse_not_finite(training: FoldTraining, loss: float, norm: float) -> None:
    """Raise NotFinite unless this step may be left out: the weights are numbers, and few were left out so far."""
    skipped, sound = training.begun.skipped, all(p.isfinite().all() for p in training.network.parameters())
    if sound and skipped < training.settings.skip_steps:
        return
    raise NotFinite(
        f"fold {training.fold}: loss {loss}, gradient norm {norm} at step {training.step} of {training.steps}, "
        f"{skipped} steps of this epoch left out before; lower train.lr (now {training.settings.lr:g}) or train.clip"
    )


def _rate(training: FoldTraining, step: int) -> float:
    return training.settings.lr * _schedule(step, training.steps, training.settings.warmup)


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Return the factor of the learning rate: linear warm-up, then half a cosine down to 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
