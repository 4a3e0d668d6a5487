"""Who stands on which side: all that the audit knows of a split, and the table of its folds."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import DataError

HELD_OUT = -1  # the fold number of groups that no fold holds

Positions = NDArray[np.intp]


class Assignment(Protocol):
    """A split as the audit needs it; `harness.data.folds.Split` is one. Rows are named by position, never by label.

    `assignments` are its repeats, `folds` the first of them, `count` the folds of all.
    """

    @property
    def id(self) -> str: ...
    @property
    def manifest(self) -> str: ...
    @property
    def folds(self) -> Mapping[str, int]: ...
    @property
    def assignments(self) -> tuple[Mapping[str, int], ...]: ...
    @property
    def count(self) -> int: ...
    @property
    def positive_floor(self) -> int: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def repeat_of(self, fold: int) -> int: ...
    def of(self, samples: pd.DataFrame, repeat: int = 0) -> Positions: ...
    def train(self, samples: pd.DataFrame, fold: int) -> Positions: ...
    def validation(self, samples: pd.DataFrame, fold: int) -> Positions: ...
    def held_out(self, samples: pd.DataFrame) -> Positions: ...


def fold_of(groups: Iterable[str], folds: Mapping[str, int]) -> Positions:
    """Return the fold number of each row (N,) by its group. Raises DataError for a group without a fold."""
    codes, names = pd.factorize(pd.Series(groups, dtype=object))
    if (codes < 0).any():
        raise DataError(
            f"source_image_id: {int((codes < 0).sum())} rows have no group, the first is row {int(np.argmin(codes))}; "
            "name what each picture shows"
        )
    unknown = [name for name in names if name not in folds]
    if unknown:
        raise DataError(
            f"split: {len(unknown)} groups have no fold, the first is {unknown[0]!r}; "
            "new data need a child split of this one"
        )
    return np.array([folds[name] for name in names], dtype=np.intp)[codes]


def fold_name(fold: int) -> str:
    """Return how a fold is called in messages and tables."""
    return "held out" if fold == HELD_OUT else f"fold {fold}"


def summary(samples: pd.DataFrame, split: Assignment) -> pd.DataFrame:
    """Return one row a fold, and one for the held-out groups if there are any.

    Columns: fold (-1: held out), groups, positive_groups, samples, positive_samples, objects, positive_px and coverage
    (share of target among the valid pixels; 0 without valid pixels). A positive group has at least one target pixel.
    """
    numbers: list[list[int]] = [[] for _ in split.assignments]
    for fold in range(split.count):
        numbers[split.repeat_of(fold)].append(fold)
    numbers[-1] += [HELD_OUT] if len(split.held_out(samples)) else []
    tables = [_table(samples, split.of(samples, repeat), parts) for repeat, parts in enumerate(numbers)]
    return pd.concat(tables, ignore_index=True)


def _table(samples: pd.DataFrame, fold: Positions, parts: list[int]) -> pd.DataFrame:
    target = samples["positive"].to_numpy(dtype=np.int64)
    rows = pd.DataFrame(
        {
            "fold": fold,
            "group": samples["group"].to_numpy(),
            "positive_samples": target > 0,
            "objects": samples["objects"].to_numpy(dtype=np.int64),
            "positive_px": target,
            "valid_px": samples["valid"].to_numpy(dtype=np.int64),
        }
    )
    by_fold = rows.groupby("fold")
    table = (
        by_fold[["positive_samples", "objects", "positive_px", "valid_px"]].sum().reindex(parts, fill_value=0)
    )
    counts = {
        "groups": by_fold["group"].nunique(),
        "positive_groups": rows[target > 0].groupby("fold")["group"].nunique(),
        "samples": by_fold.size(),
    }
    for position, (name, counted) in enumerate(counts.items()):
        table.insert(position, name, counted.reindex(parts, fill_value=0))
    table["coverage"] = table["positive_px"] / table.pop("valid_px").clip(lower=1)
    return table.rename_axis("fold").reset_index()
