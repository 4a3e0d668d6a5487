"""The leakage report at 100,000 images with thousands of findings: seconds of every check, sizes of what is written.

make bench-report; it ends with 1 where the report is larger or slower than it may be.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.config import Folds
from harness.data.audit.ceiling import label_agreement
from harness.data.audit.copies import Searched, copy_checks
from harness.data.audit.joins import Joins
from harness.data.audit.report import CHECKS, audit
from harness.data.copies.align import Alignment
from harness.data.copies.calibrate import Calibration
from harness.data.copies.find import Found, Pair
from harness.data.copies.search import Copies
from harness.data.split import Split, new_split

IMAGES, A_GROUP, FOLDS = 100_000, 10, 5
PAIRS = 20_000  # that the search for copies found
COPIED = 5000  # rows whose file, mask or picture is another row's
CELLS = 256  # of a label's signature
MOST_SECONDS, MOST_PAGE, MOST_JSON = 60.0, 4e6, 20e6


def main() -> int:
    """Print seconds and sizes; return 1 where a limit is missed."""
    samples = table(np.random.default_rng(0))
    split = dealt(samples)
    copies = search(samples, np.random.default_rng(1))
    total = 0.0
    for id, check in CHECKS.items():
        _, seconds = timed(lambda check=check: check(samples, split))
        total += seconds
        print(f"{id:4} {seconds:7.2f} s")
    _, seconds = timed(lambda: copy_checks(samples, split, Searched(copies, Joins())))
    print(f"D3.. {seconds:7.2f} s")
    labels, more = timed(lambda: label_agreement(samples, split, copies, mask_of))
    print(f"D12  {more:7.2f} s")
    report, all_checks = timed(
        lambda: audit(samples, split, manifest="m", searched=Searched(copies, Joins()), others=[labels])
    )
    sizes = written(report, copies, samples)
    total = all_checks + more
    print(f"all checks {total:.1f} s")
    return int(total > MOST_SECONDS or sizes["html"] > MOST_PAGE or sizes["json"] > MOST_JSON)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and its seconds."""
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def table(rng: np.random.Generator) -> pd.DataFrame:
    """Return a sample table in which thousands of rows break a check each."""
    rows = np.arange(IMAGES)
    group = rows // A_GROUP
    target = np.where(rng.random(IMAGES) < 0.5, rng.integers(100, 3000, IMAGES), 0)
    names = [f"line{g % 7}/part_{g:05d}_{i}.png" for g, i in zip(group, rows % A_GROUP, strict=True)]
    samples = pd.DataFrame(
        {
            "sample": names,
            "mask": [name.replace(".png", "_mask.png") for name in names],
            "group": [f"part {g:05d}" for g in group],
            "photo": [f"part {g:05d}/{i // 2}" for g, i in zip(group, rows % A_GROUP, strict=True)],
            "instance": [f"{name}|one" for name in names],
            "class_id": "one",
            "positive": target,
            "valid": 65536,
            "objects": (target > 0).astype(int),
            "height": 256,
            "width": 256,
            "file_bytes": rng.integers(5000, 9000, IMAGES),
            "gray_mean": rng.normal(120, 10, IMAGES),
            "gray_spread": np.where(rng.random(IMAGES) < 0.02, 1.0, 20.0),
            "focus": np.where(rng.random(IMAGES) < 0.02, 0.1, rng.normal(1, 0.03, IMAGES)),
            "constant": False,
            "holes_px": np.where(rng.random(IMAGES) < 0.02, 9999, 0),
            "edges": 0,
            "shown": 256,
            "tiny": rng.integers(0, 2, IMAGES),
            "lost": (rng.random(IMAGES) < 0.05).astype(int),
            "keeps_at": 512,
            "smallest_px": target,
            "largest_px": target,
        }
        | {f"target_{side}": rng.integers(0, 200, IMAGES) for side in ("x", "y")}
        | {f"target_{side}": rng.integers(20, 56, IMAGES) for side in ("w", "h")}
    )
    samples["declared"] = samples["group"]
    for kind in ("file", "pixels", "mask"):
        samples[f"{kind}_sha256"] = [f"{kind} {row}" for row in rows]
        at = rng.choice(IMAGES, (2, COPIED), replace=False)
        samples.loc[at[0], f"{kind}_sha256"] = samples.loc[at[1], f"{kind}_sha256"].to_numpy()
    samples["signature"] = signatures(samples, rng)
    boxed = rng.random(IMAGES) < 0.5
    for side, size in (("x0", 0), ("y0", 0), ("w", 256), ("h", 256)):
        samples[side] = pd.array(np.where(boxed, size, 0), dtype="Int64").astype("Int64")
        samples.loc[~boxed, side] = pd.NA
    return samples


def signatures(samples: pd.DataFrame, rng: np.random.Generator) -> list[str]:
    """Return a shape for half of the labels; thousands of them are copies in the same place."""
    shapes = rng.integers(0, 16, (IMAGES, CELLS), dtype=np.uint8)
    one, other = rng.choice(IMAGES, (2, COPIED), replace=False)
    shapes[one] = shapes[other]
    box = [f"target_{side}" for side in "xywh"]
    samples.loc[one, box] = samples.loc[other, box].to_numpy()
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[shapes]
    shaped = (samples["positive"] > 1000).to_numpy()
    return [digits[row].tobytes().decode() if shaped[row] else "" for row in range(IMAGES)]


def dealt(samples: pd.DataFrame) -> Split:
    """Return a split that deals groups in turn."""
    names = samples["group"].unique()
    folds = {str(name): number % FOLDS for number, name in enumerate(names)}
    return new_split("m", Folds(count=FOLDS), folds, notes=[], parent=None)


def search(samples: pd.DataFrame, rng: np.random.Generator) -> Copies:
    """Return a search that found PAIRS pairs of all kinds between groups, and pictures that cannot be verified."""
    first = np.sort(rng.choice(IMAGES - A_GROUP, PAIRS, replace=False))
    moves = [np.eye(2, 3), np.array([[1.0, 0, 90], [0, 1, 0]]), np.array([[0.0, -1, 191], [1, 0, 0]])]
    pairs = [
        Pair(
            int(a),
            int(a) + A_GROUP,
            Alignment(moves[n % 3], False, 60, 0.9, 1.0 if n % 3 != 1 else 0.5),
            n % 5 > 0,
        )
        for n, a in enumerate(first)
    ]
    verifiable = rng.random(IMAGES) > 0.03
    return Copies(
        Found(tuple(pairs), verifiable, Calibration(7, 3000, 0, 0), (), False, False), {"mirrored": (24, 24)}
    )


def mask_of(row: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Return a mask with one object; every third row's lies elsewhere."""
    mask = np.zeros((256, 256), np.uint8)
    left = 40 + 60 * (row % 3 == 0)
    mask[100:130, left : left + 30] = 1
    return mask


def written(report: Any, copies: Copies, samples: pd.DataFrame) -> dict[str, int]:
    """Print seconds and bytes of all that is written of a report."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.parquet"
        writers: dict[str, Callable[[], Any]] = {
            "json": lambda: len(report.to_json().encode()),
            "html": lambda: len(report.to_html().encode()),
            "pairs.parquet": lambda: (copies.table(samples).to_parquet(pairs), pairs.stat().st_size)[1],
        }
        for name, write in writers.items():
            sizes[name], seconds = timed(write)
            print(f"{name:14} {seconds:6.2f} s {sizes[name] / 1e6:8.2f} MB")
    return sizes


if __name__ == "__main__":
    sys.exit(main())
