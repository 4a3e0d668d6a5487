"""The samples a study uses, in joined groups, and their split: that of its last run, a child of it, or a new one."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.config import Study
from harness.data.audit.joins import Done, Joins
from harness.data.copies.search import Copies
from harness.data.folds import make_split
from harness.data.manifest import drop_rare_classes
from harness.data.repair import Repaired, reapply, repair
from harness.data.split import Split, read_split, with_repairs
from harness.errors import ConfigError, DataError
from harness.search.ledger import find_ledger, read_facts


@dataclass(frozen=True)
class Parts:
    """The samples to use in their joined groups, how these came to be, and their split."""

    samples: pd.DataFrame
    rare: dict[str, int]
    joins: Joins
    split: Split


def split_samples(study: Study, samples: pd.DataFrame, copies: Copies, manifest: str, home: Path) -> Parts:
    """Return the split this study had last time if the data are the same, else a new one, a child where it can be.

    Groups are joined before the sources of a class are counted and a split is made; one that is frozen keeps its
    joins and gets no more.
    """
    previous = _previous_split(study, home)
    as_declared: Done | None = "trusted" if study.data.groups == "trust" else None
    as_declared = "given" if samples["fold"].notna().any() else as_declared
    if previous is not None and previous.manifest == manifest:
        again = reapply(samples, copies, previous, _frozen(previous.parent, home))
        used, rare = _without_rare(again.samples, study)
        if set(used["group"]) <= set(previous.folds):
            joins = Joins(as_declared) if as_declared else again.joins
            return Parts(used, rare, joins, previous)
    repaired = Repaired(samples, {}, Joins(as_declared)) if as_declared else repair(samples, copies, previous)
    used, rare = _without_rare(repaired.samples, study)
    made = make_split(used, study.folds, manifest=manifest, seed=study.seed, parent=previous)
    return Parts(used, rare, repaired.joins, with_repairs(made, repaired.repairs))


def _without_rare(samples: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, dict[str, int]]:
    return drop_rare_classes(samples, below=study.data.rare_below, action=study.data.rare_classes)


def _previous_split(study: Study, home: Path) -> Split | None:
    """Return the split of the last run of the study of this name, if its seed, groups and folds were asked for so.

    Results of versions that joined no groups do not say how these were asked for: their folds are kept.
    """
    try:
        known = read_facts(find_ledger(home / "work", study.name))
    except (ConfigError, DataError):
        return None
    groups = known["settings"]["data"].get("groups", study.data.groups)
    split = _frozen(known["split"], home)
    if split is None or (known["seed"], groups) != (study.seed, study.data.groups):
        return None
    return split if split.settings == study.folds else None


def _frozen(id: str | None, home: Path) -> Split | None:
    path = home / "folds" / f"{id}.json"
    return read_split(path) if path.is_file() else None
