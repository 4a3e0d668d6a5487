"""Check by the labels' own shapes: a mask that is nearly another group's was copied, or shows the same thing."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from harness.data.audit.finding import Finding, more, passed, told
from harness.data.audit.sides import HELD_OUT, Assignment, fold_name

HEAD = ("M6", "No label nearly stands in two groups")
NEAR = 2  # px by which the boxes of two labels may differ on each side
ALIKE = 0.75  # of the fuller cells that the emptier ones fill too (Jaccard of fuzzy sets)
BOX = ("target_x", "target_y", "target_w", "target_h")
MOST = 1000  # pairs kept as evidence
MOST_COMPARED = 10_000_000  # pairs whose boxes are near; more take minutes
CHUNK = 20_000  # pairs compared at a time

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
    compared = f"{len(shaped):,} of {labels:,} labels have a shape of their own"
    tree = cKDTree(samples[list(BOX)].to_numpy(dtype=float)[shaped], compact_nodes=False, balanced_tree=False)
    near = (int(tree.count_neighbors(tree, NEAR, p=np.inf)) - len(shaped)) // 2
    if near > MOST_COMPARED:
        text = f"{compared}, and {near:,} pairs of them lie in one place: too many to compare."
        return Finding(*HEAD, "warn", "not run", 0, 0.0, text)
    pairs = _alike(samples, shaped, tree.query_pairs(NEAR, p=np.inf, output_type="ndarray"))
    if not pairs:
        return passed(*HEAD, "warn", f"{compared}: none lies nearly the same in another group's picture.")
    items = _items(samples, split, pairs[:MOST])
    rows = np.unique([row for a, b, _ in pairs for row in (a, b)])
    first = items[0]
    text = (
        f"{first['first']!r} and {first['second']!r}, of two groups, have labels that are {first['alike']:.0%} alike: "
        f"a copied label or a copied source; look at both{more(len(pairs) - 1, 'pair')}. {compared}."
    )
    share = _leaked(split.of(samples), pairs) / len(samples)
    return Finding(*HEAD, "warn", "warn", len(rows), share, text, items, total=len(pairs))


def _alike(samples: pd.DataFrame, shaped: NDArray[np.intp], near: NDArray[np.intp]) -> list[Pair]:
    """Return pairs of rows of two groups, by name, and how alike their labels are; the most alike first."""
    table = samples.iloc[shaped]
    group, mask = (pd.factorize(table[name])[0] for name in ("group", "mask_sha256"))
    near = near[(group[near[:, 0]] != group[near[:, 1]]) & (mask[near[:, 0]] != mask[near[:, 1]])]
    alike = _jaccard(_cells(table["signature"]), near)
    place = np.argsort(np.argsort(table["sample"].to_numpy(dtype=str), kind="stable"))
    swap = place[near[:, 0]] > place[near[:, 1]]
    near = np.where(swap[:, None], near[:, ::-1], near)
    order = np.lexsort((place[near[:, 1]], place[near[:, 0]], -alike))
    order = order[alike[order] >= ALIKE]
    rows = shaped[near[order]].tolist()
    return [(a, b, share) for (a, b), share in zip(rows, alike[order].tolist(), strict=True)]


def _jaccard(cells: NDArray[np.int16], pairs: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how alike two labels are, (pairs,)."""
    alike = np.zeros(len(pairs))
    for start in range(0, len(pairs), CHUNK):
        a, b = (cells[pairs[start : start + CHUNK, side]] for side in (0, 1))
        both, either = np.minimum(a, b).sum(axis=1), np.maximum(a, b).sum(axis=1)
        alike[start : start + CHUNK] = both / either.clip(min=1)
    return alike


def _cells(signatures: "pd.Series[str]") -> NDArray[np.int16]:
    """Return how full each cell is, (labels, cells) from 0 to 15."""
    padded = bytes.fromhex("".join(f"0{digit}" for text in signatures for digit in text))
    return np.frombuffer(padded, dtype=np.uint8).reshape(len(signatures), -1).astype(np.int16)


def _items(samples: pd.DataFrame, split: Assignment, pairs: list[Pair]) -> tuple[dict[str, Any], ...]:
    names, groups = (samples[column].astype(str).tolist() for column in ("sample", "group"))
    fold = [fold_name(number) for number in split.of(samples).tolist()]
    items = []
    for *rows, alike in pairs:
        item: dict[str, Any] = {}
        for which, row in zip(("first", "second"), rows, strict=True):
            at = int(row)
            item |= {which: names[at], f"{which} group": groups[at], f"{which} fold": fold[at]}
        items.append(item | {"alike": round(alike, 3)})
    return tuple(items)


def _leaked(fold: NDArray[np.intp], pairs: list[Pair]) -> int:
    """Return how many rows have a counterpart in a fold that trains while they are validated."""
    both = [(a, b) for a, b, _ in pairs] + [(b, a) for a, b, _ in pairs]
    return len({a for a, b in both if fold[b] != HELD_OUT and fold[a] != fold[b]})
