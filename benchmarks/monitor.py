"""How often `monitor` says drift where there is none, and where there is: drawn numbers, and pictures of textures.

`python -m benchmarks.monitor` (minutes) ends with 1 where false alarms are more than a run in twenty.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.markdown import head_of, row_of
from benchmarks.simulation_limits import share_error
from harness.data.content import picture_sha256
from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.plants import HARD, PLANTS
from harness.data.copies.recognize import recognize
from harness.data.demo import MOST_SOURCES, TEXTURES, write_demo
from harness.data.kept import Kept
from harness.data.pictures import Pixels, read_image
from harness.monitor.arrivals import Arrival
from harness.monitor.compare import size_of_group, units_of
from harness.monitor.copies import find_copies
from harness.monitor.drift import Sample, differences
from harness.monitor.reference import Reference
from harness.monitor.traits import light_of, traits_of

RUNS, POWER_RUNS = 500, 100
FALSE_ALARMS = 0.05  # share of runs that may say drift where there is none
COPIED = 30  # pictures that are copied in every way
MEASURES = 11

Change = Callable[[Pixels, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Drawn:
    """Training groups and new ones of `size` pictures; `alike` is the share of variance that groups share.

    `mixed`: new pictures are named so that those of one group do not follow each other. `tails`: values are
    log-normal, and every other measure is counted in whole numbers. `uneven`: groups have 1 to 2 size - 1 pictures.
    """

    groups: int
    new: int
    size: int
    alike: float
    mixed: bool = False
    tails: bool = False
    uneven: bool = False

    def has_alarm(self, rng: np.random.Generator) -> bool:
        """Return whether one run without drift says drift."""
        shared = rng.standard_normal((MEASURES, MEASURES))  # measures hang together

        def values(groups: int) -> tuple[np.ndarray, np.ndarray]:
            sizes = rng.integers(1, 2 * self.size, groups) if self.uneven else self.size
            unit = np.repeat(np.arange(groups), sizes)
            own, of_group = (rng.standard_normal((n, MEASURES)) for n in (len(unit), groups))
            found = (np.sqrt(self.alike) * of_group[unit] + np.sqrt(1 - self.alike) * own) @ shared
            if self.tails:
                found = np.exp(found / 2)
                found[:, ::2] = np.minimum(found[:, ::2], 20).round()
            return found, unit

        before, group = values(self.groups)
        after, unit = values(self.new)
        if self.mixed:
            after = after[rng.permutation(len(unit))]
        size = size_of_group(group)
        return bool(alarms(named(before), group, named(after), units_of(np.arange(len(after)), size)))


def named(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[str(number) for number in range(values.shape[1])])


def alarms(before: pd.DataFrame, group: np.ndarray, after: pd.DataFrame, unit: np.ndarray) -> list[str]:
    """Return the measures that a run calls drift."""
    old = {name: Sample(before[name].to_numpy(float), group) for name in before}
    new = {name: Sample(after[name].to_numpy(float), unit) for name in before}
    return [one.name for one in differences(old, new) if one.alarm]


def measured(pictures: list[Pixels]) -> pd.DataFrame:
    return pd.DataFrame([light_of(one) | vars(traits_of(one)) for one in pictures])


@dataclass(frozen=True)
class Surfaces:
    """The pictures of the built-in data set, with all sources that its textures have room for."""

    pictures: list[Pixels]
    source: np.ndarray
    measures: pd.DataFrame

    def run(
        self, rng: np.random.Generator, before: np.ndarray, after: np.ndarray, now: pd.DataFrame
    ) -> list[str]:
        """Return the alarms of sources `after`, measured as `now`, beside sources `before`."""
        old, new = np.isin(self.source, before), np.isin(self.source, after)
        group = np.unique(self.source[old], return_inverse=True)[1]
        unit = units_of(np.arange(new.sum()), size_of_group(group))
        return alarms(self.measures[old], group, now[new], unit)

    def parted(self, rng: np.random.Generator, before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.permutation(MOST_SOURCES)
        return drawn[:before], drawn[before : before + after]


def surfaces(folder: Path) -> Surfaces:
    write_demo(folder / "demo", sources=MOST_SOURCES)
    table = pd.read_csv(folder / "demo" / "instances.csv")
    pictures = [read_image(folder / "demo" / name) for name in table["sample_path"]]
    source = table["source_image_id"].str[1:].astype(int).to_numpy()
    return Surfaces(pictures, source, measured(pictures))


def brighter(image: Pixels, rng: np.random.Generator) -> Pixels:
    return np.clip(image * 1.1, 0, 255).round().astype(np.uint8)


def blurred(image: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1), np.uint8)


def noisier(image: Pixels, rng: np.random.Generator) -> Pixels:
    return np.clip(image + rng.normal(0, 5, image.shape), 0, 255).round().astype(np.uint8)


def stored_as_jpeg(image: Pixels, rng: np.random.Generator) -> Pixels:
    file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED), np.uint8)


CHANGES: Mapping[str, tuple[Change, str]] = {
    "brightness +10 %": (brighter, "brightness"),
    "blur, sigma 1 px": (blurred, "sharpness"),
    "noise, 5 gray levels": (noisier, "noise"),
    "JPEG, quality 50": (stored_as_jpeg, "blocks"),
}
NULLS = (
    Drawn(12, 12, 1, 0.0),
    Drawn(30, 8, 1, 0.0),
    Drawn(30, 30, 1, 0.0, tails=True),
    Drawn(30, 100, 1, 0.0),
    Drawn(30, 10, 3, 0.8),
    Drawn(30, 30, 3, 0.8, tails=True),
    Drawn(30, 30, 3, 0.8, mixed=True),
    Drawn(30, 10, 3, 0.8, uneven=True),
    Drawn(30, 30, 3, 0.8, uneven=True),
)


def main() -> int:
    """Print the share of false alarms, and of drifts seen; return 1 where false alarms are too many."""
    start = time.monotonic()
    failed = not all([*drawn_nulls()])
    with tempfile.TemporaryDirectory() as folder:
        known = surfaces(Path(folder))
    failed |= not all([*surface_nulls(known)])
    powers(known)
    copies(known)
    print(f"\n{time.monotonic() - start:.0f} s")
    print("A limit is missed." if failed else "No limit is missed.")
    return int(failed)


def drawn_nulls() -> list[bool]:
    print(f"No drift, {MEASURES} drawn measures: share of {RUNS} runs that say drift.\n")
    heads = ["training groups", "new groups", "pictures each", "alike", "named", "values", "false alarms"]
    print("\n".join(head_of(heads)), flush=True)
    kept = []
    for cell in NULLS:
        rng = np.random.default_rng([cell.groups, cell.new, cell.size, cell.mixed, cell.tails])
        share = float(np.mean([cell.has_alarm(rng) for _ in range(RUNS)]))
        words = "mixed" if cell.mixed else "in order", "skewed, ties" if cell.tails else "normal"
        row = [
            str(cell.groups),
            str(cell.new),
            f"1 to {2 * cell.size - 1}" if cell.uneven else str(cell.size),
            f"{cell.alike:g}",
            *words,
            told(share, RUNS),
        ]
        print(row_of(row), flush=True)
        kept.append(share <= FALSE_ALARMS)
    return kept


def surface_nulls(known: Surfaces) -> list[bool]:
    count = f"{len(known.pictures)} pictures of {MOST_SOURCES} sources"
    print(f"\nNo drift, pictures of textures ({count}), parted at random, {RUNS} runs.\n")
    print("\n".join(head_of(["training sources", "new sources", "false alarms"])))
    kept = []
    for before, after in ((50, 8), (50, 25), (25, 50)):
        rng = np.random.default_rng([before, after])
        found = [known.run(rng, *known.parted(rng, before, after), known.measures) for _ in range(RUNS)]
        share = float(np.mean([bool(one) for one in found]))
        print(row_of([str(before), str(after), told(share, RUNS)]), flush=True)
        kept.append(share <= FALSE_ALARMS)
    return kept


def powers(known: Surfaces) -> None:
    print(f"\nDrift, 50 training sources, {POWER_RUNS} runs: any alarm, and that of the measure meant.\n")
    print("\n".join(head_of(["drift", "new sources", "any alarm", "measure", "its alarm"])))
    rng = np.random.default_rng(3)
    for name, (change, meant) in CHANGES.items():
        now = measured([change(one, rng) for one in known.pictures])
        for after in (8, 25):
            found = [known.run(rng, *known.parted(rng, 50, after), now) for _ in range(POWER_RUNS)]
            print(row_of([name, str(after), *seen(found, meant)]), flush=True)
    kind = known.source % len(TEXTURES)
    for number, name in enumerate(TEXTURES):
        before, others = np.unique(known.source[kind != number]), np.unique(known.source[kind == number])
        for after in (8, 25):
            found = [
                known.run(rng, before, rng.permutation(others)[:after], known.measures)
                for _ in range(POWER_RUNS)
            ]
            print(
                row_of([f"{name}, trained on the two others", str(after), *seen(found, "direction")]),
                flush=True,
            )


def copies(known: Surfaces) -> None:
    """Print how many copies of training pictures are found, by how they differ, and how many strangers pass for one."""
    rng = np.random.default_rng(5)
    marks = [recognize(one) for one in known.pictures]
    old = np.flatnonzero(known.source < MOST_SOURCES // 2)
    new = np.flatnonzero(known.source >= MOST_SOURCES // 2)
    samples = pd.DataFrame(
        {"pixels_sha256": [str(row) for row in old], "group": known.source[old].astype(str)}
    )
    reference = Reference(samples, np.ones(len(old), bool), [marks[row] for row in old], [], None)
    with tempfile.TemporaryDirectory() as folder, closing(Kept(Path(folder))) as kept:
        strangers = find_copies(reference, [arrival(known.pictures[row], marks[row]) for row in new], kept)
        said = f"{len(strangers.copies)} of {len(new)} pictures of other sources are called copies"
        print(f"\nCopies of {COPIED} of {len(old)} training pictures; {said}.\n")
        print("\n".join(head_of(["way", "found, of the right source"])))
        chosen = rng.choice(len(old), COPIED, replace=False)
        for way, make in (PLANTS | HARD).items():
            made = [make(known.pictures[old[row]], rng) for row in chosen]
            found = find_copies(reference, [arrival(one, recognize(one)) for one in made], kept).copies
            hits = sum(
                samples["group"][found[at].original] == samples["group"][row]
                for at, row in enumerate(chosen)
                if at in found
            )
            print(row_of([way, f"{hits} of {COPIED}"]), flush=True)


def arrival(image: Pixels, mark: Fingerprint) -> Arrival:
    return Arrival(Path(), picture_sha256(image), *image.shape[:2], 1, False, {}, mark)


def seen(found: list[list[str]], meant: str) -> list[str]:
    shares = [float(np.mean([bool(one) for one in found])), float(np.mean([meant in one for one in found]))]
    return [f"{shares[0]:.2f}", meant, f"{shares[1]:.2f}"]


def told(share: float, runs: int) -> str:
    return f"{share:.3f} ± {share_error(share, runs):.3f}"


if __name__ == "__main__":
    sys.exit(main())
