"""One trial: a configuration through all its folds, and the Recorder that is told about it."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import pandas as pd

from harness.config import Study
from harness.evaluate.groups import counts_of_rows, sum_by_group
from harness.evaluate.intervals import headline_interval
from harness.evaluate.scores import fold_scores, interval_scores, mean_of_folds, threshold_scores
from harness.execute.task import Outcome
from harness.ranges import Value
from harness.train.foldrun import FoldResult

State = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class TrialPlan:
    """A numbered slot with its parameters; `study` has them in place."""

    number: int
    params: Mapping[str, Value]
    study: Study
    baseline: bool


@dataclass(frozen=True)
class SecondLook:
    """How a trial fared once more, with fresh seeds and fresh folds of the same groups.

    It takes the luck of seeds and folds out of a ranking, and proves nothing: the groups are those that chose it.
    """

    state: Literal["complete", "collapsed", "failed"]
    folds: Sequence[FoldResult]
    reason: str = ""

    def metrics(self) -> dict[str, float]:
        """Return second_iou_mean, _std, _low, _high (95 % interval over groups), _fold_N; nothing unless complete."""
        if self.state != "complete":
            return {}
        scores = [fold.iou for fold in self.folds]
        found = headline_interval(counts_of_rows(pd.concat([fold.out_of_fold for fold in self.folds])))
        return {
            "second_iou_mean": statistics.fmean(scores),
            "second_iou_std": statistics.stdev(scores),
            "second_iou_low": found.low,
            "second_iou_high": found.high,
            **{f"second_iou_fold_{number}": score for number, score in enumerate(scores)},
        }


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended. Only a complete one, with all its folds, has a score."""

    plan: TrialPlan
    state: State
    folds: Sequence[FoldResult]
    reason: str = ""
    second: SecondLook | None = None

    @property
    def iou_mean(self) -> float | None:
        """Mean over the folds."""
        return statistics.fmean(f.iou for f in self.folds) if self.state == "complete" else None

    @property
    def iou_std(self) -> float | None:
        """Standard deviation over the folds, ddof = 1."""
        return statistics.stdev([f.iou for f in self.folds]) if self.state == "complete" else None

    @property
    def best_epoch_gain(self) -> float | None:
        """How much the epochs that looked best would have added to the mean: a warning above .02."""
        if self.state != "complete":
            return None
        return statistics.fmean(f.best_iou - f.iou for f in self.folds)

    def metrics(self) -> dict[str, float]:
        """Return every number of this trial by its name: each fold's IoU; with all folds, also the scores beside.

        The only place where they are computed; the folds' files are read once.
        """
        return dict(self._metrics)

    @cached_property
    def _metrics(self) -> Mapping[str, float]:
        metrics = {f"iou_fold_{fold.fold}": fold.iou for fold in self.folds}
        if self.iou_mean is None or self.iou_std is None or self.best_epoch_gain is None:
            return metrics
        metrics |= {
            "iou_mean": self.iou_mean,
            "iou_std": self.iou_std,
            "best_epoch_gain": self.best_epoch_gain,
        }
        kept = [fold.kept for fold in self.folds]
        beside = [fold_scores(rows, tables) for rows, tables in zip(self._rows, kept, strict=True)]
        metrics |= mean_of_folds(beside) | interval_scores(pd.concat(self._rows))
        metrics |= self.second.metrics() if self.second else {}
        whole = [tables for tables in kept if tables is not None]
        return metrics | (threshold_scores(whole) if len(whole) == len(kept) else {})

    def group_counts(self) -> pd.DataFrame:
        """Return a row for each group in each fold: its counts at logit 0, summed over its pictures."""
        return sum_by_group(pd.concat(self._rows))

    @cached_property
    def _rows(self) -> Sequence[pd.DataFrame]:
        return [fold.out_of_fold for fold in self.folds]


class Recorder(Protocol):
    """What the search tells while it runs; each call may come again after a restart."""

    def open_trial(self, plan: TrialPlan) -> None: ...

    def open_fold(self, trial: int, fold: int) -> None: ...

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None: ...

    def close_fold(self, outcome: Outcome) -> None: ...

    def close_trial(self, result: TrialResult) -> None: ...


@dataclass
class MemoryRecorder:
    """Keeps every call in order; for tests and for trying things out."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    results: dict[int, TrialResult] = field(default_factory=dict)

    def open_trial(self, plan: TrialPlan) -> None:
        self.calls.append(("open_trial", plan.number))

    def open_fold(self, trial: int, fold: int) -> None:
        self.calls.append(("open_fold", (trial, fold)))

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None:
        self.calls += [("epoch", (trial, fold, epoch["number"])) for epoch in epochs]

    def close_fold(self, outcome: Outcome) -> None:
        self.calls.append((outcome.status, outcome.key))

    def close_trial(self, result: TrialResult) -> None:
        self.calls.append((result.state, result.plan.number))
        self.results[result.plan.number] = result


@dataclass
class Together:
    """Tells several recorders, in order."""

    recorders: Sequence[Recorder]

    def open_trial(self, plan: TrialPlan) -> None:
        for recorder in self.recorders:
            recorder.open_trial(plan)

    def open_fold(self, trial: int, fold: int) -> None:
        for recorder in self.recorders:
            recorder.open_fold(trial, fold)

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None:
        for recorder in self.recorders:
            recorder.log_epochs(trial, fold, epochs)

    def close_fold(self, outcome: Outcome) -> None:
        for recorder in self.recorders:
            recorder.close_fold(outcome)

    def close_trial(self, result: TrialResult) -> None:
        for recorder in self.recorders:
            recorder.close_trial(result)
