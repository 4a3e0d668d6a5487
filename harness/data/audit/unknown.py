"""What neither the data nor the split can show: told as not run or unverifiable, never as passed."""

from collections.abc import Callable

import pandas as pd

from harness.data.audit.finding import Finding, Status, told
from harness.data.audit.sides import Assignment

UNKNOWN: dict[str, tuple[str, Status, str]] = {
    "G4": (
        "Loaders read the rows of this split",
        "not run",
        "Each fold run holds the rows that its loaders really delivered against this split and stops where they "
        "differ; its MLflow run has their digest.",
    ),
    "D8": (
        "Validation is not merely similar to training",
        "not run",
        "Pictures that are merely similar (another photograph of one thing, no pixel shared) are told by a network "
        "that was trained on such pictures, and none is used here; copies and overlaps are D3, D5 and D6.",
    ),
    "P3": (
        "Choices made on the scored folds",
        "not run",
        "How many trials are compared on these folds shows in the results: the best of several looks better than it "
        "is. Epoch and threshold are never chosen on a fold: the last epoch counts, at a fixed threshold.",
    ),
    "P5": (
        "Overlap with pretraining data",
        "unverifiable",
        "Whether pretrained weights have seen these pictures cannot be told from them; ask where they are from.",
    ),
    "E1": (
        "Estimate of the harm",
        "not run",
        "What a leak would add to the score takes training with it and without it, which an audit does not do.",
    ),
}


def unknown(id: str) -> Callable[[pd.DataFrame, Assignment], Finding]:
    """Return the check that tells one of these, whatever the data."""
    return lambda samples, split: told(id, *UNKNOWN[id])
