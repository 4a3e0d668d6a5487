"""Pictures and a study so small that it can be killed hundreds of times: drawn sources with bright spots."""

from pathlib import Path

import cv2
import numpy as np

from harness.config import Choice, Data, Folds, Promote, Search, Study, Train

SIDE = 64  # px
SOURCES = 12
NETWORK = {"encoder": "tu-test_efficientnet.r160_in1k", "decoder_channels": [16, 8, 8, 8, 8]}


def tiny_study(root: Path, *, trials: int, folds: int, epochs: int) -> Study:
    """Return a study of so many trials, folds and epochs over pictures that are drawn under `root`."""
    draw(root, SOURCES)
    return Study(
        name="tiny",
        data=Data(dataset=Choice.model_validate({"instances": {"root": str(root)}})),
        folds=Folds(count=folds),
        network=Choice(name="unet", settings=NETWORK),
        loss=Choice(name="dice_bce"),
        train=Train(epochs=epochs, batch_size=4, lr=1e-2, crop=32),
        execute=Choice(name="inline"),
        search=Search(trials=trials, startup=2, space={"augment.strength": [0, 1]}),
        promote=Promote(graphs=()),  # they take half a minute
    )


def draw(root: Path, sources: int) -> None:
    """Write a gray picture with two bright spots of each source, its mask, and the table `instances.csv`."""
    rng = np.random.default_rng(3)
    lines = ["sample_path,mask_path,source_image_id,class_id,scale"]
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(sources):
        image = rng.integers(40, 80, (SIDE, SIDE)).astype(np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(2):
            x, y, radius = (int(v) for v in (*rng.integers(10, SIDE - 10, 2), rng.integers(6, 9)))
            cv2.circle(image, (x, y), radius, 220, -1)
            cv2.circle(mask, (x, y), radius, 255, -1)
        cv2.imwrite(str(root / f"images/{number}.png"), image)
        cv2.imwrite(str(root / f"masks/{number}.png"), mask)
        lines.append(f"images/{number}.png,masks/{number}.png,source-{number},spot,full")
    (root / "instances.csv").write_text("\n".join(lines) + "\n")
