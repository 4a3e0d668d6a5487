"""What is compared: the same samples and recipe under two splits by the same code, one blind to groups."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from harness.config import Study
from harness.cost.caps import Cap, draw, small, small_folds
from harness.data.audit.counterfactual import leaked_shares
from harness.data.folds import make_split
from harness.data.repair import declare, repair
from harness.data.rows import BOX
from harness.data.split import Split
from harness.prepare import Prepared
from harness.train.version import code_digest

FEWEST_POSITIVE = 2  # groups with an object: one a fold


@dataclass(frozen=True)
class Question:
    """A small study, its drawn samples in their groups, and the two splits of them.

    `samples` are the pictures as they are trained on, each a photograph and an instance of its own; `photo` of the
    audit is in `photographed`. `splits`: blind to groups, then by groups.
    """

    study: Study
    samples: pd.DataFrame
    splits: tuple[Split, Split]
    caps: Sequence[Cap]

    @cached_property
    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the samples as each split names their groups; rows stand at the same places."""
        return blind(self.samples), self.samples

    @property
    def folds(self) -> int:
        return self.splits[0].count

    @property
    def leaked(self) -> float:
        """Return the share of pictures that the blind split validates beside training pictures of the same thing."""
        return leaked_shares(self.samples, self.splits[0].of(self.tables[0]))["group"]

    @property
    def digest(self) -> str:
        """Return what decides every number of the answer, code and kind of device included."""
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        settings = self.study.decisive()
        settings.pop("search")
        settings["data"].pop("groups")  # they are in the splits
        names = hashlib.sha256("\n".join(self.samples["sample"]).encode()).hexdigest()
        parts = (settings, names, [s.id for s in self.splits], code_digest(), torch.__version__, kind)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def used_samples(prepared: Prepared) -> pd.DataFrame:
    """Return the samples that are in folds, in groups joined where pictures show one thing.

    Also where the study's own groups were trusted, given or frozen before: one side of the comparison must not leak.
    Held-out groups stay out.
    """
    joined = repair(declare(prepared.samples), prepared.copies, None).samples["group"]
    kept = np.ones(len(prepared.samples), bool)
    kept[prepared.split.held_out(prepared.samples)] = False
    return prepared.samples.assign(group=joined)[kept].reset_index(drop=True)


def why_none(samples: pd.DataFrame) -> str:
    """Return why there is nothing to compare; nothing if there is."""
    if samples["group"].is_unique:
        return (
            f"each of {len(samples):,} pictures is a group of its own, so that a split by pictures and one by groups "
            "are the same: nothing can leak, and nothing was trained"
        )
    positive = samples.loc[samples["positive"] > 0, "group"].nunique()
    if positive < FEWEST_POSITIVE:
        return f"{positive} groups have an object, and two folds need {FEWEST_POSITIVE}: nothing was trained"
    return ""


def ask(prepared: Prepared, samples: pd.DataFrame) -> Question:
    """Return the question about these samples; see `used_samples`."""
    study = prepared.study
    drawn, fewer = draw(samples, study.seed)
    drawn = _as_pictures(drawn)
    positive = int(drawn.loc[drawn["positive"] > 0, "group"].nunique())
    folds, less = small_folds(study, positive)
    longest, trained = int(drawn[["height", "width"]].to_numpy().max()), len(drawn) * (1 - 1 / folds.count)
    small_study, caps = small(study, longest=longest, trained=trained)
    splits = [
        make_split(table, folds, manifest=prepared.manifest, seed=study.seed)
        for table in (blind(drawn), drawn)
    ]
    return Question(small_study, drawn, (splits[0], splits[1]), [*fewer, *less, *caps])


def blind(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the samples as somebody has them who does not know what shows one thing: each its own group."""
    return samples.assign(group=samples["sample"])


def _as_pictures(samples: pd.DataFrame) -> pd.DataFrame:
    """Return samples that are each trained on and scored as they came, so that both splits do equal work."""
    names, none = samples["sample"], pd.Series(pd.NA, samples.index, dtype="Int64")
    alone = samples.assign(photographed=samples["photo"], photo=names, instance=names)
    for column in (*BOX, "fold"):
        alone[column] = none
    return alone
