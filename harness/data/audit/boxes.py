"""Check by coordinates: two crops that show the same pixels of a photo stand in one group."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from harness.data.audit.finding import Finding, more, passed, told
from harness.data.audit.sides import HELD_OUT, Assignment, fold_name

HEAD = ("D4", "Overlapping crops are in one group")
BOX = ["x0", "y0", "w", "h"]


def overlapping_crops(samples: pd.DataFrame, split: Assignment) -> Finding:
    """D4: no two crops of a photo that overlap by their boxes stand in two groups."""
    boxed = (
        samples[BOX].notna().all(axis=1).to_numpy()
        if set(BOX) <= set(samples)
        else np.zeros(len(samples), bool)
    )
    if not boxed.any():
        return told(
            *HEAD,
            "not run",
            "No image has a crop box (x0, y0, w, h) to read overlaps from.",
        )
    table = samples[boxed]
    groups = table.groupby("photo")["group"].transform("nunique")
    torn = table[(groups > 1).to_numpy()]
    pairs = [pair for _, crops in torn.groupby("photo", sort=True) for pair in _overlaps(crops)]
    if not pairs:
        text = f"{int(boxed.sum()):,} of {len(samples):,} images have boxes; none overlaps a box of another group."
        return passed(*HEAD, "fail", text)
    fold = {group: int(split.folds[group]) for group in torn["group"].unique()}
    items = tuple(_item(a, b, fold) | {"shared": round(share, 3)} for a, b, share in pairs)
    rows = {row["sample"] for a, b, _ in pairs for row in (a, b)}
    leaked = {
        row["sample"] for a, b, _ in pairs for row, other in ((a, b), (b, a)) if _trains(row, other, fold)
    }
    text = (
        f"{items[0]['first']!r} and {items[0]['second']!r} share {items[0]['shared']:.0%} of the smaller crop, by "
        f"their boxes, and stand in two groups; give both one group (source_image_id or data.group)"
        f"{more(len(items) - 1, 'pair')}."
    )
    return Finding(*HEAD, "fail", "fail", len(rows), len(leaked) / len(samples), text, items)


def _overlaps(crops: pd.DataFrame) -> Iterator[tuple[dict[str, Any], dict[str, Any], float]]:
    """Yield pairs of crops of one photo and two groups, and the share of the smaller one that both show."""
    rows = crops.sort_values(["x0", "sample"]).to_dict("records")
    for position, a in enumerate(rows):
        for b in rows[position + 1 :]:
            if b["x0"] >= a["x0"] + a["w"]:
                break  # sorted along x: none of the following can overlap
            across, down = (
                min(a[at] + a[side], b[at] + b[side]) - max(a[at], b[at])
                for at, side in (("x0", "w"), ("y0", "h"))
            )
            if a["group"] != b["group"] and across > 0 and down > 0:
                first, second = ({str(k): v for k, v in row.items()} for row in (a, b))
                yield first, second, float(across * down / min(a["w"] * a["h"], b["w"] * b["h"]))


def _item(a: dict[str, Any], b: dict[str, Any], fold: dict[str, int]) -> dict[str, Any]:
    item: dict[str, Any] = {"photo": str(a["photo"])}
    for which, row in (("first", a), ("second", b)):
        item |= {which: str(row["sample"]), f"{which} group": str(row["group"])}
        item |= {f"{which} fold": fold_name(fold[row["group"]])}
    return item


def _trains(row: dict[str, Any], other: dict[str, Any], fold: dict[str, int]) -> bool:
    there = fold[other["group"]]
    return there not in (HELD_OUT, fold[row["group"]])
