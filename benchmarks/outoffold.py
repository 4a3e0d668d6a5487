"""What is kept out of fold: the time it adds to a fold's last validation, and its bytes, in one run.

make bench
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.tiny import NETWORK
from harness.config import Choice
from harness.model.metrics import count_row
from harness.model.networks import build_network
from harness.model.outoffold import Collector
from harness.model.predict import network_logits
from harness.train.checkpoint import write_synced

SIDES, PHOTOGRAPHS, GROUPS, ROUNDS = (256, 512, 1024), 24, 12, 5
CPU = torch.device("cpu")

Pixels = NDArray[np.uint8]


def drawn(rng: np.random.Generator, side: int) -> tuple[Pixels, Pixels]:
    """Return a gray picture of bright spots, 1 % of its pixels or so, in coarse noise, and its mask."""
    truth = np.zeros((side, side), np.uint8)
    for _ in range(side // 40):
        x, y = (int(value) for value in rng.integers(10, side - 10, 2))
        cv2.circle(truth, (x, y), int(rng.integers(2, 9)), 1, -1)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 3) * 120
    image = np.clip(90 + noise + 90.0 * truth, 0, 255).astype(np.uint8)
    return image, truth


def seconds(work: Callable[[], object]) -> float:
    """Return the best time of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print for each side: predicting, counting at logit 0 alone, keeping all of it; and bytes of each file."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for side in SIDES:
        print(line(side))


def line(side: int) -> str:
    """Return the figures of photographs of this side."""
    rng = np.random.default_rng(0)
    pictures = [drawn(rng, side) for _ in range(PHOTOGRAPHS)]
    logits = [cv2.GaussianBlur(image.astype(np.float32) / 16 - 9.5, (0, 0), 1) for image, _ in pictures]
    some = pictures[: PHOTOGRAPHS // 4]
    network = build_network(Choice(name="unet", settings=NETWORK)).eval()
    with torch.inference_mode():
        predicted = 4 * seconds(lambda: [network_logits(network, CPU, [i], [i.shape]) for i, _ in some])
    counted = seconds(lambda: [count_row(z > 0, t) for z, (_, t) in zip(logits, pictures, strict=True)])
    with tempfile.TemporaryDirectory() as folder:
        collected = seconds(lambda: _keep(pictures, logits, Path(folder)))
        sizes = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    ratio = (predicted + collected) / (predicted + counted)
    each = sum(sizes.values()) / PHOTOGRAPHS / 1024
    return (
        f"{PHOTOGRAPHS} photographs of {side} px, one thread: predicting {predicted:.2f} s, counts at logit 0 "
        f"{counted:.2f} s, all that is kept {collected:.2f} s: the last validation takes {ratio:.3f} times as long; "
        f"{each:.2f} KiB a photograph {sizes}"
    )


def _keep(pictures: list[tuple[Pixels, Pixels]], logits: list[NDArray[np.float32]], folder: Path) -> None:
    collector = Collector(0)
    for number, (z, (_, truth)) in enumerate(zip(logits, pictures, strict=True)):
        collector.add(f"photo {number}", f"group {number % GROUPS}", z, truth)
    for name, content in collector.tables().files().items():
        write_synced(folder / name, content)


if __name__ == "__main__":
    main()
