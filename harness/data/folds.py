"""Make group folds and held-out groups, balanced over what a score rests on."""

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.config import Folds
from harness.data.audit.sides import HELD_OUT, fold_name, summary
from harness.data.balance import FREE, Bins, Vectors, place
from harness.data.split import Split, freeze, new_split, read_split
from harness.errors import DataError, LeakageError

__all__ = ["HELD_OUT", "Split", "freeze", "make_split", "read_split", "summary"]

WEIGHTS = {"positive_px": 1.0, "negative_groups": 0.5, "objects": 0.5, "samples": 0.5}
CLASS_WEIGHT = 0.25  # of all classes together
BALANCED_CLASSES = 64  # the commonest; rarer ones are too few to be spread


def make_split(
    samples: pd.DataFrame, settings: Folds, *, manifest: str, seed: int, parent: Split | None = None
) -> Split:
    """Return the folds of a sample table with manifest columns.

    A `fold` column is used as given and verified, whatever a `parent` has. Otherwise held-out groups are chosen
    first, then folds: positive groups spread evenly before all else, then object area, objects, samples, negative
    groups and classes. With a `parent` its groups keep their folds, and only new ones are placed.
    Raises DataError where a fold has too few positive groups, LeakageError where given folds split a group.
    """
    groups = _group_table(samples, seed)
    given = _given_folds(samples, settings)
    if given is not None:
        _refuse_poor_folds(groups, given, settings)
        return new_split(manifest, settings, given, notes=[_note_on_given(given, settings)], parent=None)
    old = _folds_of_parent(parent, settings)
    _refuse_infeasible(groups, settings)
    folds, notes = _placed(groups, settings, old)
    notes.append(f"equal groups are ordered by seed {seed}")
    _refuse_poor_folds(groups, folds, settings)
    if parent is not None:
        new = sum(group not in old for group in groups.index)
        notes.append(
            f"child of split {parent.id}: its {len(old)} groups keep their folds, {new} groups are new"
        )
    return new_split(manifest, settings, old | folds, notes=notes, parent=parent.id if parent else None)


