"""Cache, crops and augmentation make batches; every number drawn follows from (seed, repeat, fold, epoch, index)."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from harness.data.augment import Augmentation
from harness.data.cache import Cache
from harness.data.crops import Cropping, cut_crop
from harness.data.sampler import Batches, Key

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingSet(Dataset[tuple[Tensor, Tensor, int]]):
    """The canonical dataset: a key (epoch, position) gives image (3, S, S), mask (S, S) in {0, 1, 255}, position."""

    cache: Cache
    cropping: Cropping
    augmentation: Augmentation
    streams: tuple[int, ...]  # study seed, repeat, fold

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor, int]:
        epoch, position = key
        rng = np.random.default_rng([*self.streams, epoch, position])
        image, mask = cut_crop(self.cache.image(position), self.cache.mask(position), self.cropping, rng)
        image, mask = self.augmentation(image, mask, int(rng.integers(2**31)))
        return to_tensor(image), torch.from_numpy(np.ascontiguousarray(mask)), position


def to_tensor(image: Pixels) -> Tensor:
    """Return an image as uint8 (3, H, W); gray is repeated."""
    rgb = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))


def training_loader(
    dataset: TrainingSet, batches: Batches, *, workers: int, pin_memory: bool
) -> DataLoader[tuple[Tensor, Tensor, int]]:
    """Return a loader whose batches are the same for any number of workers.

    Batches are images (B, 3, S, S) uint8, masks (B, S, S) uint8, positions (B,).
    """
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else every epoch draws from the global stream
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
