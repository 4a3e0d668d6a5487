"""A study so small that it can be killed hundreds of times: twelve drawn sources with bright spots, a tiny network."""

from pathlib import Path

import cv2
import numpy as np

from harness.config import Choice, Data, Folds, Search, Study, Train

SIDE = 48  # px
SOURCES = 12
NETWORK = {"encoder": "tu-test_efficientnet.r160_in1k", "decoder_channels": [16, 8, 8, 8, 8]}


def tiny_study(root: Path, *, trials: int, folds: int, epochs: int) -> Study:
    """Return a study of so many trials, folds and epochs over pictures that are drawn under `root`."""
    _draw(root)
    return Study(
        name="tiny",
        data=Data(dataset=Choice.model_validate({"instances": {"root": str(root)}})),
        folds=Folds(count=folds),
        network=Choice(name="unet", settings=NETWORK),
        loss=Choice(name="dice_bce"),
        train=Train(epochs=epochs, batch_size=4, lr=1e-2, crop=32),
        execute=Choice(name="inline"),
        search=Search(trials=trials, startup=2, space={"augment.strength": [0, 1]}),
    )


def _draw(root: Path) -> None:
    rng = np.random.default_rng(3)
    lines = ["sample_path,mask_path,source_image_id,class_id,scale"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(SOURCES):
        image, mask = rng.integers(40, 80, (SIDE, SIDE)).astype(np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(2):
            center, radius = rng.integers(10, SIDE - 10, 2).tolist(), int(rng.integers(5, 8))
            cv2.circle(image, center, radius, int(rng.integers(190, 250)), -1)
            cv2.circle(mask, center, radius, 255, -1)
        cv2.imwrite(str(root / f"images/{number}.png"), image)
        cv2.imwrite(str(root / f"masks/{number}.png"), mask)
        lines.append(f"images/{number}.png,masks/{number}.png,source-{number},spot,full")
    (root / "instances.csv").write_text("\n".join(lines) + "\n")
