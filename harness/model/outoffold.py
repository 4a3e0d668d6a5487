"""What is kept of a fold's predictions: four tables that every metric follows from without predicting again."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import DataError
from harness.model.boundary import count_boundary
from harness.model.histogram import (
    FINE,
    Bins,
    Counts,
    Histogram,
    bins_of,
    coarsened,
    counts_above,
    histogram_of,
)
from harness.model.metrics import count_pixels, summed
from harness.model.objects import Columns, match_objects, object_columns

ROWS, PIXELS, HISTOGRAMS, OBJECTS = (
    f"{name}.parquet" for name in ("out_of_fold", "pixels", "histograms", "objects")
)
WHOLE_GROUP = -1  # stands for a photograph in the histogram of a group

Sparse = tuple[Bins, Counts]  # occupied bins, ascending; their pixels, (2, bins): positive, negative


@dataclass(frozen=True)
class OutOfFold:
    """A fold's tables; `picture` in the last two is a photograph's place in the first two.

    rows: a photograph each, its counts at logit 0: tp, fp, fn, valid, objects, found, predicted, false.
    pixels: a photograph each: positive and negative pixels; tp and fp above each of THRESHOLDS, as lists; boundary
    pixels at logit 0 (BoundaryCounts).
    histograms: positive and negative pixels of each occupied bin, of a photograph in COARSE bins, of a whole group
    (`picture` is WHOLE_GROUP) in FINE ones.
    objects: an object each, see object_columns.
    """

    rows: pd.DataFrame
    pixels: pd.DataFrame
    histograms: pd.DataFrame
    objects: pd.DataFrame

    def files(self) -> dict[str, bytes]:
        """Return the content of each table's file; equal tables make equal bytes."""
        tables = (self.pixels, self.histograms, self.objects)
        packed = [table.to_parquet(index=False, compression="zstd") for table in tables]
        return dict(zip(FILES, [self.rows.to_parquet(), *packed], strict=True))


FILES = (ROWS, PIXELS, HISTOGRAMS, OBJECTS)


def read_out_of_fold(folder: Path) -> OutOfFold | None:
    """Return what a folder has; None where it was committed before all of it was kept. Raises DataError for a part."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing == [PIXELS, HISTOGRAMS, OBJECTS]:
        return None
    if missing:
        raise DataError(f"{folder}: {missing[0]} is gone; `run` trains this fold again")
    return OutOfFold(*(pd.read_parquet(folder / name) for name in FILES))


@dataclass
class Collector:
    """Makes the tables from one photograph at a time, and forgets its pixels."""

    fold: int
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _pixels: list[dict[str, Any]] = field(default_factory=list)
    _bins: list[Columns] = field(default_factory=list)
    _objects: list[Columns] = field(default_factory=list)
    _groups: dict[str, Sparse] = field(default_factory=dict)

    def add(self, photo: str, group: str, logits: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """Take the facts of a photograph, (H, W); truth in {0, 1, 255}."""
        name = {"photo": photo, "group": group, "fold": self.fold}
        predicted, bins, picture = logits > 0, bins_of(logits), len(self._rows)
        found, histogram = match_objects(predicted, truth), histogram_of(bins, truth)
        self._rows.append(name | asdict(count_pixels(predicted, truth)) | asdict(summed(found)))
        boundary = asdict(count_boundary(predicted, truth))
        self._pixels.append(name | _at_thresholds(histogram) | boundary)
        self._bins.append(_bin_columns(picture, group, _sparse([coarsened(part) for part in histogram])))
        self._groups[group] = _added(self._groups.get(group), _sparse(list(histogram)))
        objects = object_columns(found, logits, bins)
        rows = len(objects["kind"])
        self._objects.append(
            {"picture": np.full(rows, picture, np.int32)}
            | {"photo": np.full(rows, photo), "group": np.full(rows, group)}
            | objects
        )

    def tables(self) -> OutOfFold:
        """Return the tables of the photographs that were added. Raises IndexError when none was."""
        groups = [_bin_columns(WHOLE_GROUP, group, self._groups[group]) for group in sorted(self._groups)]
        return OutOfFold(
            pd.DataFrame(self._rows),
            pd.DataFrame(self._pixels),
            _table([*self._bins, *groups]),
            _table(self._objects),
        )


def _at_thresholds(histogram: Histogram) -> dict[str, Any]:
    return {
        "positive": int(histogram.positive.sum()),
        "negative": int(histogram.negative.sum()),
        "tp": counts_above(histogram.positive),
        "fp": counts_above(histogram.negative),
    }


def _sparse(counts: list[Counts]) -> Sparse:
    both = np.stack(counts)
    occupied = np.flatnonzero(both.any(axis=0))
    return occupied, both[:, occupied]


def _added(one: Sparse | None, other: Sparse) -> Sparse:
    if one is None:
        return other
    both = np.zeros((2, FINE), np.int64)
    for bins, counts in (one, other):
        both[:, bins] += counts
    return _sparse(list(both))


def _bin_columns(picture: int, group: str, sparse: Sparse) -> Columns:
    bins, (positive, negative) = sparse
    return {
        "picture": np.full(len(bins), picture, np.int32),
        "group": np.full(len(bins), group),
        "bin": bins.astype(np.int16),
        "positive": positive,
        "negative": negative,
    }


def _table(parts: list[Columns]) -> pd.DataFrame:
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
