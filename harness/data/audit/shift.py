"""Check for folds that are different data: light, focus, size, coverage or objects far from the other folds'."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, passed, told
from harness.data.audit.ranks import (
    FEWEST,
    RARE,
    STRONG,
    Table,
    chance,
    means_by,
    ranked,
    separation,
    strength,
)
from harness.data.audit.sides import HELD_OUT, Assignment, fold_name

HEAD = ("S2", "Folds are alike")
FEATURES = {"mean gray": "gray_mean", "spread of gray": "gray_spread", "focus": "focus", "width": "width"}
FEATURES |= {"height": "height", "target px": "positive", "largest object": "largest_px"}


def shift_between_folds(samples: pd.DataFrame, split: Assignment) -> Finding:
    """S2: no fold's sources, nor the held-out ones, are told from the others by light, focus, size or objects.

    Source means are compared by rank; p counts the best of all parts and features among random deals.
    """
    table = means_by(samples, ["group"], list(FEATURES.values()))
    parts = _parts(samples, split, table.index)
    if not parts:
        text = (
            f"No part has {FEWEST} sources to compare with the rest; folds of few sources differ by chance."
        )
        return told(*HEAD, "not run", text)
    ranks, member = ranked(table), np.stack(list(parts.values()))
    auc, p = separation(ranks, member), chance(ranks, member)
    part, feature = np.unravel_index(int(np.argmax(strength(auc))), auc.shape)
    said = (
        f"{list(FEATURES)[feature]} tells {list(parts)[part]} from the others in {strength(auc)[part, feature]:.0%} "
        f"of pairs of sources (p {p:.3f})"
    )
    if strength(auc).max() < STRONG or p > RARE:
        return passed(*HEAD, "warn", f"At most: {said}.")
    far = strength(auc).max(axis=1) >= STRONG
    rows = int(sum(samples["group"].isin(table.index[inside]).sum() for inside in member[far]))
    text = f"{said}: its score is of other data than it was trained on; read folds one by one, or make a new split."
    share = min(1.0, rows / len(samples))
    return Finding(*HEAD, "warn", "warn", min(rows, len(samples)), share, text, _items(list(parts), auc))


def _parts(samples: pd.DataFrame, split: Assignment, groups: "pd.Index[Any]") -> dict[str, NDArray[np.bool_]]:
    """Return which groups (G,) belong to each part that has enough of them, and enough outside."""
    rows = {fold_name(fold): split.validation(samples, fold) for fold in range(split.count)}
    rows[fold_name(HELD_OUT)] = split.held_out(samples)
    names = samples["group"].to_numpy()
    member = {part: np.asarray(groups.isin(names[inside])) for part, inside in rows.items()}
    return {part: inside for part, inside in member.items() if FEWEST <= inside.sum() <= len(groups) - FEWEST}


def _items(parts: list[str], auc: Table) -> tuple[dict[str, Any], ...]:
    columns = [dict(zip(FEATURES, (round(float(v), 3) for v in row), strict=True)) for row in auc]
    return tuple({"part": part} | values for part, values in zip(parts, columns, strict=True))
