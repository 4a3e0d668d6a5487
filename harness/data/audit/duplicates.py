"""Checks by content: the same file, the same pixels, the same mask, or two masks for one image."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, more, passed
from harness.data.audit.sides import HELD_OUT, Assignment, fold_name

REPAIR = "give both one group (source_image_id or data.group), or remove one"


def same_bytes(samples: pd.DataFrame, split: Assignment) -> Finding:
    """D1: no image file stands, byte for byte, in two groups; blank ones only warn."""
    rows = _rows(samples, split, key=samples["file_sha256"])
    rows["constant"] = samples["constant"].to_numpy()
    twins = _in_several(rows, "group")
    clean = f"No file of {len(rows)} is, byte for byte, in another group too."
    return _in_two_groups(("D1", "No file in two groups"), twins, "are the same file", clean, samples)


def same_pixels(samples: pd.DataFrame, split: Assignment) -> Finding:
    """D2: no picture stands in two groups as different files (another format, turned by its metadata)."""
    rows = _rows(samples, split, key=samples["pixels_sha256"], part=samples["file_sha256"])
    rows["constant"] = samples["constant"].to_numpy()
    twins = _in_several(_in_several(rows, "group"), "part")
    clean = f"No picture of {len(rows)} decodes to the pixels of another group's."
    said = "hold the same pixels in different files"
    return _in_two_groups(("D2", "No picture in two groups"), twins, said, clean, samples, "part")


def _in_two_groups(
    head: tuple[str, str], twins: pd.DataFrame, said: str, clean: str, samples: pd.DataFrame, *differ: str
) -> Finding:
    """Return the finding on rows whose key is in two groups: a leak, unless they are blank and so tell nothing."""
    shown, blank = (twins[twins["constant"] == constant] for constant in (False, True))
    items, blanks = (_pairs(part, "group", *differ) for part in (shown, blank))
    if items:
        rest = f" {len(blanks)} pairs are blank and tell nothing." if blanks else ""
        summary = f"{_both(items[0])} {said}; {REPAIR}{more(len(items) - 1, 'pair')}.{rest}"
        share = _leaked_share(shown, len(samples))
        return Finding(*head, "fail", "fail", len(shown), share, summary, items + blanks)
    if blanks:
        summary = (
            f"{_both(blanks[0])} {said}, and are blank: nothing tells whether they show one thing; group them "
            f"rightly, or remove them{more(len(blanks) - 1, 'pair')}."
        )
        return Finding(*head, "fail", "warn", len(blank), 0.0, summary, blanks)
    return passed(*head, "fail", clean)


def same_mask(samples: pd.DataFrame, split: Assignment) -> Finding:
    """D7: no mask with an object stands under different pictures of two groups."""
    title = "No mask in two groups"
    rows = _rows(samples, split, key=samples["mask_sha256"], part=samples["pixels_sha256"], name="mask")
    rows = rows[samples["positive"].to_numpy() > 0]
    twins = _in_several(_in_several(rows, "group"), "part")
    items = _pairs(twins, "group", "part")
    if not items:
        return passed("D7", title, "warn", f"None of {len(rows)} masks with an object stands in two groups.")
    summary = (
        f"{_both(items[0])} are the same mask under different pictures; "
        f"a copied mask or a copied source: look at both{more(len(items) - 1, 'pair')}."
    )
    return Finding(
        "D7", title, "warn", "warn", len(twins), _leaked_share(twins, len(samples)), summary, items
    )


def two_masks(samples: pd.DataFrame, split: Assignment) -> Finding:
    """D11: no picture has two different masks, within a group or across groups."""
    title = "One mask a picture"
    rows = _rows(samples, split, key=samples["pixels_sha256"], part=samples["mask_sha256"])
    twins = _in_several(rows, "part")
    items = _pairs(twins, "part")
    if not items:
        return passed("D11", title, "warn", "No picture has two different masks.")
    across = _in_several(twins, "group")["key"].nunique()
    pictures = twins["key"].nunique()
    summary = (
        f"{_both(items[0])} are one picture with two different masks; keep the right one "
        f"({pictures} pictures: {pictures - across} within a group, {across} across groups)."
    )
    return Finding("D11", title, "warn", "warn", len(twins), _leaked_share(twins, len(rows)), summary, items)


def _rows(
    samples: pd.DataFrame,
    split: Assignment,
    *,
    key: "pd.Series[str]",
    part: "pd.Series[str] | None" = None,
    name: str = "sample",
) -> pd.DataFrame:
    """Return one row a sample: `key` is what must not repeat, `part` tells apart those that share it."""
    columns = {
        "file": samples[name].astype(str).to_numpy(),
        "group": samples["group"].astype(str).to_numpy(),
        "folds": list(zip(*_of_repeats(samples, split), strict=True)),  # one a repeat
        "key": key.to_numpy(),
        "part": (key if part is None else part).to_numpy(),
    }
    return pd.DataFrame(columns)


def _of_repeats(samples: pd.DataFrame, split: Assignment) -> list[list[int]]:
    return [split.of(samples, repeat).tolist() for repeat in range(len(split.assignments))]


def _in_several(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows whose key occurs with more than one value of `column`."""
    several = rows.drop_duplicates(["key", column]).groupby("key").size()
    return rows[rows["key"].isin(several.index[several > 1])]


