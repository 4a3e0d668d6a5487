"""Check of labels that were drawn twice: how far two masks of one thing agree, the ceiling of any model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, more, told
from harness.data.audit.sides import Assignment, fold_name
from harness.data.audit.twice import Agreement, agreement, lay
from harness.data.copies.find import Pair
from harness.data.copies.search import Copies
from harness.data.pictures import Pixels

HEAD = ("D12", "Two labels of one thing agree")
CONFLICT = 0.9  # agreement, with outlines forgiven, below which two labels contradict each other
MOST, FEWEST = 1000, 20  # pairs that are compared, and the fewest of them where pictures are large
MOST_PX = 300_000_000  # of their masks, some seconds
BINS = 10

ReadMask = Callable[[int], Pixels]  # of a row, in 0, 1 and 255
Compared = tuple[Pair, Agreement]


def label_agreement(samples: pd.DataFrame, split: Assignment, copies: Copies, read: ReadMask) -> Finding:
    """D12: two pictures of one thing have one label, laid on each other as the pictures are; tells the mean IoU.

    Pairs without any object, and copies of a picture with its mask, are no second label and are left out.
    """
    twice = _labelled_twice(samples, copies.sure())
    if not twice:
        return told(
            *HEAD, "not run", "No two pictures that show one thing have labels of their own to compare."
        )
    compared = _compare(samples, _some(samples, twice), read)
    if not compared:
        return told(
            *HEAD, "not run", "Pictures of one thing share no place with a label that both surely see."
        )
    compared.sort(key=lambda one: (one[1].forgiving, one[1].iou))
    bad = [one for one in compared if _contradicts(one[1])]
    said, bars = _said(compared, len(twice)), _bars([a.forgiving for _, a in compared])
    items = tuple(_item(samples, split, one) for one in bad or compared)
    if not bad:
        return Finding(*HEAD, "warn", "pass", 0, 0.0, said, items, bars=bars)
    rows = {row for pair, _ in bad for row in (pair.first, pair.second)}
    text = f"{_worst(items[0])}{more(len(bad) - 1, 'pair')}. {said}"
    return Finding(*HEAD, "warn", "warn", len(rows), len(rows) / len(samples), text, items, bars=bars)


def _contradicts(found: Agreement) -> bool:
    return found.forgiving < CONFLICT or found.only_first + found.only_second > 0


def _labelled_twice(samples: pd.DataFrame, pairs: list[Pair]) -> list[Pair]:
    at = np.array([(pair.first, pair.second) for pair in pairs], np.intp).reshape(-1, 2)
    labelled = (samples["positive"].to_numpy() > 0)[at].any(1)
    again = _equal(samples["pixels_sha256"], at) & _equal(samples["mask_sha256"], at)
    return [pairs[i] for i in np.flatnonzero(labelled & ~again).tolist()]


def _equal(column: "pd.Series[str]", at: NDArray[np.intp]) -> NDArray[np.bool_]:
    values = column.to_numpy(dtype=object)
    return np.asarray(values[at[:, 0]] == values[at[:, 1]], bool)


def _some(samples: pd.DataFrame, pairs: list[Pair]) -> list[Pair]:
    """Return as many pairs as can be read in seconds, evenly from all."""
    size = (samples["height"] * samples["width"]).to_numpy()
    px = float(np.mean([size[pair.first] + size[pair.second] for pair in pairs]))
    count = min(len(pairs), MOST, max(FEWEST, int(MOST_PX / px)))
    return [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, count).round().astype(int)).tolist()]


def _compare(samples: pd.DataFrame, pairs: list[Pair], read: ReadMask) -> list[Compared]:
    pixels = samples["pixels_sha256"].to_numpy(dtype=object)
    compared = []
    for pair in pairs:
        exact = pixels[pair.first] == pixels[pair.second]
        laid = lay(read(pair.first), read(pair.second), pair.alignment, exact=exact)
        found = laid and agreement(laid)
        if found:
            compared.append((pair, found))
    return compared


def _said(compared: list[Compared], twice: int) -> str:
    low, high = (float(np.mean([getattr(a, name) for _, a in compared])) for name in ("iou", "forgiving"))
    s = "" if twice == 1 else "s"
    part = "" if twice == len(compared) else f" of {twice:,}"
    mean = (
        f"{high:.2f}"
        if high - low < 0.005
        else f"{low:.2f} as they lie and {high:.2f} where outlines may be off by what the movement may be"
    )
    return (
        f"The labels of {len(compared):,}{part} pair{s} of pictures of one thing have a mean IoU of {mean}: "
        "expect no model to score above the agreement of its labels."
    )


def _worst(item: dict[str, Any]) -> str:
    only = [
        f"{item[f'only in {which}']} only in the {which}"
        for which in ("first", "second")
        if item[f"only in {which}"]
    ]
    objects = f" (objects: {', '.join(only)})" if only else ""
    return (
        f"{item['first']!r} and {item['second']!r} show one thing and their labels agree in {item['iou forgiven']:.0%}"
        f"{objects}: one is wrong, or the thing changed in between; look at both"
    )


def _bars(values: list[float]) -> tuple[dict[str, Any], ...]:
    counts = np.histogram(values, BINS, (0, 1))[0].tolist()
    return tuple(
        {"label": f"IoU {i / BINS:.1f} to {(i + 1) / BINS:.1f}", "pairs": n} for i, n in enumerate(counts)
    )


def _item(samples: pd.DataFrame, split: Assignment, compared: Compared) -> dict[str, Any]:
    pair, found = compared
    item: dict[str, Any] = {}
    for which, row in (("first", pair.first), ("second", pair.second)):
        group = str(samples["group"].iloc[row])
        item |= {which: str(samples["sample"].iloc[row]), f"{which} group": group}
        item |= {f"{which} fold": fold_name(int(split.folds[group]))}
    numbers = {"iou": round(found.iou, 3), "iou forgiven": round(found.forgiving, 3)}
    return item | numbers | {"only in first": found.only_first, "only in second": found.only_second}
