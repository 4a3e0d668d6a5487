"""Check of how much there is to learn from and to measure: empty masks, masks without a valid pixel."""

import pandas as pd

from harness.data.audit.finding import Finding, more, passed, told, warned
from harness.data.audit.sides import Assignment

HEAD = ("M2", "Share of empty masks")
MOSTLY = 0.98  # share of empty masks above which hardly anything is learned from


def empty_share(samples: pd.DataFrame, split: Assignment) -> Finding:
    """M2: every mask has a valid pixel, some are empty and not nearly all; tells the shares."""
    positive, valid = samples["positive"].to_numpy() > 0, samples["valid"].to_numpy()
    ignored = 1 - valid.sum() / max(1, int((samples["height"] * samples["width"]).sum()))
    empty = int((~positive).sum())
    said = f"{empty:,} of {len(samples):,} masks are empty ({empty / len(samples):.1%})"
    if (valid == 0).any():
        first = samples["sample"].astype(str)[valid == 0].min()
        rest = more(int((valid == 0).sum()) - 1, "mask")
        text = f"The mask of {first!r} has no pixel that is not ignored{rest}; remove such rows or draw them anew."
        return warned(HEAD, samples, valid == 0, text, {"group": "group"})
    if empty > MOSTLY * len(samples):
        text = f"{said}: hardly anything to learn from; are masks missing, or data.masks.target wrong? Look at them."
        return warned(HEAD, samples, positive, text, {"group": "group", "target px": "positive"})
    if not empty:
        text = f"None of {len(samples):,} masks is empty: false objects on clean images cannot be measured; add some."
        return told(*HEAD, "warn", text)
    return passed(*HEAD, "warn", f"{said}; {ignored:.2%} of all pixels are ignored.")
