"""Small sample tables and splits for the audit, sound ones and broken ones."""

import hashlib
from dataclasses import asdict, dataclass
from itertools import zip_longest

import numpy as np
import pandas as pd
import pytest

from harness.config import Folds
from harness.data.audit.copies import Searched
from harness.data.audit.joins import Joins, Shown
from harness.data.audit.sides import HELD_OUT
from harness.data.copies.align import Alignment
from harness.data.copies.calibrate import Calibration
from harness.data.copies.find import Found, Pair
from harness.data.copies.search import Copies
from harness.data.measures import count_sizes, measure, objects_of
from harness.data.split import new_split

MEASURES = {"gray_mean": 120.0, "gray_spread": 20.0, "focus": 1.2, "holes_px": 0, "edges": 0, "shown": 64}
MEASURES |= {"tiny": 0, "lost": 0, "keeps_at": 64, "target_x": 0, "target_y": 0, "target_w": 0, "target_h": 0}
MEASURES |= {"signature": "", "height": 25, "width": 40, "file_bytes": 900}


def sound_table(groups=12, images=3):
    """Return groups g00, g01, ... of images that all differ; every second group has an object in its first image."""
    rows = [(g, i) for g in range(groups) for i in range(images)]
    names = [f"g{g:02d}/{i}" for g, i in rows]
    target = [20 * (g + 1) if g % 2 == 0 and i == 0 else 0 for g, i in rows]
    return pd.DataFrame(
        {
            "sample": [f"{name}.png" for name in names],
            "mask": [f"{name}_mask.png" for name in names],
            "group": [f"g{g:02d}" for g, _ in rows],
            "declared": [f"g{g:02d}" for g, _ in rows],
            "photo": [f"g{g:02d}/{i // 2}" for g, i in rows],
            "class_id": "one",
            "file_sha256": [f"file {name}" for name in names],
            "pixels_sha256": [f"pixels {name}" for name in names],
            "constant": False,
            "mask_sha256": [
                f"mask {name}" if px else "mask empty" for name, px in zip(names, target, strict=True)
            ],
            "positive": target,
            "valid": 1000,
            "objects": [int(px > 0) for px in target],
            "instance": [f"{name}|one" for name in names],
            "largest_px": target,
            "smallest_px": target,
        }
        | MEASURES
    )


def measured_table(pictures, *, size=None):
    """Return the sample table of pictures, each given as (group, image, mask)."""
    rows = []
    for number, (group, image, mask) in enumerate(pictures):
        objects = objects_of(mask)
        rows.append(
            {
                "sample": f"{number:03d}.png",
                "mask": f"{number:03d}_mask.png",
                "group": group,
                "photo": f"{number:03d}",
                "height": mask.shape[0],
                "width": mask.shape[1],
                "pixels_sha256": hashlib.sha256(image.tobytes()).hexdigest(),
                "mask_sha256": hashlib.sha256(mask.tobytes()).hexdigest(),
                "positive": int((mask == 1).sum()),
                "valid": int((mask != 255).sum()),
                "objects": len(objects.areas),
            }
            | asdict(measure(image, mask, objects, size))
        )
    areas = [objects_of(mask).areas for _, _, mask in pictures]
    return pd.concat([pd.DataFrame(rows), count_sizes(areas)], axis=1)


def split_by_turns(samples, *, count=3, held_out=(), **settings):
    """Return a split that deals pairs of groups (one positive, one not) to the folds in turn."""
    names = sorted(samples["group"].unique())
    folds = {name: HELD_OUT if name in held_out else number // 2 % count for number, name in enumerate(names)}
    return new_split("m", Folds(count=count, **settings), folds, notes=["dealt in turn"], parent=None)


@dataclass(frozen=True)
class RowSplit:
    """A careless split: it puts rows into folds, whatever their group; `folds` is what it would say of the groups."""

    rows: tuple[int, ...]
    folds: dict[str, int]
    count: int = 3
    id: str = "careless"
    manifest: str = "m"
    positive_floor: int = 1
    notes: tuple[str, ...] = ()

    @property
    def assignments(self):
        return (self.folds,)

    def repeat_of(self, fold):
        return 0

    def of(self, samples, repeat=0):
        return np.array(self.rows)

    def train(self, samples, fold):
        return np.flatnonzero((self.of(samples) != fold) & (self.of(samples) != HELD_OUT))

    def validation(self, samples, fold):
        return np.flatnonzero(self.of(samples) == fold)

    def held_out(self, samples):
        return np.flatnonzero(self.of(samples) == HELD_OUT)


@dataclass(frozen=True)
class LabelSplit(RowSplit):
    """The classical mistake: it returns index labels where positions are meant."""

    def validation(self, samples, fold):
        return samples.index.to_numpy()[super().validation(samples, fold)]


@pytest.fixture
def samples():
    return sound_table()


@pytest.fixture
def split(samples):
    return split_by_turns(samples)


@pytest.fixture
def measured():
    return measured_table


@pytest.fixture
def make_table():
    return sound_table


@pytest.fixture
def deal():
    return split_by_turns


@pytest.fixture
def row_split():
    return RowSplit


@pytest.fixture
def label_split():
    return LabelSplit


def chain_of(samples, rows, folds=()):
    """Return a chain of rows, with the frozen folds of some."""
    named = zip(samples["sample"].iloc[list(rows)], samples["declared"].iloc[list(rows)], strict=True)
    return tuple(Shown(*names, fold) for names, fold in zip_longest(named, folds, fillvalue=""))


def search_of(
    samples, *pairs, done="tried", runaways=(), torn=(), canary=(24, 24), blank=(), above=0, parent=True
):
    """Return a search that found pairs (first, second, sure, movement), all as whole copies if no movement is given."""
    verifiable = np.ones(len(samples), bool)
    verifiable[list(blank)] = False
    found = [
        Pair(a, b, Alignment(np.array(movement), False, 60, 0.95, 1.0 if movement == STILL else 0.5), sure)
        for a, b, sure, movement in pairs
    ]
    whole = Found(tuple(found), verifiable, Calibration(7, 1000, 0, 0, above), (), True, False)
    runaways = tuple(chain_of(samples, rows) for rows in runaways)
    torn = tuple(chain_of(samples, rows, folds) for rows, folds in torn)
    return Searched(
        Copies(whole, {"mirrored": canary} if canary else {}), Joins(done, runaways, torn, parent)
    )


STILL = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.fixture
def searched():
    return search_of
