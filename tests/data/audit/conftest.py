"""Small sample tables and splits for the audit, sound ones and broken ones."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from harness.config import Folds
from harness.data.audit.sides import HELD_OUT
from harness.data.split import new_split


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
            "photo": [f"g{g:02d}/{i // 2}" for g, i in rows],
            "class_id": "one",
            "file_sha256": [f"file {name}" for name in names],
            "pixels_sha256": [f"pixels {name}" for name in names],
            "mask_sha256": [
                f"mask {name}" if px else "mask empty" for name, px in zip(names, target, strict=True)
            ],
            "positive": target,
            "valid": 1000,
            "objects": [int(px > 0) for px in target],
        }
    )


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

    def of(self, samples):
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
