"""The figures of the cost: two scores, their difference with an interval over groups, and a control."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from harness.cost.folds import NAMES, of_split
from harness.cost.question import Question
from harness.evaluate.comparisons import Difference
from harness.evaluate.groups import GroupCounts, counts_of_rows, fold_scores, headline, pooled
from harness.evaluate.inflation import FEWEST, ROUGH, inflation, pooled_inflation
from harness.execute.task import Key
from harness.train.foldrun import FoldResult

LEARNED = 0.3  # IoU; where both scores are below, a word of caution goes with an interval that holds 0
COVERS = (
    "The interval covers which groups happened to be there, the same ones left out of both scores at once; not the "
    "luck of one training, nor that of one dealing of folds."
)


@dataclass(frozen=True)
class Score:
    """The scores of one split: IoU of each fold, their mean (the headline) and deviation, and of all counts summed."""

    split: str
    iou_mean: float
    iou_std: float
    iou_folds: Sequence[float]
    iou_pooled: float

    @property
    def sentence(self) -> str:
        return (
            f"{self.split:16}  IoU {self.iou_mean:.4f} ± {self.iou_std:.4f} (mean of {len(self.iou_folds)} folds), "
            f"pooled {self.iou_pooled:.4f}"
        )


@dataclass(frozen=True)
class Inflation:
    """A difference of two IoUs; without an interval where `groups`, those with something to find, are too few."""

    value: float
    low: float | None
    high: float | None
    level: float
    groups: int
    method: str

    @property
    def sentence(self) -> str:
        if self.low is None or self.high is None:
            few = f"no interval: {self.groups} groups have something to find, and {FEWEST} are needed"
            return f"{self.value:+.4f} IoU ({few})"
        rough = f", rough with so few: it is trusted from {ROUGH} on" if self.groups < ROUGH else ""
        return (
            f"{self.value:+.4f} IoU ({self.level:.0%} interval {self.low:+.4f} to {self.high:+.4f} over {self.groups} "
            f"groups{rough})"
        )


@dataclass(frozen=True)
class Answer:
    """What was measured; `rows` are the pictures of each split with their repaired groups and own IoU.

    `control`: the pooled difference on pictures whose group has no other, where nothing can leak; None without enough.
    """

    scores: tuple[Score, Score]
    inflation: Inflation
    pooled: Inflation
    control: Inflation | None
    rows: tuple[pd.DataFrame, pd.DataFrame]

    @property
    def verdict(self) -> str:
        """Return what the figures say, in a sentence."""
        low, high, value = self.inflation.low, self.inflation.high, self.inflation.value
        if low is None or high is None:
            return "Too few groups have something to find to say what a split by pictures would add to the score."
        if low > 0:
            return (
                f"A split by pictures would promise {value:.2f} IoU that is not there: the model knows the very things "
                "it is scored on."
            )
        if high < 0:
            return "The split by pictures scores lower: here it flatters nothing."
        return f"Whether a split by pictures flatters the score cannot be told here: the interval holds 0.{self._low}"

    @property
    def _low(self) -> str:
        if max(score.iou_mean for score in self.scores) >= LEARNED:
            return ""
        return (
            f" Both scores are below {LEARNED}: what has hardly learned remembers nothing, so this does not say that "
            "nothing leaks."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        crop, group = (asdict(score) | {"iou_folds": list(score.iou_folds)} for score in self.scores)
        return {
            "crop_level": crop,
            "group_level": group,
            "inflation": asdict(self.inflation),
            "inflation_pooled": asdict(self.pooled),
            "control": asdict(self.control) if self.control else None,
            "covers": COVERS,
            "says": self.verdict,
        }


def answer(question: Question, results: Mapping[Key, FoldResult]) -> Answer:
    """Return the figures of all fold runs of both splits."""
    group = dict(zip(question.samples["photo"], question.samples["group"], strict=True))
    both = [_rows(of_split(results, which), group) for which in (0, 1)]
    crop, grouped = (counts_of_rows(rows) for rows in both)
    return Answer(
        scores=(_score(NAMES[0], crop), _score(NAMES[1], grouped)),
        inflation=_told(inflation(crop, grouped)),
        pooled=_told(pooled_inflation(crop, grouped)),
        control=_control(both),
        rows=(both[0], both[1]),
    )


def _rows(results: Sequence[FoldResult], group: Mapping[str, str]) -> pd.DataFrame:
    """Return a row a picture, once out of fold, with its group as repaired."""
    rows = pd.concat([result.out_of_fold for result in results], ignore_index=True)
    union = rows["tp"] + rows["fp"] + rows["fn"]
    return rows.assign(group=rows["photo"].map(group), iou=rows["tp"] / union.clip(lower=1))


def _score(name: str, counts: GroupCounts) -> Score:
    folds = fold_scores(counts)
    return Score(
        name, float(headline(counts)), float(folds.std(ddof=1)), folds.tolist(), float(pooled(counts))
    )


def _told(found: Difference) -> Inflation:
    interval, enough = found.interval, found.interval.groups >= FEWEST
    low, high = (interval.low, interval.high) if enough else (None, None)
    return Inflation(found.value, low, high, interval.level, interval.groups, interval.method)


def _control(both: Sequence[pd.DataFrame]) -> Inflation | None:
    alone = [rows[rows.groupby("group")["photo"].transform("size") == 1] for rows in both]
    if any(rows.empty for rows in alone):
        return None
    found = _told(pooled_inflation(*(counts_of_rows(rows) for rows in alone)))
    return found if found.low is not None else None
