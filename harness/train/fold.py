"""Train one fold: a generator of epochs. Knows neither the search nor the tracking."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from harness.config import Study, Train
from harness.data.audit.runtime import verify_indices
from harness.data.augment import build_augmentation
from harness.data.cache import Cache
from harness.data.crops import Cropping
from harness.data.loader import TrainingSet, training_loader
from harness.data.sampler import Batches, build_order
from harness.data.split import Split
from harness.errors import Collapsed, Interrupted, NotFinite
from harness.model.losses import Loss, balance, build_loss
from harness.model.metrics import NO_PIXELS, PixelCounts, count_pixels, count_row, iou
from harness.model.networks import build_network, set_output_bias
from harness.model.predict import network_logits, normalize, predict_photos, training_logits

FULL = 0.99  # share of valid pixels from which a prediction counts as all foreground
ONE_CLASS_EPOCHS = 2  # validated epochs in a row that make a collapse before the last epoch


@dataclass(frozen=True)
class FoldData:
    """The samples of a study by position, how they are split, and their pixels."""

    samples: pd.DataFrame
    split: Split
    cache: Cache


@dataclass(frozen=True)
class Epoch:
    """What one epoch showed; `iou` is that of the validation fold, for the weights that would be kept now."""

    number: int  # from 1
    loss: float
    lr: float
    gradient_norm: float  # mean over the steps, before clipping
    seconds: float
    images_per_second: float
    iou: float | None = None
    predicted_share: float | None = None  # of valid pixels

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class FoldTraining:
    """The state of one fold run between epochs."""

    fold: int
    data: FoldData
    settings: Train
    network: nn.Module
    averaged: AveragedModel | None
    optimizer: torch.optim.Optimizer
    loss: Loss
    batches: Batches
    loader: Any
    coverage: float
    device: torch.device
    step: int = 0
    seen: frozenset[int] = frozenset()

    def kept(self) -> nn.Module:
        """Return the network whose weights are scored and saved: averaged ones where they are asked for."""
        return self.network if self.averaged is None else self.averaged.module

    @property
    def steps(self) -> int:
        return self.settings.epochs * len(self.batches)


def prepare(
    study: Study, data: FoldData, fold: int, *, repeat: int = 0, device: torch.device
) -> FoldTraining:
    """Build everything one fold run needs; weights and batches follow from (study seed, repeat, fold)."""
    settings, streams = study.train, (study.seed, repeat, fold)
    torch.manual_seed(int(np.random.SeedSequence(streams).generate_state(1)[0]))
    positions = data.split.train(data.samples, fold)
    coverage = coverage_of(data.samples.iloc[positions])
    loss = build_loss(study.loss, coverage)
    network = build_network(study.network)
    if loss.output_bias is not None:
        set_output_bias(network, loss.output_bias)
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    network = network.to(device).to(memory_format=layout)
    cropping = Cropping(settings.crop, settings.zoom, settings.positive_crops)
    dataset = TrainingSet(data.cache, cropping, build_augmentation(study.augment), streams)
    batches = Batches(data.samples, positions, settings.batch_size, build_order(settings.sampler), streams)
    return FoldTraining(
        fold=fold,
        data=data,
        settings=settings,
        network=network,
        averaged=_averaged(network, settings.average),
        optimizer=_optimizer(network, settings),
        loss=loss,
        batches=batches,
        loader=training_loader(
            dataset, batches, workers=settings.loader_workers, pin_memory=device.type == "cuda"
        ),
        coverage=coverage,
        device=device,
    )


def train_fold(
    training: FoldTraining, should_stop: Callable[[], bool] = lambda: False
) -> Generator[Epoch, None, None]:
    """Yield every epoch as it ends; after the last one `training.kept()` is the fold's model.

    Raises Collapsed, NotFinite, LeakageError (the loader delivered what it must not), Interrupted.
    """
    settings, history = training.settings, list[Epoch]()
    for number in range(1, settings.epochs + 1):
        started = time.monotonic()
        training.batches.epoch = number
        training.network.train()
        losses, norms, images_seen = [], [], 0
        for images, masks, positions in training.loader:
            if should_stop():
                raise Interrupted(f"fold {training.fold}: stopped in epoch {number}")
            loss, norm = _train_step(training, images.to(training.device), masks.to(training.device))
            losses.append(loss)
            norms.append(norm)
            images_seen += len(positions)
            training.seen = training.seen.union(positions.tolist())
        seconds = time.monotonic() - started
        epoch = Epoch(
            number,
            loss=float(np.mean(losses)),
            lr=training.optimizer.param_groups[0]["lr"],
            gradient_norm=float(np.mean(norms)),
            seconds=seconds,
            images_per_second=images_seen / seconds,
        )
        if number % settings.validate_every == 0 or number == settings.epochs:
            epoch = _validated(training, epoch)
        history.append(epoch)
        yield epoch
        _refuse_collapse(training.fold, history, settings)


def _train_step(training: FoldTraining, images: Tensor, masks: Tensor) -> tuple[float, float]:
    """Take one step; return its loss and gradient norm."""
    settings = training.settings
    for group in training.optimizer.param_groups:
        group["lr"] = settings.lr * _schedule(training.step, training.steps, settings.warmup)
    bf16 = settings.precision == "bf16"
    with torch.autocast(training.device.type, dtype=torch.bfloat16, enabled=bf16):
        inputs = normalize(images)
        if settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        logits = training_logits(training.network, inputs)
    if training.loss.balanced:  # not yet done, or the batches so far lacked target or background
        training.loss = balance(training.loss, logits, masks)
    loss = training.loss(logits, masks)
    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = float(nn.utils.clip_grad_norm_(training.network.parameters(), settings.clip))
    value = float(loss.detach())
    _refuse_not_finite(training, value, norm)
    training.optimizer.step()
    if training.averaged is not None:
        training.averaged.update_parameters(training.network)
    training.step += 1
    return value, norm


def validate(training: FoldTraining) -> PixelCounts:
    """Return the summed counts of the fold's validation photographs at original resolution."""
    return sum((count_pixels(logits > 0, truth) for _, _, logits, truth in _photos(training)), NO_PIXELS)


