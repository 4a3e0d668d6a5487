"""The small settings of the cost: a table of caps over the study's own, and the pictures that are drawn."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.config import Choice, Folds, Study
from harness.paths import take
from harness.search.slots import baseline_params

ENCODER = "tu-test_efficientnet.r160_in1k"
NETWORK = Choice(name="unet", settings={"encoder": ENCODER, "decoder_channels": [64, 32, 16, 16, 8]})
LR = 4e-3  # of that network, which learns from random weights
PICTURES = 400  # drawn, in whole groups
A_GROUP = 20  # pictures of a larger group that are drawn
FOLDS = 5
MULTIPLE = 32  # px, of crops
CROPS = (
    5000  # that a fold run trains on, so that it takes the same time whatever the data, and learns something
)
FEWEST_EPOCHS = 8
TIMES = 4  # the epochs of the study, at most
MOST: dict[str, float] = {  # of a setting, as docs/cost.md has them
    "data.size": 512,
    "train.batch_size": 8,
    "train.average": 0.95,  # fewer steps, so that a slower mean would still hold the first weights
}
CROP = 96  # px; of smaller ones a small network learns so little that a leak hardly shows
FIXED: dict[str, Any] = {"train.precision": "fp32", "train.channels_last": False, "train.loader_workers": 0}


@dataclass(frozen=True)
class Cap:
    """One thing that is other here than in the study."""

    what: str
    study: str
    here: str

    @property
    def sentence(self) -> str:
        return f"{self.what} {self.study} -> {self.here}"


def small(study: Study, *, longest: int, trained: float) -> tuple[Study, list[Cap]]:
    """Return the study's first baseline over its defaults with small settings, and what is other than in the study.

    `longest` is the longest side of all pictures, px; `trained` how many of them a fold run trains on.
    """
    baselines = baseline_params(study)
    recipe = study.with_params(baselines[0]) if baselines else study
    tree, changed = recipe.model_dump(), dict[str, Any]()
    for path, most in MOST.items():
        value = longest if path == "data.size" and take(tree, path) is None else take(tree, path)
        if value is not None and value > most:
            changed[path] = most if isinstance(value, float) else int(most)
    epochs = small_epochs(recipe.train.epochs, trained)
    changed |= {} if epochs == recipe.train.epochs else {"train.epochs": epochs}
    if recipe.network.settings.get("encoder") != ENCODER:
        changed |= {"network": NETWORK.model_dump(), "train.lr": LR}
    fixed = FIXED | {"train.crop": min(CROP, math.ceil(longest / MULTIPLE) * MULTIPLE)}
    changed |= {path: value for path, value in fixed.items() if take(tree, path) != value}
    caps = [Cap(path, _said(take(tree, path)), _said(value)) for path, value in changed.items()]
    return recipe.with_settings(changed | {"train.validate_every": epochs}), caps


def small_epochs(epochs: int, trained: float) -> int:
    """Return the epochs in which a fold run sees about CROPS crops; TIMES as many as the study has at most."""
    return min(max(FEWEST_EPOCHS, round(CROPS / trained)), TIMES * epochs)


def small_folds(study: Study, positive_groups: int) -> tuple[Folds, list[Cap]]:
    """Return the settings of both splits: one repeat without held-out groups, each fold with a positive group."""
    count = min(study.folds.count, FOLDS, positive_groups)
    cap = [Cap("folds", str(study.folds.count), str(count))] if count < study.folds.count else []
    return Folds(count=count, held_out=0, positive_floor=1), cap


def draw(samples: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, list[Cap]]:
    """Return whole groups up to PICTURES pictures, of a group A_GROUP at most; drawn by the seed and names alone.

    Half of the pictures come from groups with an object where there are so many: they are what a score rests on.
    """
    turn = samples.assign(turn=_hashes(samples["sample"], seed)).sort_values("turn", kind="stable")
    bounded = samples.loc[turn.groupby("group").head(A_GROUP).index].sort_index()
    sizes, positive = bounded.groupby("group").size(), bounded.groupby("group")["positive"].max() > 0
    order = [name for _, name in sorted(zip(_hashes(sizes.index, seed), sizes.index, strict=True))]
    chosen = dict.fromkeys(_fitting([g for g in order if positive[g]], sizes, PICTURES // 2))
    left = PICTURES - sum(int(sizes[g]) for g in chosen)
    chosen |= dict.fromkeys(_fitting([g for g in order if g not in chosen], sizes, left))
    drawn = bounded[bounded["group"].isin(list(chosen))].reset_index(drop=True)
    cap = [Cap("pictures", f"{len(samples):,}", f"{len(drawn):,}")] if len(drawn) < len(samples) else []
    return drawn, cap


def _fitting(groups: Iterable[str], sizes: "pd.Series[int]", room: int) -> list[str]:
    """Return the groups, in their order, that still fit."""
    found = []
    for group in groups:
        if sizes[group] <= room:
            found.append(group)
            room -= int(sizes[group])
    return found


def _hashes(names: Iterable[Any], seed: int) -> list[str]:
    return [hashlib.sha256(f"{seed} cost {name}".encode()).hexdigest() for name in names]


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['name']} ({value['settings'].get('encoder', 'its default encoder')})"
    return "as it is" if value is None else str(value)
