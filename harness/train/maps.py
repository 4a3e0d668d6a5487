"""What a committed fold's network says of its validation photographs, as pictures: its out-of-fold probability maps."""

import csv
import io
import os
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.special import expit, logit
from torch import nn

from harness.config import Study
from harness.errors import Interrupted
from harness.model.networks import build_network
from harness.model.predict import Logits, Photo, Pixels, Size, network_logits, predict_photos
from harness.train.foldrun import FoldResult, pick_device
from harness.train.room import refuse_full_disk, writing
from harness.train.start import FoldData

FOLDER = "maps"  # below a trial's folder
INDEX = "index.csv"  # in the archive: file, photo, group, fold
WHITE = 255  # stands for probability 1

ShouldStop = Callable[[], bool]


def predicted(study: Study, data: FoldData, weights: Sequence[Path], rows: Sequence[int]) -> Iterator[Photo]:
    """Yield the photographs of these samples, by position, as the networks of some folds see them together.

    Logits are those of the network, or of the mean probability of several, as the served model has it.
    """
    device = pick_device()
    networks = [_network(study, path).to(device) for path in weights]
    samples = data.samples.iloc[list(rows)].set_axis(list(rows))
    bf16 = study.train.precision == "bf16"
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        yield from predict_photos(
            partial(_together, networks, device, tile=study.train.tile),
            data.cache,
            samples,
            study.train.batch_size,
        )


def validation_of(data: FoldData, fold: FoldResult, photos: Collection[str] | None = None) -> list[int]:
    """Return the positions of a fold's validation samples; all, or those of the photographs of these names."""
    positions = data.split.validation(data.samples, fold.fold)
    if photos is None:
        return [int(row) for row in positions]
    return [int(row) for row in positions if data.samples["photo"].iloc[row] in photos]


def _network(study: Study, weights: Path) -> nn.Module:
    bare = {name: value for name, value in study.network.settings.items() if name != "weights"}
    network = build_network(study.network.model_copy(update={"settings": bare}))
    network.load_state_dict(load_file(weights))
    return network.eval()


def _together(
    networks: Sequence[nn.Module],
    device: torch.device,
    images: Sequence[Pixels],
    sizes: Sequence[Size],
    *,
    tile: int | None,
) -> list[Logits]:
    found = [network_logits(network, device, images, sizes, tile=tile) for network in networks]
    return found[0] if len(found) == 1 else [mean_logits(several) for several in zip(*found, strict=True)]


def mean_logits(several: Sequence[Logits]) -> Logits:
    """Return the logits of the mean of several predictions' probabilities, all (H, W)."""
    mean = np.mean([expit(logits.astype(np.float64)) for logits in several], axis=0)
    return np.asarray(logit(mean.clip(1e-12, 1 - 1e-12)), np.float32)


def write_maps(path: Path, study: Study, data: FoldData, fold: FoldResult, should_stop: ShouldStop) -> None:
    """Write an archive of 8-bit PNG (H, W), a photograph each: round(255 x probability).

    128 and more is what a logit above 0 predicts. Written whole or not at all. Raises Interrupted, DiskFull,
    DataError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".working")
    try:
        with writing(path.parent):
            _archive(draft, study, data, fold, should_stop)
            os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _archive(draft: Path, study: Study, data: FoldData, fold: FoldResult, should_stop: ShouldStop) -> None:
    lines = io.StringIO()
    table = csv.writer(lines)
    table.writerow(["file", "photo", "group", "fold"])
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        for number, photo in enumerate(predicted(study, data, [fold.weights], validation_of(data, fold))):
            if should_stop():
                raise Interrupted(f"fold {fold.fold}: stopped while probability maps were written")
            name, content = f"{number:06d}.png", bytes(cv2.imencode(".png", as_map(photo.logits))[1])
            refuse_full_disk(draft.parent, len(content))
            archive.writestr(name, content)
            table.writerow([name, photo.name, photo.group, fold.fold])
        archive.writestr(INDEX, lines.getvalue())


def as_map(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return probabilities (H, W) as whole numbers; a half is rounded down, since logit 0 predicts nothing."""
    return np.asarray(np.ceil(WHITE * expit(logits.astype(np.float64)) - 0.5), np.uint8)
