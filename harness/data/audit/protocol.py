"""Checks of the procedure: what is fitted on which rows, what happened before the split, and looks at unseen data."""

import hashlib
import re
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, more, passed, told, warned
from harness.data.audit.sides import Assignment

COPIES = re.compile(
    r"(?<![a-z])(aug|augmented|hflip|vflip|flipped|flip|rot\d*|rotated|mirrored|copy|synthetic|smote)(?![a-z])"
)


def fitted_on_training_rows(samples: pd.DataFrame, split: Assignment) -> Finding:
    """P1: the one number taken from masks before training, the coverage, comes from each fold's training rows.

    From it follow class weight and output bias. Pixel mean and deviation, threshold and number of epochs are
    constants of the study. The evidence has the rows' digests; fold runs record the coverage they used.
    """
    head = ("P1", "Nothing is fitted on validated rows")
    items, torn = [], np.zeros(len(samples), dtype=bool)
    for fold in range(split.count):
        rows = split.train(samples, fold)
        outside = np.concatenate([split.validation(samples, fold), split.held_out(samples)])
        torn[np.intersect1d(rows, outside)] = True
        coverage = round(_coverage(samples.iloc[rows]), 6)
        items.append({"fold": fold, "rows": len(rows), "coverage": coverage, "sha256": _digest(rows)})
    if torn.any():
        text = (
            f"{int(torn.sum())} rows would be fitted on and validated or held out, the first is row "
            f"{int(np.argmax(torn))}; correct the split."
        )
        return Finding(*head, "fail", "fail", int(torn.sum()), float(torn.mean()), text, tuple(items))
    text = f"Coverage, and from it class weight and output bias, is that of each of {split.count} folds' training rows."
    return Finding(*head, "fail", "pass", 0, 0.0, text, tuple(items))


def copies_before_split(samples: pd.DataFrame, split: Assignment) -> Finding:
    """P2: no picture stands several times in one group, and no file name says that it is an augmented copy.

    Copies inside a group leak nothing, yet count several times in training and in the score.
    """
    head = ("P2", "Nothing was multiplied before the split")
    again = samples.duplicated(["group", "pixels_sha256", "mask_sha256"], keep=False).to_numpy()
    names = samples["sample"].astype(str)
    named = names.map(lambda name: bool(COPIES.search(PurePosixPath(name).stem.casefold()))).to_numpy()
    hit = again | named
    if not hit.any():
        text = f"No picture of {len(samples):,} stands twice in its group, and no file name speaks of a copy."
        return passed(*head, "warn", text)
    first = names[hit].min()
    why = (
        "stands several times in its group"
        if again[int(np.flatnonzero(names.to_numpy() == first)[0])]
        else "says so"
    )
    text = (
        f"{first!r} {why}: a copied or augmented picture, which counts several times in the score; keep originals, "
        f"augmentation is done while training{more(int(hit.sum()) - 1, 'picture')}."
    )
    return warned(head, samples, hit, text, {"group": "group"})


def looks_at_held_out(samples: pd.DataFrame, split: Assignment) -> Finding:
    """P4: no training sees held-out groups; `promote` counts its looks at them, after this report is written."""
    rows = split.held_out(samples)
    groups = samples["group"].iloc[rows].nunique()
    text = (
        f"{groups} groups are held out; promote counts each look at them below the home (heldout/), and those made "
        "elsewhere cannot be seen."
        if groups
        else "No group is held out: there are no unseen data to confirm the best trial on."
    )
    return told("P4", "Looks at the held-out groups", "not run", text)


def _coverage(samples: pd.DataFrame) -> float:
    return float(samples["positive"].sum() / max(1, int(samples["valid"].sum())))


def _digest(rows: NDArray[np.intp]) -> str:
    return hashlib.sha256(str(np.sort(rows).tolist()).encode()).hexdigest()[:16]