def _pairs(twins: pd.DataFrame, *differ: str) -> tuple[dict[str, Any], ...]:
    """Return evidence: the first row of each key beside a row of each kind that differs from it in `differ`.

    n rows of one key make at most n - 1 pairs; rows are ordered by file name, so their order does not matter.
    """
    ordered = twins.sort_values(["file", "group"], kind="stable")
    kinds = ordered.drop_duplicates(["key", *differ])
    first = ordered.drop_duplicates("key").set_index("key")
    beside = first.loc[kinds["key"]].reset_index()
    others = kinds.reset_index(drop=True)
    unlike = np.logical_and.reduce([beside[c].to_numpy() != others[c].to_numpy() for c in differ])
    both = zip(beside[unlike].itertuples(), others[unlike].itertuples(), strict=True)
    items = (_item(a, b) for a, b in both)
    return tuple(sorted(items, key=lambda item: (item["first"], item["second"])))


def _item(first: Any, second: Any) -> dict[str, Any]:
    """Return two rows with their folds in the first repeat that has them apart."""
    folds = list(zip(first.folds, second.folds, strict=True))
    shown = next((two for two in folds if two[0] != two[1]), folds[0])
    item: dict[str, Any] = {}
    for which, row, fold in zip(("first", "second"), (first, second), shown, strict=True):
        item |= {which: row.file, f"{which} group": row.group, f"{which} fold": fold_name(fold)}
    return item


def _both(item: dict[str, Any]) -> str:
    return " and ".join(
        f"{item[w]!r} (group {item[f'{w} group']!r}, {item[f'{w} fold']})" for w in ("first", "second")
    )


def _leaked_share(twins: pd.DataFrame, samples: int) -> float:
    """Return the share of all samples that have a twin in another fold which trains, in any repeat."""
    if not len(twins):
        return 0.0
    repeats = zip(*twins["folds"], strict=True)
    helped = [_twin_trains(twins.assign(fold=folds)) for folds in repeats]
    return float(np.logical_or.reduce(helped).sum()) / samples


def _twin_trains(twins: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell for each row whether a row of its key stands in a fold, and in another one than its own."""
    training = twins[twins["fold"] != HELD_OUT]
    folds = training.drop_duplicates(["key", "fold"]).groupby("key")["fold"]
    count = twins["key"].map(folds.size()).fillna(0).to_numpy()
    own_is_one = (twins["fold"] != HELD_OUT).to_numpy()
    return np.asarray(count - own_is_one > 0)
