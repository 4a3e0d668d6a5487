"""How long `check` takes over many pictures, how much memory, and how fast it is over unchanged files.

make bench-scale; with imagededup (Apache-2.0) installed beside, its perceptual hash is run over the same pictures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.textures import PICTURE, TEXTURES, Floats, Pixels, surface, under_lamp

SIZES = (10_000, 50_000)
PER_SURFACE = 4  # pictures cut from a surface, side by side
COPIED = 0.01  # share of the pictures that are a half-size copy of another, under a group of its own
KINDS = [texture for texture in TEXTURES if texture != "brushed"]
WORKERS = 2
SEED = 5
HALF = "half"  # scale of a planted copy

Pair = tuple[str, ...]  # names of two pictures, in order

STUDY = """
name: scale
data: {{dataset: {{instances: {{root: "{root}"}}}}, size: 128}}
network: {{unet: {{encoder: tu-test_efficientnet.r160_in1k}}}}
folds: {{held_out: 0.15}}
search: {{trials: 1, loss: {{choice: {{dice_bce: {{}}}}}}}}
"""


@dataclass(frozen=True)
class Ran:
    """What a process took: seconds on the clock and of all cores, and the most memory it held, in GB."""

    seconds: float
    cores: float
    memory: float


def main() -> None:
    """Print rows for each number of pictures: a first audit, one of unchanged files, and a perceptual hash."""
    parser = argparse.ArgumentParser(description="Audit many pictures and time it.")
    parser.add_argument("--pictures", type=int, nargs="+", default=SIZES)
    heads = (
        "pictures",
        "what",
        "seconds",
        "of all cores",
        "an image",
        "memory",
        "copies found",
        "other pairs",
    )
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for count in parser.parse_args().pictures:
        with tempfile.TemporaryDirectory() as folder:
            for what, ran, pairs in compare(Path(folder), count):
                planted = copies_in(Path(folder))
                took = f"{ran.seconds:.1f} s | {ran.cores:.1f} s | {1000 * ran.cores / count:.1f} ms"
                found = f"{len(pairs & planted)} of {len(planted)} | {len(pairs - planted)}"
                print(f"| {count:,} | {what} | {took} | {ran.memory:.2f} GB | {found} |", flush=True)


def compare(folder: Path, count: int) -> Iterator[tuple[str, Ran, set[Pair]]]:
    """Yield what was run over a set of so many pictures, what it took, and the pairs it found."""
    write_set(folder, count)
    audit = ("harness.study", "check", str(folder / "scale.yaml"), "--home", str(folder / "home"))
    for what in ("audit", "again, unchanged files"):
        ran = run(folder, *audit)
        table = pd.read_parquet(folder / "home/audit/scale/pairs.parquet").query("sure")
        yield what, ran, {tuple(map(_name, pair)) for pair in table[["first", "second"]].to_numpy()}
    if find_spec("imagededup"):
        ran = run(folder, "benchmarks.hashes", str(folder / "images"), str(folder / "hashes.json"))
        near = json.loads((folder / "hashes.json").read_text())
        yield f"imagededup {version('imagededup')}, PHash", ran, set(map(tuple, near))


def run(folder: Path, *module: str) -> Ran:
    """Run a module in a process of its own, whose cache lies in the folder."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path},
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        raise SystemExit(f"{module[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return Ran(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6)


def copies_in(folder: Path) -> set[Pair]:
    """Return the planted pairs: names of a picture and of its copy at half its size."""
    names = [Path(line).name for line in (folder / "copies.txt").read_text().split()]
    return {(name.replace("-3.png", "-0.jpg"), name) for name in names}


def _name(sample: str) -> str:
    return Path(sample).name


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
    copied = [row.split(",")[0] for row in rows if row.endswith(f",{HALF}")]
    (folder / "copies.txt").write_text("\n".join(copied))
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
        half = cv2.resize(picture, (PICTURE // 2, PICTURE // 2), interpolation=cv2.INTER_AREA)
        parts[-1] = np.asarray(half, np.uint8), mask[::2, ::2]
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
    scale = "full" if len(mask) == PICTURE else HALF
    return f"images/{name}.{ending},masks/{name}.png,{name},spot,{scale}"


if __name__ == "__main__":
    main()
