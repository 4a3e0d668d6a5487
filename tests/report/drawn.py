"""A ledger of drawn trials whose scores, counts by group and folds agree; for everything that reads results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.search.groups import FOLDER, PART
from harness.search.ledger import Ledger

FACTS: dict[str, Any] = {
    "name": "tiny",
    "key": "tiny-12345678",
    "identity": "12345678" * 8,
    "data": "d" * 64,
    "settings": {"folds": {"repeats": 1}},
    "description": "A demonstration.",
    "profile": "cpu",
    "seed": 17,
    "samples": 20,
    "groups": 10,
    "positive_groups": 8,
    "held_out_groups": 0,
    "rare_classes": {"crack": 3},
    "split": "abc",
    "split_note": "no groups held out",
    "leakage": "pass",
    "leakage_sha256": "f" * 64,
}
LOSSES = ("dice_bce", "tversky", "focal_tversky")


def drawn_groups(skills: Sequence[float], groups: int = 30, folds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Return counts of trials whose objects are found with these chances, on the same groups of 200 to 2,000 px."""
    rng = np.random.default_rng(seed)
    pixels, hard = rng.integers(200, 2000, groups), rng.normal(0, 0.1, groups)
    tables = []
    for trial, skill in enumerate(skills):
        share = np.clip(skill + hard + rng.normal(0, 0.03, groups), 0.02, 0.98)
        tp = np.round(pixels * share).astype(int)
        columns = {
            "trial": trial,
            "fold": np.arange(groups) % folds,
            "group": [f"g{number:03d}" for number in range(groups)],
            "tp": tp,
            "fp": np.round((pixels - tp) * 0.5).astype(int),
            "fn": pixels - tp,
            "valid": 64 * 64,
            "objects": 2,
            "found": 1,
            "predicted": 2,
            "false": 1,
            "pictures": 1,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables).sort_values(["trial", "fold", "group"], kind="stable").reset_index(drop=True)


def iou_by_fold(groups: pd.DataFrame) -> pd.DataFrame:
    """Return the IoU of each trial (rows) in each fold (columns)."""
    summed = groups.groupby(["trial", "fold"])[["tp", "fp", "fn"]].sum()
    return (summed["tp"] / summed.sum(axis=1)).unstack("fold")


def write_ledger(folder: Path, groups: pd.DataFrame, **facts: Any) -> Path:
    """Write a ledger of complete trials with these counts; return its folder."""
    baselines = pd.DataFrame({"constant": [0.01] * 5, "classical": [0.1, 0.3, 0.2, 0.2, 0.2]})
    Ledger(folder, {}).open_study(FACTS | facts, baselines)
    iou = iou_by_fold(groups)
    rows = [
        {
            "trial": trial,
            "state": "complete",
            "kind": "searched",
            "loss": LOSSES[trial % 3],
            "params": json.dumps({"loss": LOSSES[trial % 3], "augment.strength": (trial % 11) / 10}),
            "reason": "",
            "iou_mean": float(of_folds.mean()),
            "iou_std": float(of_folds.std()),
            **{f"iou_fold_{fold}": float(score) for fold, score in of_folds.items()},
        }
        for trial, of_folds in iou.iterrows()
    ]
    pd.DataFrame(rows).to_parquet(folder / "trials.parquet")
    (folder / FOLDER).mkdir(exist_ok=True)
    for part, table in groups.groupby(groups["trial"] // PART):
        table.to_parquet(folder / FOLDER / f"{part:04d}.parquet", write_page_checksum=True)
    return folder
