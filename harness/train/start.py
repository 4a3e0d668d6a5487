"""Build everything one fold run needs; its state between two steps is a FoldTraining."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from harness.config import Study, Train
from harness.data.augment import build_augmentation
from harness.data.cache import Cache
from harness.data.crops import Cropping
from harness.data.loader import TrainingLoader, TrainingSet
from harness.data.sampler import Batches, Key, build_order
from harness.data.split import Split
from harness.model.losses import Loss, build_loss
from harness.model.networks import build_network, set_output_bias


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
    skipped: int = 0  # steps not taken, since loss or gradient was not a number
    parts: int = 1  # that a batch was computed in, one after the other; more than 1 after memory ran out
    loader_restarts: int = 0  # times that loader workers died or hung, and loading went on without

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Begun:
    """What an epoch that is not over has behind it; `batches` of it were trained with."""

    batches: int = 0
    skipped: int = 0
    parts: int = 1
    loader_restarts: int = 0
    images: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)


class Remaining(Batches):
    """The batches of an epoch that come after the first `done` ones; the length is the whole epoch's."""

    done = 0

    def __iter__(self) -> Iterator[list[Key]]:
        return islice(super().__iter__(), self.done, None)


@dataclass
class FoldTraining:
    """The state of one fold run between steps."""

    fold: int
    data: FoldData
    settings: Train
    network: nn.Module
    averaged: AveragedModel | None
    optimizer: torch.optim.Optimizer
    loss: Loss
    batches: Remaining
    loader: TrainingLoader
    coverage: float
    device: torch.device
    parts: int = 1  # that a batch is computed in
    step: int = 0
    seen: frozenset[int] = frozenset()
    history: list[Epoch] = field(default_factory=list)
    begun: Begun = field(default_factory=Begun)

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
    batches = Remaining(data.samples, positions, settings.batch_size, build_order(settings.sampler), streams)
    return FoldTraining(
        fold=fold,
        data=data,
        settings=settings,
        network=network,
        averaged=_averaged(network, settings.average),
        optimizer=_optimizer(network, settings),
        loss=loss,
        batches=batches,
        loader=TrainingLoader(
            dataset,
            batches,
            workers=settings.loader_workers,
            timeout=settings.loader_timeout,
            pin_memory=device.type == "cuda",
        ),
        coverage=coverage,
        device=device,
    )


def coverage_of(samples: pd.DataFrame) -> float:
    """Return the share of target among the samples' valid pixels."""
    return float(samples["positive"].sum() / max(1, samples["valid"].sum()))


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
