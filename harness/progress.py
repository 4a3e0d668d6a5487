"""What is seen while a study runs: trials, folds, epochs, time left; plain lines where there is no terminal."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from harness.execute.task import Key, Outcome
from harness.search.trial import TrialPlan, TrialResult

LATEST = 12  # finished trials shown


@dataclass
class _FoldView:
    epochs: int
    done: int = 0
    loss: float | None = None
    iou: float | None = None


@dataclass
class Progress:
    """A Recorder that draws on a console; use it as a context manager."""

    console: Console
    trials: int
    folds: int
    done: int  # trials finished before this start
    started: float = field(default_factory=time.monotonic)
    _folds_done: int = 0
    _closed: Counter[int] = field(default_factory=Counter)  # folds by unfinished trial
    _plans: dict[int, TrialPlan] = field(default_factory=dict)
    _running: dict[Key, _FoldView] = field(default_factory=dict)
    _finished: list[TrialResult] = field(default_factory=list)
    _live: Live | None = None

    def __enter__(self) -> "Progress":
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._draw, console=self.console, refresh_per_second=2, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def open_trial(self, plan: TrialPlan) -> None:
        self._plans[plan.number] = plan

    def open_fold(self, trial: int, fold: int) -> None:
        self._running[trial, fold] = _FoldView(self._plans[trial].study.train.epochs)

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None:
        view = self._running[trial, fold]
        view.done, view.loss = epochs[-1]["number"], epochs[-1]["loss"]
        view.iou = next((e["iou"] for e in reversed(epochs) if e["iou"] is not None), view.iou)

    def close_fold(self, outcome: Outcome) -> None:
        self._running.pop(outcome.key, None)
        self._folds_done += 1
        trial, fold = outcome.key
        if trial in self._plans:  # else its trial was finished without it
            self._closed[trial] += 1
        said = f"IoU {outcome.result.iou:.4f}" if outcome.result else f"{outcome.status}: {outcome.reason}"
        self._say(f"trial {trial} fold {fold}: {said} · {self._left()}")

    def close_trial(self, result: TrialResult) -> None:
        self._finished.append(result)
        self._plans.pop(result.plan.number, None)
        del self._closed[result.plan.number]
        self._say(f"trial {result.plan.number} ({result.plan.study.loss.name}): {_verdict(result)}")

    def _say(self, line: str) -> None:
        if self._live is None:
            self.console.print(line, highlight=False, soft_wrap=True)

    def _left(self) -> str:
        """Return the time left, from the fold runs finished since this start."""
        unfinished = max(0, self.trials - self.done - len(self._finished))
        left = unfinished * self.folds - self._closed.total()
        total = self._folds_done + left  # a trial that was stopped leaves none
        if not self._folds_done or not left:
            return f"{self._folds_done} of {total} folds"
        seconds = (time.monotonic() - self.started) / self._folds_done * left
        return f"{self._folds_done} of {total} folds, about {_duration(seconds)} left"

    def _draw(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("trial", "fold", "epoch", "", "loss", "IoU"):
            table.add_column(heading, justify="right")
        for (trial, fold), view in sorted(self._running.items()):
            bar = ProgressBar(total=view.epochs, completed=view.done, width=24)
            loss, iou = ("" if v is None else f"{v:.4f}" for v in (view.loss, view.iou))
            table.add_row(str(trial), str(fold), f"{view.done}/{view.epochs}", bar, loss, iou)
        head = f"trials {self.done + len(self._finished)} of {self.trials} · {self._left()}"
        lines = [
            f"trial {r.plan.number} {r.plan.study.loss.name}: {_verdict(r)}" for r in self._finished[-LATEST:]
        ]
        return Group(head, *lines, table)


def _verdict(result: TrialResult) -> str:
    if (look := result.second) is not None:
        scores = [fold.iou for fold in look.folds]
        again = f"IoU {fmean(scores):.4f} ± {stdev(scores):.4f}" if scores else f"{look.state}: {look.reason}"
        return f"second look, {again}; first {result.iou_mean:.4f} ± {result.iou_std:.4f}"
    if result.iou_mean is None:
        return f"{result.state}: {result.reason}" if result.reason else result.state
    return f"IoU {result.iou_mean:.4f} ± {result.iou_std:.4f}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
