"""A study whose only trial is the champion, and new pictures of the same kind, or of another one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from harness.study import main
from tests.promotion.conftest import Ran, run_study

SIDE, PICTURES, NEW = 96, 40, 30
RATE = 8e-3
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def picture(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of a speckled surface with one bright square, and its mask; no two have one light."""
    speckles = cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)), (0, 0), 1.2)
    image = rng.normal(70, 8) + rng.uniform(8, 14) * speckles / speckles.std()
    mask = np.zeros((SIDE, SIDE), np.uint8)
    x, y, side = (int(value) for value in (*rng.integers(0, 40, 2), rng.integers(40, 50)))
    image[y : y + side, x : x + side] += rng.uniform(70, 100)
    mask[y : y + side, x : x + side] = 255
    noisy = image + rng.normal(0, rng.uniform(2, 4), image.shape)
    return np.clip(noisy, 0, 255).round().astype(np.uint8), mask


def draw(root: Path) -> None:
    """Write the data set of the study."""
    rng = np.random.default_rng(5)
    lines = ["sample_path,mask_path,source_image_id,class_id,scale"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(PICTURES):
        for folder, pixels in zip(("images", "masks"), picture(rng), strict=True):
            assert cv2.imwrite(str(root / folder / f"{number}.png"), pixels)
        lines.append(f"images/{number}.png,masks/{number}.png,source-{number},spot,full")
    (root / "instances.csv").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Shop:
    """A study with a champion, its file, and the folder that verbs are called in."""

    ran: Ran
    file: Path

    def samples(self) -> pd.DataFrame:
        return pd.read_parquet(self.ran.work / "samples.parquet")

    def folds(self) -> dict[str, Any]:
        (path,) = (self.ran.home / "folds").glob("*.json")
        return dict(json.loads(path.read_text()))

    def names(self, *, held_out: bool) -> list[str]:
        """Return the training pictures, or those that were held out."""
        held = set(self.folds()["held_out"])
        samples = self.samples()
        return samples["sample"][samples["group"].isin(held) == held_out].tolist()

    def runs(self) -> list[Run]:
        """Return the runs of monitorings, the newest first."""
        client = self.ran.client
        number = client.get_experiment_by_name("tiny").experiment_id
        return list(client.search_runs([number], "tags.\"harness.level\" = 'monitor'"))

    def monitor(self, capsys: pytest.CaptureFixture[str], *images: Path) -> tuple[int, dict[str, Any], str]:
        """Return exit code, JSON and words of `monitor`."""
        places = map(str, images)
        code = main(["monitor", str(self.file), "--home", str(self.ran.home), "--json", *places])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else {}, err


@pytest.fixture(scope="package")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return the study with its champion."""
    folder = tmp_path_factory.mktemp("monitored")
    draw(folder / "data")
    one = {"search.trials": 1, "search.baselines": [{"train.lr": RATE}]}
    ran = run_study(folder, folder / "home", **one)
    assert ran.promote(0).version == "1"
    file = folder / "tiny.yaml"
    dataset = f"{{instances: {{root: '{folder / 'data'}'}}}}"
    file.write_text(f"name: tiny\ndata: {{dataset: {dataset}}}\nnetwork: unet\nsearch: {{trials: 1}}\n")
    (folder / ".cache").mkdir()
    return Shop(ran, file)


@pytest.fixture
def shop(promoted: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(promoted.file.parent)
    return promoted


def arrive(folder: Path, count: int = NEW, seed: int = 77, change: Change | None = None) -> Path:
    """Write so many new pictures, each changed if asked, and return their folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = picture(rng)[0]
        shown = image if change is None else np.clip(change(image.astype(float), rng), 0, 255).round()
        assert cv2.imwrite(str(folder / f"new-{number:03}.png"), shown.astype(np.uint8))
    return folder
