"""The counts of a study's complete trials by group, as files of its ledger: what comparisons are made from."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from harness.errors import DataError
from harness.evaluate.groups import SUMMED
from harness.search.tables import read_table, table_bytes
from harness.search.trial import TrialResult
from harness.train.checkpoint import write_synced

FOLDER = "groups"  # below the ledger
PART = 100  # trials in a file: few files to read, little to write for each trial
COLUMNS = ("trial", "fold", "group", *SUMMED, "pictures")


def write_groups(ledger: Path, numbers: Iterable[int], results: Mapping[int, TrialResult]) -> None:
    """Write the counts of these trials, where they are complete; others in the same file stay as they are."""
    for part in sorted({number // PART for number in numbers}):
        kept = _kept(ledger, part)
        own = [n for n in numbers if n // PART == part and results[n].state == "complete"]
        old = kept[~kept["trial"].isin(own)]
        new = [results[number].group_counts().assign(trial=number) for number in own]
        if new:
            table = pd.concat([old, *new])[list(COLUMNS)].sort_values(
                ["trial", "fold", "group"], kind="stable"
            )
            (ledger / FOLDER).mkdir(exist_ok=True)
            write_synced(_path(ledger, part), table_bytes(table.reset_index(drop=True)))


def read_groups(ledger: Path) -> pd.DataFrame:
    """Return a row for each complete trial, fold and group; none of a ledger written before they were kept.

    Raises DataError where a file is damaged.
    """
    paths = sorted((ledger / FOLDER).glob("*.parquet"))
    tables = [read_table(path, COLUMNS) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def lacking_groups(ledger: Path, results: Mapping[int, TrialResult]) -> list[int]:
    """Return the complete trials whose counts are not kept, or cannot be read."""
    complete = [number for number, result in results.items() if result.state == "complete"]
    kept = {part: set(_kept(ledger, part)["trial"]) for part in {number // PART for number in complete}}
    return [number for number in complete if number not in kept[number // PART]]


def _kept(ledger: Path, part: int) -> pd.DataFrame:
    try:
        return read_table(_path(ledger, part), COLUMNS)
    except (DataError, FileNotFoundError):
        return pd.DataFrame(columns=list(COLUMNS))


def _path(ledger: Path, part: int) -> Path:
    return ledger / FOLDER / f"{part:04d}.parquet"
