"""Groups of samples, known by the digests of their pictures: whatever they are called in other studies."""

import pandas as pd

from harness.data.audit import HELD_OUT
from harness.data.split import Split

DIGITS = 16  # of a picture's digest

Groups = dict[str, list[str]]


def held_out_groups(split: Split, samples: pd.DataFrame) -> Groups:
    """Return the groups that no fold holds, each with the digests of its pictures."""
    return groups_of(samples.iloc[split.held_out(samples)])


def fold_groups(split: Split, samples: pd.DataFrame) -> Groups:
    """Return the groups that folds hold, each with the digests of its pictures."""
    return groups_of(samples[split.of(samples) != HELD_OUT])


def groups_of(rows: pd.DataFrame) -> Groups:
    """Return the groups of samples, each with the digests of its pictures."""
    pixels = rows.groupby("group", sort=True)["pixels_sha256"]
    return {str(name): sorted({digest[:DIGITS] for digest in own}) for name, own in pixels}


def share_a_picture(one: Groups, other: Groups) -> bool:
    """Tell whether a picture is in both."""
    pictures = {digest for own in one.values() for digest in own}
    return any(not pictures.isdisjoint(own) for own in other.values())