def out_of_fold(training: FoldTraining) -> pd.DataFrame:
    """Return one row of counts a validation photograph (pixels and objects)."""
    rows = [
        {"photo": photo, "group": group, "fold": training.fold} | count_row(logits > 0, truth)
        for photo, group, logits, truth in _photos(training)
    ]
    return pd.DataFrame(rows)


def check_indices(training: FoldTraining) -> str:
    """Return the digest of the positions that training and validation read, held to the split.

    Raises LeakageError when one is on the wrong side.
    """
    data = training.data
    return verify_indices(
        data.samples["group"].tolist(),
        sorted(training.seen),
        _validation(training).index.tolist(),
        data.split,
        training.fold,
    )


def _validated(training: FoldTraining, epoch: Epoch) -> Epoch:
    check_indices(training)
    counts = validate(training)
    share = (counts.tp + counts.fp) / max(1, counts.valid)
    return replace(epoch, iou=iou(counts), predicted_share=share)


def _photos(training: FoldTraining) -> Iterator[tuple[str, str, NDArray[np.float32], NDArray[np.uint8]]]:
    network = training.kept()
    network.eval()
    predictor = partial(network_logits, network, training.device)
    bf16 = training.settings.precision == "bf16"
    with torch.inference_mode(), torch.autocast(training.device.type, dtype=torch.bfloat16, enabled=bf16):
        for photo in predict_photos(
            predictor, training.data.cache, _validation(training), training.settings.batch_size
        ):
            if not np.isfinite(photo.logits).all():
                raise NotFinite(
                    f"fold {training.fold}: logits of {photo.name} after step {training.step} are not numbers; "
                    f"lower train.lr (now {training.settings.lr:g})"
                )
            yield photo.name, photo.group, photo.logits, photo.truth


def _validation(training: FoldTraining) -> pd.DataFrame:
    """Return the validation samples, labeled by their positions."""
    samples = training.data.samples
    positions = training.data.split.validation(samples, training.fold)
    return samples.iloc[positions].set_axis(positions)


def _refuse_collapse(fold: int, history: Sequence[Epoch], settings: Train) -> None:
    """Raise Collapsed when one class is predicted everywhere late in training, or at its end."""
    wanted = 1 if history[-1].number == settings.epochs else ONE_CLASS_EPOCHS
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
                f"fold {fold}: predicts all {name} in epoch {history[-1].number} of {settings.epochs}; "
                "try a lower train.lr or another loss"
            )


def _refuse_not_finite(training: FoldTraining, loss: float, norm: float) -> None:
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise NotFinite(
            f"fold {training.fold}: loss {loss}, gradient norm {norm} at step {training.step + 1} "
            f"of {training.steps}; lower train.lr (now {training.settings.lr:g}) or train.clip"
        )


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Return the factor of the learning rate: linear warm-up, then half a cosine down to 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _optimizer(network: nn.Module, settings: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019); biases and normalization scales are not decayed."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr)


def _averaged(network: nn.Module, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def coverage_of(samples: pd.DataFrame) -> float:
    """Return the share of target among the samples' valid pixels."""
    return float(samples["positive"].sum() / max(1, samples["valid"].sum()))
