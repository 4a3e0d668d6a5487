"""Checks of the group ids: whole groups on one side, ids that mean something, every row in one fold."""

import unicodedata
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, Severity, more, passed
from harness.data.audit.sides import HELD_OUT, Assignment, fold_name


def group_overlap(samples: pd.DataFrame, split: Assignment) -> Finding:
    """G1: no group stands in the training rows of a fold and in its validation or held-out rows."""
    title = "Groups are whole"
    groups = samples["group"].to_numpy()
    held_out = split.held_out(samples)
    items: list[dict[str, Any]] = []
    leaked = np.zeros(len(samples), dtype=bool)
    for fold in range(split.count):
        train, validation = split.train(samples, fold), split.validation(samples, fold)
        for side, rows in (("validation", validation), ("held out", held_out)):
            both = sorted(set(groups[train]) & set(groups[rows]))
            leaked[rows[np.isin(groups[rows], both)]] = True
            items += [
                {"group": g, "fold": fold, "side": side, "samples": int((groups[rows] == g).sum())}
                for g in both
            ]
    if not items:
        return passed("G1", title, "fail", f"No group stands on two sides in any of {split.count} folds.")
    first = items[0]
    summary = (
        f"Group {first['group']!r} trains fold {first['fold']} and stands in its {first['side']} part "
        f"({first['samples']} images); put the group whole into one fold{more(len(items) - 1, 'case')}."
    )
    return Finding(
        "G1", title, "fail", "fail", int(leaked.sum()), float(leaked.mean()), summary, tuple(items)
    )


def group_ids(samples: pd.DataFrame, split: Assignment) -> Finding:
    """G2: ids are not blank and differ by more than case and blanks; some source has more than one sample."""
    title = "Group ids mean something"
    groups = samples["group"].astype(str)
    blank = groups.str.strip() == ""
    if blank.any():
        rows = samples.loc[blank.to_numpy(), "sample"].astype(str)
        summary = (
            f"{rows.iloc[0]!r} has a blank group (source_image_id or data.group); name what it shows"
            f"{more(len(rows) - 1, 'image')}."
        )
        return _ids_finding(title, "fail", rows, summary)
    alike = _alike(groups)
    if len(alike):
        first, second = alike.unique()[:2]
        others = more(alike.nunique() - 2, "id")
        summary = (
            f"Ids {first!r} and {second!r} differ only in case or blanks; write a source one way{others}."
        )
        return _ids_finding(title, "warn", alike, summary)
    if len(groups) > 1 and groups.is_unique:
        summary = (
            f"Each of {len(groups)} images is its own group: ids cannot show a leak here; "
            "give pictures of one physical thing one group (source_image_id or data.group)."
        )
        return Finding("G2", title, "warn", "warn", len(groups), 0.0, summary)
    summary = (
        f"{groups.nunique()} groups hold {len(groups)} images, {len(groups) / groups.nunique():.1f} a group."
    )
    return passed("G2", title, "fail", summary)


def one_fold_each(samples: pd.DataFrame, split: Assignment) -> Finding:
    """G5: the positions that the split gives name every row once a repeat, and the rows there belong to that fold."""
    title = "Every row is in one fold"
    wrong, seen = np.zeros(len(samples), dtype=bool), np.ones(len(samples), dtype=np.intp)
    for repeat in range(len(split.assignments)):
        odd, times = _misplaced(samples, split, repeat)
        seen = np.where(odd & ~wrong, times, seen)
        wrong |= odd
    if not wrong.any():
        summary = f"{len(samples)} rows: each stands once, in the fold of its group, by position."
        return passed("G5", title, "fail", summary)
    rows = np.flatnonzero(wrong)
    items = tuple(_row_item(samples, split, int(row), int(seen[row])) for row in rows)
    first = items[0]
    summary = (
        f"Row {first['row']} ({first['sample']!r}) is named {first['times']} times, or in another fold than its "
        f"group's; use positions, never index labels{more(len(rows) - 1, 'row')}."
    )
    return Finding("G5", title, "fail", "fail", len(rows), len(rows) / len(samples), summary, items)


def _misplaced(
    samples: pd.DataFrame, split: Assignment, repeat: int
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Tell for each row (N,) whether a repeat names it elsewhere or not once, and how often it does."""
    folds = [fold for fold in range(split.count) if split.repeat_of(fold) == repeat]
    parts = {fold: split.validation(samples, fold) for fold in folds} | {HELD_OUT: split.held_out(samples)}
    seen = np.bincount(np.concatenate(list(parts.values())), minlength=len(samples))[: len(samples)]
    wrong = seen != 1
    for fold, rows in parts.items():
        inside = rows[rows < len(samples)]
        given = samples["group"].iloc[inside].map(split.assignments[repeat]).to_numpy()
        wrong[inside[given != fold]] = True
    return wrong, seen


def _alike(groups: "pd.Series[str]") -> "pd.Series[str]":
    """Return the ids, one each, that some other id equals but for case, blanks and Unicode form."""
    ids = pd.Series(groups.unique()).astype(str)
    plain = ids.map(lambda id: "".join(unicodedata.normalize("NFKC", id).casefold().split()))
    order = plain[plain.duplicated(keep=False)].sort_values(kind="stable").index
    return ids.loc[order]


def _ids_finding(title: str, severity: Severity, values: "pd.Series[str]", summary: str) -> Finding:
    items = tuple({"id or image": value} for value in values)
    return Finding(
        "G2", title, "fail", "fail" if severity == "fail" else "warn", len(items), 0.0, summary, items
    )


def _row_item(samples: pd.DataFrame, split: Assignment, row: int, times: int) -> dict[str, Any]:
    group = str(samples["group"].iloc[row])
    fold = split.folds.get(group)
    return {
        "row": row,
        "sample": str(samples["sample"].iloc[row]),
        "group": group,
        "fold of the group": "none" if fold is None else fold_name(fold),
        "times": times,
    }
