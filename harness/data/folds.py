"""Make group folds and held-out groups, balanced over what a score rests on."""

import contextlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from harness.config import Folds
from harness.data.audit.sides import HELD_OUT, fold_name, summary
from harness.data.placement import assign, group_table
from harness.data.split import Split, freeze, new_split, read_split
from harness.errors import DataError, LeakageError

__all__ = ["HELD_OUT", "Split", "freeze", "make_split", "read_split", "summary"]


def make_split(
    samples: pd.DataFrame, settings: Folds, *, manifest: str, seed: int, parent: Split | None = None
) -> Split:
    """Return the folds of a sample table with manifest columns.

    A `fold` column is used as given and verified, whatever a `parent` has. Otherwise held-out groups are chosen
    first, then folds: positive groups spread evenly before all else, then object area, objects, their sizes, samples,
    negative groups and classes; `settings.scheme` says how many. With a `parent` its groups keep their folds, and only
    new ones are placed.
    Raises DataError where a fold has too few positive groups, LeakageError where given folds split a group.
    """
    groups = group_table(samples, seed)
    given = _given_folds(samples, settings)
    if given is not None:
        _refuse_poor_folds(groups, given, settings)
        return new_split(manifest, settings, given, notes=[_note_on_given(given, settings)], parent=None)
    old = _repeats_of_parent(parent, settings)
    _refuse_infeasible(groups, settings)
    repeats, notes = assign(groups, settings, old, seed)
    notes.append(f"equal groups are ordered by seed {seed}")
    for folds in repeats:
        _refuse_poor_folds(groups, folds, settings)
    if parent is not None:
        new = sum(group not in parent.folds for group in groups.index)
        notes.append(
            f"child of split {parent.id}: its {len(parent.folds)} groups keep their folds, {new} groups are new"
        )
        repeats = [{**before, **folds} for before, folds in zip(old, repeats, strict=True)]
    return new_split(manifest, settings, *repeats, notes=notes, parent=parent.id if parent else None)


def with_fresh_folds(split: Split, samples: pd.DataFrame, seed: int) -> Split:
    """Return the split with one repeat more: other folds of the same groups, the held-out ones left out as before.

    Folds that were given, that leave one group out, or of which there is no other balanced way, are repeated as they
    are; then only the seeds of the repeat are fresh, and a note says so.
    """
    each, repeats = split.count // len(split.assignments), len(split.assignments) + 1
    settings = split.settings.model_copy(update={"scheme": "repeated", "count": each, "repeats": repeats})
    old, note = list(split.assignments), "the last repeat has the same folds"
    free = split.settings.scheme != "leave_one_group_out" and _given_folds(samples, split.settings) is None
    fresh = {g: f if f == HELD_OUT else f + each for g, f in old[-1].items()}
    if free:
        with contextlib.suppress(DataError):
            (*_, fresh), _ = assign(group_table(samples, seed), settings, old, seed)
            note = "the last repeat has folds of its own"
    return new_split(split.manifest, settings, *old, fresh, notes=[*split.notes, note], parent=split.id)


def _repeats_of_parent(parent: Split | None, settings: Folds) -> list[dict[str, int]]:
    if parent is None:
        return []
    for name in ("scheme", "count", "repeats"):
        ours, theirs = getattr(settings, name), getattr(parent.settings, name)
        if ours != theirs:
            raise DataError(
                f"folds.{name}: {ours}, and the parent split {parent.id} has {name} {theirs}; "
                f"keep its {name}, or make a split without a parent"
            )
    return [dict(folds) for folds in parent.assignments]


def _given_folds(samples: pd.DataFrame, settings: Folds) -> dict[str, int] | None:
    """Return the fold column as group -> fold, verified; None where the table has none."""
    column = samples.get("fold")
    if column is None or column.isna().all():
        return None
    if settings.scheme != "groups":
        raise DataError(
            f"column fold: gives one fold a group, and folds.scheme is {settings.scheme}; drop one of the two"
        )
    if column.isna().any():
        row = int(np.argmax(column.isna().to_numpy()))
        raise DataError(
            f"column fold: {int(column.isna().sum())} of {len(column)} rows have none, the first is "
            f"row {row} ({samples['sample'].iloc[row]}); give every row one, or none"
        )
    rows = pd.DataFrame({"group": samples["group"].astype(str), "fold": column.astype(np.int64)})
    _refuse_split_groups(rows)
    numbers = sorted(set(rows["fold"]) - {HELD_OUT})
    if numbers != list(range(settings.count)):
        raise DataError(
            f"column fold: holds the folds {numbers}, and folds.count is {settings.count} "
            f"(0 to {settings.count - 1}, {HELD_OUT} for held out); number them so, or change folds.count"
        )
    return {str(group): int(fold) for group, fold in rows.groupby("group")["fold"].first().items()}


def _refuse_split_groups(rows: pd.DataFrame) -> None:
    sides = rows.groupby("group")["fold"].nunique()
    torn = sides.index[sides > 1]
    if len(torn):
        counts = rows.loc[rows["group"] == torn[0], "fold"].value_counts().sort_index()
        where = " and ".join(
            f"{fold_name(int(f))} ({n} image{'s' if n > 1 else ''})" for f, n in counts.items()
        )
        others = f" ({len(torn) - 1} more groups are split too)" if len(torn) > 1 else ""
        raise LeakageError(
            f"column fold: group {torn[0]!r} is in {where}; put the group whole into one fold{others}"
        )


def _refuse_infeasible(groups: pd.DataFrame, settings: Folds) -> None:
    positive, count, floor = int(groups["positive_groups"].sum()), settings.count, settings.positive_floor
    if settings.scheme == "leave_one_group_out":
        return _refuse_floor_above_one(floor)
    if len(groups) < count:
        raise DataError(f"folds.count: {len(groups)} groups and {count} folds; lower folds.count or add data")
    if positive < count * floor:
        most = positive // floor
        lower = (
            f"lower folds.count to {most}" if most >= 2 else f"two folds need {2 * floor}: lower the floor"
        )
        raise DataError(
            f"folds.count: {positive} positive groups (with an object) and {count} folds of at least {floor}: "
            f"{lower} or add data"
        )


def _refuse_floor_above_one(floor: int) -> None:
    if floor > 1:
        raise DataError(
            f"folds.positive_floor: {floor}, and leave_one_group_out puts one positive group into each fold; set 1"
        )


def _refuse_poor_folds(groups: pd.DataFrame, folds: Mapping[str, int], settings: Folds) -> None:
    fold = np.array([folds[name] for name in groups.index])
    positive = groups["positive_groups"].to_numpy() > 0
    numbers = set(folds.values()) - {HELD_OUT}
    if settings.scheme != "leave_one_group_out":  # there each fold is made for a group
        first = min(numbers, default=0) // settings.count * settings.count
        numbers = set(range(first, first + settings.count))
    for number in (*sorted(numbers), *([HELD_OUT] if HELD_OUT in fold else [])):
        found, among = int(positive[fold == number].sum()), int((fold == number).sum())
        if found < settings.positive_floor:
            raise DataError(
                f"folds: {fold_name(number)} has {found} positive groups among {among}, and folds.positive_floor is "
                f"{settings.positive_floor}; move groups, lower folds.count or add data"
            )


def _note_on_given(folds: Mapping[str, int], settings: Folds) -> str:
    held_out = sum(fold == HELD_OUT for fold in folds.values())
    return (
        f"{settings.count} folds and {held_out or 'no'} held-out groups as given in the column fold; "
        "folds.held_out is not applied to them"
    )
