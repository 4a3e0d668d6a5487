"""Check of time: pictures with neighboring numbers in their names that stand on both sides, and whether it shows."""

import posixpath
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, told
from harness.data.audit.ranks import PERMUTATIONS, RARE, means_by, ranked
from harness.data.audit.sides import HELD_OUT, Assignment

HEAD = ("T1", "Neighbors in time are not alike")
LOOKS = ("gray_mean", "gray_spread", "focus")
NUMBER = re.compile(r"\d+")
LONGEST = 15  # digits; longer runs are ids
FEWEST = 20  # neighbors that make a comparison
ALIKE = 0.75  # of the difference between random sources


def neighbors_in_time(samples: pd.DataFrame, split: Assignment) -> Finding:
    """T1: sources whose running numbers follow one another look no more alike than any two; it only tells.

    Names alone cannot show that numbers run in time, so what follows from them is never a failure.
    """
    order = _ordered_groups(samples)
    follows = (
        (order["series"].to_numpy()[1:] == order["series"].to_numpy()[:-1]) if len(order) else np.zeros(0)
    )
    if follows.sum() < FEWEST:
        return told(
            *HEAD, "not run", f"{int(follows.sum())} sources follow another by a running number in the names."
        )
    ratio, p = _likeness(ranked(order[list(LOOKS)]), follows.astype(bool))
    rows = _neighbor_trains(samples, split, order, follows.astype(bool))
    said = (
        f"{int(follows.sum())} sources follow another by the numbers in their names and differ from it "
        f"{ratio:.0%} as much as random ones do (p {p:.3f})"
    )
    if ratio > ALIKE or p > RARE:
        return told(*HEAD, "pass", f"{said}.")
    text = (
        f"{said}; {rows.mean():.0%} of the images have such a neighbor in training: if the numbers run in time, "
        "make whole runs one group (source_image_id or data.group)."
    )
    return Finding(*HEAD, "info", "warn", int(rows.sum()), float(rows.mean()), text)


def _ordered_groups(samples: pd.DataFrame) -> pd.DataFrame:
    """Return one row a folder and group, by its lowest running number there: series, group, number, looks."""
    names = samples["sample"].astype(str)
    table = samples.assign(series=[posixpath.dirname(name) for name in names], number=_numbers(names))
    table = table[table["number"] >= 0]
    looks = means_by(table, ["series", "group"], LOOKS)
    lowest = table.groupby(["series", "group"], sort=True)["number"].min()
    return (
        looks.assign(number=lowest)
        .reset_index()
        .sort_values(["series", "number", "group"], ignore_index=True)
    )


def _numbers(names: "pd.Series[str]") -> NDArray[np.int64]:
    """Return each name's running number, -1 without one: of the numbers in it, that which differs most over the set.

    Names of one pattern, digits aside, are read alike.
    """
    stems = [posixpath.splitext(posixpath.basename(name))[0] for name in names]
    found = [[int(run) for run in NUMBER.findall(stem) if len(run) <= LONGEST] for stem in stems]
    numbers = np.full(len(names), -1, dtype=np.int64)
    pattern = pd.factorize(np.array([NUMBER.sub("#", stem) for stem in stems], object))[0]
    for kind in range(pattern.max() + 1):
        rows = np.flatnonzero(pattern == kind)
        runs = [found[row] for row in rows]
        width = min(map(len, runs))
        if width:
            table = np.array([run[:width] for run in runs], dtype=np.int64)
            numbers[rows] = table[:, int(np.argmax([len(np.unique(column)) for column in table.T]))]
    return numbers


def _likeness(ranks: NDArray[np.float64], follows: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the neighbors' mean difference over that of random orders, and how often those are as alike."""

    def difference(table: NDArray[np.float64]) -> float:
        return float(np.abs(np.diff(table, axis=0))[follows].mean())

    rng, here = np.random.default_rng(0), difference(ranks)
    random = np.array([difference(ranks[rng.permutation(len(ranks))]) for _ in range(PERMUTATIONS)])
    return here / max(float(random.mean()), 1e-12), (1 + int((random <= here).sum())) / (1 + PERMUTATIONS)


def _neighbor_trains(
    samples: pd.DataFrame, split: Assignment, order: pd.DataFrame, follows: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell for each row (N,) whether a neighbor of its group trains while it is validated or held out."""
    fold = pd.Series(split.of(samples), index=samples["group"].to_numpy()).groupby(level=0).first()
    own = fold.loc[order["group"]].to_numpy()
    trains = np.zeros(len(own), dtype=bool)
    for one, other in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        trains[one] |= follows & (own[one] != own[other]) & (own[other] != HELD_OUT)
    return np.asarray(samples["group"].isin(order["group"][trains]))
