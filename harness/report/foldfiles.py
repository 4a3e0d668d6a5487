"""What the folds of one trial left on the disk, as far as it is still there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import DataError
from harness.masking import words_of
from harness.model.outoffold import OutOfFold, read_out_of_fold
from harness.train.foldrun import RESULT, fold_folder
from harness.train.outbox import OutboxReader


@dataclass(frozen=True)
class FoldFiles:
    """A fold's result, tables of predictions and epochs; empty or None where they are gone."""

    fold: int
    result: Mapping[str, Any] = field(default_factory=dict)
    kept: OutOfFold | None = None
    epochs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class TrialFiles:
    """The folds of a trial in their order, and a sentence for each thing that is gone."""

    folds: Sequence[FoldFiles]
    lost: Sequence[str] = ()

    @property
    def kept(self) -> list[tuple[int, OutOfFold]]:
        """The folds whose tables are there, with their numbers."""
        return [(one.fold, one.kept) for one in self.folds if one.kept is not None]

    @property
    def rows(self) -> pd.DataFrame:
        """The out-of-fold rows of all folds that have them."""
        return pd.concat([kept.rows for _, kept in self.kept], ignore_index=True)


def read_trial(work: Path, trial: int, folds: Sequence[int]) -> TrialFiles:
    """Return what is there of a trial's folds; nothing is raised for what is gone or damaged."""
    found, lost = [], []
    for fold in folds:
        folder = fold_folder(work, trial, fold)
        one, sentences = _read_fold(folder, fold)
        found.append(one)
        lost += sentences
    return TrialFiles(found, lost)


def _read_fold(folder: Path, fold: int) -> tuple[FoldFiles, list[str]]:
    lost: list[str] = []
    result: Mapping[str, Any] = {}
    kept: OutOfFold | None = None
    epochs: Sequence[Mapping[str, Any]] = ()
    try:
        result = json.loads((folder / RESULT).read_bytes())
    except (OSError, ValueError) as error:
        lost.append(f"Fold {fold}: {RESULT} cannot be read ({words_of(error)}).")
    try:
        kept = read_out_of_fold(folder)
        if kept is None:
            lost.append(f"Fold {fold}: its tables of predictions are not there.")
    except (DataError, OSError, ValueError) as error:
        lost.append(f"Fold {fold}: its tables of predictions cannot be read ({words_of(error)}).")
    try:
        epochs = OutboxReader(folder, folder).new()
    except (OSError, ValueError, KeyError) as error:
        lost.append(f"Fold {fold}: its epochs cannot be read ({words_of(error)}).")
    if not epochs:
        lost.append(f"Fold {fold}: its epochs are not there.")
    return FoldFiles(fold, result, kept, epochs), list(dict.fromkeys(lost))
