"""What several test files share: a tiny data set in real files, its frozen split and cache, and fold jobs over it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {  # before anything reads them; workers inherit them
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from harness.config import Choice, Data, Folds, MaskValues, Promote, Search, Study, Train
from harness.data.cache import build_cache, open_cache
from harness.data.content import array_sha256, picture_sha256
from harness.data.folds import make_split
from harness.data.index import index_samples
from harness.data.manifest import read_manifest
from harness.data.pictures import image_pixels, read_mask
from harness.data.split import freeze, read_split
from harness.train.foldrun import FoldJob
from harness.train.start import FoldData

torch.set_num_threads(1)
cv2.setNumThreads(0)

STORES = ("MLFLOW_TRACKING_URI", "HARNESS_OPTUNA_URL")
for _name in STORES:  # no test writes where whoever runs it keeps results
    os.environ.pop(_name, None)

SIDE = 64  # px
GROUPS = 12
SHORT = {"train__lr": 1e-2, "train__epochs": 5}  # long enough to learn something, whatever the seed
NETWORK = {"encoder": "tu-test_efficientnet.r160_in1k", "decoder_channels": [32, 16, 16, 8, 8]}


@pytest.fixture(autouse=True)
def own_store() -> Iterator[None]:
    """Forget the stores that are named in the environment, also by MLflow, before a test and after it."""
    for name in STORES:
        os.environ.pop(name, None)
    yield
    for name in STORES:
        os.environ.pop(name, None)


@dataclass(frozen=True)
class Tiny:
    """A drawn data set of 14 pictures in 12 groups, with what fold runs read of it."""

    study: Study
    samples: Path
    split: Path
    cache: Path

    @property
    def caches(self) -> Path:
        """Where everything that is slow to find out about these pictures is kept."""
        return self.cache.parent

    def with_settings(self, **settings: Any) -> Study:
        """Return the study with some settings replaced, dots written as two underscores."""
        return self.study.with_settings({k.replace("__", "."): v for k, v in settings.items()})

    def data(self) -> FoldData:
        """Return what a fold is trained on, read from the files."""
        return FoldData(pd.read_parquet(self.samples), read_split(self.split), open_cache(self.cache))

    def job(self, folder: Path, fold: int = 0, trial: int = 0, **settings: Any) -> FoldJob:
        """Return a fold run of this study that commits to `folder/<trial>/<fold>`."""
        return FoldJob(
            trial=trial,
            fold=fold,
            study=self.with_settings(**settings).model_dump(mode="json"),
            samples=str(self.samples),
            split=str(self.split),
            cache=str(self.cache),
            folder=str(folder / str(trial) / str(fold)),
        )


def tiny_study(dataset: dict[str, Any]) -> Study:
    """Return the study of the tiny data set: one small network, one epoch, two folds, a space to search in."""
    return Study(
        name="tiny",
        data=Data(dataset=Choice.model_validate(dataset)),
        folds=Folds(count=2),
        network=Choice(name="unet", settings=NETWORK),
        loss=Choice(name="dice_bce"),
        train=Train(epochs=1, batch_size=4, lr=4e-3, crop=32),
        execute=Choice(name="inline"),
        search=Search(trials=4, startup=2, space={"augment.strength": [0, 1]}),
        promote=Promote(graphs=()),  # they take half a minute
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Draw, index, split and cache the tiny data set once."""
    root = tmp_path_factory.mktemp("tiny")
    _draw(root / "data")
    study = tiny_study({"instances": {"root": str(root / "data")}})
    index = index_samples(study.data.dataset, base=root, cache=root)
    manifest = read_manifest(index, study.data)
    split = make_split(manifest.samples, study.folds, manifest=manifest.digest, seed=study.seed)
    manifest.samples.to_parquet(root / "samples.parquet")
    cache = build_cache(manifest.samples, index.root, study.data, root / "cache")
    return Tiny(study, root / "samples.parquet", freeze(split, root / "folds"), cache.folder)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database without runs, to be copied: making its tables takes seconds."""
    from harness.tracking.store import Store  # its import takes seconds too

    home = tmp_path_factory.mktemp("mlflow")
    Store(f"sqlite:///{home / 'mlflow.db'}", None).client().search_experiments()
    return home / "mlflow.db"


def content_of(root: Path, sample: str, mask: str, masks: MaskValues | None = None) -> dict[str, str]:
    """Return the hashes that a manifest has of two files, for tables that tests write themselves."""
    pixels = image_pixels((root / sample).read_bytes(), root / sample)
    return {
        "pixels_sha256": picture_sha256(pixels),
        "mask_sha256": array_sha256(read_mask(root / mask, masks or MaskValues())),
    }


def _draw(root: Path) -> None:
    """Write 12 gray sources with bright spots, the last one clean, and the first two photographed twice."""
    rng = np.random.default_rng(3)
    lines = ["sample_path,mask_path,source_image_id,class_id,scale"]
    for number in [*range(GROUPS), 0, 1]:
        name = f"{len(lines)}.png"
        image, mask = _spots(rng, spots=2 if number < GROUPS - 1 else 0)
        for folder, pixels in (("images", image), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(root / folder / name), pixels)
        lines.append(f"images/{name},masks/{name},source-{number},spot,full")
    (root / "instances.csv").write_text("\n".join(lines) + "\n")


def _spots(rng: np.random.Generator, *, spots: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image = rng.integers(40, 80, (SIDE, SIDE)).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(spots):
        x, y = (int(v) for v in rng.integers(10, SIDE - 10, 2))
        radius = int(rng.integers(6, 9))
        cv2.circle(image, (x, y), radius, int(rng.integers(190, 250)), -1)
        cv2.circle(mask, (x, y), radius, 255, -1)
    return image, mask
