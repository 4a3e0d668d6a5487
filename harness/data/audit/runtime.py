"""The last look: the positions that the loaders really delivered, held against the frozen split."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.data.audit.sides import HELD_OUT, Assignment, Positions, fold_name, fold_of
from harness.errors import LeakageError


def verify_indices(
    samples_groups: Sequence[str],
    train_positions: ArrayLike,
    validation_positions: ArrayLike,
    split: Assignment,
    fold: int,
) -> str:
    """Return the SHA-256 of what one fold run really read, or raise LeakageError.

    Training may draw any rows of the other folds of its repeat, any number of times; validation reads each row of
    its fold once.
    The digest covers split, fold and both sets of positions, not their order.
    """
    of_row = fold_of(samples_groups, split.assignments[split.repeat_of(fold)])
    where = f"split {split.id}, fold {fold}"
    train = _positions(train_positions, len(of_row), f"{where}, training")
    validation = _positions(validation_positions, len(of_row), f"{where}, validation")
    for row in train[(of_row[train] == fold) | (of_row[train] == HELD_OUT)]:
        raise LeakageError(
            f"{where}: training read row {row} of group {list(samples_groups)[row]!r}, which is "
            f"{'held out' if of_row[row] == HELD_OUT else 'in the validation fold'}; stop and report this loader"
        )
    _refuse_other_validation(where, validation, np.flatnonzero(of_row == fold), of_row)
    text = f"{split.id} {fold} train {np.unique(train).tolist()} validation {np.sort(validation).tolist()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _positions(values: ArrayLike, samples: int, where: str) -> Positions:
    positions = np.asarray(values)
    if positions.size == 0:
        raise LeakageError(f"{where}: no rows were read; a fold run reads both sides")
    if positions.ndim != 1 or not np.issubdtype(positions.dtype, np.integer):
        raise LeakageError(
            f"{where}: {positions.dtype} {positions.shape} are no positions; give whole numbers (N,)"
        )
    outside = positions[(positions < 0) | (positions >= samples)]
    if len(outside):
        raise LeakageError(
            f"{where}: position {outside[0]} is outside the table of {samples} rows; give positions from 0"
        )
    return positions.astype(np.intp)


def _refuse_other_validation(where: str, read: Positions, wanted: Positions, of_row: Positions) -> None:
    for row in np.setdiff1d(read, wanted):
        raise LeakageError(f"{where}: validation read row {row}, which is in {fold_name(int(of_row[row]))}")
    missing = np.setdiff1d(wanted, read)
    if len(missing):
        raise LeakageError(
            f"{where}: validation left out {len(missing)} of {len(wanted)} rows, the first is row {missing[0]}"
        )
    if len(read) > len(wanted):
        raise LeakageError(f"{where}: validation read {len(read)} rows for {len(wanted)}; each counts once")
