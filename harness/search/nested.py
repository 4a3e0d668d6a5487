"""The result of nested cross-validation in a study's ledger. harness/nested.py makes it, `nest` says what is in it."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from harness.search.tables import damaged, read_json

NESTED = "nested.json"  # there where the search was run without each fold in turn
SERVED = "served_"  # of its numbers: at the threshold that the search would promote its best trial with
COUNTED = ("tp", "fp", "fn")


def read_nested(folder: Path) -> dict[str, Any] | None:
    """Return what is in a ledger's folder, None where there is none. Raises DataError for a damaged file."""
    if (found := read_json(folder / NESTED)) is None:
        return None
    if not _is_result(found):
        raise damaged(folder / NESTED, "it holds no result", by_doctor=False)
    return dict(found)


def as_served(rows: pd.DataFrame) -> pd.DataFrame:
    """Return fold, group, tp, fp, fn of rows with counts both ways, at the thresholds that the searches chose."""
    return rows[["fold", "group"]].assign(**{name: rows[f"{SERVED}{name}"] for name in COUNTED})


def is_of_budget(nested: Mapping[str, Any], trials: int, second_look: int) -> bool:
    """Tell whether its searches had so many trials each, and so many second looks to choose by."""
    return (nested["trials"], nested.get("second_look", 0)) == (trials, second_look)


def _is_result(found: Any) -> bool:
    """Tell whether all is there that is read of a result; those of older code have no counts."""
    try:
        pairs = zip(found["iou_folds"], found["chosen"], strict=True)
        folds = [(one["fold"], one["trial"], one["study"], one["loss"]) for iou, one in pairs if iou >= 0]
        numbers = [found[name] for name in ("trials", "iou_mean", "iou_std", "low", "high")]
        known = "counts" not in found or (_are_counts(found["counts"]) and isinstance(found["code"], str))
        numbers += [found[f"{SERVED}{name}"] for name in ("iou_mean", "iou_std") if "counts" in found]
        whole = all(isinstance(one, int | float) and isfinite(one) for one in numbers)
    except (TypeError, KeyError, ValueError, AttributeError):
        return False
    return known and whole and len(folds) > 1


def _are_counts(counts: Mapping[str, Any]) -> bool:
    names = {"fold", *(f"{of}{name}" for of in ("", SERVED) for name in COUNTED)}
    lengths = {len(column) for column in counts.values()}
    whole = all(isinstance(value, int) and value >= 0 for name in names for value in counts[name])
    named = all(isinstance(group, str) for group in counts["group"])
    return whole and named and counts.keys() == {"group", *names} and len(lengths) == 1 and 0 not in lengths
