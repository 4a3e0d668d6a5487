"""What further views of a picture (mirrored, resized) add, on the folds' own predictions, and what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.evaluate.comparisons import difference
from harness.evaluate.groups import counts_of_rows
from harness.evaluate.intervals import Interval
from harness.prepare import Prepared
from harness.promotion.contenders import Seen, Stored, seen_by_model
from harness.promotion.rule import Rule

HEADLINE = {"threshold": 0.5}  # at which trials are scored
PLAIN = {"flips": False, "scales": [1.0]}


@dataclass(frozen=True)
class Gain:
    """IoU with further views less that without, each fold model on its own fold."""

    iou: float
    interval: Interval

    def rule(self, times: float) -> Rule:
        """Return what the views are held to; `times` is the time with them over that without."""
        found = (
            f"{self.iou:+.4f} IoU ({self.interval.level:.0%} interval {self.interval.low:+.4f} to "
            f"{self.interval.high:+.4f}) out of fold, at {times:.1f} times the time"
        )
        return Rule(
            "further views", self.iou > 0, found, "a gain, since promote.flips or promote.scales adds them"
        )


def gain_of_views(settings: Mapping[str, Any], weights: Sequence[Path], today: Prepared) -> Gain:
    """Return what the views in `settings` add to fold models, in the order of the folds."""
    parts = []
    for views in ({}, PLAIN):
        own = {**settings, **HEADLINE, **views}
        looks = [
            _own_fold(own, path, fold, today).rows.assign(fold=fold) for fold, path in enumerate(weights)
        ]
        parts.append(counts_of_rows(pd.concat(looks, ignore_index=True)))
    found = difference(*parts)
    return Gain(found.value, found.interval)


def _own_fold(settings: Mapping[str, Any], weights: Path, fold: int, today: Prepared) -> Seen:
    positions = today.split.validation(today.samples, fold)
    pictures = Stored(today.samples, today.root, today.study.data)
    return seen_by_model(settings, [weights], pictures, today.samples.iloc[positions].set_axis(positions))
