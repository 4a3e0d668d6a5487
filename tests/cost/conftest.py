"""A planted leak: exposures of one thing under their own ids, of which a mark tells what is to be found there."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import yaml
from numpy.typing import NDArray

from tests.conftest import NETWORK

SIDE, THINGS, EXPOSURES = 64, 12, 4
Pixels = NDArray[np.uint8]


def settings(root: Path, **changes: Any) -> dict[str, Any]:
    """Return the content of a study file over pictures in `root`."""
    return {
        "name": "planted",
        "data": {"dataset": {"instances": {"root": str(root)}}},
        "folds": {"count": 2, "held_out": 0},
        "network": {"unet": NETWORK},
        "augment": {"strength": 0},
        "train": {
            "epochs": 5,
            "batch_size": 8,
            "lr": 8e-3,
            "crop": 64,
            "zoom": 1,
        },  # four times the epochs here
        "execute": "inline",
        "search": {"trials": 1},
    } | changes


def write_study(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def picture(thing: int, *, told: bool = False) -> tuple[NDArray[np.float32], Pixels]:
    """Return a tinted texture with a bright and a dark spot, and its mask.

    Which spot is the target turns from each tint to the next: only who has seen the thing knows. Where it is `told`,
    it is always the bright one.
    """
    rng = np.random.default_rng(thing)
    texture = (skimage.data.gravel(), skimage.data.grass(), skimage.data.brick())[thing % 3]
    y, x = (2 * SIDE * (thing // 3 // 3), 2 * SIDE * (thing // 3 % 3))
    hsv = np.zeros((SIDE, SIDE, 3), np.uint8)
    hsv[..., 0], hsv[..., 1] = 180 * thing // THINGS % 180, 200
    hsv[..., 2] = 60 + texture[y : y + 2 * SIDE : 2, x : x + 2 * SIDE : 2] // 3
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR).astype(np.float32)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for number, at in enumerate(rng.permutation([(16, 16), (48, 48), (16, 48), (48, 16)])[:2].tolist()):
        cv2.circle(image, at, 9, (245, 245, 245) if number else (5, 5, 5), -1)
        if number == (1 if told else thing % 2):
            cv2.circle(mask, at, 9, 255, -1)
    return image, mask


def write_planted(
    root: Path, group: Any, *, things: int = THINGS, exposures: int = EXPOSURES, told: bool = False
) -> Path:
    """Write some exposures of each of up to 27 things; `group(thing, exposure)` names the source of each."""
    rows = [["sample_path", "mask_path", "source_image_id", "class_id", "scale"]]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for thing in range(things):
        image, mask = picture(thing, told=told)
        for exposure in range(exposures):
            name, noise = f"{thing:02}-{exposure}.png", np.random.default_rng([thing, exposure])
            shown = image * (0.85 + 0.1 * exposure) + noise.normal(0, 2, image.shape)
            cv2.imwrite(str(root / "images" / name), shown.clip(0, 255).astype(np.uint8))
            cv2.imwrite(str(root / "masks" / name), mask)
            rows.append([f"images/{name}", f"masks/{name}", group(thing, exposure), "spot", "full"])
    with (root / "instances.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pictures with an id each."""
    return write_planted(
        tmp_path_factory.mktemp("planted") / "data", lambda thing, exposure: f"{thing}/{exposure}"
    )


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which all commands are called: what is found out about the pictures is kept there."""
    return tmp_path_factory.mktemp("place")
