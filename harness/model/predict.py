"""Pictures to logits at original resolution; overlapping crops of one photograph are merged by mean logit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from harness.data.crops import reflect
from harness.data.loader import to_tensor
from harness.errors import TrainingError
from harness.model.tiles import Tiling, spans

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which pretrained encoders expect
MULTIPLE = 32  # px; encoders halve a picture five times
OVERLAP = 128  # px, of neighboring tiles
IGNORE = 255

Logits = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Size = tuple[int, int]  # H, W
Predictor = Callable[[Sequence[Pixels], Sequence[Size]], list[Logits]]


class Pictures(Protocol):
    """Samples by position, as a cache has them."""

    def image(self, position: int) -> Pixels: ...

    def truth(self, position: int) -> Pixels: ...


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


def training_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Return logits (B, 1, H, W) of a training batch. Raises TrainingError where it is too small for the network."""
    try:
        logits: Tensor = network(images)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise TrainingError(
            f"{len(images)} crop of {images.shape[-1]} px a batch is too little for the network's batch norms; "
            "raise train.batch_size or train.crop"
        ) from error
    return logits


def network_logits(
    network: nn.Module,
    device: torch.device,
    images: Sequence[Pixels],
    sizes: Sequence[Size],
    *,
    tile: int | None = None,
) -> list[Logits]:
    """Return logits of each image, resized bilinearly to its size (H, W); equal shapes go through together.

    A larger image goes through by overlapping tiles of `tile` px a side, whose logits are blended as in prediction.
    """
    padded = [pad(image) for image in images]
    results: dict[int, Logits] = {}
    for shape in sorted({p.shape[:2] for p in padded}):
        rows = [row for row, p in enumerate(padded) if p.shape[:2] == shape]
        batch = torch.stack([to_tensor(padded[row]) for row in rows]).to(device)
        logits = _logits(network, normalize(batch), tile)
        for row, one in zip(rows, logits, strict=True):
            results[row] = _resized(one, images[row].shape[:2], sizes[row])
    return [results[row] for row in range(len(images))]


def _logits(network: nn.Module, images: Tensor, tile: int | None) -> Tensor:
    """Return logits (B, 1, H, W) of normalized images, by tiles where they are larger than one."""
    height, width = images.shape[-2:]
    if tile is None or max(height, width) <= tile:
        return torch.as_tensor(network(images)).float()
    tiling = Tiling(tile, min(OVERLAP, tile // 2))
    whole = torch.zeros((len(images), 1, height, width), device=images.device)
    for row in spans(height, tiling):
        for column in spans(width, tiling):
            part = np.s_[..., row.start : row.stop, column.start : column.stop]
            weight = torch.from_numpy(np.outer(row.weight, column.weight)).to(images.device)
            whole[part] += weight * network(images[part]).float()
    return whole


def predict_photos(
    predictor: Predictor, pictures: Pictures, samples: pd.DataFrame, batch: int
) -> Iterator[Photo]:
    """Yield every photograph among `samples`, whose index labels are positions in `pictures`.

    `predictor` gives the logits of some images at wanted sizes; it is asked for about `batch` images at once.
    Each source pixel counts once: where crops of known boxes overlap, logits are averaged and the truth is that of
    the finest crop. Samples without a box are photographs of their own, whatever they are called.
    """
    waiting: list[pd.DataFrame] = []
    for photo in _photos(samples):
        waiting.append(photo)
        if sum(len(rows) for rows in waiting) >= batch:
            yield from _predict_together(predictor, pictures, waiting, batch)
            waiting = []
    if waiting:
        yield from _predict_together(predictor, pictures, waiting, batch)


def _photos(samples: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for _, rows in samples.groupby("photo", sort=True):
        boxed = rows["w"].notna()
        if boxed.any():
            yield rows[boxed]
        alone = rows[~boxed]
        yield from (alone.iloc[row : row + 1] for row in range(len(alone)))


def _predict_together(
    predictor: Predictor, pictures: Pictures, photos: list[pd.DataFrame], batch: int
) -> Iterator[Photo]:
    rows = pd.concat(photos)
    positions = [int(position) for position in rows.index]
    truths = [pictures.truth(position) for position in positions]
    sizes = [
        truth.shape if pd.isna(width) else (int(height), int(width))
        for truth, height, width in zip(truths, rows["h"], rows["w"], strict=True)
    ]
    logits: list[Logits] = []
    for start in range(0, len(rows), batch):  # a photograph may have any number of crops
        part = slice(start, start + batch)
        logits += predictor([pictures.image(position) for position in positions[part]], sizes[part])
    start = 0
    for photo in photos:
        part = slice(start, start + len(photo))
        start += len(photo)
        yield _merge(photo, logits[part], truths[part])


def _resized(logits: Tensor, inside: tuple[int, ...], size: tuple[int, int]) -> Logits:
    cropped = logits[None, :, : inside[0], : inside[1]]
    resized = functional.interpolate(cropped, size=size, mode="bilinear", align_corners=False)
    return resized[0, 0].cpu().numpy()


def _merge(photo: pd.DataFrame, logits: list[Logits], truths: list[Pixels]) -> Photo:
    name, group = str(photo["photo"].iloc[0]), str(photo["group"].iloc[0])
    if len(photo) == 1:
        return Photo(name, group, logits[0], _at_size_of(logits[0], truths[0]))
    left, top = int(photo["x0"].min()), int(photo["y0"].min())
    right, bottom = int((photo["x0"] + photo["w"]).max()), int((photo["y0"] + photo["h"]).max())
    total = np.zeros((bottom - top, right - left), np.float32)
    times = np.zeros_like(total)
    truth: Pixels = np.full(total.shape, IGNORE, np.uint8)
    finest_last = sorted(range(len(photo)), key=lambda i: truths[i].shape[0] / logits[i].shape[0])
    for i in finest_last:
        x, y, width, height = (int(photo[side].iloc[i]) for side in ("x0", "y0", "w", "h"))
        window = np.s_[y - top : y - top + height, x - left : x - left + width]
        total[window] += logits[i]
        times[window] += 1
        shown = _at_size_of(logits[i], truths[i])
        truth[window] = np.where(shown == IGNORE, truth[window], shown)
    total /= np.maximum(times, 1)
    return Photo(name, group, total, truth)


def _at_size_of(logits: Logits, truth: Pixels) -> Pixels:
    size = logits.shape[::-1]
    return np.asarray(cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