def _group_table(samples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return one row a group, from large to small, equal ones by a hash of (seed, group)."""
    _refuse_blank_groups(samples["group"])
    codes, names = pd.factorize(samples["group"].to_numpy(dtype=object), sort=True)
    summed = {"positive_px": samples["positive"], "objects": samples["objects"]}
    sums = {name: np.bincount(codes, column.to_numpy(dtype=float)) for name, column in summed.items()}
    sums["samples"] = np.bincount(codes).astype(float)
    positive = sums["positive_px"] > 0
    hashes = np.array([hashlib.sha256(f"{seed} {name}".encode()).hexdigest() for name in names])
    order = np.lexsort((hashes, -sums["samples"], -sums["objects"], -sums["positive_px"]))
    columns = sums | {"positive_groups": positive, "negative_groups": ~positive} | _classes(samples, codes)
    table = np.stack(list(columns.values()), axis=1)[order]
    return pd.DataFrame(table, index=pd.Index(names[order]), columns=list(columns), dtype=float)


def _classes(samples: pd.DataFrame, group: Bins) -> dict[str, NDArray[np.bool_]]:
    """Return which groups (G,) have images of a class, for each of the commonest classes."""
    codes, names = pd.factorize(samples["class_id"].to_numpy(dtype=object), sort=True)
    pairs = pd.DataFrame({"class": codes, "group": group}).drop_duplicates()
    commonest = np.argsort(-np.bincount(pairs["class"]), kind="stable")[:BALANCED_CLASSES]
    of_class = pairs.groupby("class")["group"]
    groups = np.arange(group.max() + 1)
    return {f"class {names[code]}": np.isin(groups, of_class.get_group(code)) for code in commonest}


def _refuse_blank_groups(groups: "pd.Series[str]") -> None:
    if not len(groups):
        raise DataError("samples: there are none; name a folder or table with images")
    blank = (groups.isna() | (groups.astype(str).str.strip() == "")).to_numpy()
    if blank.any():
        raise DataError(
            f"source_image_id: row {int(np.argmax(blank))} of {len(blank)} has no group "
            f"({int(blank.sum())} rows in all); name the physical thing that each picture shows"
        )


def _folds_of_parent(parent: Split | None, settings: Folds) -> dict[str, int]:
    if parent is None:
        return {}
    if parent.count != settings.count:
        raise DataError(
            f"folds.count: {settings.count}, and the parent split {parent.id} has {parent.count} folds; "
            "keep its count, or make a split without a parent"
        )
    return dict(parent.folds)


def _given_folds(samples: pd.DataFrame, settings: Folds) -> dict[str, int] | None:
    """Return the fold column as group -> fold, verified; None where the table has none."""
    column = samples.get("fold")
    if column is None or column.isna().all():
        return None
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


def _refuse_poor_folds(groups: pd.DataFrame, folds: Mapping[str, int], settings: Folds) -> None:
    fold = np.array([folds[name] for name in groups.index])
    positive = groups["positive_groups"].to_numpy() > 0
    for number in (*range(settings.count), *([HELD_OUT] if HELD_OUT in fold else [])):
        found, among = int(positive[fold == number].sum()), int((fold == number).sum())
        if found < settings.positive_floor:
            raise DataError(
                f"folds: {fold_name(number)} has {found} positive groups among {among}, and folds.positive_floor is "
                f"{settings.positive_floor}; move groups, lower folds.count or add data"
            )


def _placed(
    groups: pd.DataFrame, settings: Folds, old: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Return group -> fold, groups of `old` where they were, and notes on what was done and why."""
    is_old = np.array([name in old for name in groups.index])
    old_fold = np.array([old.get(name, HELD_OUT) for name in groups.index], dtype=np.intp)
    out, note = _hold_out(groups, settings, np.where(is_old, np.where(old_fold == HELD_OUT, 0, 1), FREE))
    share = 1 / settings.count
    vectors = _vectors(groups[~out], share)
    targets = np.tile(vectors.sum(0) * share, (settings.count, 1))
    fold = np.full(len(groups), HELD_OUT, dtype=np.intp)
    fold[~out] = place(vectors, targets, np.where(is_old, old_fold, FREE)[~out])
    balance = (
        f"{settings.count} folds balanced on positive groups, then on area, objects, samples and classes"
    )
    return dict(zip(groups.index, fold.tolist(), strict=True)), [note, balance]


def _hold_out(groups: pd.DataFrame, settings: Folds, given: Bins) -> tuple[NDArray[np.bool_], str]:
    """Return which groups (G,) no fold holds, and why; `given` (G,) is 0 if held out, 1 if in a fold, or FREE."""
    positive = groups["positive_groups"].to_numpy()
    total, before = int(positive.sum()), given == 0
    wanted = max(settings.held_out_positive, round(settings.held_out * total))
    reason = _why_not_hold_out(settings, total, wanted)
    if not reason:
        vectors = _vectors(groups, wanted / total)
        of_held_out = vectors.sum(0) * wanted / total
        out = place(vectors, np.stack([of_held_out, vectors.sum(0) - of_held_out]), given) == 0
        chosen = int(positive[out].sum())
        if chosen >= settings.held_out_positive:
            negatives = f"{int((out & (positive == 0)).sum())} of {int((positive == 0).sum())} others"
            return (
                out,
                f"{chosen} of {total} positive groups ({chosen / total:.0%}) and {negatives} are held out",
            )
        reason = f"{chosen} new positive groups could be, at least {settings.held_out_positive} are wanted"
    return (
        before,
        f"{int(before.sum()) or 'no'} groups are held out{' as before' if before.any() else ''}: {reason}",
    )


def _why_not_hold_out(settings: Folds, positive: int, wanted: int) -> str:
    if settings.held_out == 0:
        return "folds.held_out is 0"
    if positive < settings.held_out_from:
        return f"{positive} positive groups, and folds.held_out_from asks for {settings.held_out_from}"
    if positive - wanted < settings.count * settings.positive_floor:
        return f"{wanted} of {positive} positive groups would leave too few for {settings.count} folds"
    return ""


def _vectors(groups: pd.DataFrame, share: float) -> Vectors:
    """Return what is balanced (G, F), scaled so that the squared distance of sums to targets is the cost.

    A bin that should get `share` of everything is off by sum / target - 1 in each column, times the root of its
    weight. Positive groups count by ones, so heavily that no gain elsewhere pays for a worse spread of them:
    all other columns together cost at most twice their weights over share squared, one misplaced group 2.
    """
    columns = [name for name in groups.columns if str(name).startswith("class ")]
    weights = WEIGHTS | dict.fromkeys(columns, CLASS_WEIGHT / len(columns))
    values = groups[list(weights)].to_numpy(dtype=float)
    scale = np.sqrt(list(weights.values())) / (share * values.sum(0).clip(min=1))
    first = np.sqrt(4 * sum(weights.values())) / share * groups[["positive_groups"]].to_numpy(dtype=float)
    return np.hstack([first, values * scale])


def _note_on_given(folds: Mapping[str, int], settings: Folds) -> str:
    held_out = sum(fold == HELD_OUT for fold in folds.values())
    return (
        f"{settings.count} folds and {held_out or 'no'} held-out groups as given in the column fold; "
        "folds.held_out is not applied to them"
    )
