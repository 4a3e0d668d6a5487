"""Which fold each group goes to: balanced over what a score rests on, once, repeated, or one positive group a fold."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.config import Folds
from harness.data.audit.sides import HELD_OUT
from harness.data.balance import FREE, Bins, Vectors, place
from harness.data.measures import SIZES
from harness.errors import DataError

SIZE_WEIGHT = 0.1  # of the objects of each size
WEIGHTS = {"positive_px": 1.0, "negative_groups": 0.5, "objects": 0.5, "samples": 0.5}
WEIGHTS |= dict.fromkeys(SIZES, SIZE_WEIGHT)
CLASS_WEIGHT = 0.25  # of all classes together
BALANCED_CLASSES = 64  # the commonest; rarer ones are too few to be spread
FEWEST_FOLDS = 2
MOST_FOLDS = 30  # of leave-one-group-out; each is a training of every trial
TRIES = 20  # orders tried for a repeat that differs from all before
# by how much sizes of groups are misread, one after another where orders do not do: sd of their logarithm
LOOSER = (0.0, 0.5, 2.0)

Assigned = dict[str, int]


def assign(
    groups: pd.DataFrame, settings: Folds, old: Sequence[Mapping[str, int]], seed: int
) -> tuple[list[Assigned], list[str]]:
    """Return group -> fold for each repeat, groups of `old` where they were, and notes on what was done and why.

    `groups` is a `group_table`; `old` holds the parent's repeats, or nothing.
    """
    before = old[0] if old else {}
    given = [FREE if name not in before else int(before[name] != HELD_OUT) for name in groups.index]
    out, note = _hold_out(groups, settings, np.array(given, dtype=np.intp))
    repeats, said = SCHEMES[settings.scheme](groups[~out], settings, old or [{}], seed)
    held_out = dict.fromkeys(groups.index[out], HELD_OUT)
    return [folds | held_out for folds in repeats], [note, said]


def group_table(samples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return one row a group, from large to small, equal ones by a hash of (seed, group)."""
    _refuse_blank_groups(samples["group"])
    codes, names = pd.factorize(samples["group"].to_numpy(dtype=object), sort=True)
    summed = {"positive_px": samples["positive"]} | {name: samples[name] for name in ("objects", *SIZES)}
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


def _balanced(
    groups: pd.DataFrame, settings: Folds, old: Sequence[Mapping[str, int]], seed: int
) -> tuple[list[Assigned], str]:
    """Return one assignment to `count` folds."""
    what = "positive groups, then on area, objects, their sizes, samples and classes"
    said = f"{settings.count} folds balanced on {what}"
    return [_even(groups, settings.count, old[0])], said


def _repeated(
    groups: pd.DataFrame, settings: Folds, old: Sequence[Mapping[str, int]], seed: int
) -> tuple[list[Assigned], str]:
    """Return `repeats` assignments, each balanced, from groups in different orders; fold numbers go on.

    A few groups have few ways to be balanced. Where these are used up, sizes of groups are misread at random, so that
    positive groups are still spread evenly, and all else less so.
    """
    repeats: list[Assigned] = []
    loose = 0
    for number in range(settings.repeats):
        first = number * settings.count
        before = {
            g: f if f == HELD_OUT else f - first
            for g, f in (old[number] if number < len(old) else {}).items()
        }
        another = None
        for at in range(TRIES * len(LOOSER)):
            salt, spread = f"{seed} {number} {at}", LOOSER[at // TRIES]
            order = _misread(_reordered(groups, salt) if number else groups, salt, spread)
            folds = {g: f + first for g, f in _even(order, settings.count, before).items()}
            if _parts(folds) not in map(_parts, repeats):
                another = folds
                loose += spread > 0
                break
        if another is None:
            raise DataError(
                f"folds.repeats: {settings.repeats}, and {len(groups)} groups gave {number} different assignments to "
                f"{settings.count} folds; lower folds.repeats, or folds.count"
            )
        repeats.append(another)
    even = f"{settings.repeats - loose} of them" if loose else "each"
    less = f", {loose} only in positive groups, as so few groups have few even ways" if loose else ""
    said = (
        f"{settings.repeats} different assignments to {settings.count} folds, {even} balanced as one would be"
    )
    return repeats, said + less


def _leave_one_out(
    groups: pd.DataFrame, settings: Folds, old: Sequence[Mapping[str, int]], seed: int
) -> tuple[list[Assigned], str]:
    """Return one assignment with a fold for each positive group, the others spread over them."""
    positive = groups["positive_groups"].to_numpy() > 0
    folds = {g: f for g, f in old[0].items() if f != HELD_OUT}
    new = sorted(set(groups.index[positive]) - set(folds))
    folds |= {name: number for number, name in enumerate(new, start=1 + max(folds.values(), default=-1))}
    count = 1 + max(folds.values(), default=-1)
    if not FEWEST_FOLDS <= count <= MOST_FOLDS:
        raise DataError(
            f"folds.scheme: leave_one_group_out makes one fold for each of {count} positive groups, {FEWEST_FOLDS} to "
            f"{MOST_FOLDS} are possible; use groups or repeated"
        )
    rest = groups[~positive]
    spread = _even(rest, count, folds) if len(rest) else {}
    here = {name: folds[name] for name in groups.index[positive]} | spread
    return [
        here
    ], f"{count} folds, one for each positive group that is not held out, the others spread over them"


def _even(groups: pd.DataFrame, count: int, old: Mapping[str, int]) -> Assigned:
    """Return the fold of each group, those of `old` where they were."""
    vectors = _vectors(groups, 1 / count)
    targets = np.tile(vectors.sum(0) / count, (count, 1))
    given = np.array([old.get(name, FREE) for name in groups.index], dtype=np.intp)
    return dict(zip(groups.index, place(vectors, targets, given).tolist(), strict=True))


def _reordered(groups: pd.DataFrame, salt: str) -> pd.DataFrame:
    """Return the groups in an order that follows from `salt` and their names."""
    hashes = [hashlib.sha256(f"{salt} {name}".encode()).hexdigest() for name in groups.index]
    return groups.iloc[np.argsort(hashes)]


def _misread(groups: pd.DataFrame, salt: str, spread: float) -> pd.DataFrame:
    """Return the groups with all they hold, but not whether they are positive, times a random factor each."""
    rng = np.random.default_rng(list(salt.encode()))
    others = [name for name in groups.columns if name != "positive_groups"]
    factors = np.exp(spread * rng.standard_normal(len(groups)))
    return groups.assign(**{str(name): groups[name] * factors for name in others})


def _parts(folds: Mapping[str, int]) -> frozenset[frozenset[str]]:
    """Return the sets of groups, whatever their folds are called."""
    members: dict[int, set[str]] = {}
    for group, fold in folds.items():
        members.setdefault(fold, set()).add(group)
    return frozenset(map(frozenset, members.values()))


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
    folds = FEWEST_FOLDS if settings.scheme == "leave_one_group_out" else settings.count
    if settings.held_out == 0:
        return "folds.held_out is 0"
    if positive < settings.held_out_from:
        return f"{positive} positive groups, and folds.held_out_from asks for {settings.held_out_from}"
    if positive - wanted < folds * settings.positive_floor:
        return f"{wanted} of {positive} positive groups would leave too few for {folds} folds"
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


SCHEMES: dict[str, Callable[..., tuple[list[Assigned], str]]] = {
    "groups": _balanced,
    "repeated": _repeated,
    "leave_one_group_out": _leave_one_out,
}
