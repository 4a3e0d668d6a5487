"""Rows of pictures whose masks are files already, which are used as they are."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.data.formats.sizes import picture_size, refuse_other_size
from harness.data.formats.told import Left, taken
from harness.data.formats.wanted import CLEAN, Wanted
from harness.data.rows import Row, Rows, whole


class Pair(NamedTuple):
    """A picture and its mask, relative to one root; `mask` is empty for a clean picture, `label` is what it shows."""

    name: str
    mask: str
    label: str
    group: str | None = None


def rows_of(root: Path, pairs: Sequence[Pair], known: Iterable[str], wanted: Wanted, left: Left) -> Rows:
    """Return the rows; pictures that show other classes than wanted are clean. Raises ConfigError, DataError."""
    wanted.refuse_unknown([*known, *(pair.label for pair in pairs if pair.label != CLEAN)])
    left.refuse_nothing(len(pairs), root)
    rows = [_row(root, pair, wanted) for pair in sorted(pairs)]
    clean = sum(row["class_id"] == CLEAN for row in rows)
    grouped = any(pair.group is not None for pair in pairs)
    return Rows(root, rows, grouped, (taken(len(rows), clean, None, 1, "folder"), *left.notes()))


def _row(root: Path, pair: Pair, wanted: Wanted) -> Row:
    meant = pair.label == CLEAN or wanted.takes(pair.label)
    if pair.mask:
        refuse_other_size(root / pair.name, root / pair.mask)
    else:
        picture_size(root / pair.name)
    row = whole(pair.name, pair.mask if meant else "", pair.label if meant else CLEAN)
    return row if pair.group is None else row | {"group": pair.group}
