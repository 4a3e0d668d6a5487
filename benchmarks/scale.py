"""How long `check` takes over many pictures, how much memory, and how fast it is over unchanged files.

make bench-scale
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from benchmarks.textures import PICTURE, TEXTURES, Floats, Pixels, surface, under_lamp

SIZES = (10_000, 50_000)
PER_SURFACE = 4  # pictures cut from a surface, side by side
COPIED = 0.01  # share of the pictures that are a half-size copy of another, under a group of its own
KINDS = [texture for texture in TEXTURES if texture != "brushed"]
WORKERS = 2
SEED = 5

STUDY = """
name: scale
data: {{dataset: {{instances: {{root: "{root}"}}}}, size: 128}}
network: {{unet: {{encoder: tu-test_efficientnet.r160_in1k}}}}
folds: {{held_out: 0.15}}
search: {{trials: 1, loss: {{choice: {{dice_bce: {{}}}}}}}}
"""


@dataclass(frozen=True)
class Checked:
    """What one run of `check` took: seconds, and the most memory it held in GB."""

    seconds: float
    memory: float


def main() -> None:
    """Print a row for each number of pictures: first audit, a second one of unchanged files, and their ratio."""
    parser = argparse.ArgumentParser(description="Audit many pictures and time it.")
    parser.add_argument("--pictures", type=int, nargs="+", default=SIZES)
    print("| pictures | first audit | an image | memory | second audit | memory |\n|---|---|---|---|---|---|")
    for count in parser.parse_args().pictures:
        with tempfile.TemporaryDirectory() as folder:
            write_set(Path(folder), count)
            first, second = check(Path(folder)), check(Path(folder))
        each = f"{1000 * first.seconds / count:.1f} ms"
        rows = (
            f"{first.seconds:.0f} s | {each}",
            f"{first.memory:.2f} GB",
            f"{second.seconds:.1f} s",
            f"{second.memory:.2f} GB",
        )
        print(f"| {count:,} | {' | '.join(rows)} |", flush=True)


def check(folder: Path) -> Checked:
    """Run `check` in a process of its own, in a folder that holds the study; it keeps its cache there."""
    command = [
        sys.executable,
        "-m",
        "harness.study",
        "check",
        str(folder / "scale.yaml"),
        "--home",
        str(folder / "home"),
    ]
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        raise SystemExit(f"check ended with {os.waitstatus_to_exitcode(status)}")
    return Checked(seconds, used.ru_maxrss / 1e6)


def write_set(folder: Path, count: int) -> None:
    """Write pictures of surfaces with an object each, their masks and the table, and a study over them."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    (folder / "scale.yaml").write_text(STUDY.format(root=folder))
    surfaces = -(-count // PER_SURFACE)
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        rows = [
            row
            for part in pool.map(_write_surface, [folder] * surfaces, range(surfaces), chunksize=16)
            for row in part
        ]
    rows = rows[:count]
    (folder / "instances.csv").write_text(
        "\n".join(["sample_path,mask_path,source_image_id,class_id,scale", *rows]) + "\n"
    )


def _write_surface(folder: Path, number: int) -> list[str]:
    """Write the four pictures of a surface, of which the last may be a copy; return their rows."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([SEED, number])
    drawn = surface(KINDS[number % len(KINDS)], SEED, number)
    corners = [(PICTURE * down, PICTURE * right) for down in (0, 1) for right in (0, 1)]
    parts = [_with_object(drawn[y : y + PICTURE, x : x + PICTURE], rng) for y, x in corners]
    if rng.random() < PER_SURFACE * COPIED:
        picture, mask = parts[0]
        parts[-1] = picture[::2, ::2], mask[::2, ::2]
    endings = ("jpg", "png", "png", "png")
    return [
        _write(folder, f"{number:06}-{place}", ending, *part)
        for place, (ending, part) in enumerate(zip(endings, parts, strict=True))
    ]


def _with_object(cut: Floats, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Return a picture with a dark spot of 6 to 12 px, and its mask."""
    mask = np.zeros((PICTURE, PICTURE), np.uint8)
    center, radius = rng.integers(20, PICTURE - 20, 2).tolist(), int(rng.integers(3, 7))
    cv2.circle(mask, center, radius, 255, -1)
    return under_lamp(cut - 60 * cv2.GaussianBlur(mask, (0, 0), 1).astype(np.float32) / 255), mask


def _write(folder: Path, name: str, ending: str, picture: Pixels, mask: Pixels) -> str:
    cv2.imwrite(str(folder / f"images/{name}.{ending}"), picture)
    cv2.imwrite(str(folder / f"masks/{name}.png"), mask)
    return f"images/{name}.{ending},masks/{name}.png,{name},spot,full"


if __name__ == "__main__":
    main()
