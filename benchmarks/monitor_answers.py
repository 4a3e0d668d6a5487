"""How often `monitor` says that fold models answer otherwise where pictures are of the same kind: trained for real.

Each study is drawn, split and trained anew; then sets of new pictures of the same kind are shown to its fold models.
`python -m benchmarks.monitor_answers` (minutes) ends with 1 where false alarms are more than a set in twenty.
"""

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.markdown import head_of, row_of
from benchmarks.tiny import NETWORK
from harness.config import Choice, Data, Folds, Search, Study, Train
from harness.data.cache import build_cache
from harness.data.folds import make_split
from harness.data.index import index_samples
from harness.data.manifest import read_manifest
from harness.data.split import freeze
from harness.monitor.answers import SCORES, answers, out_of_fold
from harness.monitor.arrivals import Arrival
from harness.monitor.drift import Sample, differences
from harness.promotion.candidate import model_settings
from harness.train.foldrun import FoldJob, FoldResult, run_fold

SIDE, SOURCES, FOLDS, EPOCHS = 64, 24, 3, 10
STUDIES, SETS, NEW = 12, 20, 24
FALSE_ALARMS = 0.05  # share of sets that may be called drift


def draw(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Write pictures with none to three spots, bright or faint, their masks, and the table `instances.csv`."""
    lines = ["sample_path,mask_path,source_image_id,class_id,scale"]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        image = rng.normal(rng.uniform(40, 80), 10, (SIDE, SIDE))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(rng.integers(0 if number else 1, 4)):
            x, y, radius = (int(v) for v in (*rng.integers(10, SIDE - 10, 2), rng.integers(4, 10)))
            spot = cv2.circle(np.zeros_like(mask), (x, y), radius, 255, -1)
            image[spot > 0] += rng.uniform(25, 120)
            mask |= spot
        cv2.imwrite(str(folder / f"images/{number}.png"), np.clip(image, 0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / f"masks/{number}.png"), mask)
        lines.append(f"images/{number}.png,masks/{number}.png,source-{number},spot,full")
    (folder / "instances.csv").write_text("\n".join(lines) + "\n")


def trained(folder: Path, number: int) -> tuple[Study, list[FoldResult], pd.DataFrame]:
    """Return a study, its fold runs and its samples."""
    draw(folder / "data", SOURCES, np.random.default_rng([number, 0]))
    study = Study(
        name="drawn",
        seed=number,
        data=Data(dataset=Choice.model_validate({"instances": {"root": str(folder / "data")}})),
        folds=Folds(count=FOLDS),
        network=Choice(name="unet", settings=NETWORK),
        loss=Choice(name="dice_bce"),
        train=Train(epochs=EPOCHS, batch_size=4, lr=1e-2, crop=32, validate_every=EPOCHS),
        search=Search(trials=1, space={}),
    )
    index = index_samples(study.data.dataset, base=folder, cache=folder)
    manifest = read_manifest(index, study.data)
    split = freeze(
        make_split(manifest.samples, study.folds, manifest=manifest.digest, seed=number), folder / "folds"
    )
    manifest.samples.to_parquet(folder / "samples.parquet")
    cache = build_cache(manifest.samples, index.root, study.data, folder / "cache").folder
    settings, samples = study.model_dump(mode="json"), str(folder / "samples.parquet")
    jobs = [
        FoldJob(0, k, settings, samples, str(split), str(cache), str(folder / "0" / str(k)))
        for k in range(FOLDS)
    ]
    return study, [run_fold(job) for job in jobs], manifest.samples


def alarms(folder: Path, number: int) -> list[bool]:
    """Return for each set of new pictures whether answers are said to be other."""
    study, folds, samples = trained(folder, number)
    before = out_of_fold(folds, samples)
    assert before is not None
    draw(folder / "new", SETS * NEW, np.random.default_rng([number, 1]))
    shown = [arrival(folder / f"new/images/{row}.png") for row in range(SETS * NEW)]
    unit = np.arange(len(shown))
    table = answers(shown, unit % FOLDS, [fold.weights for fold in folds], model_settings(study, 0.0))
    group = pd.factorize(before["group"])[0]
    old = {name: Sample(before[name].to_numpy(float), group) for name in SCORES}
    found = []
    for start in range(0, len(shown), NEW):
        part = table.iloc[start : start + NEW]
        new = {name: Sample(part[name].to_numpy(float), np.arange(NEW)) for name in SCORES}
        found.append(any(one.alarm for one in differences(old, new)))
    return found


def arrival(path: Path) -> Arrival:
    return Arrival(path, "", SIDE, SIDE, 1, False, {}, None)  # type: ignore[arg-type]


def main() -> int:
    """Print the share of sets that are called drift, of each study and of all; return 1 where that is too much."""
    start = time.monotonic()
    print(
        f"{STUDIES} trained studies of {SOURCES} groups, {SETS} sets of {NEW} new pictures of the same kind each.\n"
    )
    print("\n".join(head_of(["study", "sets called drift"])), flush=True)
    shares = []
    for number in range(STUDIES):
        with tempfile.TemporaryDirectory() as folder:
            found = alarms(Path(folder), number)
        shares.append(float(np.mean(found)))
        print(row_of([str(number), f"{sum(found)} of {SETS}"]), flush=True)
    share, error = float(np.mean(shares)), float(np.std(shares, ddof=1) / np.sqrt(STUDIES))
    print(f"\nall: {share:.3f} ± {error:.3f}; {time.monotonic() - start:.0f} s")
    return int(share > FALSE_ALARMS)


if __name__ == "__main__":
    sys.exit(main())
