"""Groups joined where their pictures show one thing; what a frozen split joined stays, and is never joined further."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from harness.data.audit.sides import fold_name
from harness.data.copies.join import join_groups
from harness.data.copies.search import Copies
from harness.data.split import Split
from harness.errors import LeakageError


@dataclass(frozen=True)
class Repaired:
    """`samples` with the column `group` as joined and `declared` as given; `repairs` maps declared to joined names.

    `runaways` are chains of positions that were not joined, see `join_groups`.
    """

    samples: pd.DataFrame
    repairs: Mapping[str, str]
    runaways: tuple[tuple[int, ...], ...] = ()


def declare(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the samples with their groups as given in the column `declared` too."""
    return samples.assign(declared=samples["group"])


def repair(samples: pd.DataFrame, copies: Copies, parent: Split | None) -> Repaired:
    """Join the groups that sure pairs connect.

    Groups of `parent` keep their names and folds: a new group that shows the same as one of them joins it. Raises
    LeakageError where new pictures show the same as groups that the parent has in different folds.
    """
    before = parent.repairs if parent else {}
    group = samples["group"].map(lambda name: before.get(name, name))
    joined = join_groups(group.tolist(), copies.sure(), threshold=copies.found.calibration.threshold)
    names = _names(joined.names, parent)
    final = group.map(lambda name: names.get(name, name))
    changed = samples["group"] != final
    repairs = {**before, **dict(zip(samples["group"][changed], final[changed], strict=True))}
    return Repaired(samples.assign(group=final), dict(sorted(repairs.items())), joined.runaways)


def reapply(samples: pd.DataFrame, split: Split) -> Repaired:
    """Return the samples with the groups that a frozen split joined, and no more."""
    group = samples["group"].map(lambda name: split.repairs.get(name, name))
    return Repaired(samples.assign(group=group), split.repairs)


def _names(joined: Mapping[str, str], parent: Split | None) -> dict[str, str]:
    """Return new name by group; the names of a parent's groups stay."""
    if parent is None:
        return dict(joined)
    members: dict[str, list[str]] = {}
    for name, least in joined.items():
        members.setdefault(least, [least]).append(name)
    names: dict[str, str] = {}
    for together in members.values():
        frozen = [name for name in together if name in parent.folds]
        _refuse_torn(frozen, parent)
        target = frozen[0] if frozen else together[0]
        names |= {name: target for name in together if name not in parent.folds and name != target}
    return names


def _refuse_torn(frozen: list[str], parent: Split) -> None:
    for folds in parent.assignments:
        for name in frozen:
            if folds[name] != folds[frozen[0]]:
                where = [f"{group!r} ({fold_name(folds[group])})" for group in (frozen[0], name)]
                raise LeakageError(
                    f"split {parent.id}: its groups {where[0]} and {where[1]} show the same thing, as the pictures "
                    "tell now; frozen groups are never moved: raise folds.version to place all groups anew"
                )
