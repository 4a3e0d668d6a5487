"""Pictures to logits at original resolution; overlapping crops of one photograph are merged by mean logit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from harness.data.cache import Cache
from harness.data.crops import reflect
from harness.data.loader import to_tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which pretrained encoders expect
MULTIPLE = 32  # px; encoders halve a picture five times
IGNORE = 255

Logits = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Size = tuple[int, int]  # H, W
Predictor = Callable[[Sequence[Pixels], Sequence[Size]], list[Logits]]


@dataclass(frozen=True)
class Photo:
    """Logits and truth (H, W) of everything that the validation samples show of one photograph."""

    name: str
    group: str
    logits: Logits
    truth: Pixels


def normalize(images: Tensor) -> Tensor:
    """Return uint8 images (B, 3, H, W) as float32 with ImageNet's mean and deviation."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return (images.float() / 255 - mean) / std


def pad(image: Pixels) -> Pixels:
    """Return the image reflected at the right and bottom up to multiples of 32 px."""
    height, width = image.shape[:2]
    return reflect(image, (0, 0), (-height % MULTIPLE, -width % MULTIPLE))


def network_logits(
    network: nn.Module, device: torch.device, images: Sequence[Pixels], sizes: Sequence[Size]
) -> list[Logits]:
    """Return logits of each image, resized bilinearly to its size (H, W); equal shapes go through together."""
    padded = [pad(image) for image in images]
    results: dict[int, Logits] = {}
    for shape in sorted({p.shape[:2] for p in padded}):
        rows = [row for row, p in enumerate(padded) if p.shape[:2] == shape]
        batch = torch.stack([to_tensor(padded[row]) for row in rows]).to(device)
        logits = network(normalize(batch)).float()
        for row, one in zip(rows, logits, strict=True):
            results[row] = _resized(one, images[row].shape[:2], sizes[row])
    return [results[row] for row in range(len(images))]


def predict_photos(predictor: Predictor, cache: Cache, samples: pd.DataFrame, batch: int) -> Iterator[Photo]:
    """Yield every photograph among `samples`, whose index labels are positions in the cache.

    `predictor` gives the logits of some images at wanted sizes; it is asked for about `batch` images at once.
    Each source pixel counts once: where crops of known boxes overlap, logits are averaged and the truth is that of
    the finest crop.
    """
    waiting: list[pd.DataFrame] = []
    for _, rows in samples.groupby("photo", sort=True):
        waiting.append(rows)
        if sum(len(r) for r in waiting) >= batch:
            yield from _predict_together(predictor, cache, waiting)
            waiting = []
    yield from _predict_together(predictor, cache, waiting)


def _predict_together(predictor: Predictor, cache: Cache, photos: list[pd.DataFrame]) -> Iterator[Photo]:
    rows = [row for photo in photos for row in photo.itertuples()]
    truths = [cache.truth(int(row.Index)) for row in rows]
    sizes = [_shown_size(row, truth) for row, truth in zip(rows, truths, strict=True)]
    images = [cache.image(int(row.Index)) for row in rows]
    logits = predictor(images, sizes) if images else []
    start = 0
    for photo in photos:
        part = slice(start, start + len(photo))
        start += len(photo)
        yield _merge(photo, logits[part], truths[part])


def _shown_size(row: object, truth: Pixels) -> tuple[int, int]:
    if pd.isna(row.w):  # type: ignore[attr-defined]
        return truth.shape[0], truth.shape[1]
    return int(row.h), int(row.w)  # type: ignore[attr-defined]


def _resized(logits: Tensor, inside: tuple[int, ...], size: tuple[int, int]) -> Logits:
    cropped = logits[None, :, : inside[0], : inside[1]]
    resized = functional.interpolate(cropped, size=size, mode="bilinear", align_corners=False)
    return resized[0, 0].cpu().numpy()


def _merge(photo: pd.DataFrame, logits: list[Logits], truths: list[Pixels]) -> Photo:
    first = photo.iloc[0]
    if len(photo) == 1:
        truth = cv2.resize(truths[0], logits[0].shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return Photo(str(first.photo), str(first.group), logits[0], truth)
    left, top = int(photo["x0"].min()), int(photo["y0"].min())
    right, bottom = int((photo["x0"] + photo["w"]).max()), int((photo["y0"] + photo["h"]).max())
    total = np.zeros((bottom - top, right - left), np.float32)
    times = np.zeros_like(total)
    truth = np.full(total.shape, IGNORE, np.uint8)
    finest_last = sorted(range(len(photo)), key=lambda i: truths[i].shape[0] / logits[i].shape[0])
    for i in finest_last:
        row = photo.iloc[i]
        window = np.s_[row.y0 - top : row.y0 + row.h - top, row.x0 - left : row.x0 + row.w - left]
        total[window] += logits[i]
        times[window] += 1
        shown = cv2.resize(truths[i], logits[i].shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        truth[window] = np.where(shown == IGNORE, truth[window], shown)
    return Photo(str(first.photo), str(first.group), total / np.maximum(times, 1), truth)
