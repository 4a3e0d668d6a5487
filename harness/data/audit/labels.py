"""Check by the labels' own shapes: a mask that is nearly another group's was copied, or shows the same thing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, more, passed, told
from harness.data.audit.sides import HELD_OUT, Assignment, fold_name

HEAD = ("M6", "No label nearly stands in two groups")
NEAR = 2  # px by which the boxes of two labels may differ on each side
ALIKE = 0.75  # of the fuller cells that the emptier ones fill too (Jaccard of fuzzy sets)
BOX = ("target_x", "target_y", "target_w", "target_h")
MOST = 100_000  # pairs kept as evidence

Pair = tuple[int, int, float]


def similar_labels(samples: pd.DataFrame, split: Assignment) -> Finding:
    """M6: no label with a shape of its own lies nearly the same in another group's picture.

    Equal masks are D7's; plain shapes, such as one round spot, may meet by chance and are not compared.
    """
    shaped = np.flatnonzero((samples["signature"] != "").to_numpy())
    labels = int((samples["positive"] > 0).sum())
    if len(shaped) < 2:
        return told(
            *HEAD, "not run", f"{len(shaped)} of {labels} labels have a shape of their own to compare."
        )
    pairs = list(_alike(samples, shaped))[:MOST]
    compared = f"{len(shaped):,} of {labels:,} labels have a shape of their own"
    if not pairs:
        return passed(*HEAD, "warn", f"{compared}: none lies nearly the same in another group's picture.")
    items = tuple(_item(samples, split, pair) for pair in pairs)
    rows = np.unique([row for a, b, _ in pairs for row in (a, b)])
    first = items[0]
    text = (
        f"{first['first']!r} and {first['second']!r}, of two groups, have labels that are {first['alike']:.0%} alike: "
        f"a copied label or a copied source; look at both{more(len(items) - 1, 'pair')}. {compared}."
    )
    share = _leaked(split.of(samples), pairs) / len(samples)
    return Finding(*HEAD, "warn", "warn", len(rows), share, text, items)


def _alike(samples: pd.DataFrame, shaped: NDArray[np.intp]) -> Iterator[Pair]:
    """Yield pairs of rows of two groups and how alike their labels are; boxes are compared along x first."""
    table = samples.iloc[shaped]
    box, cells = table[list(BOX)].to_numpy(dtype=np.int64), _cells(table["signature"])
    group, mask = (pd.factorize(table[name])[0] for name in ("group", "mask_sha256"))
    order = np.lexsort((table["sample"].to_numpy(dtype=str), box[:, 0]))
    ends = np.searchsorted(box[order, 0], box[order, 0] + NEAR, side="right")
    for position, row in enumerate(order):
        others = order[position + 1 : ends[position]]
        others = others[(np.abs(box[others] - box[row]) <= NEAR).all(axis=1)]
        others = others[(group[others] != group[row]) & (mask[others] != mask[row])]
        both, either = np.minimum(cells[others], cells[row]), np.maximum(cells[others], cells[row])
        alike = both.sum(axis=1) / either.sum(axis=1).clip(min=1)
        for other in np.flatnonzero(alike >= ALIKE):
            yield int(shaped[row]), int(shaped[others[other]]), float(alike[other])


def _cells(signatures: "pd.Series[str]") -> NDArray[np.int16]:
    """Return how full each cell is, (labels, cells) from 0 to 15."""
    padded = bytes.fromhex("".join(f"0{digit}" for text in signatures for digit in text))
    return np.frombuffer(padded, dtype=np.uint8).reshape(len(signatures), -1).astype(np.int16)


def _item(samples: pd.DataFrame, split: Assignment, pair: Pair) -> dict[str, Any]:
    names, groups, fold = samples["sample"].astype(str), samples["group"].astype(str), split.of(samples)
    item: dict[str, Any] = {}
    for which, row in zip(("first", "second"), pair[:2], strict=True):
        item |= {which: names.iloc[row], f"{which} group": groups.iloc[row]}
        item |= {f"{which} fold": fold_name(int(fold[row]))}
    return item | {"alike": round(pair[2], 3)}


def _leaked(fold: NDArray[np.intp], pairs: list[Pair]) -> int:
    """Return how many rows have a counterpart in a fold that trains while they are validated."""
    both = [(a, b) for a, b, _ in pairs] + [(b, a) for a, b, _ in pairs]
    return len({a for a, b in both if fold[b] != HELD_OUT and fold[a] != fold[b]})
