"""Memory and time of predicting one tiled TIFF of 20,000 x 20,000 px: in a process of its own, at most 2 GB.

make bench-predict
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from tifffile import imwrite

from benchmarks.predict_speed import drawn, tiny_segmenter

SIDE, TILE = 20_000, 512  # px
MOST = 2.0  # GB
SHARE = 0.001  # of the pixels that are target, about: so many that the objects are just listed
KINDS = {"gray, 8 bits": ((), np.uint8), "RGB, 8 bits": ((3,), np.uint8), "RGB, 16 bits": ((3,), np.uint16)}

Tile = NDArray[np.uint8] | NDArray[np.uint16]


def main() -> None:
    """Print a line for each kind of picture; end with 1 where one took more than 2 GB."""
    parser = argparse.ArgumentParser(description="Predict a large TIFF and look at the memory.")
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS)[:2])
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        return predict(asked.inside)
    over = [kind for kind in asked.kinds if measured(kind, asked.side) > MOST]
    sys.exit(f"more than {MOST} GB: {', '.join(over)}" if over else 0)


def measured(kind: str, side: int) -> float:
    """Return the most memory that predicting a picture of this kind held, in GB; print it."""
    channels, dtype = KINDS[kind]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "large.tif")
        form = {"photometric": "rgb" if channels else "minisblack", "compression": "zlib", "bigtiff": True}
        shape = (side, side, *channels)
        imwrite(
            path, tiles(side, channels, np.dtype(dtype)), shape=shape, dtype=dtype, tile=(TILE, TILE), **form
        )
        start = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.predict_memory", "--inside", name]
        process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{kind}: ended with {os.waitstatus_to_exitcode(status)}")
        with Path(name, "out", "images.csv").open(newline="") as file:
            row = next(csv.DictReader(file))
    memory = used.ru_maxrss * 1024 / 1e9
    print(
        f"{side:,} x {side:,} px, {kind}: {memory:.2f} GB at most, {seconds:.0f} s on one thread; "
        f"{row['objects']} objects, {row['listed']} listed",
        flush=True,
    )
    return memory


def predict(folder: Path) -> None:
    """Predict the TIFF in a folder, as the verb does."""
    from harness.model.tiles import Tiling
    from harness.predict.into import predict_into

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as weights:
        segmenter = tiny_segmenter(Path(weights), share=SHARE)
    done = predict_into(folder / "out", segmenter, {}, [folder / "large.tif"], Tiling(), Console(stderr=True))
    if done.failures:
        raise SystemExit(done.failures[0])


def tiles(side: int, channels: tuple[int, ...], dtype: np.dtype) -> Iterator[Tile]:
    """Yield tiles in reading order: coarse noise with spots, some of which lie over the edges of tiles."""
    tile = drawn(TILE)[:, :, 0]
    deep = tile.astype(dtype) * (257 if dtype == np.uint16 else 1)
    ready = np.repeat(deep[:, :, None], 3, axis=2) if channels else deep
    for _ in range((-(-side // TILE)) ** 2):
        yield ready


if __name__ == "__main__":
    main()
