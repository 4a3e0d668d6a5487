"""Groups joined where their pictures show one thing; what a frozen split joined stays, and is never joined further."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from harness.data.audit.joins import Chain, Joins, Shown
from harness.data.audit.sides import fold_name
from harness.data.copies.join import chain_between, join_groups
from harness.data.copies.search import Copies
from harness.data.split import Split

Ends = tuple[str, str]  # two frozen groups that are joined and stand in two folds


@dataclass(frozen=True)
class Repaired:
    """`samples` with the column `group` as joined and `declared` as given; `repairs` maps declared to joined names."""

    samples: pd.DataFrame
    repairs: Mapping[str, str]
    joins: Joins


def declare(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the samples with their groups as given in the column `declared` too."""
    return samples.assign(declared=samples["group"])


def repair(samples: pd.DataFrame, copies: Copies, parent: Split | None) -> Repaired:
    """Join the groups that sure pairs connect.

    Groups of `parent` keep their names and folds: a new group that shows the same as one of them joins it. Where
    pictures show the same as groups that the parent has in different folds, nothing is joined, and `joins` has them.
    """
    before = parent.repairs if parent else {}
    group = samples["group"].map(lambda name: before.get(name, name))
    pairs, threshold = copies.sure(), copies.found.calibration.threshold
    joined = join_groups(group.tolist(), pairs, threshold=threshold)
    names, torn = _names(joined.names, parent)
    final = group.map(lambda name: names.get(name, name))
    changed = samples["group"] != final
    repairs = {**before, **dict(zip(samples["group"][changed], final[changed], strict=True))}
    between = [chain_between(group.tolist(), pairs, ends) for ends in torn]
    joins = Joins(
        "tried",
        tuple(_shown(samples, rows) for rows in joined.runaways),
        tuple(_shown(samples.assign(group=group), rows, parent) for rows in between),
        parent=parent is not None,
    )
    return Repaired(samples.assign(group=final), dict(sorted(repairs.items())), joins)


def reapply(samples: pd.DataFrame, copies: Copies, split: Split, parent: Split | None) -> Repaired:
    """Return the samples with the groups that a frozen split joined, and no more.

    What would run away is looked at as it was when the split was made of its `parent`.
    """
    group = samples["group"].map(lambda name: split.repairs.get(name, name))
    today = repair(samples, copies, parent).joins
    return Repaired(samples.assign(group=group), split.repairs, replace(today, done="frozen", torn=()))


def _names(joined: Mapping[str, str], parent: Split | None) -> tuple[dict[str, str], list[Ends]]:
    """Return new name by group, the names of a parent's groups stay; and which of these cannot be joined."""
    if parent is None:
        return dict(joined), []
    members: dict[str, list[str]] = {}
    for name, least in joined.items():
        members.setdefault(least, [least]).append(name)
    names: dict[str, str] = {}
    torn: list[Ends] = []
    for together in members.values():
        frozen = [name for name in together if name in parent.folds]
        ends = _in_two_folds(frozen, parent)
        if ends:
            torn.append(ends)
            continue
        target = frozen[0] if frozen else together[0]
        names |= {name: target for name in together if name not in parent.folds and name != target}
    return names, torn


def _in_two_folds(frozen: Sequence[str], parent: Split) -> Ends | None:
    """Return the first two of frozen groups that stand in different folds, in any repeat."""
    pairs = ((frozen[0], name) for name in frozen)
    return next((two for two in pairs if _fold(two[0], parent) != _fold(two[1], parent)), None)


def _fold(group: str, parent: Split) -> tuple[int, ...]:
    return tuple(folds[group] for folds in parent.assignments)


def _shown(samples: pd.DataFrame, rows: Sequence[int], parent: Split | None = None) -> Chain:
    """Return the pictures of a chain with their declared groups, and their folds in the parent."""
    names = samples.iloc[list(rows)][["sample", "declared", "group"]].astype(str).to_numpy().tolist()
    return tuple(Shown(sample, declared, _frozen_in(group, parent)) for sample, declared, group in names)


def _frozen_in(group: str, parent: Split | None) -> str:
    if parent is None or group not in parent.folds:
        return ""
    return ", ".join(dict.fromkeys(fold_name(fold) for fold in _fold(group, parent)))
